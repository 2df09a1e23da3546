"""MedMamba: its depths, and its authors' names."""

from __future__ import annotations

from liverjax.weights.naming import (
    Entry,
    Family,
    Sizes,
    batch_norm,
    layer_norm,
    weighted,
)

DEPTHS = {
    "medmamba_b": (2, 2, 12, 2),
    "medmamba_s": (2, 2, 8, 2),
    "medmamba_t": (2, 2, 4, 2),
}
"""Blocks a stage."""

STATES = 16
_EXCHANGED = (0, 2, 1)  # (direction, out, in) to (direction, in, out)


def rank(*, width: int) -> int:
    """Numbers from which a step's length is made, for a scan's input of ``width``."""
    return -(-width // 16)


def _authors(name: str, sizes: Sizes) -> list[Entry]:
    shape = (sizes.width, sizes.in_channels, 4, 4)
    entries = weighted("patch_embed.proj", "stem_conv", shape, bias=True)
    entries += layer_norm("patch_embed.norm", "stem_norm", sizes.width)
    depths = DEPTHS[name]
    for stage, depth in enumerate(depths):
        width, under = sizes.width * 2**stage, f"layers.{stage}"
        for index in range(depth):
            ours = f"stage{stage + 1}_{index}"
            entries += block(f"{under}.blocks.{index}", ours=ours, width=width)
        if stage + 1 < len(depths):
            ours = f"stage{stage + 1}_merge"
            entries += merge(f"{under}.downsample", ours=ours, width=width)
    shape = (sizes.num_outputs, width)
    return entries + weighted("head", "head", shape, bias=True)


def block(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of one block of ``width`` channels."""
    half, convs = width // 2, f"{published}.conv33conv33conv11"
    entries = layer_norm(f"{published}.ln_1", f"{ours}/norm", half)
    entries += scan(f"{published}.self_attention", ours=f"{ours}/scan", width=half)
    for number, (norm, conv, taps) in enumerate(((0, 1, 3), (2, 4, 3), (5, 7, 1))):
        shape = (half, half, taps, taps)
        entries += batch_norm(f"{convs}.{norm}", f"{ours}/bn{number + 1}", half)
        entries += weighted(
            f"{convs}.{conv}", f"{ours}/conv{number + 1}", shape, bias=True
        )
    return entries


def scan(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of a scan in four directions, of ``width`` channels."""
    wide, steps, path = 2 * width, rank(width=width), f"params/{ours}"
    chosen = (4, steps + 2 * STATES, wide)
    return [
        Entry(f"{published}.x_proj_weight", chosen, f"{path}/x_proj", _EXCHANGED),
        Entry(
            f"{published}.dt_projs_weight",
            (4, wide, steps),
            f"{path}/dt_proj",
            _EXCHANGED,
        ),
        Entry(f"{published}.dt_projs_bias", (4, wide), f"{path}/dt_bias"),
        Entry(f"{published}.A_logs", (4 * wide, STATES), f"{path}/a_log"),
        Entry(f"{published}.Ds", (4 * wide,), f"{path}/skip"),
        *weighted(
            f"{published}.in_proj", f"{ours}/in_proj", (2 * wide, width), bias=False
        ),
        *weighted(f"{published}.conv2d", f"{ours}/conv", (wide, 1, 3, 3), bias=True),
        *layer_norm(f"{published}.out_norm", f"{ours}/norm", wide),
        *weighted(
            f"{published}.out_proj", f"{ours}/out_proj", (width, wide), bias=False
        ),
    ]


def merge(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of the layer that halves a map of ``width`` channels."""
    shape = (2 * width, 4 * width)
    entries = weighted(f"{published}.reduction", f"{ours}/linear", shape, bias=False)
    return entries + layer_norm(f"{published}.norm", f"{ours}/norm", 4 * width)


_FAMILY = Family(
    tables={"authors": _authors}, first="params/stem_conv/kernel", head="params/head"
)
FAMILIES = dict.fromkeys(DEPTHS, _FAMILY)

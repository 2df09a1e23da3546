"""Vision Mamba: its sizes, and its authors' names."""

from __future__ import annotations

from liverjax.weights.naming import Entry, Family, Sizes, weighted

NAMES = ("vim_base", "vim_small", "vim_tiny")
DEPTH = 24
STATES = 16
PATCH_PX = 16
DIRECTIONS = {"forward": "", "backward": "_b"}
"""Our names of a block's two scans, and how their published names end."""


def rank(*, width: int) -> int:
    """Numbers from which a step's length is made."""
    return -(-width // 16)


def _authors(name: str, sizes: Sizes) -> list[Entry]:
    del name
    width = sizes.width
    patches = (width, sizes.in_channels, PATCH_PX, PATCH_PX)
    entries = [
        Entry("cls_token", (1, 1, width), "params/cls_token"),
        Entry("pos_embed", (1, sizes.tokens, width), "params/pos_embed"),
        *weighted("patch_embed.proj", "patch_embed", patches, bias=True),
        *weighted("head", "head", (sizes.num_outputs, width), bias=True),
    ]
    for index in range(DEPTH):
        under, ours = f"layers.{index}", f"block{index}"
        entries += mixer(f"{under}.mixer", ours=f"{ours}/mixer", width=width)
        norm = f"params/{ours}/norm/scale"
        entries.append(Entry(f"{under}.norm.weight", (width,), norm))
    return [*entries, Entry("norm_f.weight", (width,), "params/norm/scale")]


def mixer(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of a block's mixer: what both directions share, and each its own.

    Args:
        published: Name of the mixer where it was published.
        ours: Path of the mixer.
        width: Channels of the tokens.
    """
    wide, steps = 2 * width, rank(width=width)
    entries = []
    for direction, end in DIRECTIONS.items():
        path, rates = f"params/{ours}/{direction}", f"A{end}_log"
        entries += [
            Entry(f"{published}.{rates}", (wide, STATES), f"{path}/a_log"),
            Entry(f"{published}.D{end}", (wide,), f"{path}/skip"),
        ]
    shape = (2 * wide, width)
    entries += weighted(f"{published}.in_proj", f"{ours}/in_proj", shape, bias=False)
    for direction, end in DIRECTIONS.items():
        path = f"{ours}/{direction}"
        conv, place = f"{published}.conv1d{end}", f"{path}_conv"
        entries += weighted(conv, place, (wide, 1, 4), bias=True)
        for layer, shape in (
            ("x_proj", (steps + 2 * STATES, wide)),
            ("dt_proj", (wide, steps)),
        ):
            name = f"{published}.{layer}{end}"
            entries += weighted(name, f"{path}/{layer}", shape, bias=False)
        bias = f"{published}.dt_proj{end}.bias"
        entries.append(Entry(bias, (wide,), f"params/{path}/dt_bias"))
    return entries + weighted(
        f"{published}.out_proj", f"{ours}/out_proj", (width, wide), bias=False
    )


_FAMILY = Family(
    tables={"authors": _authors},
    first="params/patch_embed/kernel",
    head="params/head",
    positions="params/pos_embed",
)
FAMILIES = dict.fromkeys(NAMES, _FAMILY)

"""Pyramid vision transformers, version 2: shapes, and names of authors and timm."""

from __future__ import annotations

from liverjax.weights.naming import Entry, Family, Sizes, layer_norm, weighted

DEPTHS = {
    "pvt_v2_b0": (2, 2, 2, 2),
    "pvt_v2_b1": (2, 2, 2, 2),
    "pvt_v2_b2": (3, 4, 6, 3),
    "pvt_v2_b3": (3, 4, 18, 3),
    "pvt_v2_b4": (3, 8, 27, 3),
    "pvt_v2_b5": (3, 6, 40, 3),
}
"""Blocks a stage."""

HEADS = (1, 2, 5, 8)
"""Heads a stage, and its channels as multiples of the first stage's."""

REDUCTIONS = (8, 4, 2, 1)
"""Side of the squares that become one key, a stage."""


def mlp_ratios(name: str) -> tuple[int, ...]:
    """Channels inside a block's second half, as multiples of the stage's."""
    return (4, 4, 4, 4) if name == "pvt_v2_b5" else (8, 8, 4, 4)


def _table(name: str, sizes: Sizes, *, timm: bool) -> list[Entry]:
    entries, inputs = [], sizes.in_channels
    for stage, depth in enumerate(DEPTHS[name]):
        number, width = stage + 1, sizes.width * HEADS[stage]
        side = 3 if stage else 7
        under = f"stages.{stage}." if timm else ""
        embed = f"{under}downsample" if stage else "patch_embed"
        embed = embed if timm else f"patch_embed{number}"
        ours = f"stage{number}"
        shape = (width, inputs, side, side)
        entries += weighted(f"{embed}.proj", f"{ours}_embed_conv", shape, bias=True)
        entries += layer_norm(f"{embed}.norm", f"{ours}_embed_norm", width)
        blocks = f"{under}blocks" if timm else f"block{number}"
        for index in range(depth):
            entries += block(
                f"{blocks}.{index}",
                ours=f"{ours}_{index}",
                width=width,
                reduction=REDUCTIONS[stage],
                wide=width * mlp_ratios(name)[stage],
                depthwise="dwconv" if timm else "dwconv.dwconv",
            )
        norm = f"{under}norm" if timm else f"norm{number}"
        entries += layer_norm(norm, f"{ours}_norm", width)
        inputs = width
    shape = (sizes.num_outputs, inputs)
    return entries + weighted("head", "head", shape, bias=True)


def block(
    published: str, *, ours: str, width: int, reduction: int, wide: int, depthwise: str
) -> list[Entry]:
    """The entries of one block.

    Args:
        published: Name of the block where it was published.
        ours: Path of the block.
        width: Channels.
        reduction: Side of the squares that become one key.
        wide: Channels inside the second half.
        depthwise: Published name of the depthwise layer in ``mlp``.
    """
    attn, mlp = f"{published}.attn", f"{published}.mlp"
    entries = layer_norm(f"{published}.norm1", f"{ours}/norm1", width)
    for name, part, rows in (("q", "query", 1), ("kv", "key_value", 2)):
        shape = (rows * width, width)
        entries += weighted(
            f"{attn}.{name}", f"{ours}/attention/{part}", shape, bias=True
        )
    place = f"{ours}/attention"
    entries += weighted(f"{attn}.proj", f"{place}/project", (width, width), bias=True)
    if reduction > 1:
        shape = (width, width, reduction, reduction)
        entries += weighted(f"{attn}.sr", f"{place}/reduce", shape, bias=True)
        entries += layer_norm(f"{attn}.norm", f"{place}/norm", width)
    entries += layer_norm(f"{published}.norm2", f"{ours}/norm2", width)
    for name, part, shape in (
        ("fc1", "expand", (wide, width)),
        (depthwise, "depthwise", (wide, 1, 3, 3)),
        ("fc2", "project", (width, wide)),
    ):
        entries += weighted(f"{mlp}.{name}", f"{ours}/mlp/{part}", shape, bias=True)
    return entries


def _authors(name: str, sizes: Sizes) -> list[Entry]:
    return _table(name, sizes, timm=False)


def _timm(name: str, sizes: Sizes) -> list[Entry]:
    return _table(name, sizes, timm=True)


_FAMILY = Family(
    tables={"timm": _timm, "authors": _authors},
    first="params/stage1_embed_conv/kernel",
    head="params/head",
)
FAMILIES = dict.fromkeys(DEPTHS, _FAMILY)

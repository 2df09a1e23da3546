"""MambaVision: its sizes, and the names of its authors and of their hub."""

from __future__ import annotations

from typing import NamedTuple

from liverjax.weights.naming import (
    Entry,
    Family,
    Sizes,
    batch_norm,
    layer_norm,
    weighted,
)

HEADS = (2, 4, 8, 16)
WINDOWS = (14, 7)
"""Pixels a side of the windows of stages 3 and 4."""

STATES = 8


class Shape(NamedTuple):
    """A network's blocks a stage, its first stage's channels, and other numbers.

    Attributes:
        depths: Blocks a stage; the first two stages have convolutions.
        ratio: Channels of the first stage for two of the stem's.
        stem: Channels of the stem's first convolution.
        drop_path: Published stochastic depth.
        scaled: Whether stages 3 and 4 scale their branches.
    """

    depths: tuple[int, int, int, int]
    ratio: int
    stem: int
    drop_path: float
    scaled: bool = False


SHAPES = {
    "mambavision_b": Shape((3, 3, 10, 5), 4, 64, 0.3, scaled=True),
    "mambavision_s": Shape((3, 3, 7, 5), 3, 64, 0.2),
    "mambavision_t": Shape((1, 3, 8, 4), 5, 32, 0.2),
    "mambavision_t2": Shape((1, 3, 11, 4), 5, 32, 0.2),
}


def rank(*, width: int) -> int:
    """Numbers from which a step's length is made."""
    return -(-width // 16)


def is_mixer(index: int, *, depth: int) -> bool:
    """Whether the block ``index`` of a stage of ``depth`` scans; the rest attends."""
    return index < -(-depth // 2)


def _authors(name: str, sizes: Sizes) -> list[Entry]:
    return _table(name, sizes, prefix="")


def _hub(name: str, sizes: Sizes) -> list[Entry]:
    return _table(name, sizes, prefix="model.")


def _table(name: str, sizes: Sizes, *, prefix: str) -> list[Entry]:
    shape = SHAPES[name]
    width, stem = shape.ratio * sizes.width // 2, f"{prefix}patch_embed.conv_down"
    entries = []
    for number, (conv, norm, inputs, outputs) in enumerate(
        ((0, 1, sizes.in_channels, sizes.width), (3, 4, sizes.width, width))
    ):
        taps, ours = (outputs, inputs, 3, 3), f"{number + 1}"
        entries += weighted(f"{stem}.{conv}", f"stem_conv{ours}", taps, bias=False)
        entries += batch_norm(f"{stem}.{norm}", f"stem_bn{ours}", outputs)
    for stage, depth in enumerate(shape.depths):
        under, ours = f"{prefix}levels.{stage}", f"stage{stage + 1}"
        if stage < 2:
            for index in range(depth):
                place = f"{under}.blocks.{index}"
                entries += conv_block(place, ours=f"{ours}_{index}", width=width)
            entries += reduction(under, ours=ours, width=width)
        else:
            entries += window_stage(
                under, ours=ours, width=width, depth=depth, scaled=shape.scaled
            )
            entries += reduction(under, ours=ours, width=width) if stage < 3 else []
        width *= 2 if stage < 3 else 1
    entries += batch_norm(f"{prefix}norm", "norm", width)
    return entries + weighted(
        f"{prefix}head", "head", (sizes.num_outputs, width), bias=True
    )


def conv_block(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of a block of the first two stages."""
    entries, shape = [], (width, width, 3, 3)
    for number in (1, 2):
        conv, norm = f"conv{number}", f"norm{number}"
        entries += weighted(f"{published}.{conv}", f"{ours}/{conv}", shape, bias=True)
        entries += batch_norm(f"{published}.{norm}", f"{ours}/bn{number}", width)
    return entries


def window_stage(
    published: str, *, ours: str, width: int, depth: int, scaled: bool
) -> list[Entry]:
    """The entries of a stage inside windows, without its reduction."""
    entries = []
    for index in range(depth):
        under, place = f"{published}.blocks.{index}", f"{ours}_{index}"
        for number in (1, 2) if scaled else ():
            path = f"params/{place}/scale{number}"
            entries.append(Entry(f"{under}.gamma_{number}", (width,), path))
        entries += layer_norm(f"{under}.norm1", f"{place}/norm1", width)
        part = mixer if is_mixer(index, depth=depth) else attention
        entries += part(f"{under}.mixer", ours=f"{place}/mixer", width=width)
        entries += layer_norm(f"{under}.norm2", f"{place}/norm2", width)
        for name, layer, shape in (
            ("fc1", "expand", (4 * width, width)),
            ("fc2", "project", (width, 4 * width)),
        ):
            entries += weighted(
                f"{under}.mlp.{name}", f"{place}/{layer}", shape, bias=True
            )
    return entries


def mixer(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of a mixer that scans half of its ``width`` channels."""
    half, steps, scan = width // 2, rank(width=width), f"{ours}/scan"
    square = (width, width)
    return [
        Entry(f"{published}.A_log", (half, STATES), f"params/{scan}/a_log"),
        Entry(f"{published}.D", (half,), f"params/{scan}/skip"),
        *weighted(f"{published}.in_proj", f"{ours}/in_proj", square, bias=False),
        *weighted(
            f"{published}.x_proj",
            f"{scan}/x_proj",
            (steps + 2 * STATES, half),
            bias=False,
        ),
        *weighted(f"{published}.dt_proj", f"{scan}/dt_proj", (half, steps), bias=False),
        Entry(f"{published}.dt_proj.bias", (half,), f"params/{scan}/dt_bias"),
        *weighted(f"{published}.out_proj", f"{ours}/out_proj", square, bias=False),
        *weighted(f"{published}.conv1d_x", f"{ours}/x_conv", (half, 1, 3), bias=False),
        *weighted(f"{published}.conv1d_z", f"{ours}/z_conv", (half, 1, 3), bias=False),
    ]


def attention(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of attention over ``width`` channels."""
    both = (3 * width, width)
    entries = weighted(f"{published}.qkv", f"{ours}/qkv", both, bias=True)
    return entries + weighted(
        f"{published}.proj", f"{ours}/project", (width, width), bias=True
    )


def reduction(published: str, *, ours: str, width: int) -> list[Entry]:
    """The entries of the convolution that ends a stage."""
    name, shape = f"{published}.downsample.reduction.0", (2 * width, width, 3, 3)
    return weighted(name, f"{ours}_down", shape, bias=False)


_FAMILY = Family(
    tables={"authors": _authors, "huggingface": _hub},
    first="params/stem_conv1/kernel",
    head="params/head",
)
FAMILIES = dict.fromkeys(SHAPES, _FAMILY)

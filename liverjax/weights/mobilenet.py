"""MobileNetV3: rows of blocks, and naming tables of its three published forms.

torchvision's and timm's networks have the same tensors and other constants; that of
xiaolai-sqlai/mobilenetv3 has other blocks. timm's ``tf_mobilenetv3_*``, ported from
TensorFlow, cannot be told from its others by their tensors but pad otherwise and have
torchvision's epsilon: their weights give wrong numbers here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from liverjax.weights.naming import (
    LINEAR,
    Entry,
    Family,
    Sizes,
    batch_norm,
    weighted,
)


class Row(NamedTuple):
    """A block as published: for a stem of 16 channels.

    Attributes:
        kernel: Side of the depthwise window.
        expanded: Channels inside.
        out: Channels of the result.
        squeezed: With squeeze and excitation.
        hard: Hard swish as activation, else ReLU.
        stride: Of the depthwise window.
    """

    kernel: int
    expanded: int
    out: int
    squeezed: bool
    hard: bool
    stride: int


class Block(NamedTuple):
    """A row at some width.

    Attributes:
        inputs: Channels that come in.
        row: The row, its channels those of the width.
        group: Number of the run of rows with one published ``out``, as timm counts.
        index: Place in that run.
    """

    inputs: int
    row: Row
    group: int
    index: int


SMALL = (
    Row(3, 16, 16, True, False, 2),
    Row(3, 72, 24, False, False, 2),
    Row(3, 88, 24, False, False, 1),
    Row(5, 96, 40, True, True, 2),
    Row(5, 240, 40, True, True, 1),
    Row(5, 240, 40, True, True, 1),
    Row(5, 120, 48, True, True, 1),
    Row(5, 144, 48, True, True, 1),
    Row(5, 288, 96, True, True, 2),
    Row(5, 576, 96, True, True, 1),
    Row(5, 576, 96, True, True, 1),
)
_LARGE_START = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
)
LARGE = (*_LARGE_START, *(Row(5, 960, 160, True, True, 1),) * 2)
LARGE_XIAOLAI = (
    *_LARGE_START,
    Row(5, 672, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)
STEM = 16
"""Channels of the published stem."""

ROWS = {
    "mobilenet_v3_large": LARGE,
    "mobilenet_v3_large_timm": LARGE,
    "mobilenet_v3_large_xiaolai": LARGE_XIAOLAI,
    "mobilenet_v3_small": SMALL,
    "mobilenet_v3_small_timm": SMALL,
    "mobilenet_v3_small_xiaolai": SMALL,
}
HIDDEN = {
    "mobilenet_v3_large": 1280,
    "mobilenet_v3_large_timm": 1280,
    "mobilenet_v3_large_xiaolai": 1280,
    "mobilenet_v3_small": 1024,
    "mobilenet_v3_small_timm": 1024,
    "mobilenet_v3_small_xiaolai": 1280,
}
"""Features before the head, for the published stem."""


def rounded(channels: float | int) -> int:
    """The multiple of 8 next to ``channels``, at least 8 and 90 % of them.

    Reference:
        Howard et al., Searching for MobileNetV3, ICCV 2019 (code: ``make_divisible``).
    """
    found = max(8, int(channels + 4) // 8 * 8)
    return found + 8 if found < 0.9 * channels else found


def scaled(channels: int, *, width: int) -> int:
    """Published ``channels`` for a stem of ``width``."""
    return channels if width == STEM else rounded(channels * width / STEM)


def blocks(rows: tuple[Row, ...], *, width: int) -> list[Block]:
    """The blocks of a network whose stem has ``width`` channels."""
    found: list[Block] = []
    inputs, published, group, index = width, 0, -1, 0
    for row in rows:
        group, index = (group, index + 1) if row.out == published else (group + 1, 0)
        published = row.out
        expanded, out = (scaled(c, width=width) for c in (row.expanded, row.out))
        row = row._replace(expanded=expanded, out=out)
        found.append(Block(inputs, row, group, index))
        inputs = out
    return found


def torchvision_block(block: Block, under: str, ours: str) -> list[Entry]:
    """The entries of a block called ``under`` there and ``ours`` here."""
    row, entries = block.row, []
    layers: list[tuple[str, tuple[int, ...]]] = [
        ("depthwise", (row.expanded, 1, row.kernel, row.kernel)),
        ("project", (row.out, row.expanded, 1, 1)),
    ]
    if row.expanded != block.inputs:
        layers.insert(0, ("expand", (row.expanded, block.inputs, 1, 1)))
    if row.squeezed:
        layers.insert(-1, ("squeeze", ()))
    for place, (part, shape) in enumerate(layers):
        published = f"{under}.block.{place}"
        if shape:
            names = f"{published}.0", f"{published}.1"
            entries += _normed(*names, f"{ours}/{part}", shape)
        else:
            names = f"{published}.fc1", f"{published}.fc2"
            entries += _squeeze(*names, ours, row.expanded)
    return entries


def _torchvision(name: str, sizes: Sizes) -> list[Entry]:
    rows = ROWS[name]
    stem = (sizes.width, sizes.in_channels, 3, 3)
    entries = _normed("features.0.0", "features.0.1", "conv_stem", stem)
    found = blocks(rows, width=sizes.width)
    for number, block in enumerate(found, start=1):
        entries += torchvision_block(block, f"features.{number}", f"block{number}")
    last, wide = f"features.{len(found) + 1}", scaled(HIDDEN[name], width=sizes.width)
    inner = 6 * found[-1].row.out
    entries += _normed(f"{last}.0", f"{last}.1", "conv_last", (inner, inner // 6, 1, 1))
    entries += weighted("classifier.0", "hidden", (wide, inner), bias=True)
    head = (sizes.num_outputs, wide)
    return entries + weighted("classifier.3", "head", head, bias=True)


def _timm(name: str, sizes: Sizes) -> list[Entry]:
    rows = ROWS[name]
    stem = (sizes.width, sizes.in_channels, 3, 3)
    entries = _normed("conv_stem", "bn1", "conv_stem", stem)
    group = 0
    for number, block in enumerate(blocks(rows, width=sizes.width), start=1):
        row, ours, group = block.row, f"block{number}", block.group
        under = f"blocks.{group}.{block.index}"
        expands = row.expanded != block.inputs
        if expands:
            shape = (row.expanded, block.inputs, 1, 1)
            names = f"{under}.conv_pw", f"{under}.bn1"
            entries += _normed(*names, f"{ours}/expand", shape)
        names = f"{under}.conv_dw", f"{under}.bn{1 + expands}"
        shape = (row.expanded, 1, row.kernel, row.kernel)
        entries += _normed(*names, f"{ours}/depthwise", shape)
        if row.squeezed:
            names = f"{under}.se.conv_reduce", f"{under}.se.conv_expand"
            entries += _squeeze(*names, ours, row.expanded)
        names = f"{under}.conv_pw{'l' * expands}", f"{under}.bn{2 + expands}"
        shape = (row.out, row.expanded, 1, 1)
        entries += _normed(*names, f"{ours}/project", shape)
    last, wide = f"blocks.{group + 1}.0", scaled(HIDDEN[name], width=sizes.width)
    inner = 6 * blocks(rows, width=sizes.width)[-1].row.out
    entries += _normed(
        f"{last}.conv", f"{last}.bn1", "conv_last", (inner, inner // 6, 1, 1)
    )
    entries += _pointwise("conv_head", "hidden", (wide, inner), bias=True)
    head = (sizes.num_outputs, wide)
    return entries + weighted("classifier", "head", head, bias=True)


def _xiaolai(name: str, sizes: Sizes) -> list[Entry]:
    rows = ROWS[name]
    stem = (sizes.width, sizes.in_channels, 3, 3)
    entries = _normed("conv1", "bn1", "conv_stem", stem)
    for number, block in enumerate(blocks(rows, width=sizes.width), start=1):
        entries += _xiaolai_block(block, f"bneck.{number - 1}", f"block{number}")
    inner = 6 * blocks(rows, width=sizes.width)[-1].row.out
    wide = scaled(HIDDEN[name], width=sizes.width)
    entries += _normed("conv2", "bn2", "conv_last", (inner, inner // 6, 1, 1))
    entries += weighted("linear3", "hidden", (wide, inner), bias=False)
    entries += batch_norm("bn3", "hidden_bn", wide)
    return entries + weighted("linear4", "head", (sizes.num_outputs, wide), bias=True)


def _xiaolai_block(block: Block, under: str, ours: str) -> list[Entry]:
    row, inputs = block.row, block.inputs
    shape = (row.expanded, inputs, 1, 1)
    entries = _normed(f"{under}.conv1", f"{under}.bn1", f"{ours}/expand", shape)
    shape = (row.expanded, 1, row.kernel, row.kernel)
    entries += _normed(f"{under}.conv2", f"{under}.bn2", f"{ours}/depthwise", shape)
    if row.squeezed:
        inner, se = max(row.expanded // 4, 8), f"{under}.se.se"
        shape = (inner, row.expanded)
        entries += _pointwise(f"{se}.1", f"{ours}/squeeze", shape, bias=False)
        entries += batch_norm(f"{se}.2", f"{ours}/squeeze_bn", inner)
        entries += _pointwise(f"{se}.4", f"{ours}/excite", shape[::-1], bias=False)
    shape = (row.out, row.expanded, 1, 1)
    entries += _normed(f"{under}.conv3", f"{under}.bn3", f"{ours}/project", shape)
    if row.stride == 2:
        names, path = (f"{under}.skip.0", f"{under}.skip.1"), f"{ours}/skip_depthwise"
        entries += _normed(*names, path, (inputs, 1, 3, 3))
    if inputs != row.out:
        first, shape = 2 * (row.stride == 2), (row.out, inputs, 1, 1)
        names = f"{under}.skip.{first}", f"{under}.skip.{first + 1}"
        entries += _normed(*names, f"{ours}/skip", shape, bias=row.stride == 2)
    return entries


def _normed(
    conv: str, norm: str, ours: str, shape: tuple[int, ...], *, bias: bool = False
) -> list[Entry]:
    entries = weighted(conv, f"{ours}/conv", shape, bias=bias)
    return entries + batch_norm(norm, f"{ours}/bn", shape[0])


def _squeeze(reduce: str, expand: str, ours: str, width: int) -> list[Entry]:
    inner = rounded(width // 4)
    entries = _pointwise(reduce, f"{ours}/squeeze", (inner, width), bias=True)
    return entries + _pointwise(expand, f"{ours}/excite", (width, inner), bias=True)


def _pointwise(
    published: str, ours: str, shape: tuple[int, ...], *, bias: bool
) -> list[Entry]:
    """A 1x1 convolution of one pixel, which is a linear layer here."""
    kernel = f"params/{ours}/kernel"
    first = Entry(f"{published}.weight", (*shape, 1, 1), kernel, LINEAR, view=shape)
    bias_entry = Entry(f"{published}.bias", shape[:1], f"params/{ours}/bias")
    return [first, bias_entry] if bias else [first]


def _family(scheme: str, table: Callable[[str, Sizes], list[Entry]]) -> Family:
    return Family(
        {scheme: table}, first="params/conv_stem/conv/kernel", head="params/head"
    )


FAMILIES = {
    "mobilenet_v3_large": _family("torchvision", _torchvision),
    "mobilenet_v3_large_timm": _family("timm", _timm),
    "mobilenet_v3_large_xiaolai": _family("xiaolai", _xiaolai),
    "mobilenet_v3_small": _family("torchvision", _torchvision),
    "mobilenet_v3_small_timm": _family("timm", _timm),
    "mobilenet_v3_small_xiaolai": _family("xiaolai", _xiaolai),
}

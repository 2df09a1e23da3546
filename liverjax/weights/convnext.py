"""ConvNeXt: its depths, and naming tables of torchvision, timm and its authors."""

from __future__ import annotations

from typing import NamedTuple

from liverjax.weights.naming import (
    Entry,
    Family,
    Sizes,
    layer_norm,
    weighted,
)

DEPTHS = {
    "convnext_tiny": (3, 3, 9, 3),
    "convnext_small": (3, 3, 27, 3),
    "convnext_base": (3, 3, 27, 3),
    "convnext_large": (3, 3, 27, 3),
}
"""Blocks a stage."""


class _Names(NamedTuple):
    """A scheme's names: of layers in a block, and formats of what lies around."""

    scale: str
    depthwise: str
    norm: str
    expand: str
    project: str
    block: str
    down: str
    stem: str
    head_norm: str
    head: str


_TORCHVISION = _Names(
    scale="layer_scale",
    depthwise="block.0",
    norm="block.2",
    expand="block.3",
    project="block.5",
    block="features.{odd}.{index}",
    down="features.{even}",
    stem="features.0",
    head_norm="classifier.0",
    head="classifier.2",
)
_TIMM = _Names(
    scale="gamma",
    depthwise="conv_dw",
    norm="norm",
    expand="mlp.fc1",
    project="mlp.fc2",
    block="stages.{stage}.blocks.{index}",
    down="stages.{stage}.downsample",
    stem="stem",
    head_norm="head.norm",
    head="head.fc",
)
_FACEBOOK = _Names(
    scale="gamma",
    depthwise="dwconv",
    norm="norm",
    expand="pwconv1",
    project="pwconv2",
    block="stages.{stage}.{index}",
    down="downsample_layers.{stage}",
    stem="downsample_layers.0",
    head_norm="norm",
    head="head",
)


def _torchvision(name: str, sizes: Sizes) -> list[Entry]:
    return _interleaved(name, sizes, _TORCHVISION, scale_axes=3)


def _timm(name: str, sizes: Sizes) -> list[Entry]:
    return _interleaved(name, sizes, _TIMM, scale_axes=1)


def _interleaved(
    name: str, sizes: Sizes, names: _Names, *, scale_axes: int
) -> list[Entry]:
    """Each stage's reduction before its blocks."""
    entries = _stem(sizes, names)
    for stage in range(4):
        entries += _reduction(sizes, names, stage) if stage else []
        entries += _stage(name, sizes, names, stage, scale_axes=scale_axes)
    return entries + _head(sizes, names)


def _facebook(name: str, sizes: Sizes) -> list[Entry]:
    entries = _stem(sizes, _FACEBOOK)
    for stage in range(1, 4):
        entries += _reduction(sizes, _FACEBOOK, stage)
    for stage in range(4):
        entries += _stage(name, sizes, _FACEBOOK, stage, scale_axes=1)
    return entries + _head(sizes, _FACEBOOK)


def _stem(sizes: Sizes, names: _Names) -> list[Entry]:
    shape = (sizes.width, sizes.in_channels, 4, 4)
    entries = weighted(f"{names.stem}.0", "stem_conv", shape, bias=True)
    return entries + layer_norm(f"{names.stem}.1", "stem_norm", sizes.width)


def _reduction(sizes: Sizes, names: _Names, stage: int) -> list[Entry]:
    under = names.down.format(stage=stage, even=2 * stage)
    ours, inputs = f"stage{stage + 1}_down", sizes.width * 2 ** (stage - 1)
    entries = layer_norm(f"{under}.0", f"{ours}_norm", inputs)
    shape = (2 * inputs, inputs, 2, 2)
    return entries + weighted(f"{under}.1", f"{ours}_conv", shape, bias=True)


def _stage(
    name: str, sizes: Sizes, names: _Names, stage: int, *, scale_axes: int
) -> list[Entry]:
    width, entries = sizes.width * 2**stage, []
    for index in range(DEPTHS[name][stage]):
        under = names.block.format(stage=stage, index=index, odd=2 * stage + 1)
        ours = f"stage{stage + 1}_{index}"
        scale = (width, 1, 1)[:scale_axes]
        entries.append(
            Entry(f"{under}.{names.scale}", scale, f"params/{ours}/scale", (), (width,))
        )
        for layer, part, shape in (
            (names.depthwise, "depthwise", (width, 1, 7, 7)),
            (names.expand, "expand", (4 * width, width)),
            (names.project, "project", (width, 4 * width)),
        ):
            entries += weighted(f"{under}.{layer}", f"{ours}/{part}", shape, bias=True)
            if part == "depthwise":
                entries += layer_norm(f"{under}.{names.norm}", f"{ours}/norm", width)
    return entries


def _head(sizes: Sizes, names: _Names) -> list[Entry]:
    width = 8 * sizes.width
    entries = layer_norm(names.head_norm, "head_norm", width)
    return entries + weighted(names.head, "head", (sizes.num_outputs, width), bias=True)


_FAMILY = Family(
    tables={"timm": _timm, "torchvision": _torchvision, "facebook": _facebook},
    first="params/stem_conv/kernel",
    head="params/head",
)
FAMILIES = dict.fromkeys(DEPTHS, _FAMILY)

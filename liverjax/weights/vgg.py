"""VGG: its depths, and torchvision's naming table (timm republishes the same tensors).

timm's ``pre_logits`` layers hold the same numbers as convolutions.
"""

from __future__ import annotations

from liverjax.weights.naming import (
    CONV2D,
    Entry,
    Family,
    Sizes,
    batch_norm,
    weighted,
)

DEPTHS = {
    "vgg16": (2, 2, 3, 3, 3),
    "vgg16_bn": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
    "vgg19_bn": (2, 2, 4, 4, 4),
}
"""Convolutions a stage."""

MAP_PX = 7
"""Side of the map that the hidden layers see."""


def stage_width(stage: int, *, width: int) -> int:
    """Channels of the stage, the first being 0: doubled three times."""
    return width * 2 ** min(stage, 3)


def hidden(*, width: int) -> int:
    """Features of both hidden layers: 4096 for the published width of 64."""
    return 64 * width


def _features(name: str, sizes: Sizes) -> list[Entry]:
    entries, number, inputs = [], 0, sizes.in_channels
    for stage, depth in enumerate(DEPTHS[name]):
        width = stage_width(stage, width=sizes.width)
        for index in range(depth):
            ours, shape = f"{stage + 1}_{index}", (width, inputs, 3, 3)
            published = f"features.{number}"
            entries += weighted(published, f"conv{ours}", shape, bias=True)
            number += 1
            if name.endswith("_bn"):
                entries += batch_norm(f"features.{number}", f"bn{ours}", width)
                number += 1
            number, inputs = number + 1, width
        number += 1
    return entries


def _torchvision(name: str, sizes: Sizes) -> list[Entry]:
    wide, published = hidden(width=sizes.width), "classifier.0.weight"
    seen, shape = _first_hidden(sizes)
    joined = (seen[1] * MAP_PX**2, wide)
    path = "params/hidden1/kernel"
    return [
        *_features(name, sizes),
        Entry(published, shape, path, CONV2D, seen, joined),
        Entry("classifier.0.bias", (wide,), "params/hidden1/bias"),
        *weighted("classifier.3", "hidden2", (wide, wide), bias=True),
        *weighted("classifier.6", "head", (sizes.num_outputs, wide), bias=True),
    ]


def _timm(name: str, sizes: Sizes) -> list[Entry]:
    wide = hidden(width=sizes.width)
    seen, _ = _first_hidden(sizes)
    joined = (seen[1] * MAP_PX**2, wide)
    first, second = "pre_logits.fc1", "pre_logits.fc2"
    square, path = (wide, wide, 1, 1), "params/hidden2"
    return [
        *_features(name, sizes),
        Entry(f"{first}.weight", seen, "params/hidden1/kernel", CONV2D, seen, joined),
        Entry(f"{first}.bias", (wide,), "params/hidden1/bias"),
        Entry(f"{second}.weight", square, f"{path}/kernel", (1, 0), square[:2]),
        Entry(f"{second}.bias", (wide,), f"{path}/bias"),
        *weighted("head.fc", "head", (sizes.num_outputs, wide), bias=True),
    ]


def _first_hidden(sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first hidden layer's weight as a convolution of the map, and flat."""
    inputs = stage_width(4, width=sizes.width)
    wide = hidden(width=sizes.width)
    return (wide, inputs, MAP_PX, MAP_PX), (wide, inputs * MAP_PX**2)


_FAMILY = Family(
    tables={"timm": _timm, "torchvision": _torchvision},
    first="params/conv1_0/kernel",
    head="params/head",
)
FAMILIES = dict.fromkeys(DEPTHS, _FAMILY)

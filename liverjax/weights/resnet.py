"""Residual networks: depths, and torchvision's naming table (timm has its names)."""

from __future__ import annotations

from liverjax.weights.naming import Entry, Family, Sizes, batch_norm, weighted

DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
"""Blocks a stage."""

_BASIC = ("resnet18", "resnet34")


def _table(name: str, sizes: Sizes) -> list[Entry]:
    """The entries of the architecture ``name``, in torchvision's order."""
    stem = (sizes.width, sizes.in_channels, 7, 7)
    entries = weighted("conv1", "conv1", stem, bias=False)
    entries += batch_norm("bn1", "bn1", sizes.width)
    inputs = sizes.width
    for stage, depth in enumerate(DEPTHS[name]):
        width = sizes.width * 2**stage
        for index in range(depth):
            published, ours = f"layer{stage + 1}.{index}", f"layer{stage + 1}_{index}"
            layers = _layers(name, inputs=inputs, width=width)
            outputs = layers[-1][0]
            for number, shape in enumerate(layers, start=1):
                conv, norm = f"conv{number}", f"bn{number}"
                names = f"{published}.{conv}", f"{ours}/{conv}"
                entries += weighted(*names, shape, bias=False)
                entries += batch_norm(f"{published}.{norm}", f"{ours}/{norm}", shape[0])
            if index == 0 and (stage > 0 or inputs != outputs):
                down = f"{published}.downsample"
                shape = (outputs, inputs, 1, 1)
                names = f"{down}.0", f"{ours}/downsample_conv"
                entries += weighted(*names, shape, bias=False)
                entries += batch_norm(f"{down}.1", f"{ours}/downsample_bn", outputs)
            inputs = outputs
    return entries + weighted("fc", "fc", (sizes.num_outputs, inputs), bias=True)


def _layers(name: str, *, inputs: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of a block's convolutions, without its shortcut."""
    if name in _BASIC:
        return [(width, inputs, 3, 3), (width, width, 3, 3)]
    wide = 4 * width
    return [(width, inputs, 1, 1), (width, width, 3, 3), (wide, width, 1, 1)]


_FAMILY = Family(
    tables={"timm": _table, "torchvision": _table},
    first="params/conv1/kernel",
    head="params/fc",
)
FAMILIES = dict.fromkeys(DEPTHS, _FAMILY)

"""The liver fibrosis staging network's naming table; no weights of it are published."""

from __future__ import annotations

from liverjax.weights.naming import CONV2D, Entry, Family, Sizes, weighted

NAME = "lfs"
CONVOLUTIONS = 4
KERNEL_PX = 5
MAP_PX = 4
"""Side of the map that the hidden layer sees."""


def hidden(*, width: int) -> int:
    """Features between the two linear layers."""
    return 8 * width


def _table(name: str, sizes: Sizes) -> list[Entry]:
    """As a plain PyTorch network would name them; its linear layer sees (c, h, w)."""
    del name
    entries, inputs = [], sizes.in_channels
    for number in range(CONVOLUTIONS):
        outputs = sizes.width * 2**number
        shape = (outputs, inputs, KERNEL_PX, KERNEL_PX)
        ours = f"conv{number + 1}"
        entries += weighted(ours, ours, shape, bias=True)
        inputs = outputs
    wide = hidden(width=sizes.width)
    view = (wide, inputs, MAP_PX, MAP_PX)
    flat = (wide, inputs * MAP_PX**2)
    kernel = "params/hidden/kernel"
    entries.append(Entry("fc1.weight", flat, kernel, CONV2D, view, flat[::-1]))
    entries.append(Entry("fc1.bias", (wide,), "params/hidden/bias"))
    return entries + weighted("fc2", "head", (sizes.num_outputs, wide), bias=True)


FAMILIES = {
    NAME: Family({"plain": _table}, first="params/conv1/kernel", head="params/head")
}

"""What a naming table is: published names beside the paths of Flax variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from liverjax.errors import InputError

Tensors = Mapping[str, np.ndarray]
"""Published names and their arrays."""

Variables = dict[str, Any]
"""Flax collections: nested dictionaries with arrays as leaves."""


class WeightsError(InputError):
    """Weights that cannot be used; the message says which tensor and why."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor of a published file and the variable it becomes.

    Attributes:
        name: Published name, such as ``layer1.0.conv1.weight``.
        shape: Published shape.
        path: Variable, such as ``params/layer1_0/conv1/kernel``; empty for a counter
            that has no use here (exported as zero, not required in a file).
        axes: Where our axes stand in the published tensor; empty keeps their order.
        view: Shape as which the published tensor is seen before its axes change
            places; empty is ``shape``.
        joined: Shape of the variable where that is not the exchanged one.
    """

    name: str
    shape: tuple[int, ...]
    path: str
    axes: tuple[int, ...] = ()
    view: tuple[int, ...] = ()
    joined: tuple[int, ...] = ()

    @property
    def variable_shape(self) -> tuple[int, ...]:
        """Shape of the variable."""
        return self.joined or self._exchanged

    @property
    def _exchanged(self) -> tuple[int, ...]:
        seen = self.view or self.shape
        return tuple(seen[axis] for axis in self.axes) if self.axes else seen

    def to_variable(self, tensor: np.ndarray) -> np.ndarray:
        """The published tensor with our order of axes, float32."""
        tensor = np.asarray(tensor).astype(np.float32, copy=False)
        tensor = tensor.reshape(self.view or self.shape)
        tensor = tensor.transpose(self.axes) if self.axes else tensor
        return np.ascontiguousarray(tensor.reshape(self.variable_shape))

    def to_tensor(self, variable: np.ndarray) -> np.ndarray:
        """The variable with the published order of axes."""
        variable = np.asarray(variable).reshape(self._exchanged)
        variable = variable.transpose(np.argsort(self.axes)) if self.axes else variable
        return np.ascontiguousarray(variable.reshape(self.shape))


CONV2D = (2, 3, 1, 0)
"""(out, in, h, w) to (h, w, in, out)."""

CONV1D = (2, 1, 0)
"""(out, in, w) to (w, in, out)."""

LINEAR = (1, 0)
"""(out, in) to (in, out)."""

_KERNEL_AXES = {2: LINEAR, 3: CONV1D, 4: CONV2D}


def weighted(
    published: str, ours: str, shape: tuple[int, ...], *, bias: bool
) -> list[Entry]:
    """The entries of a linear layer or convolution of published weight ``shape``."""
    kernel = f"params/{ours}/kernel"
    found = [Entry(f"{published}.weight", shape, kernel, _KERNEL_AXES[len(shape)])]
    if bias:
        found.append(Entry(f"{published}.bias", shape[:1], f"params/{ours}/bias"))
    return found


def layer_norm(published: str, ours: str, width: int) -> list[Entry]:
    """The entries of a normalisation with scale and bias."""
    return [
        Entry(f"{published}.weight", (width,), f"params/{ours}/scale"),
        Entry(f"{published}.bias", (width,), f"params/{ours}/bias"),
    ]


def batch_norm(published: str, ours: str, width: int) -> list[Entry]:
    """The entries of a normalisation that keeps statistics, its counter included."""
    return [
        *layer_norm(published, ours, width),
        Entry(f"{published}.running_mean", (width,), f"batch_stats/{ours}/mean"),
        Entry(f"{published}.running_var", (width,), f"batch_stats/{ours}/var"),
        Entry(f"{published}.num_batches_tracked", (), ""),
    ]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What an architecture leaves open, as its first and last layers tell.

    Attributes:
        width: Channels behind the first convolution.
        in_channels: Of the images.
        num_outputs: Numbers an image gets; 0 without a head.
        tokens: Rows of the position embedding; 0 where there is none.
    """

    width: int
    in_channels: int
    num_outputs: int
    tokens: int = 0


@dataclasses.dataclass(frozen=True)
class Family:
    """Architectures that share their naming tables.

    Attributes:
        tables: For each naming scheme, the table of an architecture of given sizes, in
            published order; timm's first where timm has the architecture.
        first: Path of the first convolution's kernel (..., in, width).
        head: Path of the last layer, with ``kernel`` (in, out) and ``bias`` in it.
        positions: Path of the position embedding (1, tokens, width); empty without.
    """

    tables: Mapping[str, Callable[[str, Sizes], list[Entry]]]
    first: str
    head: str
    positions: str = ""


def flatten(variables: Mapping[str, Any], *, prefix: str = "") -> dict[str, np.ndarray]:
    """Variables by slash-separated path, in order of their paths."""
    return dict(sorted(_leaves(variables, prefix)))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", np.asarray(value)


def nest(flat: Mapping[str, Any]) -> Variables:
    """The nested dictionaries whose paths and leaves ``flat`` lists."""
    tree: Variables = {}
    for path, value in flat.items():
        *folders, leaf = path.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[leaf] = value
    return tree


def some(names: list[str]) -> str:
    """The first few names and how many more there are, for a message."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown

"""Published tensors of small networks for tests, made from their names."""

from __future__ import annotations

import numpy as np

from liverjax.weights import FAMILIES
from liverjax.weights.naming import Sizes
from tests.models.parity import tensor


def published(name: str = "resnet18", *, width: int = 4, num_outputs: int = 5):
    """Tensors as torchvision names them, of a narrow network."""
    sizes = Sizes(width=width, in_channels=3, num_outputs=num_outputs)
    entries = FAMILIES[name].tables["torchvision"](name, sizes)
    return {
        e.name: tensor(e.name, e.shape, "float32" if e.path else "int64", 1.0)
        for e in entries
    }


def equal(a, b) -> bool:
    """Whether two mappings hold the same names in one order and the same bits."""
    return list(a) == list(b) and all(
        np.asarray(a[key]).dtype == np.asarray(b[key]).dtype
        and np.array_equal(a[key], b[key])
        for key in a
    )

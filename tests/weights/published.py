"""Published tensors of small networks for tests, made from their names."""

from __future__ import annotations

import numpy as np

from liverjax.weights import FAMILIES
from liverjax.weights.naming import Sizes
from tests.models.parity import tensor


def published(
    name: str = "resnet18", *, width: int = 4, num_outputs: int = 5, scheme: str = ""
):
    """Tensors as the family's first scheme (or ``scheme``) names them, narrow."""
    # Of 32 pixels, where the size matters: four patches and a class.
    sizes = Sizes(width=width, in_channels=3, num_outputs=num_outputs, tokens=5)
    tables = FAMILIES[name].tables
    entries = tables[scheme or next(iter(tables))](name, sizes)
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

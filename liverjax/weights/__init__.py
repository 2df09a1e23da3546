"""Published weights as Flax variables and back. numpy only; jax is not needed.

No weights ship with this package. ``python -m liverjax.weights --model resnet18
--download --out DIR`` fetches and converts the published ones when asked to.
"""

from __future__ import annotations

from liverjax.weights.adapt import Adapted, adapt, spread
from liverjax.weights.convert import FAMILIES, convert, export
from liverjax.weights.naming import WeightsError
from liverjax.weights.read import read
from liverjax.weights.sources import SOURCES, Source, download, find, locate
from liverjax.weights.store import Meta, load, save

__all__ = [
    "FAMILIES",
    "SOURCES",
    "Adapted",
    "Meta",
    "Source",
    "WeightsError",
    "adapt",
    "convert",
    "download",
    "export",
    "find",
    "load",
    "locate",
    "read",
    "save",
    "spread",
]

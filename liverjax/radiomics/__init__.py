"""Radiomic features of an image inside a mask, and classifiers on them."""

from __future__ import annotations

from liverjax.radiomics.extraction import extract
from liverjax.radiomics.settings import Settings

__all__ = ["Settings", "extract"]

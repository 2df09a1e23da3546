"""What a study's config says of the baselines that run beside its network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from liverjax.errors import InputError
from liverjax.radiomics.settings import make_settings


@dataclasses.dataclass(frozen=True)
class RadiomicsBaseline:
    """Classical classifiers on radiomic features, in the network's own folds.

    Attributes:
        run: Whether they are fitted.
        features: A table of ``python -m liverjax.radiomics`` to use; None measures the
            images and masks of the cohort's manifest.
        channels: Which are measured; each needs its mask in the manifest. Empty: the
            reference channel.
        by_slice: Measure slice by slice and average.
        settings: Fields of `liverjax.radiomics.Settings` that are no defaults.
        repeats: Measure so often again under small perturbations and learn from
            reproducible features only; 0 learns from all.
        min_icc: Lowest intraclass correlation of a reproducible feature.
        seed: Of the classifiers.

    Raises:
        InputError: For settings that `liverjax.radiomics` refuses, and numbers out of
            range.
    """

    run: bool
    features: str | None
    channels: tuple[str, ...]
    by_slice: bool
    settings: Mapping[str, Any]
    repeats: int
    min_icc: float
    seed: int

    def __post_init__(self) -> None:
        make_settings(self.settings, by_slice=self.by_slice)
        if self.repeats < 0:
            raise InputError(f"repeats={self.repeats}: expected 0 or above")
        if not -1 <= self.min_icc <= 1:
            raise InputError(f"min_icc={self.min_icc}: expected -1..1")


@dataclasses.dataclass(frozen=True)
class BaselineSettings:
    """Baselines beside those on the table's columns, which always run.

    Attributes:
        radiomics: Classifiers on radiomic features.
    """

    radiomics: RadiomicsBaseline

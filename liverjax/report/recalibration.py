"""Whether a recalibration fitted on train mends the probabilities of other sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from liverjax.cohort.schema import TRAIN
from liverjax.report.binary_block import calibration_of, goodness_of_fit
from liverjax.report.judged import Block, Judged
from liverjax.stats import calibration

SUFFIX = "_recalibrated"


def add_recalibrated(blocks: Mapping[str, Block], sets: Mapping[str, Judged]) -> None:
    """Adds the calibration of recalibrated probabilities to each set but train.

    The logistic recalibration is fitted on the rows of train that their model had not
    seen (they have folds); without them, or without probabilities, nothing is added.

    Args:
        blocks: Figures by set, added to in place by names that end in `SUFFIX`.
        sets: The judged rows, by set.
    """
    train = sets.get(TRAIN)
    if train is None or train.fold is None or train.probability is None:
        return
    if len(np.unique(train.positive)) < 2:
        return
    fit = calibration.calibration_fit(train.probability, positive=train.positive)
    if not np.isfinite([fit.slope.estimate, fit.intercept.estimate]).all():
        return
    for name, rows in sets.items():
        if name == TRAIN or rows.probability is None:
            continue
        mended = calibration.recalibrated(rows.probability, fit=fit)
        found = calibration_of(rows, mended, positive=rows.positive, suffix=SUFFIX)
        blocks[name].update(found | goodness_of_fit(rows, mended, suffix=SUFFIX))

"""Statistics of ordered stages: an area for each cut between them, and means."""

from __future__ import annotations

import numpy as np

from liverjax.report.binary_block import areas, calibration_of
from liverjax.report.judged import CLUSTERED, Block, Judged, by_bootstrap
from liverjax.stats import ordinal, roc, roc_multiclass
from liverjax.stats.estimate import Estimate


def stage_figures(rows: Judged) -> Block:
    """Returns areas, calibration by cut, and Obuchowski's index."""
    found: Block = {}
    for cut in range(1, len(rows.classes)):
        positive = rows.true_class >= cut
        suffix = cut_suffix(rows.classes, cut=cut)
        found |= areas(rows, cut_score(rows, cut=cut), positive=positive, suffix=suffix)
        if rows.probs is not None:
            probability = np.clip(cut_score(rows, cut=cut), 0, 1)
            found |= calibration_of(rows, probability, positive=positive, suffix=suffix)
    if len(np.unique(rows.true_class)) > 1:
        found["obuchowski_index"] = obuchowski(rows)
    return found | _means(rows)


def cut_suffix(classes: tuple[str, ...], *, cut: int) -> str:
    """Returns the end of a name in ``metrics.json``, such as ``_from_F2``."""
    return f"_from_{classes[cut]}"


def cut_score(rows: Judged, *, cut: int) -> np.ndarray:
    """Returns the probability of a stage or a later one, or else the score."""
    if rows.probs is None:
        return rows.score
    total = rows.probs.sum(axis=1, keepdims=True)
    return roc_multiclass.upper_stage_scores(rows.probs / total)[:, cut]


def obuchowski(rows: Judged) -> Estimate:
    """Returns the index of ordered stages with the linear penalty."""
    found = ordinal.obuchowski_index(
        rows.score,
        stage=rows.true_class,
        penalty=ordinal.linear_penalty(len(rows.classes)),
    )
    if rows.clustered:
        words = f"{found.method}; no interval: {CLUSTERED}"
        return Estimate(found.estimate, method=words, n=found.n)
    return found


def _means(rows: Judged) -> Block:
    """Macro and micro areas; only of probabilities, and where every class occurs."""
    if rows.probs is None or len(np.unique(rows.true_class)) < len(rows.classes):
        return {}
    whole = roc_multiclass.multiclass_auc(rows.probs, true_class=rows.true_class)
    macro = roc_multiclass.resampled_macro_auc(
        rows.probs, true_class=rows.true_class, weight=rows.weight
    )
    shares = rows.probs / rows.probs.sum(axis=1, keepdims=True)
    truth = np.eye(len(rows.classes), dtype=bool)[rows.true_class]
    micro = roc.resampled_auc(
        shares.ravel(),
        positive=truth.ravel(),
        weight=np.repeat(rows.weight, len(rows.classes), axis=1),
    )
    return {
        "auc_macro": by_bootstrap(rows, whole.macro, draws=macro),
        "auc_micro": by_bootstrap(rows, whole.micro, draws=micro),
    }

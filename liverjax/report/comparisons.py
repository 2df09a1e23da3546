"""Two models on the same rows: paired differences, corrected for their number."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from liverjax.report.judged import CLUSTERED, Block, Judged
from liverjax.report.measure_block import resampled_c
from liverjax.report.stage_block import cut_score, cut_suffix
from liverjax.report.words import counted
from liverjax.stats import (
    multiplicity,
    ordinal,
    paired,
    predictive_values,
    rank_correlation,
    roc_tests,
    survival,
)
from liverjax.stats.estimate import Estimate
from liverjax.stats.resampling import (
    EXCHANGES,
    PERMUTATIONS,
    exchange_test,
    percentile_interval,
    sign_flip_test,
    weighted_mean,
)
from liverjax.tasks import kinds

# Rows beyond which ranks are exchanged a quarter as often: the cost is their square.
_MANY_ROWS = 3_000


def differences(ours: Judged, theirs: Judged) -> Block:
    """Returns our model's figures less the other's, each with its paired test.

    Args:
        ours: One model's answers.
        theirs: Another's, for the same rows in the same order.
    """
    found: Block = {}
    for family in _FAMILIES[ours.kind]:
        found |= family(ours, theirs)
    return found


def correct(blocks: Sequence[dict[str, Any]]) -> None:
    """Adds ``p_holm`` to every paired test of a report, in place.

    The family are all the differences with a p, of all models and sets together.

    Args:
        blocks: A model's figures in a set.
    """
    tests = [
        metric
        for block in blocks
        for name, metric in block.items()
        if name.endswith("_difference") and not np.isnan(metric["p"])
    ]
    if not tests:
        return
    adjusted = multiplicity.adjust(np.array([test["p"] for test in tests]))
    family = f"Holm's over {counted(len(tests), 'paired test')} of all models and sets"
    for test, p in zip(tests, adjusted.tolist(), strict=True):
        test["p_holm"] = p
        test["method"] += f"; p_holm is {family}"


def _area(ours: Judged, theirs: Judged) -> Block:
    if len(np.unique(ours.positive)) < 2:
        return {}
    return {
        "auc_difference": roc_tests.compare_paired(
            ours.score,
            other=theirs.score,
            positive=ours.positive,
            subject=ours.cluster,
        )
    }


def _areas_of_cuts(ours: Judged, theirs: Judged) -> Block:
    found: Block = {}
    for cut in range(1, len(ours.classes)):
        positive = ours.true_class >= cut
        if len(np.unique(positive)) < 2:
            continue
        suffix = cut_suffix(ours.classes, cut=cut)
        found[f"auc{suffix}_difference"] = roc_tests.compare_paired(
            cut_score(ours, cut=cut),
            other=cut_score(theirs, cut=cut),
            positive=positive,
            subject=ours.cluster,
        )
    return found


def _calls(ours: Judged, theirs: Judged) -> Block:
    """McNemar's tests of sensitivity and specificity, Kosinski's of PPV and NPV."""
    if ours.predicted_class is None or theirs.predicted_class is None:
        return {}
    first, second = ours.predicted_class == 1, theirs.predicted_class == 1
    positive = ours.positive
    if len(np.unique(positive)) < 2:
        return {}
    if ours.clustered:
        ppv, npv = predictive_values.compare_predictive_values_clustered(
            first, second=second, positive=positive, subject=ours.subject
        )
        return {
            f"{name}_difference": paired.mcnemar_clustered(
                first[of] == positive[of],
                second_right=second[of] == positive[of],
                subject=ours.subject[of],
            )
            for name, of in (("sensitivity", positive), ("specificity", ~positive))
        } | {"ppv_difference": ppv, "npv_difference": npv}
    diseased, others = paired.paired_calls(first, second=second, positive=positive)
    sensitivity, specificity = paired.compare_sensitivity_specificity(
        diseased, nondiseased=others
    )
    ppv, npv = predictive_values.compare_predictive_values(diseased, nondiseased=others)
    return {
        "sensitivity_difference": sensitivity,
        "specificity_difference": specificity,
        "ppv_difference": ppv,
        "npv_difference": npv,
    }


def _right_answers(ours: Judged, theirs: Judged) -> Block:
    if ours.predicted_class is None or theirs.predicted_class is None:
        return {}
    right = [m.predicted_class == m.true_class for m in (ours, theirs)]
    if ours.clustered:
        test = paired.mcnemar_clustered(
            right[0], second_right=right[1], subject=ours.subject
        )
    else:
        test = paired.mcnemar_rows(right[0], second_right=right[1])
    return {"accuracy_difference": test}


def _obuchowski(ours: Judged, theirs: Judged) -> Block:
    if len(np.unique(ours.true_class)) < 2:
        return {}
    penalty = ordinal.linear_penalty(len(ours.classes))
    first, second = (
        ordinal.obuchowski_index(m.score, stage=m.true_class, penalty=penalty)
        for m in (ours, theirs)
    )
    found: Estimate = ordinal.compare_obuchowski(
        first, second=second, stage=ours.true_class
    )
    if ours.clustered:
        words = f"{found.method}; {CLUSTERED}"
        found = Estimate(found.estimate, method=words, n=found.n)
    return {"obuchowski_index_difference": found}


def _tau(ours: Judged, theirs: Judged) -> Block:
    draws = [
        rank_correlation.resampled_tau(m.score, y=m.target, weight=m.weight)
        for m in (ours, theirs)
    ]
    first, second = (
        rank_correlation.kendall_tau(m.score, y=m.target).estimate
        for m in (ours, theirs)
    )
    ranks, target = _ranks(ours, theirs), np.tile(ours.target, 2)
    p = exchange_test(
        np.random.default_rng(ours.seed),
        lambda weight: rank_correlation.resampled_tau(ranks, y=target, weight=weight),
        subject=ours.subject,
        permutations=_exchanges(ours),
    )
    return {"kendall_tau_difference": _ranked(first - second, draws, ours, p=p)}


def _concordance(ours: Judged, theirs: Judged) -> Block:
    draws = [resampled_c(m) for m in (ours, theirs)]
    first, second = (_c(m) for m in (ours, theirs))
    assert ours.event is not None
    ranks, time = _ranks(ours, theirs), np.tile(ours.target, 2)
    event = np.tile(ours.event.astype(bool), 2)
    p = exchange_test(
        np.random.default_rng(ours.seed),
        lambda weight: survival.resampled_harrell_c(
            ranks, time=time, event=event, weight=weight
        ),
        subject=ours.subject,
        permutations=_exchanges(ours),
    )
    return {"harrell_c_difference": _ranked(first - second, draws, ours, p=p)}


def _c(rows: Judged) -> float:
    whole = np.ones((1, len(rows.score)), int)
    return float(resampled_c(dataclasses.replace(rows, weight=whole))[0])


def _ranks(ours: Judged, theirs: Judged) -> np.ndarray:
    """Each model's own ranks, one after the other: scores may differ in their scale."""
    return np.concatenate([scipy.stats.rankdata(m.score) for m in (ours, theirs)])


def _ranked(
    gain: float, draws: list[np.ndarray], rows: Judged, *, p: float
) -> Estimate:
    words = f"{_exchanges(rows):,} exchanges of the models' ranks within subjects"
    return _bootstrapped(gain, draws, rows, p=p, words=words)


def _exchanges(rows: Judged) -> int:
    many = len(rows.target) > _MANY_ROWS
    return EXCHANGES // 4 if many else EXCHANGES


def _errors(ours: Judged, theirs: Judged) -> Block:
    if ours.ideal is None or theirs.ideal is None:
        return {}
    errors = [np.abs(m.score - m.ideal) for m in (ours, theirs)]
    return {"mean_absolute_error_difference": _losses(errors, rows=ours)}


def _brier(ours: Judged, theirs: Judged) -> Block:
    pair = [m.probability for m in (ours, theirs)]
    if pair[0] is None or pair[1] is None:
        return {}
    errors = [(p - ours.positive) ** 2 for p in pair]
    return {"brier_difference": _losses(errors, rows=ours)}


def _losses(losses: list[np.ndarray], *, rows: Judged) -> Estimate:
    """The difference of mean losses; exchanging a subject's changes its sign."""
    draws = [weighted_mean(loss, weight=rows.weight) for loss in losses]
    gain = losses[0] - losses[1]
    p = sign_flip_test(np.random.default_rng(rows.seed), gain, subject=rows.subject)
    words = f"{PERMUTATIONS:,} exchanges of the models' losses within subjects"
    return _bootstrapped(float(gain.mean()), draws, rows, p=p, words=words)


def _bootstrapped(
    gain: float, draws: list[np.ndarray], rows: Judged, *, p: float, words: str
) -> Estimate:
    low, high = percentile_interval(draws[0] - draws[1])
    words = (
        f"difference on the same rows, interval from {len(draws[0]):,} paired "
        f"bootstraps; p from {words}"
    )
    return Estimate(gain, low, high, p, words, len(rows.target))


_FAMILIES: Mapping[str, tuple[Callable[[Judged, Judged], Block], ...]] = {
    kinds.POINTS: (_tau, _right_answers),
    kinds.BINARY: (_area, _calls, _right_answers, _brier),
    kinds.STAGES: (_areas_of_cuts, _obuchowski, _tau, _right_answers),
    kinds.NUMBER: (_errors, _tau),
    kinds.SURVIVAL: (_concordance,),
}

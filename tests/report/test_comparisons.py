"""Tests of differences that no formula has a law for."""

from __future__ import annotations

import numpy as np
import pytest

from liverjax.report.comparisons import differences
from liverjax.report.judged import Judged
from liverjax.stats.resampling import sign_flip_test, subject_weights
from liverjax.tasks import kinds

N = 40
SUBJECT = np.repeat(np.arange(N // 2), 2)


def answers(score, *, target, kind, event=None) -> Judged:
    """A model's answers for patients with two rows each."""
    return Judged(
        kind=kind,
        seed=3,
        classes=("no", "yes"),
        score=score,
        target=target,
        ideal=target,
        true_class=(target > 0).astype(int),
        predicted_class=None,
        fold=None,
        weight=subject_weights(np.random.default_rng(3), subject=SUBJECT, resamples=50),
        clustered=True,
        subject=SUBJECT,
        probs=None,
        on_scale=True,
        event=event,
    )


def models():
    """A truth, a score near it and one that is not."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=N // 2)[SUBJECT]
    noise = rng.normal(size=(2, N))
    return target, target + 0.3 * noise[0], 0.5 * target + 1.5 * noise[1]


def test_errors_are_exchanged_by_subject():
    target, *scores = models()
    pair = [answers(s, target=target, kind=kinds.NUMBER) for s in scores]
    found = differences(*pair)["mean_absolute_error_difference"]
    gap = np.abs(scores[0] - target) - np.abs(scores[1] - target)
    assert found.estimate == pytest.approx(gap.mean())
    assert found.p == sign_flip_test(np.random.default_rng(3), gap, subject=SUBJECT)
    assert found.p < 0.01
    assert "9,999 exchanges of the models' losses within subjects" in found.method


def test_brier_scores_have_a_p():
    target, *scores = models()
    probabilities = [1 / (1 + np.exp(-s)) for s in scores]
    pair = [answers(p, target=target, kind=kinds.BINARY) for p in probabilities]
    found = differences(*pair)["brier_difference"]
    losses = [(p - (target > 0)) ** 2 for p in probabilities]
    p = sign_flip_test(np.random.default_rng(3), losses[0] - losses[1], subject=SUBJECT)
    assert found.p == p


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kinds.NUMBER, "kendall_tau_difference"),
        (kinds.SURVIVAL, "harrell_c_difference"),
    ],
)
def test_ranks_are_exchanged_whatever_the_scale_of_a_score(kind, name):
    target, first, second = models()
    event = np.arange(N) % 3 > 0
    if kind == kinds.SURVIVAL:
        target = np.exp(-target)
    found = [
        differences(
            answers(first, target=target, kind=kind, event=event),
            answers(scaled, target=target, kind=kind, event=event),
        )[name]
        for scaled in (second, np.exp(second) + 1_000)
    ]
    assert found[0] == found[1]
    assert 1 / 2_000 <= found[0].p < 0.01
    assert "1,999 exchanges of the models' ranks within subjects" in found[0].method

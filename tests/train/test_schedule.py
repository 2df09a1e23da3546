from __future__ import annotations

import numpy as np
import pytest

from liverjax.errors import InputError
from liverjax.train.schedule import (
    Control,
    best_epoch,
    cosine,
    halving,
    is_finished,
    make_schedule,
    plateau,
)

NOTHING = Control(scores=np.zeros(0), losses=np.zeros(0))


def control(scores, losses=None):
    scores = np.array(scores, float)
    return Control(
        scores=scores, losses=np.zeros(len(scores)) if losses is None else losses
    )


def test_halving_drops_after_every_tenth_epoch():
    rate = halving(learning_rate=5e-4, every=10, factor=0.5)
    rates = [rate(epoch, NOTHING) for epoch in (0, 9, 10, 19, 20)]
    assert rates == [5e-4, 5e-4, 2.5e-4, 2.5e-4, 1.25e-4]


def test_cosine_is_half_way_down_in_the_middle():
    rate = cosine(learning_rate=2.0, epochs=10)
    assert rate(0, NOTHING) == 2.0
    assert rate(5, NOTHING) == pytest.approx(1.0)
    assert rate(10, NOTHING) == pytest.approx(0.0, abs=1e-15)


def test_plateau_is_that_of_torch():
    losses = np.array([5.0, 4.0, 4.0, 4.1, 3.9997, 3.5, 3.6, 3.6, 3.6, 3.6])
    rate = plateau(learning_rate=1.0, patience=1, factor=0.1)
    rates = [rate(n, control(losses[:n], losses[:n])) for n in range(len(losses) + 1)]
    # torch 2.13, ReduceLROnPlateau(patience=1, factor=0.1), the rate before each step.
    expected = [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_an_unknown_schedule_names_the_known_ones():
    with pytest.raises(InputError, match=r"constant.*halving.*cosine.*plateau"):
        make_schedule("stairs", learning_rate=1.0, every=1, factor=0.5, epochs=1)


def test_ties_in_the_score_go_to_the_lower_loss_and_then_to_the_first():
    losses = np.array([3.0, 2.0, 1.0, 1.0, 0.5])
    assert best_epoch(control([0.5, 0.7, 0.7, 0.7, 0.6], losses)) == 2


def test_a_score_that_is_no_number_is_the_worst():
    assert best_epoch(control([np.nan, -5.0, np.nan])) == 1
    assert best_epoch(control([np.nan])) == 0
    assert best_epoch(NOTHING) is None


def test_training_ends_when_nothing_got_better_for_long_enough():
    scores = [0.1, 0.5, 0.4, 0.5, 0.3]
    ends = [
        is_finished(control(scores[:n]), epochs=99, early_stopping=3)
        for n in range(1, 6)
    ]
    assert ends == [False, False, False, False, True]
    assert is_finished(control(scores), epochs=5, early_stopping=None)

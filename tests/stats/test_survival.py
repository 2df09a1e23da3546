from __future__ import annotations

import numpy as np
import pytest

from liverjax.stats import survival
from liverjax.stats.cox import cox
from liverjax.stats.resampling import index_weights
from liverjax.stats.survival import (
    harrell_c,
    kaplan_meier,
    log_rank,
    resampled_harrell_c,
)


def test_kaplan_meier_by_hand():
    """Five subjects, events at 1, 3 and 4; survival 4/5, 4/5 2/3, 4/15."""
    time = np.array([1.0, 2, 3, 4, 5])
    event = np.array([True, False, True, True, False])
    found = kaplan_meier(time, event=event)
    assert list(found.time) == [1, 3, 4]
    assert found.survival == pytest.approx([4 / 5, 8 / 15, 4 / 15])
    assert list(found.at_risk) == [5, 3, 2]
    assert found.median == 4
    assert list(found.survival_at(np.array([0.5, 3.0, 9.0]))) == pytest.approx(
        [1, 8 / 15, 4 / 15]
    )
    assert list(found.at_risk_at(np.array([0.5, 3.0, 9.0]))) == [5, 3, 0]


def test_a_curve_that_reaches_0_has_no_interval_there():
    found = kaplan_meier(np.array([1.0, 2.0]), event=np.array([True, True]))
    assert found.survival[-1] == 0
    assert np.isnan([found.se[-1], found.low[-1], found.high[-1]]).all()


def test_without_events_survival_is_1_and_the_median_not_reached():
    found = kaplan_meier(np.array([1.0, 2.0]), event=np.array([False, False]))
    assert len(found.time) == 0
    assert found.median == np.inf
    assert found.survival_at(np.array([5.0])) == 1


def test_times_that_are_none_are_refused():
    for wrong in (np.nan, -1.0):
        with pytest.raises(ValueError, match="NaN or negative"):
            kaplan_meier(np.array([1.0, wrong]), event=np.array([True, True]))


def test_a_log_rank_test_needs_two_groups_and_an_event():
    time = np.arange(1.0, 7)
    never, group = np.zeros(6, bool), np.arange(6) % 2
    with pytest.raises(ValueError, match="needs two"):
        log_rank(time, event=~never, group=np.zeros(6))
    assert np.isnan(log_rank(time, event=never, group=group).p)


def test_log_rank_is_the_score_test_of_a_two_group_cox_model():
    """Without ties both have the same information at zero."""
    rng = np.random.default_rng(0)
    group = np.arange(200) % 2
    time = rng.exponential(size=200) * (1 + 0.4 * group)
    event = rng.random(200) < 0.7
    test = log_rank(time, event=event, group=group)
    fit = cox(time, event=event, columns={"group": group})
    assert fit.z[0] ** 2 == pytest.approx(test.estimate, rel=0.03)
    assert fit.hazard_ratio[0] < 1


def test_harrells_c_of_perfect_reversed_and_constant_risk():
    time, event = np.arange(1.0, 6), np.ones(5, bool)
    assert harrell_c(-time, time=time, event=event).estimate == 1
    assert harrell_c(time, time=time, event=event).estimate == 0
    assert harrell_c(np.zeros(5), time=time, event=event).estimate == 0.5
    assert np.isnan(harrell_c(time, time=time, event=~event).estimate)


def test_a_column_that_orders_all_events_has_no_coefficient():
    time = np.arange(1.0, 21)
    with pytest.raises(ValueError, match="separates the events"):
        cox(time, event=np.ones(20, bool), columns={"x": -time})
    with pytest.raises(ValueError, match="collinear or constant"):
        cox(time, event=np.ones(20, bool), columns={"x": np.ones(20)})
    with pytest.raises(ValueError, match="no event"):
        cox(time, event=np.zeros(20, bool), columns={"x": time})


@pytest.mark.parametrize("n", [3, 4, 6])
def test_a_few_rows_in_order_have_no_coefficient(n):
    time = np.arange(1.0, n + 1)
    event = np.ones(n, bool)
    for risk in (-time, -(time**2), np.exp(-time)):
        with pytest.raises(ValueError, match="separates the events"):
            cox(time, event=event, columns={"risk": risk})


def follow_up(n: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Risks and times with ties, and which ended in the event."""
    rng = np.random.default_rng(4)
    risk = np.round(rng.normal(size=n), 1)
    time = np.ceil(12 * rng.exponential(np.exp(-risk)))
    return risk, time, rng.random(n) < 0.6


def test_a_resampled_c_is_that_of_its_rows():
    risk, time, event = follow_up()
    index = np.random.default_rng(0).integers(90, size=(12, 90))
    draws = resampled_harrell_c(
        risk, time=time, event=event, weight=index_weights(index, n=90)
    )
    direct = [harrell_c(risk[i], time=time[i], event=event[i]).estimate for i in index]
    assert draws == pytest.approx(direct, abs=1e-12)


def test_pairs_are_counted_once_in_blocks_of_any_size(monkeypatch):
    risk, time, event = follow_up()
    whole = harrell_c(risk, time=time, event=event)
    monkeypatch.setattr(survival, "_BLOCK", 300)
    assert harrell_c(risk, time=time, event=event) == whole
    earlier = (time[:, None] < time) | ((time[:, None] == time) & ~event)
    usable = earlier & event[:, None]
    assert whole.concordant == np.sum(usable & (risk[:, None] > risk))
    assert whole.discordant == np.sum(usable & (risk[:, None] < risk))
    both = np.triu(event[:, None] & event & (time[:, None] == time), k=1)
    assert whole.tied_both == np.sum(both & (risk[:, None] == risk))
    assert whole.tied_time == np.sum(both & (risk[:, None] != risk))

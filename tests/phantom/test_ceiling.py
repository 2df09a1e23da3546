from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import GradientBoostingRegressor

from liverjax.phantom.ceiling import compute_ceiling, judge_reading, oracle
from liverjax.phantom.options import PhantomOptions
from liverjax.phantom.severity import child_pugh_class, draw_severity


def _draw(options: PhantomOptions, n: int, seed: int):
    rng = np.random.default_rng(seed)
    shares = np.array(options.class_shares) / sum(options.class_shares)
    classes = rng.choice(3, size=n, p=shares)
    return draw_severity(rng, classes=classes, options=options)


def test_the_default_ceiling_is_a_tau_of_0_5_to_0_6():
    ceiling = compute_ceiling(PhantomOptions())
    assert 0.5 < ceiling.kendall_tau < 0.6
    assert ceiling.no_information_rate == pytest.approx(120 / 259, abs=0.01)


def test_without_effect_the_ceiling_is_chance():
    ceiling = compute_ceiling(PhantomOptions(effect=0.0), draws=5000)
    assert ceiling.kendall_tau == 0.0
    assert ceiling.accuracy == ceiling.no_information_rate


def test_visibility_raises_the_ceiling():
    taus = [
        compute_ceiling(PhantomOptions(visibility=v), draws=5000).kendall_tau
        for v in (0.0, 0.4, 0.8, 1.0)
    ]
    assert (np.diff(taus) > 0).all()


def test_fewer_signs_and_wrong_labels_lower_the_ceiling():
    whole = compute_ceiling(PhantomOptions(), draws=5000).kendall_tau
    one = compute_ceiling(PhantomOptions(signs=("ascites",)), draws=5000).kendall_tau
    noisy = compute_ceiling(PhantomOptions(label_noise=0.3), draws=5000).kendall_tau
    assert one < whole
    assert noisy < whole


def test_the_posterior_mean_is_right_on_average():
    options = PhantomOptions()
    truth = _draw(options, 20_000, seed=1)
    reading = oracle(truth.strengths, options=options)
    edges = np.quantile(reading.score, np.linspace(0, 1, 6))
    group = np.digitize(reading.score, edges[1:-1])
    for k in range(5):
        error = (truth.score - reading.score)[group == k]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)


def test_boosted_trees_on_the_true_signs_do_not_beat_the_oracle():
    options = PhantomOptions()
    train, test = _draw(options, 3000, seed=2), _draw(options, 3000, seed=3)
    trees = GradientBoostingRegressor(max_depth=2, subsample=0.5, random_state=0)
    trees.fit(train.strengths, train.score)
    theirs = stats.kendalltau(trees.predict(test.strengths), test.score).statistic
    ours, accuracy = judge_reading(
        oracle(test.strengths, options=options), items=test.items
    )
    assert theirs - 0.005 < ours < theirs + 0.05
    assert accuracy > (child_pugh_class(test.score) == 1).mean() + 0.1

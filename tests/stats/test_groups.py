from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from liverjax.stats import correlation, groups
from liverjax.stats.agreement import cohen_kappa, fleiss_kappa, kendall_w
from liverjax.stats.exact_tables import exact_table_p
from liverjax.stats.lowess import lowess
from liverjax.stats.measurement import (
    bland_altman,
    intraclass_correlations,
    lin_concordance,
)
from liverjax.stats.ordinal import (
    compare_obuchowski,
    linear_penalty,
    obuchowski_index,
    ordinal_scores,
)
from liverjax.stats.roc import auc


def test_an_exact_table_is_the_sum_over_all_tables():
    """A 2 x 3 table of 9: all tables of its margins, one by one."""
    table = np.array([[3, 0, 1], [1, 3, 1]])
    rows, columns = table.sum(axis=1), table.sum(axis=0)

    def weight(t: np.ndarray) -> float:
        return float(np.exp(-scipy.special.gammaln(t + 1.0).sum()))

    weights = []
    for a in range(columns[0] + 1):
        for b in range(columns[1] + 1):
            c = rows[0] - a - b
            if 0 <= c <= columns[2]:
                top = np.array([a, b, c])
                weights.append(weight(np.array([top, columns - top])))
    likely = [w for w in weights if w <= weight(table) * (1 + 1e-7)]
    assert exact_table_p(table) == pytest.approx(sum(likely) / sum(weights), rel=1e-6)
    assert exact_table_p(table.T) == pytest.approx(exact_table_p(table))


def test_fisher_is_used_where_an_expected_count_is_small():
    small = groups.contingency(np.array([[3, 1], [1, 3]]))
    assert small.small_expected
    assert (small.method, small.p) == ("Fisher's exact test", pytest.approx(34 / 70))
    large = groups.contingency(np.array([[30, 10], [10, 30]]))
    assert large.method == "chi-square test"
    assert np.isnan(large.p_fisher)
    with pytest.raises(ValueError, match="is empty"):
        groups.contingency(np.array([[3, 0], [1, 0]]))


def test_a_summary_counts_what_is_missing():
    found = groups.summary(np.array([1.0, 2, np.nan, 4, 5]))
    assert (found.n, found.missing, found.median) == (4, 1, 3.0)
    assert (found.q1, found.q3) == (1.75, 4.25)
    spss = groups.summary(np.array([1.0, 2, np.nan, 4, 5]), quantiles="spss")
    assert (spss.q1, spss.q3) == (1.25, 4.75)
    assert np.isnan(groups.summary(np.array([np.nan])).median)


def test_equal_values_and_single_rows():
    same = np.ones(4)
    assert np.isnan(groups.mann_whitney(same, y=same).p)
    assert groups.mann_whitney(same, y=same).estimate == 0.5
    assert np.isnan(groups.kruskal_wallis([same, same]).p)
    assert np.isnan(groups.friedman(np.ones((4, 3))).p)
    with pytest.raises(ValueError, match="every difference is 0"):
        groups.wilcoxon_signed_rank(same, y=same)
    with pytest.raises(ValueError, match="needs two rows"):
        groups.t_test(np.ones(1), y=same)
    with pytest.raises(ValueError, match="empty"):
        groups.mann_whitney(np.zeros(0), y=same)
    with pytest.raises(ValueError, match="without ties"):
        groups.mann_whitney(same, y=same, method="exact")


def test_rounding_noise_does_not_break_ties_of_paired_differences():
    x, y = np.array([0.3, 0.6, 0.9, 1.3]), np.array([0.2, 0.5, 0.8, 1.0])
    noisy = groups.wilcoxon_signed_rank(x, y=y)
    clean = groups.wilcoxon_signed_rank(10 * x, y=10 * y)
    assert noisy.p == clean.p


def test_standardised_differences_by_hand():
    """Shares 0.5 and 0.2: 0.3 over the root of (0.25 + 0.16) / 2."""
    one, two = np.array([0, 1, 0, 1.0]), np.array([1, 0, 0, 0, 0.0])
    assert groups.standardised_difference(one, y=two) == (
        pytest.approx(0.3 / np.sqrt(0.205))
    )
    assert groups.standardised_difference(np.ones(3), y=np.ones(3)) == 0
    assert groups.standardised_difference(np.ones(3), y=np.zeros(3)) == np.inf
    assert np.isnan(groups.standardised_difference(np.zeros(0), y=one))


def test_correlations_of_constants_missing_values_and_few_rows():
    x = np.arange(5.0)
    assert np.isnan(correlation.spearman(x, y=np.ones(5)).estimate)
    assert np.isnan(correlation.pearson(np.ones(5), y=x).p)
    assert correlation.pearson(x, y=2 * x).p < 1e-20
    with pytest.raises(ValueError, match="at least 3"):
        correlation.pearson(x[:2], y=x[:2])
    with pytest.raises(ValueError, match="without ties"):
        correlation.spearman(np.array([1.0, 1, 2]), y=x[:3], method="exact")
    with pytest.raises(ValueError, match="at most 9"):
        correlation.spearman(np.arange(10.0), y=np.arange(10.0), method="exact")


def test_raters_who_use_one_level_have_no_kappa():
    assert np.isnan(cohen_kappa(np.array([[9, 0], [0, 0]])).estimate)
    assert np.isnan(fleiss_kappa(np.ones((5, 3), int)).estimate)
    assert kendall_w(np.tile(np.arange(5.0)[:, None], 3)).estimate == pytest.approx(1)
    with pytest.raises(ValueError, match="needs two"):
        fleiss_kappa(np.ones((5, 1), int))


def test_measurements_that_agree_exactly():
    x = np.arange(1.0, 9)
    found = bland_altman(x, second=x)
    assert (found.bias.estimate, found.sd) == (0.0, 0.0)
    same = lin_concordance(x, second=x)
    assert (same.estimate, same.low, same.high) == (1.0, 1.0, 1.0)
    assert np.isnan(lin_concordance(np.ones(5), second=np.ones(5)).estimate)
    with pytest.raises(ValueError, match="at least 3"):
        bland_altman(x[:1], second=x[:1])
    with pytest.raises(ValueError, match="at least two"):
        intraclass_correlations(np.ones((5, 1)))


def test_the_obuchowski_index_of_two_stages_is_the_auc():
    rng = np.random.default_rng(0)
    stage = np.arange(50) % 2
    score = rng.normal(size=50) + stage
    found = obuchowski_index(score, stage=stage, penalty=linear_penalty(2))
    area = auc(score, positive=stage > 0)
    assert found.estimate == pytest.approx(area.estimate)
    assert found.se == pytest.approx(area.se)


def test_an_index_with_a_populations_weights_ignores_the_cohorts_spread():
    rng = np.random.default_rng(0)
    stage = np.repeat([0, 1, 2], [400, 400, 400])
    score = rng.normal(size=1200) + 0.7 * stage
    few = np.concatenate([np.arange(400), np.arange(400, 480), np.arange(800, 1200)])
    args = {"penalty": linear_penalty(3), "stage_shares": np.full(3, 1 / 3)}
    whole = obuchowski_index(score, stage=stage, **args)
    part = obuchowski_index(score[few], stage=stage[few], **args)
    assert part.estimate == pytest.approx(whole.estimate, abs=0.02)
    same = compare_obuchowski(whole, second=whole, stage=stage)
    assert (same.z, same.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="fewer than two stages"):
        obuchowski_index(score[:9], stage=stage[:9], penalty=linear_penalty(3))


def test_a_difference_of_indices_without_variance_has_no_p():
    """One score orders every pair, the other is constant: 1 against 0.5."""
    stage = np.repeat([0, 1, 2], 5)
    args = {"stage": stage, "penalty": linear_penalty(3)}
    perfect = obuchowski_index(np.arange(15.0), **args)
    constant = obuchowski_index(np.ones(15), **args)
    found = compare_obuchowski(perfect, second=constant, stage=stage)
    assert found.estimate > 0.2
    assert np.isnan([found.z, found.p]).all()


def test_expected_stages():
    probability = np.array([[1.0, 0, 0], [0.5, 0, 0.5]])
    assert list(ordinal_scores(probability)) == [0.0, 1.0]


def test_lowess_returns_a_line_unchanged():
    x = np.array([0.0, 1, 1, 2, 5, 7])
    levels, smooth = lowess(x, y=3 * x + 1)
    assert smooth == pytest.approx(3 * levels + 1)
    with pytest.raises(ValueError, match="at least 2 rows"):
        lowess(x[:1], y=x[:1])

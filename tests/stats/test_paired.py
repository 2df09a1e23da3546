from __future__ import annotations

import numpy as np
import pytest

from liverjax.stats.diagnostic import at_cutoff, diagnostic, predictive_values_at
from liverjax.stats.multiplicity import adjust
from liverjax.stats.paired import (
    PairedCalls,
    cochran_q,
    mcnemar,
    mcnemar_clustered,
    mcnemar_rows,
    paired_calls,
    stuart_maxwell,
)
from liverjax.stats.predictive_values import (
    compare_predictive_values,
    compare_predictive_values_clustered,
    relative_predictive_values,
)


def test_no_discordant_row_is_p_1_exactly_and_undefined_asymptotically():
    found = mcnemar(np.array([[30, 0], [0, 11]]))
    assert (found.estimate, found.p_exact, found.p_mid) == (0.0, 1.0, 1.0)
    assert np.isnan([found.statistic, found.p_asymptotic, found.p_corrected]).all()
    with pytest.raises(ValueError, match="no row"):
        mcnemar(np.zeros((2, 2), int))


def test_newcombes_paired_interval_by_his_example():
    """Newcombe 1998 (Statistics in Medicine 17:2635), table II, (36, 12, 2, 0)."""
    found = mcnemar(np.array([[36, 12], [2, 0]]))
    assert found.estimate == pytest.approx(0.2)
    assert [found.low, found.high] == pytest.approx([0.0569, 0.3404], abs=5e-5)


def test_clusters_of_one_row_are_mcnemar():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 80)) < [[0.8], [0.6]]
    plain = mcnemar_rows(first, second_right=second, method="asymptotic")
    clustered = mcnemar_clustered(first, second_right=second, subject=np.arange(80))
    assert clustered.p == pytest.approx(plain.p)
    assert clustered.estimate == pytest.approx(plain.estimate)


def test_copied_rows_do_not_make_a_clustered_test_surer():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 80)) < [[0.8], [0.6]]
    twice = np.repeat(np.arange(80), 2)
    once = mcnemar_rows(first, second_right=second, method="asymptotic")
    copied = mcnemar_clustered(first[twice], second_right=second[twice], subject=twice)
    assert copied.p == pytest.approx(once.p)


def test_identical_tests_have_equal_predictive_values():
    calls = PairedCalls(n11=20, n10=0, n01=0, n00=5)
    others = PairedCalls(n11=4, n10=0, n01=0, n00=30)
    for method in ("kosinski", "leisenring"):
        for one in compare_predictive_values(calls, nondiseased=others, method=method):
            assert (one.estimate, one.statistic, one.p) == (0.0, 0.0, 1.0)
    for ratio in relative_predictive_values(calls, nondiseased=others):
        assert (ratio.estimate, ratio.z, ratio.p) == (1.0, 0.0, 1.0)


def test_a_test_that_calls_nobody_positive_has_no_predictive_value():
    calls = PairedCalls(n11=0, n10=20, n01=0, n00=5)
    others = PairedCalls(n11=0, n10=4, n01=0, n00=30)
    ppv, npv = compare_predictive_values(calls, nondiseased=others)
    assert np.isnan([ppv.second, ppv.statistic, ppv.p]).all()
    assert np.isfinite(npv.p)


def test_calls_are_counted_by_true_class():
    first = np.array([1, 1, 0, 0, 1]) > 0
    second = np.array([1, 0, 1, 0, 0]) > 0
    positive = np.array([1, 1, 1, 1, 0]) > 0
    calls, others = paired_calls(first, second=second, positive=positive)
    assert calls == PairedCalls(1, 1, 1, 1)
    assert others == PairedCalls(0, 1, 0, 0)


def test_agreement_everywhere_leaves_nothing_to_test():
    assert np.isnan(cochran_q(np.ones((5, 3))).p)
    with pytest.raises(ValueError, match="no disagreement"):
        stuart_maxwell(np.diag([5, 6, 7]))


def test_a_table_without_negatives_has_no_specificity():
    found = diagnostic(8, fp=0, fn=2, tn=0)
    assert np.isnan(found.specificity.estimate)
    assert found.sensitivity.estimate == 0.8
    with pytest.raises(ValueError, match="negative"):
        diagnostic(1, fp=-1, fn=0, tn=0)


def test_a_cut_off_is_inclusive():
    score, positive = np.array([1.0, 2.0, 3.0]), np.array([False, True, True])
    assert at_cutoff(score, positive=positive, threshold=2.0).accuracy.estimate == 1


def test_predictive_values_follow_the_prevalence():
    """Se = Sp = 0.9: 0.9 at one half, 1/2 at a prevalence of 0.1."""
    assert predictive_values_at(0.5, sensitivity=0.9, specificity=0.9)[0] == (
        pytest.approx(0.9)
    )
    assert predictive_values_at(0.1, sensitivity=0.9, specificity=0.9)[0] == (
        pytest.approx(0.5)
    )


def test_missing_p_values_are_not_counted():
    found = adjust(np.array([0.01, np.nan, 0.04]), method="holm")
    assert found[0] == pytest.approx(0.02)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.04)
    assert len(adjust(np.zeros(0))) == 0
    with pytest.raises(ValueError, match="not in"):
        adjust(np.array([1.2]))


def calls(n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    positive = rng.random(n) < 0.5
    first = np.where(rng.random(n) < 0.8, positive, ~positive)
    return first, np.where(rng.random(n) < 0.7, positive, ~positive), positive


def test_predictive_values_over_subjects_of_one_row_are_leisenrings():
    first, second, positive = calls()
    diseased, others = paired_calls(first, second=second, positive=positive)
    plain = compare_predictive_values(diseased, nondiseased=others, method="leisenring")
    clustered = compare_predictive_values_clustered(
        first, second=second, positive=positive, subject=np.arange(80)
    )
    for one, two in zip(plain, clustered, strict=True):
        assert two.estimate == pytest.approx(one.estimate, abs=1e-12)
        assert two.statistic == pytest.approx(one.statistic, rel=1e-10)
        assert two.low < two.estimate < two.high


def test_rows_twice_change_nothing_in_predictive_values_over_subjects():
    first, second, positive = calls()
    twice = np.repeat(np.arange(80), 2)
    once, doubled = (
        compare_predictive_values_clustered(
            first[rows], second=second[rows], positive=positive[rows], subject=rows
        )
        for rows in (np.arange(80), twice)
    )
    for one, two in zip(once, doubled, strict=True):
        assert two.p == pytest.approx(one.p, rel=1e-10)
        assert two.low == pytest.approx(one.low, rel=1e-10)


def test_nobody_called_positive_has_no_predictive_value_over_subjects():
    _, second, positive = calls()
    found = compare_predictive_values_clustered(
        np.zeros(80, bool), second=second, positive=positive, subject=np.arange(80)
    )
    assert np.isnan(found[0].estimate)
    assert np.isfinite(found[1].p)


def test_equal_calls_have_an_interval_about_zero():
    for n in range(2, 31):
        for right in range(n + 1):
            found = mcnemar(np.array([[right, 0], [0, n - right]]))
            assert found.low <= 0 <= found.high

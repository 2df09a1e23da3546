from __future__ import annotations

import numpy as np
import pytest

from liverjax.stats import classification
from liverjax.stats.resampling import subject_weights

# Rows are the truth A, B, C.
CONFUSION = np.array([[4, 1, 0], [2, 5, 1], [0, 2, 5]])


def test_figures_by_hand():
    figures = classification.class_figures(CONFUSION)
    assert figures.sensitivity == pytest.approx([4 / 5, 5 / 8, 5 / 7])
    assert figures.specificity == pytest.approx([13 / 15, 9 / 12, 12 / 13])
    assert figures.precision == pytest.approx([4 / 6, 5 / 8, 5 / 6])
    assert figures.npv == pytest.approx([13 / 14, 9 / 12, 12 / 14])
    assert figures.f1 == pytest.approx([8 / 11, 10 / 16, 10 / 13])
    assert classification.accuracy(CONFUSION) == 14 / 20
    assert classification.mean_class_error(CONFUSION) == 6 / 20
    assert classification.within_one_class(CONFUSION) == 1.0


def test_truth_stands_in_rows():
    found = classification.confusion_matrix(
        np.array([0, 0, 2]), predicted_class=np.array([0, 1, 1]), num_classes=3
    )
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]


def test_a_class_that_is_never_predicted_has_no_precision():
    confusion = np.array([[3, 0], [2, 0]])
    assert np.isnan(classification.class_figures(confusion).precision[1])
    assert np.isnan(classification.class_figures(confusion).f1[1])
    zeros = classification.class_figures(confusion, zero_division=0.0)
    assert (zeros.precision[1], zeros.f1[1]) == (0, 0)


def test_swapping_the_names_of_classes_moves_their_figures():
    order = [2, 0, 1]
    swapped = classification.class_figures(CONFUSION[np.ix_(order, order)])
    plain = classification.class_figures(CONFUSION)
    assert np.array_equal(swapped.f1, plain.f1[order])


def test_kappa_of_perfect_and_of_constant_answers():
    perfect = np.diag([3, 4, 5])
    for weights in ("none", "linear", "quadratic"):
        assert classification.kappa(perfect, weights=weights) == 1
    assert classification.kappa(np.array([[0, 3], [0, 5]])) == 0
    assert np.isnan(classification.kappa(np.array([[0, 0], [0, 5]])))
    with pytest.raises(ValueError, match="expected one of"):
        classification.kappa(perfect, weights="cubic")


def test_a_class_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"a predicted class is not in 0\.\.2"):
        classification.confusion_matrix(
            np.array([0]), predicted_class=np.array([3]), num_classes=3
        )


def test_resamples_equal_the_confusion_of_copied_rows():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 40))
    weight = subject_weights(rng, subject=np.arange(40), resamples=4)
    drawn = classification.resampled_confusion(
        truth, predicted_class=predicted, num_classes=3, weight=weight
    )
    for row, confusion in zip(weight, drawn, strict=True):
        copied = classification.confusion_matrix(
            np.repeat(truth, row),
            predicted_class=np.repeat(predicted, row),
            num_classes=3,
        )
        assert np.array_equal(confusion, copied)
    assert np.array_equal(
        classification.accuracy(drawn),
        [classification.accuracy(confusion) for confusion in drawn],
    )

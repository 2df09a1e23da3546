from __future__ import annotations

import math

import numpy as np
import pytest

from liverjax import tasks
from liverjax.errors import InputError
from liverjax.tasks import Outcome, average_rows


def test_classes_follow_the_clinical_cut_offs():
    points = np.arange(5, 16, dtype=float)
    task = tasks.make("child_pugh")
    letters = [task.classes[i] for i in task.true_class(points)]
    assert "".join(letters) == "AABBBCCCCCC"


def test_rounding_decides_at_the_halves():
    score = Outcome(np.array([6.49, 6.5, 6.51, 9.49, 9.5]))
    rounded = tasks.make("child_pugh").classify(score)
    compared = tasks.make("child_pugh", rounding=False).classify(score)
    assert rounded.tolist() == [0, 0, 1, 1, 2]
    assert compared.tolist() == [0, 1, 1, 1, 2]


def test_link_undoes_the_scale_of_the_target():
    task = tasks.make("child_pugh", standardise=True)
    truth = np.array([5.0, 8.0, 15.0])
    outputs = task.train_target(truth)[:, None]
    np.testing.assert_allclose(task.link(outputs).score, truth)


def test_the_class_index_can_be_the_target():
    task = tasks.make("child_pugh", target="class_index")
    np.testing.assert_array_equal(
        task.train_target(np.array([5.0, 9.0, 12.0])), [0, 1, 2]
    )
    assert task.classify(Outcome(np.array([0.4, 0.9, 1.6]))).tolist() == [0, 1, 2]


def test_the_heads_first_bias_is_the_training_mean():
    bias = tasks.make("child_pugh").initial_bias(np.array([5.0, 6.0, 10.0]))
    np.testing.assert_allclose(bias, [7.0])


def test_selection_is_the_share_of_right_classes():
    task = tasks.make("child_pugh")
    outcome = Outcome(np.array([5.5, 8.0, 12.0, 6.0]))
    assert task.select(outcome, truth=np.array([5, 8, 9, 6])) == 0.75


@pytest.mark.parametrize("cell", ["4", "16", "7.5", "B", "7,0", "nan"])
def test_a_cell_that_is_no_score_is_refused(cell):
    with pytest.raises(InputError, match="expected an integer from 5 to 15"):
        tasks.make("child_pugh").parse(cell)


def test_an_empty_cell_is_missing_and_a_number_is_read():
    task = tasks.make("child_pugh")
    assert math.isnan(task.parse(" "))
    assert task.parse("7") == 7 == task.parse("7.0")


def test_unknown_names_list_the_known():
    with pytest.raises(InputError, match=r"expected one of \['child_pugh'\]"):
        tasks.make("childpugh")
    with pytest.raises(InputError, match=r"unknown \['targets'\]; known: .*'target'"):
        tasks.make("child_pugh", targets="points")
    with pytest.raises(InputError, match="expected 'points' or 'class_index'"):
        tasks.make("child_pugh", target="stage")


def test_rows_are_averaged_by_examination():
    outcome = Outcome(
        np.array([1.0, 3.0, 10.0]), np.array([[1, 0], [0, 1], [0.5, 0.5]])
    )
    mean = average_rows(outcome, group=np.array([0, 0, 2]), num_groups=3)
    np.testing.assert_array_equal(mean.score, [2.0, np.nan, 10.0])
    np.testing.assert_array_equal(mean.probs[0], [0.5, 0.5])

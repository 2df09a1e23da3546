"""Which column ranks, which calls, and what is said where two disagree."""

from __future__ import annotations

import numpy as np
import pytest

from liverjax import tasks
from liverjax.report.answers import choose_answer
from liverjax.tasks.generic import Binary, Stages

SCORE = np.array([0.1, 0.4, 0.6, 0.9])


def notes(task=None, **columns) -> str:
    given = {"score": None, "probs": None, "classes": None} | columns
    return " ".join(choose_answer(task or Binary(), **given).notes)


def test_a_cutoff_that_a_set_will_choose_asks_for_no_other():
    """``--cutoff youden:SET`` makes the class later, of scores on any scale."""
    task = Binary(cutoff_from="tuning")
    answer = choose_answer(task, score=SCORE * 9, probs=None, classes=None)
    assert answer.predicted_class.tolist() == [-1] * 4
    assert "name --cutoff" not in " ".join(answer.notes)
    assert "name --cutoff" in notes(score=SCORE * 9)


@pytest.mark.parametrize("task", [Binary(cutoff_from="tuning"), Binary(cutoff=0.3)])
def test_a_cutoff_in_place_of_the_column_class_is_said(task):
    said = notes(task, score=SCORE, classes=np.array([0, 0, 1, 1]))
    assert said == "--cutoff makes the class; the column class is not used."


def test_a_score_beside_probabilities_is_told_apart_from_them():
    logit = np.log(SCORE / (1 - SCORE))
    shares = np.stack([1 - SCORE, SCORE], axis=1)
    said = notes(score=logit, probs=shares)
    words = "score ranks (AUC, ROC curve) alone; prob_1 makes the calls and is judged"
    assert words in said
    words = "score ranks (AUC, ROC curve) and is cut into calls; prob_1 is judged"
    assert words in notes(score=SCORE / 2, probs=shares)
    assert "no probabilities" not in said  # prob_1 has a calibration
    assert notes(score=np.round(SCORE, 2), probs=shares) == ""


def test_a_score_beside_probabilities_of_stages_is_told_apart_from_them():
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    task = Stages(classes=("F0", "F1", "F2"))
    expected = shares @ np.arange(3)
    assert notes(task, score=expected, probs=shares) == ""
    said = notes(task, score=expected[::-1].copy(), probs=shares)
    assert "the prob_ columns make the areas of the cuts, calibration and" in said


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ([0, 0, 1, 1], ""),
        ([0, 1, 1, 1], "in 1 of 4 rows; a cut-off between 0.1 and 0.4 makes it."),
        ([1, 0, 1, 1], "in 1 of 4 rows; no cut-off of the score makes it."),
        ([0, 0, 0, 0], "in 2 of 4 rows; a cut-off beyond all scores makes it."),
    ],
)
def test_a_class_that_is_not_the_scores_is_said(classes, sentence):
    said = notes(score=SCORE, classes=np.array(classes))
    assert sentence in said
    assert bool(said) == bool(sentence)


def test_a_class_that_no_ranking_score_can_make_is_said():
    assert notes(score=SCORE * 9, classes=np.array([0, 0, 0, 1])).count("class") == 0
    said = notes(score=SCORE * 9, classes=np.array([0, 1, 0, 1]))
    assert "does not follow the score: no cut-off of the score makes it" in said


def test_points_and_their_class_disagree():
    task = tasks.make("child_pugh")
    points = np.array([5.2, 8.0, 11.0])
    assert notes(task, score=points, classes=np.array([0, 1, 2])) == ""
    said = notes(task, score=points, classes=np.array([0, 2, 2]))
    assert "is not that of the other columns in 1 of 3 rows." in said

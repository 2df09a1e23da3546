"""Readers with and without the model, from a table of their readings to the page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from liverjax.cohort.files import read_json
from liverjax.errors import InputError
from liverjax.report.__main__ import main
from liverjax.report.readings import judge_readings, read_readings
from liverjax.report.tables import read_predictions
from liverjax.stats import readers, roc_tests
from liverjax.tasks.generic import Binary
from tests.conftest import ROOT
from tests.report import foreign_tables

READERS = ("R1", "R2", "R3")


def readings(*, n: int = 120) -> dict:
    """Returns three readers' scores without and with the model, and their calls."""
    table = foreign_tables.binary(n=n)
    truth, rng = np.array(table["target"]), np.random.default_rng(3)
    rows = [
        (table["subject"][i], reader, way, int(score > 2), score)
        for j, reader in enumerate(READERS)
        for way in (0, 1)
        for i, score in enumerate(
            np.clip(np.round(2 + 0.3 * j + (1 + 0.5 * way) * truth
                             + rng.normal(0, 1.5, n)), 0, 5)
        )
    ]  # fmt: skip
    names = ("subject", "reader", "with_ai", "class", "score")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def judge_both(tmp_path, given: dict, *words: str):
    table = foreign_tables.write(tmp_path / "mine.csv", foreign_tables.binary())
    path = foreign_tables.write(tmp_path / "readings.csv", given)
    out = tmp_path / "out"
    command = ["--predictions", str(table), "--task", "binary", "--out", str(out)]
    assert main([*command, "--readings", str(path), *words]) == 0
    return read_json(out / "metrics.json"), out


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """R1 calls whatever is above 2; here one 0 and two 5s are called otherwise."""
    given = readings()
    of_r1 = given["score"][:120]
    for place in (of_r1.index(0), *np.flatnonzero(np.equal(of_r1, 5))[:2]):
        given["class"][place] = 1 - given["class"][place]
    return judge_both(tmp_path_factory.mktemp("readers"), given)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """The readings with the model first, and the truth."""
    score = np.array(readings()["score"]).reshape(3, 2, 120)
    return score.transpose(1, 0, 2)[::-1], np.array(foreign_tables.binary()["target"])


def test_the_mean_gain_is_that_of_the_reader_study(judged):
    found = judged[0]["readers"]
    score, truth = grid()
    study = readers.reader_study(score, positive=truth == 1)
    for name in ("estimate", "low", "high", "p"):
        assert found["difference"][name] == pytest.approx(
            getattr(study.differences[0], name)
        )
    assert found["mean"]["without"]["estimate"] == pytest.approx(study.area[1].mean())
    assert (found["examinations"], found["left_out"]) == (120, 0)


def test_each_reader_has_delongs_test_of_the_gain(judged):
    found = judged[0]["readers"]["readers"]
    score, truth = grid()
    for i, name in enumerate(READERS):
        test = roc_tests.compare_paired(
            score[0, i], other=score[1, i], positive=truth == 1
        )
        assert found[name]["difference"]["p"] == pytest.approx(test.p)


def test_the_documentation_names_what_readers_have(judged):
    page = (ROOT / "docs" / "judging.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| `readers` |")]
    assert [key for key in judged[0]["readers"] if f"`{key}`" not in row] == []


def test_the_page_shows_readers_and_their_agreement(judged):
    page = (judged[1] / "report.html").read_text(encoding="utf-8")
    for words in (
        "Gain (interval)",
        "figures/readers.svg",
        "Fleiss kappa of",
        "of the set “test”",
    ):
        assert words in page


@pytest.mark.slow
def test_the_folder_is_judged_again_with_its_readings(judged):
    metrics, out = judged
    assert main(["--run", str(out)]) == 0
    assert read_json(out / "metrics.json")["readers"] == metrics["readers"]


def test_examinations_that_not_all_have_read_are_counted(tmp_path):
    given = {name: column[1:] for name, column in readings().items()}
    path = foreign_tables.write(tmp_path / "readings.csv", given)
    table = foreign_tables.write(tmp_path / "mine.csv", foreign_tables.binary())
    found = judge_readings(
        read_readings(path, task=Binary()),
        rows=read_predictions(table, task=Binary()),
        first="test",
    )
    assert (found["examinations"], found["left_out"]) == (119, 1)


def read_in_sets(tmp_path, *, headline: str, read: dict | None = None) -> dict:
    """Of the 120 patients 30 are of train, without folds, and 90 of test."""
    sets = {"set": ["train"] * 30 + ["test"] * 90}
    table = foreign_tables.write(tmp_path / "mine.csv", foreign_tables.binary() | sets)
    path = foreign_tables.write(tmp_path / "readings.csv", read or readings())
    return judge_readings(
        read_readings(path, task=Binary()),
        rows=read_predictions(table, task=Binary()),
        first=headline,
    )


def test_readings_are_judged_in_one_set(tmp_path):
    found = read_in_sets(tmp_path, headline="test")
    assert (found["set"], found["examinations"], found["left_out"]) == ("test", 90, 0)
    assert found["other_sets"] == {"train": 30}
    score, truth = grid()
    study = readers.reader_study(score[:, :, 30:], positive=truth[30:] == 1)
    assert found["difference"]["p"] == pytest.approx(study.differences[0].p)


def test_readings_of_another_set_than_the_headlines_are_judged_there(tmp_path):
    whole = readings()
    rows = [i for i, name in enumerate(whole["subject"]) if name >= "P030"]
    of_test = {name: [column[i] for i in rows] for name, column in whole.items()}
    found = read_in_sets(tmp_path, headline="train", read=of_test)
    assert (found["set"], found["examinations"]) == ("test", 90)
    assert found["other_sets"] == {}


def test_scores_and_calls_of_one_reader_are_not_mixed(tmp_path):
    """The first row of R1 without the model is line 2."""
    given = readings()
    given["score"][3] = ""
    sentence = (
        "reader 'R1': line 2 (without the model) has a score, line 5 (without the "
        "model) a class alone; one scale"
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        judge_both(tmp_path, given)
    given["score"] = ["" if r == "R1" else s for r, s in
                      zip(given["reader"], given["score"], strict=True)]  # fmt: skip
    path = foreign_tables.write(tmp_path / "readings.csv", given)
    assert len(read_readings(path, task=Binary()).readers) == 3


def test_scores_without_and_calls_with_the_model_are_no_pair(tmp_path):
    """R1 wrote 120 scores without the model (lines 2 on), then 120 calls alone."""
    given = readings()
    given["score"][120:240] = [""] * 120
    path = foreign_tables.write(tmp_path / "readings.csv", given)
    sentence = (
        "reader 'R1': line 2 (without the model) has a score, line 122 (with the "
        "model) a class alone"
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_readings(path, task=Binary())


def test_a_score_against_the_readers_own_calls_is_refused(tmp_path):
    given = readings()
    given["score"][:120] = [5 - score for score in given["score"][:120]]
    path = foreign_tables.write(tmp_path / "readings.csv", given)
    with pytest.raises(InputError) as error:
        read_readings(path, task=Binary())
    (problem,) = str(error.value).splitlines()[1:]
    assert "reader 'R1', without the model: readings called '1' have lower" in problem
    assert "not where the reader is surer of the call" in problem


def test_calls_that_no_cutoff_explains_are_counted(tmp_path, judged):
    metrics, out = judged
    assert metrics["readers"]["calls_against_score"] == {"R1": {"without": 3}}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "own score explains: R1 without the model 3. Areas" in page
    found = read_in_sets(tmp_path, headline="test")
    assert found["calls_against_score"] == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"with_ai": ["yes"] * 720}, "with_ai='yes': expected 0 (without) or 1"),
        ({"score": ["high"] * 720}, "subject 'P000', reader 'R1'"),
        ({"reader": ["R1"] * 720}, "reader 'R1' has already read subject"),
        ({"subject": ["x"] * 720, "reader": [str(i) for i in range(720)]}, "0 of 120"),
    ],
)
def test_a_mistake_names_its_line(tmp_path, change, sentence):
    with pytest.raises(InputError) as error:
        judge_both(tmp_path, readings() | change)
    assert sentence in str(error.value)


def test_readings_belong_to_two_classes(tmp_path):
    with pytest.raises(InputError, match="belongs to --task binary"):
        judge_both(tmp_path, readings(), "--task", "number")

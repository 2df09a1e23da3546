"""Someone with a table from another framework: what is read, and what is refused."""

from __future__ import annotations

import pathlib
import shlex

import numpy as np
import pytest
import sklearn.metrics

from liverjax import report
from liverjax.cohort.files import read_csv, read_json
from liverjax.cohort.table_text import Dialect
from liverjax.errors import InputError
from liverjax.report.__main__ import _join_baselines, _parser, main
from liverjax.report.answers import UNKNOWN_CLASS
from liverjax.report.foreign import baseline_rows, question_of_table
from liverjax.report.score_scale import SCALE
from liverjax.report.simple_models import describe_baselines
from liverjax.report.tables import read_predictions, write_predictions


def judge_words(tmp_path: pathlib.Path, text: str, *words: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    main(["--predictions", str(path), "--out", str(tmp_path / "out"), *words])


BINARY = "subject,target,score\n"
SLICES = BINARY + "".join(
    f"{s},{t},{p}\n"
    for s, t, ps in (
        ("a", 0, (0.1, 0.4, 0.3)),
        ("b", 1, (0.9, 0.6)),
        ("c", 0, (0.2, 0.7)),
        ("d", 1, (0.8, 0.3, 0.7)),
    )
    for p in ps
)


@pytest.mark.parametrize(
    ("task", "text", "sentence"),
    [
        ("binary", "id,label\na,0\n", "the column 'subject' is missing (is it 'id'?)"),
        (
            "binary",
            BINARY + "a,2,0.1\nb,1,0.2\nc,0,0\n",
            "has two classes, and the targets have 3 values ('0', '1', '2')",
        ),
        ("binary", BINARY + "a,2,0.1\nb,2,0.2\n", "the targets have 1 value ('2')"),
        ("binary", BINARY + "a,x,1\nb,y,2\nc,z,0\n", "and there are 3 names; write"),
        ("binary", BINARY + "a,0,1\nb,NA,2\nc,1,0\n", "unknown leave the cell empty"),
        ("binary", BINARY + "a,0,1\nb,nan,2\n", "targets hold 'nan': where the truth"),
        ("binary", BINARY + "a,0,1\nb,none,2\n", "targets hold 'none': where the"),
        ("number", BINARY + "a,3,1\nb,null,2\n", "target='null': where the truth is"),
        ("number", BINARY + "a,3,93%\n", "score='93%': a number with a percent sign"),
        (
            "survival",
            "subject,target,event,score\na,20,0,1\nb,30,0,2\n",
            "the column event is 0 in 2 rows with a target, so nothing can be ranked",
        ),
        (
            "binary",
            "subject,target,prob_a,prob_b,prob_c\nx,a,1,0,0\n",
            "there are 3 prob_ columns (a, b, c): choose --task stages",
        ),
        (
            "binary",
            "subject,target,prob_cirrhosis\na,yes,0.2\n",
            "expected no cirrhosis, cirrhosis (or 0 to 1), as the prob_ columns are",
        ),
        (
            "binary",
            BINARY + "a,yes,0.1\nb,no,0.4\n",
            "--classes no,yes or --classes yes,no",
        ),
        ("binary", "PatientID,y_true,y_pred\na,0,1\n", "(is it 'PatientID'?)"),
        ("binary", "PatientID,y_true,y_pred\na,0,1\n", "(is it 'y_true'?)"),
        ("binary", "subject,target,y_prob\na,0,1\n", "prob_1 (is it 'y_prob'?)"),
        (
            "binary",
            "subject,target,prob_1\na,0,12\nb,1,93.5\n",
            "run up to 93.5 (2 of 2 rows are above 1): they look like percentages",
        ),
        (
            "stages",
            "subject,target,prob_0,prob_1,prob_2\na,0,70,20,10\nb,1,5,80,15\n",
            "divide them by 100",
        ),
        (
            "binary",
            BINARY + "".join(f"p{i},{i % 2},n/a\n" for i in range(20)),
            "score='n/a': not a number; leave the cell of a missing value empty; "
            "likewise lines 3, 4 and 17 more",
        ),
        ("binary", "subject,target\na,0\n", "nothing is predicted"),
        ("binary", BINARY + "a,0,high\n", "line 2 (subject 'a'): score='high'"),
        ("binary", "subject,target,prob_1\na,0,1.2\n", "outside 0..1"),
        ("stages", BINARY + "a,F1,0.1\nb,F2,1\n", "--classes F0,F1,F2,F3,F4"),
        ("stages", BINARY + "a,0,0.1\nb,1,1\n", "choose --task binary"),
        ("number", BINARY + "a,big,0.1\n", "line 2 (subject 'a'): target='big'"),
        ("survival", BINARY + "a,20,0.1\n", "the column 'event' is missing"),
        (
            "survival",
            "subject,target,event,score\na,20,dead,0.1\n",
            "event='dead': expected 1 (event) or 0 (censored)",
        ),
        ("survival", "subject,target,event,score\na,-2,1,1\n", "a time of at least 0"),
        ("binary", SLICES, "Slices are not patients"),
    ],
)
def test_a_mistake_is_answered_by_the_sentence_that_mends_it(
    tmp_path, task, text, sentence
):
    with pytest.raises(InputError) as error:
        judge_words(tmp_path, text, "--task", task)
    assert sentence in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--subgroups", "gender"), "no column 'gender'; it has site"),
        (("--baselines", "ferritin"), "no column 'ferritin'"),
        (("--baselines", "fib"), "no column 'fib' (is it 'fib4'?)"),
        (("--baselines", "-score"), "no column 'score'"),
        (("--baselines",), "names of scores or columns are missing"),
        (("--classes", "a,a"), "expected two names, the positive one last, such as"),
        (("--baselines", "apri"), "mine.csv lacks ast_u_per_l"),
        (("--classes", "a,b,c"), "such as --classes none,cirrhosis; 3 were given"),
        (("--slices", "mean", "--decimal", ";"), "--decimal"),
        (("--cutoff", "youden:tune"), "0 positive and 0 negative rows of that set"),
        (("--cutoff", "youden"), "expected a number, or youden:SET"),
    ],
)
def test_a_wrong_option_names_what_there_is(tmp_path, words, sentence):
    with pytest.raises(InputError) as error:
        judge_words(tmp_path, BINARY + "a,0,0.1\nb,1,0.8\n", "--task", "binary", *words)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("task", "cells", "names"),
    [
        ("binary", ("no cirrhosis", "cirrhosis"), ["cirrhosis", "no cirrhosis"]),
        ("binary", ("none", "cirrhosis"), ["cirrhosis", "none"]),
        ("stages", ("mild", "severe", "moderate"), ["mild", "moderate", "severe"]),
    ],
)
def test_the_option_in_a_message_works_when_copied(tmp_path, task, cells, names):
    text = BINARY + "".join(f"{name[:4]},{name},{i}\n" for i, name in enumerate(cells))
    with pytest.raises(InputError) as error:
        judge_words(tmp_path, text, "--task", task)
    words = shlex.split(str(error.value).partition("--classes ")[2])
    question = question_of_table(
        tmp_path / "mine.csv", name=task, classes=words[0].split(",")
    )
    assert list(question.classes) == names
    read_predictions(tmp_path / "mine.csv", task=question)


@pytest.mark.parametrize(
    "words",
    [
        ("--baselines", "-age_years"),
        ("--baselines", "-age_years,", "ast_u_per_l"),
        ("--baselines=-age_years",),
    ],
)
def test_a_minus_may_stand_first_and_a_blank_after_the_comma(words):
    (one, *_) = _join_baselines(["--task", "binary", *words, "--out", "x"])[2:]
    assert one.startswith("--baselines=-age_years")
    names = _parser().parse_args([one]).baselines
    assert names == ["-age_years", "ast_u_per_l"][: 1 + ("," in one)]


def test_named_classes_are_read_from_the_columns(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("subject,target,prob_cirrhosis\na,0,0.2\nb,cirrhosis,0.9\n")
    task = question_of_table(path, name="binary")
    assert task.classes == ("no cirrhosis", "cirrhosis")
    found = read_predictions(path, task=task)
    assert found.target.tolist() == [0, 1]
    assert found.score == pytest.approx([0.2, 0.9])
    assert found.predicted_class.tolist() == [0, 1]


def test_a_score_that_is_no_probability_only_ranks_until_a_cutoff_is_named(tmp_path):
    path = tmp_path / "fib4.csv"
    path.write_text(BINARY + "a,0,1.1\nb,1,3.4\nc,1,1.2\n")
    ranked = read_predictions(path, task=question_of_table(path, name="binary"))
    assert ranked.predicted_class.tolist() == [-1, -1, -1]
    cut = question_of_table(path, name="binary", cutoff="3.25")
    assert read_predictions(path, task=cut).predicted_class.tolist() == [0, 1, 0]


TWO_SETS = "subject,target,score,set\n" + "".join(
    f"{name}{i},{target},{score},{name}\n"
    for name, rows in {
        "tuning": ((0, 1), (0, 2), (1, 2.5), (0, 3), (1, 4), (1, 5)),
        "test": ((0, 2), (0, 2.3), (1, 2.2), (1, 3), (1, 9)),
    }.items()
    for i, (target, score) in enumerate(rows)
)


def test_a_cutoff_is_chosen_on_one_set_and_used_on_another(tmp_path):
    """Youden's index has its first largest value, 2/3, between 2 and 2.5."""
    judge_words(tmp_path, TWO_SETS, "--task", "binary", "--cutoff", "youden:tuning")
    metrics = read_json(tmp_path / "out" / "metrics.json")
    chosen = metrics["cutoff"]
    assert (chosen["set"], chosen["n"], chosen["threshold"]) == ("tuning", 6, 2.25)
    assert chosen["youden_j"] == pytest.approx(2 / 3)
    test = metrics["sets"]["test"]
    assert test["sensitivity"]["estimate"] == pytest.approx(2 / 3)
    assert test["specificity"]["estimate"] == pytest.approx(1 / 2)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "largest Youden index in the set “tuning” (n = 6)" in page
    assert main(["--run", str(tmp_path / "out")]) == 0
    assert read_json(tmp_path / "out" / "metrics.json")["cutoff"] == chosen


def test_each_compared_model_has_a_cutoff_of_its_own(tmp_path):
    other = TWO_SETS.replace(",score,", ",tenfold,")
    lines = other.splitlines()[1:]
    rows = [line.split(",") for line in lines]
    text = BINARY + "".join(f"{s},{t},{10 * float(v)}\n" for s, t, v, _ in rows)
    (tmp_path / "tenfold.csv").write_text(text)
    words = ("--task", "binary", "--compare", str(tmp_path / "tenfold.csv"))
    judge_words(tmp_path, TWO_SETS, *words, "--cutoff", "youden:tuning")
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["cutoff"]["models"] == {"tenfold": 22.5}
    assert metrics["models"]["tenfold"]["accuracy_difference"]["estimate"] == 0


def test_a_cutoff_in_numbers_is_that_of_the_judged_table_alone(tmp_path):
    (tmp_path / "other.csv").write_text(BINARY + "a,0,0.2\nb,1,0.9\nc,1,0.4\n")
    words = ("--task", "binary", "--compare", str(tmp_path / "other.csv"))
    text = BINARY + "a,0,1.1\nb,1,3.4\nc,1,4.2\n"
    judge_words(tmp_path, text, *words, "--cutoff", "3.25")
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["accuracy"]["estimate"] == 1
    assert metrics["models"]["other"]["accuracy"]["estimate"] == pytest.approx(2 / 3)


def slices(tmp_path: pathlib.Path, rule: str):
    path = tmp_path / "slices.csv"
    path.write_text(SLICES)
    task = question_of_table(path, name="binary")
    found = read_predictions(path, task=task, slices=rule)
    return found, report.judge(found, task=task, slices=rule)


def test_slices_are_averaged_to_patients(tmp_path):
    found, metrics = slices(tmp_path, "mean")
    assert found.score == pytest.approx([0.8 / 3, 0.75, 0.45, 0.6])
    assert metrics["auc"]["n"] == 4
    assert metrics["auc"]["estimate"] == 1


def test_clustered_slices_resample_patients(tmp_path):
    _, metrics = slices(tmp_path, "clustered")
    scores = [0.1, 0.4, 0.3, 0.9, 0.6, 0.2, 0.7, 0.8, 0.3, 0.7]
    truth = [0, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    area = sklearn.metrics.roc_auc_score(truth, scores)
    assert metrics["auc"]["estimate"] == pytest.approx(area, rel=1e-12)
    assert metrics["auc"]["n"] == 10
    assert "4 patients" in metrics["notes"][0]
    assert np.isnan(metrics["no_information_rate_test"]["p"])


def test_slices_counted_as_patients_are_said_to_be_so(tmp_path):
    found, metrics = slices(tmp_path, "independent")
    assert len(set(found.subject.tolist())) == 10
    assert "intervals are too narrow" in metrics["notes"][0]


def test_slices_of_one_patient_have_one_truth(tmp_path):
    path = tmp_path / "slices.csv"
    path.write_text(BINARY + "a,0,0.1\na,1,0.2\nb,1,0.3\n")
    task = question_of_table(path, name="binary")
    with pytest.raises(InputError, match="different values of target"):
        read_predictions(path, task=task, slices="mean")


def test_one_class_alone_has_no_area_and_a_page(tmp_path):
    text = BINARY + "".join(f"p{i},1,{0.5 + i / 30}\n" for i in range(8))
    judge_words(tmp_path, text, "--task", "binary")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "needs rows of both classes" in page


LABS = "subject,target,score,age_years,ast_u_per_l,alt_u_per_l,platelets_10e9_per_l\n"


def test_a_score_is_made_of_its_columns_and_compared(tmp_path):
    lines = [f"p{i},{i % 2},{0.1 + i / 20},60,{40 + 9 * i},36,200\n" for i in range(12)]
    judge_words(
        tmp_path,
        LABS + "".join(lines),
        *("--task", "binary", "--baselines", "fib4"),
    )
    out = tmp_path / "out"
    _, rows = read_csv(out / "models" / "baseline_fib4.csv")
    assert float(rows[0]["score"]) == pytest.approx(60 * 40 / (200 * 6))
    models = read_json(out / "metrics.json")["models"]
    assert "auc_difference" in models["baseline_fib4"]
    assert "Judgement of mine.csv" in (out / "report.html").read_text(encoding="utf-8")


# FIB-4 from 0.7 to 2.9 and the column small from 0 to 0.95: both lie where stages,
# points or probabilities do.
RANKED = {
    "binary": [i % 2 for i in range(24)],
    "stages": [i % 4 for i in range(24)],
    "child_pugh": [5 + i % 10 for i in range(24)],
    "number": [2 + i for i in range(24)],
}


@pytest.mark.parametrize("task", RANKED)
def test_a_baseline_only_ranks_wherever_its_values_lie(tmp_path, task):
    truth = RANKED[task]
    rows = [
        f"p{i},{t},{0.9 * t / max(truth)},60,{14 + 2 * i},36,200,{i / 24},{7 + i / 6}\n"
        for i, t in enumerate(truth)
    ]
    path = tmp_path / "mine.csv"
    path.write_text(LABS.replace("\n", ",small,points\n") + "".join(rows))
    question = question_of_table(path, name=task)
    table = read_predictions(path, task=question)
    others = []
    for column in ("fib4", "small", "points"):
        other = tmp_path / f"{column}.csv"
        write_predictions(other, baseline_rows(table, column=column), task=question)
        others.append(read_predictions(other, task=question))
    metrics = report.judge(table, task=question, compare=others)
    makes_no_claim = ("accuracy", "brier", "mean_absolute_error", "bias", "mean_error")
    for name, block in metrics["models"].items():
        assert not [key for key in block if key.startswith(makes_no_claim)], name
        assert any(key.endswith("_difference") for key in block), name


def scored(tmp_path, scores, *, task="stages", said="", more=""):
    """A table of stages 0 to 3 in turn, with these scores."""
    column = f",{SCALE}" if said else ""
    ends = (f",{said}" if said else "") + more
    lines = [f"p{i},{i % 4},{score}{ends}\n" for i, score in enumerate(scores)]
    path = tmp_path / "scored.csv"
    probs = ",prob_0,prob_1,prob_2,prob_3" if more else ""
    path.write_text(f"subject,target,score{column}{probs}\n" + "".join(lines))
    return read_predictions(path, task=question_of_table(path, name=task))


@pytest.mark.parametrize(
    ("scores", "on_scale", "sentence"),
    [
        ((0.1, 0.9, 1.8, 3.2), True, "run from 0.1 to 3.2, within the stages 0 to 3"),
        ((0.1, 0.3, 0.8, 1.0), False, "may be a probability: they are taken for ran"),
        ((0.9, 1.4, 2.6, 6.1), False, "run from 0.9 to 6.1, beyond the stages 0 to 3"),
        ((-4.0, -1, 0.2, 1.9), False, "If they are expected stages, write target in"),
    ],
)
def test_scores_of_stages_say_what_they_were_taken_for(
    tmp_path, scores, on_scale, sentence
):
    found = scored(tmp_path, scores)
    assert (found.on_scale, sentence in found.notes[0]) == (on_scale, True)
    assert (found.predicted_class[0] == UNKNOWN_CLASS) != on_scale


def test_a_table_says_itself_what_its_scores_are(tmp_path):
    ranks = scored(tmp_path, (0.1, 0.9, 1.8, 3.2), said="rank")
    assert not ranks.on_scale
    assert ranks.predicted_class.tolist() == [UNKNOWN_CLASS] * 4
    stages = scored(tmp_path, (0.1, 0.3, 0.8, 1.0), said="target")
    assert stages.predicted_class.tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="score_scale holds 'logit': expected one"):
        scored(tmp_path, (0.1, 0.9, 1.8, 3.2), said="logit")


def test_what_is_said_to_be_a_probability_lies_within_0_to_1(tmp_path):
    text = "subject,target,score,score_scale\na,0,0.2,target\nb,1,1.5,target\n"
    with pytest.raises(InputError, match=r"they run from 0\.2 to 1\.5"):
        judge_words(tmp_path, text, "--task", "binary")


def test_scores_that_the_probabilities_give_are_expected_stages(tmp_path):
    found = scored(tmp_path, (0.5,) * 4, more=",0.6,0.3,0.1,0")
    assert found.on_scale
    assert not scored(tmp_path, (0.9,) * 4, more=",0.6,0.3,0.1,0").on_scale


def test_a_score_is_made_of_columns_with_decimal_commas(tmp_path):
    path = tmp_path / "german.csv"
    rows = [f"p{i};{i % 2};0,{i};60,5;{40 + i},25;36;200\n" for i in range(9)]
    path.write_text(LABS.replace(",", ";") + "".join(rows))
    comma = Dialect(delimiter=";", decimal=",")
    task = question_of_table(path, name="binary", dialect=comma)
    table = read_predictions(path, task=task, dialect=comma)
    found = baseline_rows(table, column="fib4")[0]["score"]
    assert found == pytest.approx(60.5 * 40.25 / (200 * 6))


def apri_of(tmp_path, *, limit: str) -> tuple[float, str]:
    """Returns the APRI of 80 U/l AST and 100 platelets, and how the page tells it."""
    path = tmp_path / "mine.csv"
    more = ",ast_uln_u_per_l" if limit else ""
    header = f"subject,target,score,ast_u_per_l,platelets_10e9_per_l{more}\n"
    path.write_text(header + f"a,0,0.2,80,100{limit}\nb,1,0.9,80,100{limit}\n")
    table = read_predictions(path, task=question_of_table(path, name="binary"))
    score = baseline_rows(table, column="apri")[0]["score"]
    return score, describe_baselines(["baseline_apri"], columns=table.extra)


def test_apri_takes_the_laboratorys_limit_and_says_where_there_is_none(tmp_path):
    score, words = apri_of(tmp_path, limit=",32")
    assert score == pytest.approx(100 * (80 / 32) / 100)
    assert "platelets_10e9_per_l, ast_uln_u_per_l, not fitted." in words
    score, words = apri_of(tmp_path, limit="")
    assert score == pytest.approx(100 * (80 / 40) / 100)
    assert "40 U/l assumed" in words


def test_a_baseline_without_a_value_is_refused(tmp_path):
    text = LABS + "".join(f"p{i},{i % 2},0.{i},60,40,36,\n" for i in range(9))
    with pytest.raises(InputError, match="has a value"):
        judge_words(tmp_path, text, "--task", "binary", "--baselines", "fib4")


def test_platelets_in_another_unit_are_refused_with_the_reason(tmp_path):
    text = LABS + "".join(f"p{i},{i % 2},0.{i},60,40,36,200000\n" for i in range(9))
    with pytest.raises(InputError, match="--baselines fib4: platelets_10e9_per_l"):
        judge_words(tmp_path, text, "--task", "binary", "--baselines", "fib4")


def test_two_rows_of_numbers_have_a_page(tmp_path):
    judge_words(tmp_path, BINARY + "a,1,1.2\nb,4,3.1\n", "--task", "number")
    assert (tmp_path / "out" / "report.html").exists()


def test_a_baseline_of_what_the_truth_is_made_of_is_refused(tmp_path):
    text = "subject,target,score,bilirubin_umol_per_l,albumin_g_per_l\n"
    text += "".join(f"p{i},{5 + i},{5 + i},{20 + i},{40 - i}\n" for i in range(9))
    with pytest.raises(InputError, match="made of bilirubin_umol_per_l, albumin_g"):
        judge_words(tmp_path, text, "--task", "child_pugh", "--baselines", "albi")
    judge_words(tmp_path, text, "--task", "number", "--baselines", "albi")

from __future__ import annotations

from liverjax import tasks
from liverjax.cohort import files
from liverjax.merge import average_members, concatenate

COLUMNS = ["subject", "visit", "set", "site", "target", "score", "class"]


def row(subject: str, name: str, score: float, fold: int, seed: int = 0) -> dict:
    return {
        "subject": subject,
        "visit": "1",
        "set": name,
        "site": "",
        "target": "8",
        "score": repr(score),
        "class": "?",
        "fold": str(fold),
        "seed": str(seed),
        "trial": "0",
    }


def test_train_rows_average_seeds_and_other_rows_every_member():
    rows = [
        row("e", "external", 5.0, 0),
        row("e", "external", 8.0, 1),
        row("e", "external", 11.0, 1, 1),
        row("t", "train", 9.0, 1),
        row("t", "train", 10.5, 1, 1),
    ]
    train, external = average_members(rows, task=tasks.make("child_pugh"))
    assert (train["subject"], train["score"], train["class"]) == ("t", 9.75, "C")
    assert (train["fold"], train["members"]) == ("1", 2)
    assert (external["score"], external["class"]) == (8.0, "B")
    assert (external["fold"], external["members"]) == ("", 3)


def test_members_without_a_table_are_passed_over(tmp_path):
    files.write_csv(
        tmp_path / "one" / "predictions.csv",
        [row("a", "train", 7.0, 0)],
        columns=COLUMNS,
    )
    folders = [tmp_path / "one", tmp_path / "two"]
    keys = [{"fold": 0, "seed": 0, "trial": 0}, {"fold": 1, "seed": 0, "trial": 0}]
    (only,) = concatenate(folders, name="predictions.csv", keys=keys)
    assert (only["subject"], only["fold"]) == ("a", "0")

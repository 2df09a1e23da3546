"""Sets of numeric hyperparameters, trained beside each other, the best one chosen."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverjax.cohort import files
from liverjax.members.member import DONE, Member, folder_of

TABLE = "trials.csv"  # in the run folder
HEADS = "members/heads"  # likewise: the folder of a bundle of heads
HEADS_TABLE = "members/heads/heads.csv"  # a row a head; last of that folder's files

# What a trial may change: leaves of the optimiser's state, so that one compiled
# program trains every trial.
NAMES = ("learning_rate", "l2", "weight_decay")


def make_trials(
    grid: Mapping[str, Sequence[float]],
) -> tuple[dict[str, float], ...]:
    """Returns every combination of a grid, the last name changing fastest.

    Args:
        grid: Values by name, of `NAMES`; a name without values is left as it is.

    Returns:
        One empty trial where there is no value at all.
    """
    named = [[(name, value) for value in grid[name]] for name in NAMES if grid[name]]
    return tuple(dict(combination) for combination in itertools.product(*named))


def write_trials(
    run_folder: pathlib.Path,
    members: Sequence[Member],
    *,
    trials: Sequence[Mapping[str, float]],
    ended: Sequence[Mapping[str, Any]] | None = None,
) -> int:
    """Writes ``trials.csv`` of finished members; returns the chosen trial.

    It has the highest mean selection score, ties to the lower mean loss, then to the
    first; a member that became non-finite takes its trial out of the choice unless no
    trial is without one.

    Args:
        run_folder: Where the table is written.
        members: All of the study.
        trials: Their hyperparameters.
        ended: How each member ended; None reads it from the run folder.
    """
    if ended is None:
        ended = read_ended(run_folder, members)
    rows = []
    for number, values in enumerate(trials):
        own = [
            done
            for member, done in zip(members, ended, strict=True)
            if member.trial == number
        ]
        best = [done for done in own if done["best_epoch"] is not None]
        score, loss = (
            float(np.mean([done[name] for done in best])) if best else np.nan
            for name in ("select_score", "select_loss")
        )
        rows.append(
            {"trial": number, **values}
            | {"members": len(best), "non_finite": len(own) - len(best)}
            | {"select_score": score, "select_loss": loss}
        )
    chosen = min(
        range(len(rows)),
        key=lambda i: (
            rows[i]["non_finite"],
            -np.nan_to_num(rows[i]["select_score"], nan=-np.inf),
            np.nan_to_num(rows[i]["select_loss"], nan=np.inf),
        ),
    )
    for number, row in enumerate(rows):
        row["chosen"] = int(number == chosen)
    files.write_csv(run_folder / TABLE, rows, columns=list(rows[0]))
    return chosen


def read_ended(
    run_folder: pathlib.Path, members: Sequence[Member]
) -> list[Mapping[str, Any]]:
    """Returns best epoch, selection score and loss of finished members, in order."""
    if not (run_folder / HEADS_TABLE).exists():
        found = [files.read_json(folder_of(run_folder, m) / DONE) for m in members]
        scores = ("select_score", "select_loss")
        # A number that is not finite is null in JSON.
        return [
            done | {n: np.nan if done[n] is None else done[n] for n in scores}
            for done in found
        ]
    return [
        {
            "best_epoch": int(row["best_epoch"]) if row["best_epoch"] else None,
            "select_score": float(row["select_score"] or "nan"),
            "select_loss": float(row["select_loss"] or "nan"),
        }
        for row in read_heads(run_folder)
    ]


def read_heads(run_folder: pathlib.Path) -> list[files.Row]:
    """Returns the table of a bundle of heads, in the order of `of_study`."""
    return files.read_csv(run_folder / HEADS_TABLE)[1]


def read_chosen(run_folder: pathlib.Path) -> int:
    """Returns the trial that supplies a run's predictions; 0 where there was none."""
    if not (run_folder / TABLE).exists():
        return 0
    _, rows = files.read_csv(run_folder / TABLE)
    return next(int(row["trial"]) for row in rows if row["chosen"] == "1")

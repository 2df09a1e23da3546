"""Sets of numeric hyperparameters, trained beside each other, the best one chosen."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from liverjax.cohort import files
from liverjax.members.member import DONE, Member, folder_of

TABLE = "trials.csv"  # in the run folder

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
) -> int:
    """Writes ``trials.csv`` of finished members; returns the chosen trial.

    It has the highest mean selection score, ties to the lower mean loss, then to the
    first; a member that became non-finite takes its trial out of the choice unless no
    trial is without one.
    """
    rows = []
    for number, values in enumerate(trials):
        ended = [
            files.read_json(folder_of(run_folder, member) / DONE)
            for member in members
            if member.trial == number
        ]
        best = [done for done in ended if done["best_epoch"] is not None]
        score, loss = (
            float(np.mean([done[name] for done in best])) if best else np.nan
            for name in ("select_score", "select_loss")
        )
        rows.append(
            {"trial": number, **values}
            | {"members": len(best), "non_finite": len(ended) - len(best)}
            | {"select_score": score, "select_loss": loss}
        )
    chosen = min(
        range(len(rows)),
        key=lambda i: (
            rows[i]["non_finite"],
            -np.nan_to_num(rows[i]["select_score"], nan=-np.inf),
            rows[i]["select_loss"],
        ),
    )
    for number, row in enumerate(rows):
        row["chosen"] = int(number == chosen)
    files.write_csv(run_folder / TABLE, rows, columns=list(rows[0]))
    return chosen


def read_chosen(run_folder: pathlib.Path) -> int:
    """Returns the trial that supplies a run's predictions; 0 where there was none."""
    if not (run_folder / TABLE).exists():
        return 0
    _, rows = files.read_csv(run_folder / TABLE)
    return next(int(row["trial"]) for row in rows if row["chosen"] == "1")

"""Seven classifiers on features, through a run's own folds.

    python -m liverjax.radiomics.classify --features features.csv --cohort cohort \
        --task child_pugh --out runs/demo

Reads ``splits.json`` of the run folder and writes ``models/<name>.csv`` into it, in the
form of ``predictions.csv``; ``python -m liverjax.report --run`` then compares them.
"""

from __future__ import annotations

import argparse
import pathlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from liverjax import tasks
from liverjax.cohort import files, splits
from liverjax.cohort.schema import TRAIN
from liverjax.errors import InputError, run_command
from liverjax.radiomics.classifiers import CLASSIFIERS, cross_predict
from liverjax.report.tables import write_predictions
from liverjax.tasks.question import Task

KEYS = ("subject", "visit", "set", "site", "slice", "channel", "status", "reason")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fits, predicts and writes; returns the exit status."""
    given = _parser().parse_args(arguments)
    task = tasks.make(given.task)
    folds = splits.read_splits(given.out / "splits.json")
    _, rows = files.read_csv(given.cohort / "examinations.csv")
    wanted = [row for row in rows if row["set"] != TRAIN or _fold(row, folds) >= 0]
    names, columns = read_features(given.features, examinations=wanted)
    print(f"{len(wanted)} examinations, {len(names)} features, {len(folds)} folds")
    for name in CLASSIFIERS:
        table = predict_table(
            name, columns=columns, rows=wanted, folds=folds, task=task, seed=given.seed
        )
        path = given.out / "models" / f"{name}.csv"
        write_predictions(path, table, task=task)
        print(f"{path}: {len(table)} rows")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m liverjax.radiomics.classify")
    parser.add_argument("--features", type=pathlib.Path, required=True)
    parser.add_argument("--cohort", type=pathlib.Path, required=True)
    parser.add_argument("--task", required=True, choices=sorted(tasks.TASKS))
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the run folder"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _fold(row: files.Row, folds: Sequence[splits.Fold]) -> int:
    held_out = [k for k, fold in enumerate(folds) if row["subject"] in fold.held_out]
    return held_out[0] if held_out and row["set"] == TRAIN else -1


def read_features(
    path: pathlib.Path, *, examinations: Sequence[files.Row]
) -> tuple[list[str], Float[np.ndarray, "n k"]]:
    """Returns the features' names (``channel:feature``) and a row an examination.

    Slices of an examination are averaged; an empty cell is NaN.

    Args:
        path: A table with ``subject``, ``visit`` (absent: 1), ``channel``, ``slice``.
        examinations: Their order.

    Raises:
        InputError: If an examination has no row or a cell is no number.
    """
    header, rows = files.read_csv(path)
    features = [name for name in header if name not in KEYS]
    if "subject" not in header or not features:
        raise InputError(f"{path}: expected the column subject, and features beside it")
    found: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(dict)
    for number, row in enumerate(rows, start=2):
        if row.get("status", "ok") == "failed":
            continue
        try:
            values = [float(row[name] or "nan") for name in features]
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        key = (row["subject"], row.get("visit") or "1")
        found[key].setdefault(row.get("channel", ""), []).append(values)
    missing = [r["subject"] for r in examinations if _key(r) not in found]
    if missing:
        raise InputError(
            f"{path}: no features of {len(missing)} examinations ({missing[:5]}); run "
            "python -m liverjax.radiomics on the same manifest"
        )
    channels = sorted({channel for by in found.values() for channel in by})
    names = [f"{c}:{name}" if c else name for c in channels for name in features]
    empty = [[np.nan] * len(features)]
    table = [
        np.concatenate(
            [_average(found[_key(row)].get(channel, empty)) for channel in channels]
        )
        for row in examinations
    ]
    return names, np.array(table)


def _key(row: files.Row) -> tuple[str, str]:
    return row["subject"], row.get("visit") or "1"


def _average(values: list[list[float]]) -> np.ndarray:
    array = np.array(values)
    known = np.isfinite(array)
    total = np.where(known, array, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def predict_table(
    name: str,
    *,
    columns: Float[np.ndarray, "n k"],
    rows: Sequence[files.Row],
    folds: Sequence[splits.Fold],
    task: Task,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Returns a classifier's rows in the form of ``predictions.csv``.

    ``score`` is the expected class index (of two classes: the second's probability).
    """
    target = np.array([task.parse(row[task.target_column]) for row in rows])
    known = ~np.isnan(target)
    truth = np.full(len(rows), -1)
    truth[known] = task.true_class(target[known])
    own = np.array([row["subject"] if row["set"] == TRAIN else "" for row in rows])
    fold = np.array([_fold(row, folds) for row in rows])
    try:
        probs = cross_predict(
            columns,
            truth=truth,
            train=np.array([np.isin(own, one.train) for one in folds]),
            select=np.array([np.isin(own, one.select) for one in folds]),
            fold=fold,
            name=name,
            num_classes=len(task.classes),
            seed=seed,
        )
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    score = probs @ np.arange(len(task.classes))
    table = []
    for i, row in enumerate(rows):
        shares = zip(task.classes, probs[i].tolist(), strict=True)
        table.append(
            {key: row[key] for key in ("subject", "visit", "set", "site")}
            | {"fold": str(fold[i]) if fold[i] >= 0 else "", "target": target[i]}
            | {"score": float(score[i])}
            | {f"prob_{label}": share for label, share in shares}
            | {"class": task.classes[int(probs[i].argmax())]}
            | {"members": 1 if fold[i] >= 0 else len(folds)}
        )
    return table


if __name__ == "__main__":
    run_command(main)

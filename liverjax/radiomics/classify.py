"""Seven classifiers on features, through a run's own folds.

    python -m liverjax.radiomics.classify --features features.csv --cohort cohort \
        --task child_pugh --out runs/demo

Reads ``splits.json`` of the run folder and writes ``models/<name>.csv`` into it, in the
form of ``predictions.csv``; ``python -m liverjax.report --run`` then compares them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import logging
import pathlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from liverjax import crossfit, tasks
from liverjax.cohort import files, splits
from liverjax.errors import InputError, run_command
from liverjax.radiomics.classifiers import CLASSIFIERS, predict_fold
from liverjax.radiomics.reproducibility import MIN_ICC, reproducible
from liverjax.tasks.question import Outcome, Task

_log = logging.getLogger(__name__)

KEYS = (
    *("subject", "visit", "set", "site", "slice", "channel", "repeat"),
    *("status", "reason"),
)
Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Features:
    """What is known of each examination.

    Attributes:
        names: ``channel:feature``, or the feature where the table has no channels.
        columns: A row an examination; NaN where a feature is unknown.
        repeats: The same under small perturbations, the unperturbed first; all NaN for
            an examination without; None if the table has none.
        failed: Examinations of which nothing could be measured.
    """

    names: list[str]
    columns: Float[np.ndarray, "n f"]
    repeats: Float[np.ndarray, "n k f"] | None
    failed: Bool[np.ndarray, "n"]

    def take(self, kept: Bool[np.ndarray, "n"]) -> Features:
        """Returns the same of some of the examinations."""
        repeats = None if self.repeats is None else self.repeats[kept]
        return Features(self.names, self.columns[kept], repeats, self.failed[kept])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fits, predicts and writes; returns the exit status."""
    given = _parser().parse_args(arguments)
    if not -1 <= given.min_icc <= 1:
        raise InputError(f"--min-icc {given.min_icc:g}: expected -1 to 1")
    path = given.out / "splits.json"
    if not path.exists():
        raise InputError(
            f"{path}: is missing; --out is the folder of a run, whose folds are used "
            "(python -m liverjax.main --config=... --workdir=...)"
        )
    _, rows = files.read_csv(given.cohort / "examinations.csv")
    paths = write_models(
        given.features,
        rows=rows,
        folds=splits.read_splits(path),
        task=tasks.make(given.task),
        run_dir=given.out,
        min_icc=given.min_icc,
        seed=given.seed,
    )
    for path in paths:
        print(path)
    print(f"compare them: python -m liverjax.report --run {given.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m liverjax.radiomics.classify")
    parser.add_argument("--features", type=pathlib.Path, required=True)
    parser.add_argument("--cohort", type=pathlib.Path, required=True)
    parser.add_argument("--task", required=True, choices=sorted(tasks.TASKS))
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="the run folder"
    )
    parser.add_argument(
        "--min-icc",
        type=float,
        default=MIN_ICC,
        help="lowest intraclass correlation of a feature that is kept, where the table "
        "has repeats (python -m liverjax.radiomics --repeats)",
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def write_models(
    features: pathlib.Path,
    *,
    rows: Sequence[files.Row],
    folds: Sequence[splits.Fold],
    task: Task,
    run_dir: pathlib.Path,
    min_icc: float = MIN_ICC,
    seed: int = 0,
) -> list[pathlib.Path]:
    """Returns the written ``models/<name>.csv``, one a classifier.

    Examinations of which nothing could be measured are named and left out.

    Args:
        features: The table of ``python -m liverjax.radiomics``.
        rows: Of ``examinations.csv``.
        folds: Of the run.
        task: The clinical question.
        run_dir: The run folder.
        min_icc: Lowest intraclass correlation, where the table has repeats.
        seed: Of the classifiers.

    Raises:
        InputError: If the table lacks an examination, or nothing can be fitted.
    """
    groups = crossfit.fold_rows(rows, folds=folds)
    wanted = list(itertools.compress(rows, groups.used))
    known = read_features(features, examinations=wanted)
    lost = [
        f"{r['subject']}/{r['visit']}" for r in itertools.compress(wanted, known.failed)
    ]
    if len(lost) == len(wanted):
        raise InputError(f"{features}: every examination failed; see its reasons")
    if lost:
        _log.warning(
            "warning: radiomics leaves out %d failed examinations: %s", len(lost), lost
        )
    _log.info(
        "radiomics: %d examinations, %d features, %d folds",
        len(wanted) - len(lost),
        len(known.names),
        len(folds),
    )
    kept = ~known.failed
    known, groups = known.take(kept), groups.take(groups.used).take(kept)
    _tell_reproducible(known, groups=groups, min_icc=min_icc)
    paths = [run_dir / "models" / f"{name}.csv" for name in CLASSIFIERS]
    for path in paths:
        _write_model(
            path,
            known=known,
            rows=list(itertools.compress(wanted, kept)),
            groups=groups,
            task=task,
            min_icc=min_icc,
            seed=seed,
        )
    return paths


def _tell_reproducible(
    known: Features, *, groups: crossfit.FoldRows, min_icc: float
) -> None:
    if known.repeats is None:
        return
    try:
        counts = [
            reproducible(known.repeats[train], min_icc=min_icc).sum()
            for train in groups.train
        ]
    except ValueError as error:
        raise InputError(f"repeats of the training subjects: {error}") from None
    _log.info(
        "radiomics: %d to %d of %d features reach an ICC of %g, by fold",
        *(min(counts), max(counts), len(known.names), min_icc),
    )


def read_features(path: pathlib.Path, *, examinations: Sequence[files.Row]) -> Features:
    """Returns what a table of features says of some examinations, in their order.

    Slices of an examination are averaged; an empty cell is NaN.

    Args:
        path: A table with ``subject``, ``visit`` (absent: 1), ``channel``, ``slice``,
            ``repeat`` (0 or empty: unperturbed).
        examinations: Rows with ``subject`` and ``visit``.

    Raises:
        InputError: If an examination has no row or one twice, a cell is no number, or a
            column is the cohort's own, such as the label.
    """
    header, rows = files.read_csv(path)
    names = [name for name in header if name not in KEYS]
    if "subject" not in header or not names:
        raise InputError(f"{path}: expected the column subject, and features beside it")
    own = sorted(set(names) & {name for row in examinations[:1] for name in row})
    if own:
        raise InputError(
            f"{path}: {own} are columns of the cohort (labels, clinical values), not "
            "features of an image; remove them"
        )
    missing = {_key(r) for r in examinations} - {_key(r) for r in rows}
    if missing:
        raise InputError(
            f"{path}: no features of {len(missing)} examinations "
            f"({sorted(missing)[:5]}); run python -m liverjax.radiomics on the same "
            "manifest"
        )
    found: dict[tuple[Key, str, str], list[list[float]]] = defaultdict(list)
    seen = set()
    for number, row in enumerate(rows, start=2):
        place = (*_key(row), *(row.get(k, "") for k in ("channel", "slice", "repeat")))
        if place in seen:
            raise InputError(
                f"{path}, line {number}: {row['subject']} stands there twice with the "
                "same visit, channel, slice and repeat; remove one"
            )
        seen.add(place)
        if row.get("status", "ok") == "failed":
            continue
        values = [_number(row[name], place=(path, number, name)) for name in names]
        repeat = row.get("repeat") or "0"
        found[_key(row), repeat, row.get("channel", "")].append(values)
    channels = sorted({channel for _, _, channel in found})
    repeats = sorted({repeat for _, repeat, _ in found} | {"0"}, key=int)
    empty = [[np.nan] * len(names)]
    table = np.array(
        [
            [
                [_average(found.get((_key(row), k, c), empty)) for c in channels]
                for k in repeats
            ]
            for row in examinations
        ]
    ).reshape(len(examinations), len(repeats), len(channels) * len(names))
    measured = {key for key, repeat, _ in found if repeat == "0"}
    # A repeat that failed takes its examination out of the intraclass correlation.
    torn = np.isnan(table).all(axis=2).any(axis=1)
    return Features(
        names=[f"{c}:{name}" if c else name for c in channels for name in names],
        columns=table[:, 0].copy(),
        repeats=np.where(torn[:, None, None], np.nan, table) if repeats[1:] else None,
        failed=np.array([_key(row) not in measured for row in examinations]),
    )


def _number(cell: str, *, place: tuple[pathlib.Path, int, str]) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        path, line, name = place
        raise InputError(
            f"{path}, line {line}, column {name}: {cell!r} is no number; leave what is "
            "unknown empty, and remove columns that are no features"
        ) from None


def _key(row: files.Row) -> Key:
    return row["subject"], row.get("visit") or "1"


def _average(values: list[list[float]]) -> np.ndarray:
    array = np.array(values)
    known = np.isfinite(array)
    total = np.where(known, array, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _write_model(
    path: pathlib.Path,
    *,
    known: Features,
    rows: Sequence[files.Row],
    groups: crossfit.FoldRows,
    task: Task,
    min_icc: float,
    seed: int,
) -> None:
    """Writes a classifier's table, the classifier named by the file.

    ``score`` is the expected class index (of two classes: the second's probability).
    """
    target = np.array([task.parse(row[task.target_column]) for row in rows])
    given = ~np.isnan(target)
    truth = np.full(len(rows), -1)
    truth[given] = task.true_class(target[given])
    predict = functools.partial(
        predict_fold,
        known.columns,
        truth=truth,
        name=path.stem,
        num_classes=len(task.classes),
        repeats=known.repeats,
        min_icc=min_icc,
        seed=seed,
    )
    try:
        probs = crossfit.cross_predict(predict, groups=groups)
    except ValueError as error:
        raise InputError(f"{path.stem}: {error}") from error
    crossfit.write_model(
        path,
        rows=rows,
        groups=groups,
        task=task,
        outcome=Outcome(probs @ np.arange(len(task.classes)), probs),
        classes=probs.argmax(axis=1),
    )


if __name__ == "__main__":
    run_command(main)

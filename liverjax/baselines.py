"""What a network is compared with: models fitted inside the run's own folds."""

from __future__ import annotations

import functools
import logging
import pathlib
from collections.abc import Sequence

import numpy as np

from liverjax import crossfit
from liverjax.children import run_child
from liverjax.cohort import files, splits
from liverjax.config import StudyConfig
from liverjax.errors import InputError
from liverjax.radiomics import classify
from liverjax.tabular import baselines as columns

_log = logging.getLogger(__name__)


def check(study: StudyConfig) -> None:
    """Checks before any work that what the radiomics measure will be there.

    Raises:
        InputError: If neither a table of features nor a manifest is named, or a channel
            is not prepared.
    """
    radiomics, cohort = study.baselines.radiomics, study.cohort
    if not radiomics.run:
        return
    if radiomics.features:
        if not pathlib.Path(radiomics.features).exists():
            raise InputError(
                f"config.baselines.radiomics.features: {radiomics.features} is missing"
            )
    elif not cohort.manifest and not cohort.phantom:
        raise InputError(
            "config.baselines.radiomics: a prepared cohort keeps no whole images; name "
            "the manifest it was made from (--config.cohort.manifest=FILE.csv, beside "
            "--config.cohort.path), or a table of features "
            "(--config.baselines.radiomics.features=FILE.csv)"
        )
    unknown = sorted(set(radiomics.channels) - set(study.prepare.channels))
    if unknown:
        raise InputError(
            f"config.baselines.radiomics.channels: {unknown} unknown; the study has "
            f"{list(study.prepare.channels)}"
        )


def write(
    folder: pathlib.Path, *, study: StudyConfig, folds: Sequence[splits.Fold]
) -> None:
    """Writes ``models/<name>.csv`` of every baseline of a study.

    Args:
        folder: The run's, with ``examinations.csv``.
        study: Whole.
        folds: Of the run.

    Raises:
        InputError: If features cannot be measured or learnt from.
    """
    write_columns(folder, study=study, folds=folds)
    radiomics = study.baselines.radiomics
    if not radiomics.run:
        return
    table = folder / "radiomics" / "features.csv"
    if radiomics.features:
        table = pathlib.Path(radiomics.features)
    elif not table.exists():
        measure(table, study=study, folder=folder)
    _, rows = files.read_csv(folder / "examinations.csv")
    classify.write_models(
        table,
        rows=rows,
        folds=folds,
        task=study.task,
        run_dir=folder,
        min_icc=radiomics.min_icc,
        seed=radiomics.seed,
    )


def measure(table: pathlib.Path, *, study: StudyConfig, folder: pathlib.Path) -> None:
    """Writes the features of the images and masks that the study's manifest names.

    Raises:
        InputError: If the command that measures fails.
    """
    radiomics = study.baselines.radiomics
    settings = table.with_name("settings.json")
    files.write_json(settings, dict(radiomics.settings))
    manifest = study.cohort.manifest or folder / "phantom" / "manifest.csv"
    channels = radiomics.channels or (study.prepare.reference,)
    command = ["liverjax.radiomics", f"--manifest={manifest}", f"--out={table}"]
    command += ["--channels", *channels, f"--settings={settings}"]
    command += [f"--repeats={radiomics.repeats}"]
    command += ["--by-slice"] if radiomics.by_slice else []
    if study.cohort.workers:
        command.append(f"--workers={study.cohort.workers}")
    run_child(command)


def write_columns(
    folder: pathlib.Path, *, study: StudyConfig, folds: Sequence[splits.Fold]
) -> None:
    """Writes ``models/<name>.csv`` of every simple baseline that the table allows.

    Each is fitted on a fold's ``train`` and ``select`` subjects, so that it has seen
    what the network has seen, and never on those that the fold holds out. One made of
    the label's own items is left out.
    """
    task = study.task
    _, rows = files.read_csv(folder / "examinations.csv")
    truth = np.array([task.parse(row[task.target_column]) for row in rows])
    target = task.train_target(truth).astype(float)
    groups = crossfit.fold_rows(rows, folds=folds)
    for name in columns.BASELINES:
        needed = columns.needed_columns(name)
        if not set(needed) <= set(rows[0]):
            continue
        circular = columns.circular_columns(
            columns.needed_columns(name), label_items=task.label_items
        )
        if circular:
            _log.info(
                "no baseline %s: %s is made of %s, which would predict itself",
                *(name, task.target_column, ", ".join(circular)),
            )
            continue
        try:
            values = columns.read_columns(name, table=_numbers(rows, name=name))
            score = crossfit.cross_predict(
                functools.partial(columns.predict_fold, values, target=target),
                groups=groups,
            )
        except ValueError as error:
            _log.warning("warning: no baseline %s: %s", name, error)
            continue
        outcome = task.link(score[:, None])
        crossfit.write_model(
            folder / "models" / f"{name.replace(' ', '_')}.csv",
            rows=rows,
            groups=groups,
            task=task,
            outcome=outcome,
            classes=task.classify(outcome),
        )


def _numbers(rows: Sequence[files.Row], *, name: str) -> dict[str, np.ndarray]:
    """The cells of the columns that a baseline uses; NaN where one is empty."""
    return {
        column: np.array([float(row[column] or "nan") for row in rows])
        for column in columns.used_columns(name)
        if column in rows[0]
    }

"""What `data_prep.check` prints: counts, images, voxels and costs as plain text."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from liverjax.cohort import census, cost
from liverjax.cohort.manifest import Examination, Manifest
from liverjax.cohort.schema import TRAIN, Recipe
from liverjax.config import StudyConfig
from liverjax.errors import InputError
from liverjax.imaging import deep_check, survey


def counts(manifest: Manifest, *, study: StudyConfig) -> list[str]:
    """Returns tables of subjects, examinations and classes by set and by site."""
    task = study.task
    rows = [
        row for row in manifest.examinations if _label(row, study=study) is not None
    ]
    class_of = {
        row.line: int(task.true_class(np.array([_label(row, study=study)]))[0])
        for row in rows
    }
    lines: list[str] = []
    for column in ("set", "site"):
        table = census.count_by(
            rows, column=column, classes=task.classes, class_of=class_of
        )
        lines += ["", *_table(table)]
    return lines


def _label(row: Examination, *, study: StudyConfig) -> float | None:
    """The truth of a row; None where it is missing or cannot be one."""
    try:
        value = study.task.parse(row.cells.get(study.task.target_column, ""))
    except InputError:
        return None
    return None if math.isnan(value) else value


def images(manifest: Manifest, found: survey.Survey, *, recipe: Recipe) -> list[str]:
    """Returns a table of channels: how many are there, their spacings and sizes."""
    header = ["image", "present", "in plane mm", "slices mm", "slices", "height mm"]
    table = [header]
    rows = manifest.examinations or [e.examination for e in manifest.excluded]
    total = len(rows)
    for channel in recipe.channels:
        grids = found.grids(channel)
        present = sum(channel in row.images for row in rows)
        table.append(
            [
                channel,
                f"{present} of {total}",
                _span([float(np.mean(g.spacing_mm[1:])) for g in grids], digits=3),
                _span([g.spacing_mm[0] for g in grids], digits=2),
                _span([g.shape[0] for g in grids], digits=0),
                _span([g.extent_mm[0] for g in grids], digits=0),
            ]
        )
    for channel in recipe.channels:
        for prefix, masks in (("mask", "masks"), ("spleen_mask", "spleen_masks")):
            count = sum(
                channel in (row.masks if masks == "masks" else row.spleen_masks)
                for row in rows
            )
            if count:
                table.append([f"{prefix}_{channel}", f"{count} of {total}", *[""] * 4])
    lines = ["", *_table(table), "  (lowest, median, highest)"]
    facts = [
        survey.patch_facts(g, recipe=recipe) for g in found.grids(recipe.reference)
    ]
    if facts:
        side, padded = zip(*facts, strict=True)
        lines.append(
            f"  patch of {recipe.patch_px} px: {_span(side, digits=0)} mm; outside the "
            f"scan {_span([100 * share for share in padded], digits=0)} %"
        )
    return lines


def voxels(facts: Mapping[int, deep_check.VoxelFacts], *, recipe: Recipe) -> list[str]:
    """Returns a table of what the voxels showed, nothing if they were not read."""
    if not facts:
        return []
    table = [["voxels", "lowest HU", "highest HU"]]
    for channel in recipe.channels:
        ranges = [f.hu_range[channel] for f in facts.values() if channel in f.hu_range]
        low, high = zip(*ranges, strict=True) if ranges else ((), ())
        table.append([channel, _span(low, digits=0), _span(high, digits=0)])
    lines = ["", *_table(table)]
    for name, unit, values, scale in (
        ("liver", "HU", [f.liver_hu for f in facts.values()], 1),
        ("liver", "ml", [f.liver_ml for f in facts.values()], 1),
        ("liver", "mm high", [f.liver_extent_mm for f in facts.values()], 1),
        ("liver inside the patches", "%", [f.coverage for f in facts.values()], 100),
    ):
        known = [scale * value for value in values if not math.isnan(value)]
        lines.append(f"  {name} {_span(known, digits=0)} {unit}")
    return lines


def costs(
    manifest: Manifest,
    found: survey.Survey,
    facts: Mapping[int, deep_check.VoxelFacts],
    *,
    study: StudyConfig,
    cores: int,
) -> tuple[list[str], census.FoldFindings]:
    """Returns the estimate, and what the folds that will be made will meet.

    Args:
        manifest: Read.
        found: Its headers.
        facts: What voxels showed, by line; empty if they were not read.
        study: The study.
        cores: Of this machine.
    """
    recipe = study.prepare
    scans: dict[int, cost.Scan] = {}
    for row in manifest.examinations:
        header = found.images.get((row.line, recipe.reference))
        if header is None or header.grid is None:
            continue
        own = [found.images[row.line, channel].grid for channel in row.images]
        extent = facts[row.line].liver_extent_mm if row.line in facts else math.nan
        scans[row.line] = cost.Scan(
            slice_spacing_mm=header.grid.spacing_mm[0],
            extent_mm=header.grid.extent_mm[0],
            voxels=sum(grid.voxels for grid in own if grid is not None),
            liver_extent_mm=None if math.isnan(extent) else extent,
        )
    prepared = cost.preparation_cost(list(scans.values()), recipe=recipe)
    hours = prepared.prepare_core_hours / cores
    lines = [
        "",
        "expected cost (constants measured on two cores; a factor of two either way)",
        f"  records {prepared.records}: {_bytes(prepared.cohort_bytes)} in memory "
        f"while training, {_bytes(prepared.disk_bytes)} on disk",
        f"  preparation {_hours(hours)} on {cores} cores, up to "
        f"{_bytes(prepared.worker_bytes)} a process",
    ]
    class_of: dict[str, int] = {}
    records: dict[str, int] = {}
    for row in manifest.examinations:
        label = _label(row, study=study)
        if row.set != TRAIN or label is None or row.line not in scans:
            continue
        class_of.setdefault(
            row.subject, int(study.task.true_class(np.array([label]))[0])
        )
        expected = cost.expected_records(scans[row.line], recipe=recipe)
        records[row.subject] = records.get(row.subject, 0) + expected
    lines.append(_training_line(sum(records.values()), study=study, cores=cores))
    if study.split.file or not class_of:
        return lines, census.FoldFindings()
    return lines, census.foretell_folds(
        class_of,
        records_of=records,
        classes=study.task.classes,
        folds=study.split.folds,
        select_fraction=study.split.select_fraction,
        seed=study.split.seed,
        stratify=study.split.stratify,
        batch_size=study.train.batch_size,
    )


def _training_line(records: int, *, study: StudyConfig, cores: int) -> str:
    if study.model.name != "resnet18":
        return f"  training: no measured constant for {study.model.name}"
    split, train = study.split, study.train
    grid = dataclasses.asdict(train.trials).values()
    trials = math.prod(len(values) for values in grid if values)
    outside = records * (1 - 1 / split.folds)
    hours = cost.training_hours(
        train_records=round(outside * (1 - split.select_fraction)),
        select_records=round(outside * split.select_fraction),
        folds=split.folds,
        seeds=train.seeds * trials,
        epochs=train.epochs,
        patch_px=study.prepare.patch_px,
        width=int(study.model.options.get("width") or 64),
        cores=cores,
    )
    return (
        f"  training {_hours(hours)} on {cores} cores without a GPU ({split.folds} "
        f"folds x {train.seeds} seeds x {trials} trials x {train.epochs} epochs)"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _span(values: Sequence[float], *, digits: int) -> str:
    if not values:
        return "-"
    three = (min(values), statistics.median(values), max(values))
    texts = [f"{value:.{digits}f}" for value in three]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"

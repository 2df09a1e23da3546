"""A finished run on a new study: score, class, and how far its networks agree.

python -m liverjax.predict --run runs/cp_ct --study manifest.csv
python -m liverjax.predict --run runs/cp_ct --study DICOM_FOLDER --mask liver.nii.gz

The study is prepared by the run's own recipe. Research use only, not a medical device.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import pathlib
import tempfile
import time
from collections.abc import Collection, Sequence

import numpy as np

from liverjax.cohort import files, records, schema
from liverjax.cohort.manifest import Examination, Manifest, MaskSource, read_manifest
from liverjax.cohort.splits import read_splits
from liverjax.config import StudyConfig, read_study
from liverjax.errors import InputError, run_command
from liverjax.tasks.question import Outcome

DISCLAIMER = "Research use only. Not a medical device."


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a run's networks say of one examination.

    Attributes:
        subject: Its name.
        visit: Its number.
        set: Of the manifest.
        target: The truth as the manifest writes it; empty where there is none.
        score: Mean over the networks.
        predicted_class: Name of the class.
        probs: By class; empty for a pure score.
        by_member: Score of each network.
        warnings: What the preparation noticed.
    """

    subject: str
    visit: int
    set: str
    target: str
    score: float
    predicted_class: str
    probs: dict[str, float]
    by_member: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    @property
    def spread(self) -> float:
        """Standard deviation of the score over the networks; 0 for a single one."""
        return float(np.std(self.by_member))


def predict(
    run_folder: pathlib.Path,
    manifest: Manifest,
    *,
    workers: int = 1,
    allow: Collection[str] = (),
) -> tuple[Prediction, ...]:
    """Returns the ensemble's prediction of every usable examination of a manifest.

    Args:
        run_folder: Of a finished run; its recipe prepares the images.
        manifest: Read with that recipe; labels are not needed.
        workers: Processes of the preparation.
        allow: Codes of findings that are warnings instead of failures.

    Raises:
        InputError: If the run has no trained network, or no examination can be used.
    """
    from liverjax import members
    from liverjax.imaging.build import build_cohort

    study = read_study(run_folder)
    networks = members.with_best(run_folder)
    if not networks:
        raise InputError(
            f"{run_folder}: no trained network yet; finish the run with the command "
            "that started it"
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "cohort"
        build_cohort(
            manifest, recipe=study.prepare, out=folder, workers=workers, allow=allow
        )
        cohort = schema.open_cohort(folder, verify=False)
        _, status = files.read_csv(folder / "qc" / "status.csv")
        arrays = records.read_records(cohort)
    first = np.array([int(row["first_record"]) for row in cohort.examinations])
    last = np.array([int(row["last_record"]) for row in cohort.examinations])
    outcomes = members.predict_arrays(
        run_folder,
        networks,
        arrays=arrays,
        spans=np.stack([first, last - first + 1], axis=1),
    )
    reasons = {(row["subject"], row["visit"]): row["reasons"] for row in status}
    return tuple(
        _prediction(
            row,
            place,
            outcomes,
            study=study,
            reasons=reasons[row["subject"], row["visit"]],
        )
        for place, row in enumerate(cohort.examinations)
    )


def manifest_of_folder(
    folder: pathlib.Path,
    *,
    mask: MaskSource,
    study: StudyConfig,
    out: pathlib.Path,
    roles: pathlib.Path | None = None,
    allow: Collection[str] = (),
) -> Manifest:
    """Returns the manifest of one examination in a folder of DICOM series.

    Args:
        folder: Its series in any arrangement.
        mask: The liver on the reference phase.
        study: Names channels and reference.
        out: Imported volumes are written here.
        roles: A ``roles.toml`` that says which series is which phase.
        allow: Codes of findings that are warnings instead of failures.

    Raises:
        InputError: If there is not exactly one examination, or a phase is missing or
            unclear.
    """
    from liverjax.imaging.dicom_import import ImportOptions, import_tree
    from liverjax.imaging.role_rules import RoleRules, read_rules

    rules = read_rules(roles) if roles else RoleRules()
    options = ImportOptions(subject_from="one", rules=rules, allow=tuple(allow))
    summary = import_tree(folder, out=out, options=options)
    columns, rows = files.read_csv(out / "manifest.csv")
    if len(rows) != 1:
        raise InputError(
            f"{folder}: {len(rows)} examinations found, expected one; import them with "
            "python -m data_prep.dicom and give --study its manifest"
        )
    recipe = study.prepare
    needed = [c for c in recipe.channels if c not in recipe.optional_channels]
    missing = [channel for channel in needed if not rows[0].get(channel)]
    if missing:
        unclear = "; ".join(summary.open_roles) or "no series looks like it"
        raise InputError(
            f"{folder}: {', '.join(missing)} not found ({unclear}); say which series "
            "is which phase with --roles roles.toml"
        )
    examination = Examination(
        subject="study",
        visit=1,
        set="new",
        site="",
        images={c: out / rows[0][c] for c in recipe.channels if rows[0].get(c)},
        masks={recipe.reference: mask},
        spleen_masks={},
        cells={},
        line=2,
    )
    return Manifest(
        path=out / "manifest.csv", columns=tuple(columns), examinations=(examination,)
    )


def main() -> int:
    """Predicts and prints; returns the exit status."""
    given = _parse_arguments()
    started = time.monotonic()
    study = read_study(given.run)
    with tempfile.TemporaryDirectory() as temporary:
        if given.study.is_dir():
            if given.mask is None:
                raise InputError(
                    "--mask is missing: a folder of series needs the liver's mask on "
                    f"the {study.prepare.reference} phase; there is no segmentation yet"
                )
            manifest = manifest_of_folder(
                given.study,
                mask=MaskSource(
                    given.mask, order=given.mask_order, segment=given.segment
                ),
                study=study,
                out=pathlib.Path(temporary),
                roles=given.roles,
                allow=given.allow,
            )
        else:
            manifest = read_manifest(given.study, recipe=study.prepare, task=None)
        for one in manifest.excluded:
            print(f"excluded: {one.examination.name}: {one.reason}")
        if not manifest.examinations:
            raise InputError(f"{given.study}: no examination can be used")
        found = predict(given.run, manifest, workers=given.workers, allow=given.allow)
    for one in found:
        print(_line(one))
    trained_on = {
        subject
        for fold in read_splits(given.run / "splits.json")
        for subject in (*fold.train, *fold.select)
    }
    known = sum(one.subject in trained_on for one in found)
    if known:
        print(
            f"note: {known} of these are of subjects called as some that the run was "
            "trained on; where they are the same patients, this is no test of it"
        )
    if given.out:
        files.write_csv(
            given.out, [_row(one) for one in found], columns=list(_row(found[0]))
        )
    seconds = time.monotonic() - started
    print(
        f"{len(found)} of {len(manifest.examinations)} examinations in {seconds:.1f} s"
    )
    print(DISCLAIMER)
    return 0


def _parse_arguments() -> argparse.Namespace:
    path = pathlib.Path
    parser = argparse.ArgumentParser(prog="python -m liverjax.predict")
    parser.add_argument("--run", required=True, type=path, help="a finished run folder")
    parser.add_argument(
        "--study", required=True, type=path, help="a manifest, or a folder of series"
    )
    parser.add_argument(
        "--mask", type=path, help="the liver, where --study is a folder"
    )
    parser.add_argument("--mask-order", default="", help="of a PNG stack, as z_up")
    parser.add_argument("--segment", default="", help="number or name in the mask file")
    parser.add_argument("--roles", type=path, help="roles.toml: which series is which")
    parser.add_argument("--allow", action="append", default=[], metavar="CODE")
    parser.add_argument("--out", type=path, help="write the predictions to this CSV")
    parser.add_argument("--workers", type=int, default=1)
    logging.getLogger("jax").setLevel(logging.WARNING)
    return parser.parse_args()


def _prediction(
    row: files.Row,
    place: int,
    outcomes: Sequence[Outcome],
    *,
    study: StudyConfig,
    reasons: str,
) -> Prediction:
    """Means over the networks, then the class: the order of the report."""
    task = study.task
    scores = np.array([outcome.score[place] for outcome in outcomes])
    probs = None
    if outcomes[0].probs is not None:
        probs = np.mean([outcome.probs[place] for outcome in outcomes], axis=0)[None]
    mean = Outcome(scores.mean(keepdims=True), probs)
    return Prediction(
        subject=row["subject"],
        visit=int(row["visit"]),
        set=row["set"],
        target=row.get(task.target_column, ""),
        score=float(mean.score[0]),
        predicted_class=task.classes[int(task.classify(mean)[0])],
        probs={} if probs is None else dict(zip(task.classes, probs[0], strict=True)),
        by_member=tuple(float(score) for score in scores),
        warnings=tuple(filter(None, reasons.split(" | "))),
    )


def _line(one: Prediction) -> str:
    text = (
        f"{one.subject} (visit {one.visit}): score {one.score:.2f}, class "
        f"{one.predicted_class}; {len(one.by_member)} networks from "
        f"{min(one.by_member):.2f} to {max(one.by_member):.2f} (sd {one.spread:.2f})"
    )
    return "\n".join([text, *(f"  warning: {reason}" for reason in one.warnings)])


def _row(one: Prediction) -> dict[str, object]:
    return {
        "subject": one.subject,
        "visit": one.visit,
        "set": one.set,
        "target": one.target,
        "score": one.score,
        **{f"prob_{name}": share for name, share in one.probs.items()},
        "class": one.predicted_class,
        "members": len(one.by_member),
        "spread": one.spread,
    }


if __name__ == "__main__":
    run_command(main)

"""Builds a run folder as a finished study leaves it, from simulated numbers.

``python -m tests.report.fake_run DIR`` writes one to look at.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

import matplotlib.image
import numpy as np

from liverjax import report, tasks
from liverjax.cohort.files import write_csv, write_json

TASK = tasks.make("child_pugh")
CONFIG = {
    "study": "Child-Pugh score from dynamic contrast-enhanced CT (demo)",
    "workdir": "runs/demo",
    "cohort": {"path": None, "manifest": None, "phantom": {"subjects": 72, "seed": 0}},
    "prepare": {
        "channels": ["native", "arterial", "venous"],
        "registration": "rigid",
        "registration_region": "whole_image",
        "patch_px": 80,
    },
    "task": {"name": "child_pugh", "target": "points", "rounding": True},
    "model": {"name": "resnet18", "pretrained": "none", "options": {"width": 16}},
    "split": {"folds": 5, "seed": 0, "select_on": "select", "leak_check": True},
    "train": {"epochs": 40, "batch_size": 16, "learning_rate": 5e-4, "seeds": 1},
}
STATUS = (
    "subject",
    "visit",
    "set",
    "site",
    "status",
    "codes",
    "reasons",
    "native_liver_residual_mm",
    "arterial_liver_residual_mm",
    "native_translation_mm",
    "liver_coverage",
)


def build(folder: pathlib.Path, *, seed: int = 0) -> pathlib.Path:
    """Writes a run of 72 cross-validated patients and 24 of another hospital."""
    rng = np.random.default_rng(seed)
    subjects = [f"P{i:03d}" for i in range(72)] + [f"X{i:03d}" for i in range(24)]
    target = np.clip(np.round(rng.normal(8.3, 2.4, len(subjects))), 5, 15)
    score = np.clip(8.2 + 0.5 * (target - 8.3) + rng.normal(0, 1.2, len(target)), 4, 15)
    status = [_status(rng, subject, place) for place, subject in enumerate(subjects)]
    there = [i for i, row in enumerate(status) if row["status"] in ("ok", "warning")]
    train = [subjects[i] for i in there if subjects[i].startswith("P")]
    fold_of = {subject: place % 5 for place, subject in enumerate(train)}
    lost = train[7]  # its network never had a usable state
    rows = [
        {
            "subject": subjects[i],
            "set": "train" if subjects[i] in fold_of else "external",
            "site": status[i]["site"],
            "fold": fold_of.get(subjects[i]),
            "target": float(target[i]),
            "score": float(score[i]),
            "class": "ABC"[int(np.digitize(np.round(score[i]), (6.5, 9.5)))],
            "members": 1 if subjects[i] in fold_of else 5,
        }
        for i in there
        if subjects[i] != lost
    ]
    report.write_predictions(folder / "predictions.csv", rows, task=TASK)
    report.write_predictions(
        folder / "models" / "ascites_alone.csv",
        [_baseline(rng, row) for row in rows],
        task=TASK,
    )
    _write_cohort_tables(rng, folder, status=status, target=target, there=there)
    _write_members(rng, folder)
    folds = [_fold(train, fold_of, number) for number in range(5)]
    write_json(folder / "splits.json", {"schema": 1, "folds": folds})
    write_json(folder / "config.json", CONFIG)
    write_json(
        folder / "environment.json",
        {"device_kind": "cpu", "devices": 2, "versions": {"jax": "0.10.2"}},
    )
    write_json(
        folder / "phantom.json",
        {"ceiling": {"kendall_tau": 0.56, "accuracy": 0.71, "draws": 20_000}},
    )
    picture = folder / "cohort" / "qc" / f"{subjects[0]}-1.png"
    _draw(rng, picture)
    for subject in subjects[1:]:
        shutil.copy(picture, picture.with_name(f"{subject}-1.png"))
    return folder


def _status(rng: np.random.Generator, subject: str, place: int) -> dict[str, object]:
    level = {5: "failed", 21: "failed", 30: "excluded", 80: "excluded"}.get(place, "ok")
    level = "warning" if place % 17 == 4 else level
    codes = {
        "failed": (
            "mask-on-another-grid",
            "The mask of phase venous has 512 x 512 x 40 "
            "voxels, the image 512 x 512 x 48.",
        ),
        "excluded": ("missing-channel", "There is no arterial phase."),
        "warning": (
            "liver-not-aligned",
            "Phase native is 4.1 mm off at the liver after "
            "registration (expected below 3 mm).",
        ),
        "ok": ("", ""),
    }[level]
    measured = level in ("ok", "warning")
    residual = rng.gamma(2, 0.3, 2) + (4 if level == "warning" else 0)
    return {
        "subject": subject,
        "visit": 1,
        "set": "train" if subject.startswith("P") else "external",
        "site": "ABC"[place % 2 if subject.startswith("P") else 2],
        "status": level,
        "codes": codes[0],
        "reasons": codes[1],
        "native_liver_residual_mm": float(residual[0]) if measured else None,
        "arterial_liver_residual_mm": float(residual[1]) if measured else None,
        "native_translation_mm": float(rng.gamma(3, 3)) if measured else None,
        "liver_coverage": float(rng.uniform(0.9, 1)) if measured else None,
    }


def _baseline(rng: np.random.Generator, row: dict[str, object]) -> dict[str, object]:
    score = float(np.clip(rng.normal(0.25 * float(str(row["target"])) + 6, 1.2), 5, 15))
    name = "ABC"[int(np.digitize(np.round(score), (6.5, 9.5)))]
    return row | {"score": score, "class": name}


def _write_cohort_tables(rng, folder, *, status, target, there) -> None:
    write_csv(folder / "status.csv", status, columns=STATUS)
    write_csv(
        folder / "exclusions.csv",
        [
            {"step": "screening", "reason": "no cirrhosis", "n": 41},
            {"step": "screening", "reason": "previous transplantation", "n": 6},
        ],
        columns=("step", "reason", "n"),
    )
    write_csv(
        folder / "examinations.csv",
        [
            {
                "subject": status[i]["subject"],
                "visit": 1,
                "set": status[i]["set"],
                "site": status[i]["site"],
                "child_pugh": int(target[i]),
                "ascites_points": int(np.clip(round(target[i] / 5), 1, 3)),
                "sex": "fm"[int(rng.integers(2))],
                "age_years": int(rng.normal(59, 9)),
                "platelets_10e9_per_l": int(rng.normal(110, 30)) if i % 9 else None,
            }
            for i in there
        ],
        columns=(
            "subject",
            "visit",
            "set",
            "site",
            "child_pugh",
            "ascites_points",
            "sex",
            "age_years",
            "platelets_10e9_per_l",
        ),
    )


def _write_members(rng: np.random.Generator, folder: pathlib.Path) -> None:
    for number in range(5):
        member = folder / "members" / f"f{number:02d}-s00-t00"
        member.mkdir(parents=True)
        epochs = np.arange(40 if number != 2 else 23)
        loss = 5.5 * np.exp(-epochs / 12) + 0.6 + rng.normal(0, 0.08, len(epochs))
        select_loss = 4.0 * np.exp(-epochs / 10) + 2.2 + rng.normal(0, 0.2, len(epochs))
        score = 0.6 - 0.25 * np.exp(-epochs / 9) + rng.normal(0, 0.03, len(epochs))
        lines = [
            {
                "epoch": int(epoch),
                "loss": float(loss[epoch]),
                "select_loss": float(select_loss[epoch]),
                "select_score": float(score[epoch]),
                "learning_rate": 5e-4 * 0.5 ** (epoch // 20),
                "seconds": 2.1,
            }
            for epoch in epochs
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (member / "metrics.jsonl").write_text(text)
        done = {
            "status": "ok",
            "best_epoch": int(score.argmax()),
            "failed_at": None,
            "seconds": 91.0,
        }
        if number == 2:
            done |= {"status": "non-finite", "failed_at": {"epoch": 23, "step": 11}}
        write_json(member / "done.json", done)


def _fold(train: list[str], fold_of: dict[str, int], number: int) -> dict[str, list]:
    rest = [subject for subject in train if fold_of[subject] != number]
    return {
        "train": rest[: len(rest) * 7 // 10],
        "select": rest[len(rest) * 7 // 10 :],
        "held_out": [subject for subject in train if fold_of[subject] == number],
    }


def _draw(rng: np.random.Generator, path: pathlib.Path) -> None:
    """A montage of noise and ellipses stands for the slices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0:160, 0:480]
    slices = [
        ((rows - 80) / 62) ** 2 + ((columns - 80 - 160 * k) / 72) ** 2 < 1
        for k in range(3)
    ]
    body = np.any(slices, axis=0) * 0.45 + rng.normal(0, 0.05, rows.shape)
    matplotlib.image.imsave(path, np.clip(body, 0, 1), cmap="gray", vmin=0, vmax=1)


if __name__ == "__main__":
    build(pathlib.Path(sys.argv[1]))

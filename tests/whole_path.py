"""The whole path at its smallest, run once a test session as a user would."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A cohort of coarse voxels, two folds, two epochs: every stage, in about a minute.
SMALLEST = (
    "--config=configs/cp_ct.py:demo",
    "--config.cohort.phantom.subjects=14",
    "--config.cohort.phantom.size=48,24,7,9",
    "--config.prepare.slice_spacing_mm=36.0",
    "--config.prepare.inplane_spacing_mm=7.0",
    "--config.prepare.patch_px=32",
    "--config.prepare.store_px=40",
    "--config.augment.elastic_px=(0.0,2.0)",
    "--config.model.options.width=4",
    "--config.split.folds=2",
    "--config.train.epochs=2",
    "--config.train.batch_size=4",
)


def environment() -> dict[str, str]:
    """Two host devices whatever the machine, compiled programs kept between runs."""
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}


def command(module: str, *arguments: str) -> list[str]:
    """Returns the words of ``python -m module arguments``."""
    return [sys.executable, "-m", module, *arguments]


def run(
    module: str, *arguments: str, timeout_s: float = 600
) -> subprocess.CompletedProcess[str]:
    """Runs a command of this project from its root and returns how it ended."""
    return subprocess.run(
        command(module, *arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )

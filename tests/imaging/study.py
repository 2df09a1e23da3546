"""A tiny phantom study on disk, prepared in well under a second an examination."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
import tempfile

from liverjax.cohort.manifest import Manifest, read_manifest
from liverjax.cohort.schema import Recipe
from liverjax.phantom.cohort import write_cohort
from liverjax.phantom.options import PhantomOptions, size_options
from liverjax.phantom.tables import list_entries
from liverjax.tasks import ChildPugh

STILL = Recipe(
    registration="none",
    inplane_spacing_mm=7.0,
    slice_spacing_mm=36.0,
    patch_px=32,
    store_px=40,
)
REGISTERED = dataclasses.replace(STILL, registration="rigid")


def write_study(folder: pathlib.Path, *, subjects: int = 4) -> pathlib.Path:
    """Writes patients who do not move between the phases; returns the manifest."""
    shutil.copytree(_study(subjects), folder, dirs_exist_ok=True)
    return folder / "manifest.csv"


def read(path: pathlib.Path, *, recipe: Recipe = STILL) -> Manifest:
    """Returns the manifest, read as the command line reads it."""
    return read_manifest(path, recipe=recipe, task=ChildPugh())


@functools.cache
def _study(subjects: int) -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="liverjax-study-"))
    options = PhantomOptions(
        **size_options("tiny"),
        max_rotation_deg=0.0,
        max_translation_mm=0.0,
        max_breathing_mm=0.0,
        cut_share=0.0,
    )
    entries = list_entries(subjects=subjects)
    write_cohort(folder, options=options, entries=entries, seed=0)
    return folder

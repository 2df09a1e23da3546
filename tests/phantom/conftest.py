"""One small cohort and one small examination for all tests of the phantom."""

from __future__ import annotations

import pathlib

import pytest

from liverjax.phantom.cohort import write_cohort
from liverjax.phantom.options import PhantomOptions, size_options
from liverjax.phantom.subject import Subject, make_subject
from liverjax.phantom.tables import list_entries

TINY = PhantomOptions(**size_options("tiny"))
STILL = PhantomOptions(
    **size_options("tiny"),
    different_grids=False,
    cut_share=0.0,
    max_rotation_deg=0.0,
    max_translation_mm=0.0,
    max_breathing_mm=0.0,
    max_deformation_mm=0.0,
)
ENTRIES = list_entries(subjects=3, external=1, duplicates=1, renamed=1)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Six tiny examinations as NIfTI and DICOM: p0001 to p0003, a copy, another scan of
    the first, and an external one."""
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    write_cohort(folder, options=TINY, entries=ENTRIES, seed=4, as_dicom=True)
    return folder


@pytest.fixture(scope="session")
def still_subject() -> Subject:
    """An examination without motion, all phases on one grid."""
    return make_subject(STILL, seed=5, index=1)

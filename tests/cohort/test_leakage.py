from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from liverjax.cohort import files, leakage
from liverjax.errors import InputError

from .small import write_cohort


def patients(count: int, *, slices: int = 4, side: int = 64) -> np.ndarray:
    """Slices of volumes with a common shading and each its own texture."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    body = 160 * (rows**2 + columns**2 < 0.16)
    volumes = []
    for _ in range(count):
        texture = ndimage.gaussian_filter(rng.standard_normal((slices, side, side)), 2)
        volumes.append(np.clip(body + 400 * texture + 40, 0, 255))
    return np.concatenate(volumes).astype(np.uint8)[..., None]


def test_different_patients_are_no_leak(tmp_path):
    cohort = write_cohort(
        tmp_path, patients(6), subjects=[s for s in "abcdef" for _ in "1234"]
    )
    assert leakage.find_leaks(cohort) == ()
    leakage.refuse_leaks(())


def test_the_same_slice_under_two_subjects_is_found(tmp_path):
    hashes = [f"{i:064x}" for i in range(8)]
    hashes[6] = hashes[1]
    cohort = write_cohort(
        tmp_path, patients(2), subjects=list("aaaabbbb"), hashes=hashes
    )
    (leak,) = leakage.find_leaks(cohort)
    assert leak == leakage.Leak(("a", "b"), (1, 6), "same slice", 1)
    with pytest.raises(InputError, match=r"a and b: same slice \(records 1 and 6"):
        leakage.refuse_leaks([leak])


def test_neighbouring_slices_of_one_scan_under_two_names_are_found(tmp_path):
    images = patients(3)
    cohort = write_cohort(tmp_path, images, subjects=list("aabbccccdddd"))
    leaks = leakage.find_leaks(cohort)
    assert [leak.subjects for leak in leaks] == [("a", "b")]
    assert {leak.reason for leak in leaks} == {"neighbouring slices"}


def test_slices_in_one_frame_under_two_names_are_found_at_less_agreement(tmp_path):
    one, two = patients(2, slices=1)[:, None]
    apart = (0.55 * one + 0.45 * two).astype(np.uint8)
    images = np.concatenate([one, apart])
    correlation = np.prod(leakage.fine_structure(images), axis=0).sum()
    assert leakage.SIMILAR_IN_ONE_FRAME < correlation < leakage.SIMILAR
    elsewhere = write_cohort(tmp_path / "other frame", images, subjects=list("ab"))
    assert leakage.find_leaks(elsewhere) == ()
    table = elsewhere.path / "index.csv"
    _, rows = files.read_csv(table)
    same = [
        row | {"ijk_to_lps": f"1 0 0 0 0 1 0 0 0 0 0 {i}"} for i, row in enumerate(rows)
    ]
    cohort = dataclasses.replace(elsewhere, index=tuple(same))
    (leak,) = leakage.find_leaks(cohort)
    assert (leak.subjects, leak.reason) == (("a", "b"), "neighbouring slices")

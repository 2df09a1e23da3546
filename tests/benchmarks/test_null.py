"""The protocol on labels that no image knows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks import null
from liverjax import report
from liverjax.cohort import leakage, schema
from liverjax.errors import InputError
from liverjax.phantom import PhantomOptions, make_subject
from liverjax.phantom.options import size_options
from tests.cohort.small import write_cohort

SUBJECTS = 60


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> schema.Cohort:
    """Slices of patients with strong texture and no sign of disease."""
    options = PhantomOptions(effect=0.0, texture=2.0, **size_options("tiny"))
    images, names = [], []
    for index in range(SUBJECTS):
        subject = make_subject(options, seed=5, index=index, only=("venous",))
        volume = subject.phases["venous"].volume
        inside = np.flatnonzero(subject.phases["venous"].liver.any(axis=(1, 2)))
        for number in inside[1:-1]:
            images.append(np.clip((volume[number] + 160) / 400 * 255, 0, 255))
            names.append(f"p{index:03d}")
    stacked = np.stack(images).astype(np.uint8)[..., None]
    return write_cohort(tmp_path_factory.mktemp("null"), stacked, subjects=names)


@pytest.mark.slow
def test_labels_that_no_image_knows_are_seldom_significant(cohort):
    rng = np.random.default_rng(0)
    rates = null.null_rates(rng, null.by_examination(cohort), draws=100, folds=5)
    assert np.count_nonzero(rates["within_p"] < 0.05) <= 12
    assert np.count_nonzero(rates["within_p_bound"] < 0.05) <= 5
    assert abs(rates["within"].mean()) < 0.05


@pytest.mark.slow
def test_split_by_slices_finds_what_is_not_there_and_split_by_patients_does_not(cohort):
    rng = np.random.default_rng(1)
    draws = [null.split_by_slices(rng, cohort, folds=5) for _ in range(5)]
    assert all(draw["slices"][0] >= 0.3 for draw in draws)
    with_zero = [low <= 0 <= high for _, low, high in (d["patients"] for d in draws)]
    assert sum(with_zero) >= 4


def test_a_cohort_whose_slices_are_subjects_is_refused(tmp_path):
    options = PhantomOptions(
        effect=0.0, in_plane_px=96, slices=24, in_plane_mm=3.5, slice_mm=9.0
    )
    images, names = [], []
    for index in range(10):
        phase = make_subject(options, seed=5, index=index, only=("venous",)).phases
        inside = np.flatnonzero(phase["venous"].liver.any(axis=(1, 2)))
        for number in inside[2:-2:2]:
            patch = phase["venous"].volume[number, 14:78, 8:72]
            images.append(np.clip((patch + 160) / 400 * 255, 0, 255))
            names.append(f"p{index}")
    stacked = np.stack(images).astype(np.uint8)[..., None]
    cohort = write_cohort(tmp_path / "cohort", stacked, subjects=names)
    assert leakage.find_leaks(cohort) == ()
    alone = tuple(row | {"subject": f"s{i}"} for i, row in enumerate(cohort.index))
    with pytest.raises(InputError, match="one patient's images stand under two"):
        leakage.refuse_leaks(
            leakage.find_leaks(dataclasses.replace(cohort, index=alone))
        )


def test_a_shortcut_in_one_site_shows_in_the_figures_of_that_site(tmp_path):
    """A border that betrays class C, in the north only: nothing else does."""
    options = PhantomOptions(
        effect=0.0,
        shortcut_sites=("north",),
        shortcut_kind="border",
        **size_options("tiny"),
    )
    subjects = [
        make_subject(options, seed=6, index=i, only=("venous",)) for i in range(100)
    ]
    middle = [s.phases["venous"].volume[12] for s in subjects]
    images = np.clip((np.stack(middle) + 1000) / 1200 * 255, 0, 255)[..., None]
    truth = np.array([float(s.truth.child_pugh) for s in subjects])
    rng = np.random.default_rng(2)
    draw = null.cross_validate(rng, null.features(images), truth=truth, folds=5)
    rows = [
        {
            "subject": f"p{i}",
            "visit": 1,
            "set": "train",
            "site": subject.truth.scan.site,
            "fold": int(draw.fold[i]),
            "target": draw.truth[i],
            "score": float(draw.score[i]),
        }
        for i, subject in enumerate(subjects)
    ]
    report.write_predictions(tmp_path / "predictions.csv", rows, task=null.TASK)
    read = report.read_predictions(tmp_path / "predictions.csv", task=null.TASK)
    sites = report.judge(read, task=null.TASK)["sites"]
    assert sites["north"]["kendall_tau"]["low"] > 0
    assert sites["south"]["kendall_tau"]["low"] < 0
    north, south = (sites[s]["kendall_tau"]["estimate"] for s in ("north", "south"))
    assert north > south + 0.2

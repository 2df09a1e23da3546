"""Slice positions: what makes a volume, what stops it, what may be allowed."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from liverjax.imaging import dicom_geometry, series
from liverjax.imaging.dicom_headers import SPLITTERS, Frame
from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.grids import Plane
from tests.imaging import scans


def frame(z: float, **changes) -> Frame:
    values = {
        "path": pathlib.Path("slice.dcm"),
        "index": 0,
        "sop_uid": str(z),
        "patient_id": "p",
        "instance": 1,
        "plane": Plane(
            (0.0, 0.0, float(z)), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.7, 0.7)
        ),
        "shape": (8, 8),
        "slope": 1.0,
        "intercept": -1024.0,
        "padding": None,
        "thickness_mm": 5.0,
        "frame_of_reference": "1.2",
        "image_type": (),
        "splitters": ("",) * len(SPLITTERS),
    }
    return Frame(**(values | changes))


def moved(one: Frame, **changes) -> Frame:
    return dataclasses.replace(one, plane=dataclasses.replace(one.plane, **changes))


STACK = [frame(z) for z in np.arange(10) * 5.0]


def codes(frames: list[Frame]) -> list[str]:
    return [item.code for item in dicom_geometry.check_slices(frames)]


def test_a_regular_stack_has_no_findings():
    assert codes(STACK) == []


def test_slices_are_sorted_by_position_not_by_number_or_name():
    shuffled = [
        dataclasses.replace(
            STACK[i], instance=99 - i, path=pathlib.Path(f"{i % 3}.dcm")
        )
        for i in (3, 0, 2, 1)
    ]
    ordered = dicom_geometry.sort_slices(shuffled)
    assert [item.plane.position_mm[2] for item in ordered] == [0, 5, 10, 15]


def test_positions_rounded_to_a_tenth_of_a_slice_pass():
    jitter = np.random.default_rng(0).uniform(-0.05, 0.05, 400)
    assert codes([frame(round(0.7 * i + d, 4)) for i, d in enumerate(jitter)]) == []


def test_the_spacing_is_fitted_to_all_slices():
    heights = np.round(np.arange(500) * 0.7031, 1)
    spacing, places = dicom_geometry.regular_spacing_mm(heights)
    assert spacing == pytest.approx(0.7031, abs=1e-5)
    np.testing.assert_array_equal(places, np.arange(500))


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([*STACK[:4], *STACK[5:]], "missing-slices"),
        ([*STACK, STACK[3]], "duplicate-slices"),
        ([*STACK[:9], frame(41.5)], "uneven-spacing"),
        (STACK[:1], "single-slice"),
        ([STACK[0], STACK[0]], "single-slice"),
        ([*STACK, dataclasses.replace(frame(50), plane=None)], "no-position"),
        ([*STACK, frame(50, shape=(8, 9))], "mixed-matrix"),
        ([*STACK, frame(50, frame_of_reference="1.3")], "mixed-frame-of-reference"),
        ([*STACK, frame(50, patient_id="q")], "several-patients"),
        ([*STACK, frame(50, slope=None)], "no-rescale"),
        ([*STACK, moved(frame(50), spacing_mm=(0.8, 0.8))], "mixed-spacing"),
        (
            [*STACK, moved(frame(50), orientation=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0))],
            "mixed-orientation",
        ),
        (
            [moved(f, orientation=(1.0, 0.0, 0.0, 0.2, 1.0, 0.0)) for f in STACK],
            "no-position",
        ),
        (
            [
                moved(
                    f,
                    position_mm=(
                        0.0,
                        f.plane.position_mm[2] * 0.2,
                        f.plane.position_mm[2],
                    ),
                )
                for f in STACK
            ],
            "gantry-tilt",
        ),
    ],
)
def test_what_is_no_regular_stack_is_named(frames, code):
    assert code in codes(frames)


def test_slices_without_rescale_are_a_fault_of_ct_only():
    frames = [dataclasses.replace(f, slope=None, intercept=None) for f in STACK]
    assert dicom_geometry.check_slices(frames, modality="MR") == []


def write(folder: pathlib.Path, heights_mm: list[float]) -> series.SeriesInfo:
    """A ramp along the slices: HU equals the height in mm."""

    def lift(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient = [0, 0, heights_mm[number]]

    planes = np.array([np.full((6, 6), round(z)) for z in heights_mm])
    scans.write_series(folder, planes, change=lift)
    return series.find_one(folder)


def test_missing_slices_stop_reading_unless_allowed(tmp_path):
    info = write(tmp_path, [0, 10, 20, 50, 60])
    with pytest.raises(ExaminationError, match="2 slices are missing") as caught:
        series.read_series(info)
    assert caught.value.finding.code == "missing-slices"
    image, (finding,) = series.read_series(info, allow=["missing-slices"])
    assert finding.level == "warning"
    column = sitk.GetArrayFromImage(image)[:, 0, 0]
    np.testing.assert_allclose(column, [0, 10, 20, 30, 40, 50, 60])
    assert image.GetSpacing()[2] == pytest.approx(10)


def test_uneven_slices_are_interpolated_where_allowed(tmp_path):
    info = write(tmp_path, [0, 10, 20, 34, 40])
    with pytest.raises(ExaminationError, match=r"6\.00 to 14\.00 mm apart"):
        series.read_series(info)
    image, _ = series.read_series(info, allow=["uneven-spacing"])
    heights = [
        image.TransformIndexToPhysicalPoint((0, 0, k))[2]
        for k in range(image.GetDepth())
    ]
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(image)[:, 0, 0], np.minimum(heights, 40), atol=1e-3
    )


def test_repeated_positions_keep_the_lowest_instance_where_allowed(tmp_path):
    def stand(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient = [0, 0, [0, 10, 20, 10][number]]
        dataset.InstanceNumber = [1, 9, 3, 2][number]

    planes = np.array([np.full((6, 6), value) for value in (1, 2, 3, 4)])
    scans.write_series(tmp_path, planes, change=stand)
    info = series.find_one(tmp_path)
    with pytest.raises(ExaminationError, match="repeat a position"):
        series.read_series(info)
    image, _ = series.read_series(info, allow=["duplicate-slices"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image)[:, 0, 0], [1, 4, 3])


def test_a_tilted_gantry_cannot_be_allowed(tmp_path):
    def lean(dataset: Dataset, number: int) -> None:
        dataset.ImagePositionPatient = [0, number, 5 * number]

    scans.write_series(tmp_path, scans.body_hu(), change=lean)
    info = series.find_one(tmp_path)
    with pytest.raises(ExaminationError, match=r"leans by 11\.3 degrees") as caught:
        series.read_series(info, allow=["gantry-tilt"])
    assert caught.value.finding.code == "gantry-tilt"

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from liverjax.imaging import structures
from liverjax.imaging.dicom_masks import MaskObject, masks_by_series, write_masks
from liverjax.imaging.series import SeriesInfo, read_series, scan
from tests.imaging import scans

# Columns and rows of the drawn box, and its slices.
BOX, SLICES = (10, 20, 12, 24), (5, 6, 7)


def write_structures(
    path: pathlib.Path, info: SeriesInfo, *names: str, slices: tuple[int, ...] = SLICES
) -> None:
    """An RTSTRUCT with one box for each name, drawn around voxel centres."""
    left, right, top, bottom = BOX
    dataset = Dataset()
    dataset.SOPClassUID = structures.SOP_CLASS
    dataset.SOPInstanceUID = scans.uid(f"{path.name} {names}")
    dataset.Modality = "RTSTRUCT"
    rois, contours = [], []
    used = [info.frames[number] for number in slices]
    for number, name in enumerate(names, start=1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence()
        for frame in used:
            x, y, z = frame.plane.position_mm
            row_mm, column_mm = frame.plane.spacing_mm
            xs = [x + column_mm * (edge - 0.5) for edge in (left, right)]
            ys = [y + row_mm * (edge - 0.5) for edge in (top, bottom)]
            corners = [(xs[i], ys[j], z) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
            contour = Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = 4
            contour.ContourData = [float(v) for corner in corners for v in corner]
            item.ContourSequence.append(contour)
        rois.append(roi)
        contours.append(item)
    dataset.StructureSetROISequence = Sequence(rois)
    dataset.ROIContourSequence = Sequence(contours)
    images = []
    for frame in used:
        image = Dataset()
        image.ReferencedSOPInstanceUID = frame.sop_uid
        images.append(image)
    series, study, reference = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = info.uid
    series.ContourImageSequence = Sequence(images)
    study.RTReferencedSeriesSequence = Sequence([series])
    reference.FrameOfReferenceUID = info.frames[0].frame_of_reference
    reference.RTReferencedStudySequence = Sequence([study])
    dataset.ReferencedFrameOfReferenceSequence = Sequence([reference])
    scans.save(dataset, path)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> tuple[SeriesInfo, sitk.Image]:
    folder = tmp_path_factory.mktemp("series")
    scans.write_series(folder, scans.body_hu())
    (info,) = scan(folder).series
    return info, read_series(info)[0]


def found_in(folder: pathlib.Path) -> tuple[dict, int]:
    return masks_by_series(scan(folder).objects)


def test_structures_are_found_by_the_series_they_name(series, tmp_path):
    write_structures(tmp_path / "rs.dcm", series[0], "Liver")
    by_series, without = found_in(tmp_path)
    assert list(by_series) == [series[0].uid]
    (found,) = by_series[series[0].uid]
    assert len(found.images) == len(SLICES)
    assert without == 0


def test_a_structure_named_as_the_organ_becomes_a_mask_on_the_grid(series, tmp_path):
    info, image = series
    write_structures(tmp_path / "rs.dcm", info, "Body", "LIVER")
    objects = found_in(tmp_path)[0][info.uid]
    written, _ = write_masks(
        objects, image=image, info=info, folder=tmp_path / "masks", stem="s_v1_venous"
    )
    assert written == {"mask": "masks/s_v1_venous_liver.nii.gz"}
    mask = sitk.ReadImage(str(tmp_path / written["mask"]))
    left, right, top, bottom = BOX
    expected = np.zeros(image.GetSize()[::-1], np.uint8)
    expected[list(SLICES), top:bottom, left:right] = 1
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), expected)
    np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)


def test_another_structure_is_not_taken_for_the_liver(series, tmp_path):
    info, image = series
    write_structures(tmp_path / "rs.dcm", info, "Tumour")
    objects = found_in(tmp_path)[0][info.uid]
    written, findings = write_masks(
        objects, image=image, info=info, folder=tmp_path / "masks", stem="s"
    )
    assert (written, findings) == ({}, [])
    assert not (tmp_path / "masks").exists()


def test_two_livers_of_one_series_are_none(series, tmp_path):
    info, image = series
    for name in ("one", "two"):
        write_structures(tmp_path / f"{name}.dcm", info, "liver")
    objects = found_in(tmp_path)[0][info.uid]
    written, findings = write_masks(
        objects, image=image, info=info, folder=tmp_path / "masks", stem="s"
    )
    assert written == {}
    assert "several-masks" in {finding.code for finding in findings}


def test_a_mask_that_does_not_fit_is_a_finding_without_its_names(series, tmp_path):
    info, _ = series
    write_structures(tmp_path / "secret.dcm", info, "liver")
    objects = found_in(tmp_path)[0][info.uid]
    other = scans.volume(np.zeros((3, 48, 60), np.float32))
    written, findings = write_masks(
        objects, image=other, info=info, folder=tmp_path / "masks", stem="s"
    )
    assert written == {}
    assert findings
    assert not any("secret" in finding.text for finding in findings)


def test_a_mask_of_another_part_of_the_series_is_passed_over(series):
    info, _ = series
    own = frozenset({info.frames[0].sop_uid})
    assert MaskObject(pathlib.Path("x"), own).belongs_to(info)
    assert MaskObject(pathlib.Path("x"), frozenset()).belongs_to(info)
    assert not MaskObject(pathlib.Path("x"), frozenset({"1.2.3"})).belongs_to(info)

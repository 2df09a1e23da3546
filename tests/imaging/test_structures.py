"""RTSTRUCT: contours filled on the slices they lie on."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from scipy import ndimage

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import masks, structures, volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans

SQUARE = np.array([(1.5, 2.5), (4.5, 2.5), (4.5, 6.5), (1.5, 6.5)])  # column, row


def fill(*polygons: np.ndarray) -> np.ndarray:
    return structures.fill_polygons(list(polygons), shape=(9, 8))


def test_pixels_whose_centres_are_inside_are_filled():
    expected = np.zeros((9, 8), bool)
    expected[3:7, 2:5] = True
    np.testing.assert_array_equal(fill(SQUARE), expected)
    np.testing.assert_array_equal(fill(SQUARE[::-1]), expected)


def test_an_inner_contour_is_a_hole():
    hole = np.array([(2.5, 3.5), (3.5, 3.5), (3.5, 5.5), (2.5, 5.5)])
    assert fill(SQUARE, hole).sum() == 12 - 2
    assert not fill(SQUARE, hole)[4:6, 3].any()


def test_neighbours_that_share_an_edge_neither_overlap_nor_leave_a_gap():
    left = np.array([(0.0, 0.0), (3.0, 0.0), (3.0, 8.0), (0.0, 8.0)])
    right = left + np.array([3.0, 0.0])
    assert not (fill(left) & fill(right)).any()
    np.testing.assert_array_equal(
        fill(left) | fill(right), fill(np.array([(0, 0), (6, 0), (6, 8), (0, 8.0)]))
    )


def test_a_polygon_beyond_the_picture_is_cut():
    assert fill(SQUARE + np.array([-3.0, -4.0])).sum() == 2 * 3
    assert fill(SQUARE + np.array([20.0, 0.0])).sum() == 0


def test_a_random_polygon_agrees_with_ray_casting():
    rng = np.random.default_rng(3)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radius = rng.uniform(8, 28, 40)[:, None]
    polygon = 30 + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    filled = structures.fill_polygons([polygon], shape=(60, 60))
    from matplotlib.path import Path

    y, x = np.mgrid[:60, :60]
    inside = Path(polygon).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    np.testing.assert_array_equal(filled, inside.reshape(60, 60))


def write_struct(path: pathlib.Path, contours: dict[str, list], **changes) -> None:
    """Writes structures; a contour is points (x, y, z) in mm, or (type, points)."""
    dataset = Dataset()
    dataset.SOPClassUID = structures.SOP_CLASS
    dataset.SOPInstanceUID = scans.uid("struct")
    dataset.Modality = "RTSTRUCT"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, items) in enumerate(contours.items(), start=1):
        roi, shape = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        shape.ReferencedROINumber = number
        shape.ContourSequence = []
        for item in items:
            kind, points = item if isinstance(item, tuple) else ("CLOSED_PLANAR", item)
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [round(float(v), 4) for v in np.ravel(points)]
            for keyword, value in changes.items():
                setattr(contour, keyword, value)
            shape.ContourSequence.append(contour)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(shape)
    scans.save(dataset, path)


def box_mm(slice_number: int, *, size_px: int = 6) -> np.ndarray:
    """A square around pixels (20.., 15..) of a slice of the test body, in mm."""
    low, high = -0.5, size_px - 0.5
    corners = np.array([(low, low), (high, low), (high, high), (low, high)])
    pixels = corners + np.array([15, 20])
    xy = np.array(scans.ORIGIN_MM[:2]) + 4 * pixels
    z = scans.ORIGIN_MM[2] + 5 * slice_number
    return np.column_stack([xy, np.full(4, z)])


def read(path: pathlib.Path, *, segment: str = "", **options):
    options.setdefault("image", scans.body_volume())
    mask, findings = masks.read_mask(MaskSource(path, "", segment), **options)
    return sitk.GetArrayFromImage(mask), [item.code for item in findings]


def test_contours_are_filled_on_their_slices(tmp_path):
    boxes = [box_mm(number) for number in (7, 5, 6)]
    write_struct(tmp_path / "rs.dcm", {"Liver": boxes})
    mask, codes = read(tmp_path / "rs.dcm")
    expected = np.zeros(mask.shape, bool)
    expected[5:8, 20:26, 15:21] = True
    np.testing.assert_array_equal(mask, expected)
    assert codes == []


def test_a_structure_is_chosen_by_name_number_or_organ(tmp_path):
    spleen = [box_mm(9, size_px=3), box_mm(10, size_px=3)]
    path = tmp_path / "rs.dcm"
    write_struct(path, {"LIVER": [box_mm(5), box_mm(6)], "Spleen": spleen})
    assert read(path)[0].sum() == 72
    for segment in ("spleen", "2"):
        assert read(path, segment=segment)[0].sum() == 18
    with pytest.raises(ExaminationError, match=r"1 \(LIVER\), 2 \(Spleen\)"):
        read(path, segment="kidney")


def refused(path: pathlib.Path, **options) -> str:
    with pytest.raises(ExaminationError) as caught:
        read(path, **options)
    return caught.value.finding.code


def test_contours_between_slices_or_outside_are_refused(tmp_path):
    between, outside = box_mm(5), box_mm(40)
    between[:, 2] += 2.5
    path = tmp_path / "rs.dcm"
    write_struct(path, {"liver": [between]})
    assert refused(path) == "contour-position"
    write_struct(path, {"liver": [outside]})
    assert refused(path) == "mask-outside-image"
    write_struct(path, {"liver": [box_mm(5)[:2]]})
    assert refused(path) == "contour-position"


def test_slices_without_contour_are_refused_unless_allowed(tmp_path):
    path = tmp_path / "rs.dcm"
    write_struct(path, {"liver": [box_mm(4), box_mm(6), box_mm(8)]})
    assert refused(path) == "contour-gaps"
    mask, codes = read(path, allow=["contour-gaps"])
    assert sorted(np.flatnonzero(mask.any(axis=(1, 2)))) == [4, 6, 8]
    assert codes[0] == "contour-gaps"


def test_points_and_open_lines_enclose_nothing(tmp_path):
    path = tmp_path / "rs.dcm"
    write_struct(path, {"liver": [box_mm(4), box_mm(5), ("POINT", box_mm(9)[:1])]})
    mask, codes = read(path)
    assert not mask[9].any()
    assert codes == ["open-contours"]


def test_a_contour_away_from_the_slice_it_names_is_refused(tmp_path):
    scans.write_series(tmp_path / "ct", scans.body_hu(), name="ct")
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = scans.uid("ct 6")
    path = tmp_path / "rs.dcm"
    write_struct(path, {"liver": [box_mm(6)]}, ContourImageSequence=[reference])
    assert read(path, image_path=tmp_path / "ct")[0][6].sum() == 36
    write_struct(path, {"liver": [box_mm(5)]}, ContourImageSequence=[reference])
    assert refused(path, image_path=tmp_path / "ct") == "contour-position"


@pytest.mark.slow
def test_the_ibsi_structure_is_its_mask_to_a_voxel(shared, tmp_path):
    folder = shared / "data/ibsi/ibsi_1_ct_radiomics_phantom"
    shutil.unpack_archive(folder / "dicom.zip", tmp_path)
    dicom = next(tmp_path.rglob("*IMG*")).parent
    image, _ = volumes.read_volume(dicom)
    path = next(tmp_path.rglob("*_RS_*"))
    found, _ = read(path, image=image, image_path=dicom)
    truth, _ = masks.read_mask(
        MaskSource(folder / "nifti/mask/mask.nii.gz"), image=image
    )
    truth = sitk.GetArrayFromImage(truth) > 0
    assert truth.sum() == 125256
    dice = 2 * (truth & (found > 0)).sum() / (truth.sum() + found.sum())
    assert dice >= 0.98
    plane = np.ones((1, 3, 3), bool)
    inner, outer = (
        ndimage.binary_erosion(truth, plane),
        ndimage.binary_dilation(truth, plane),
    )
    assert not ((found > 0) & ~outer).any()
    assert not (~(found > 0) & inner).any()

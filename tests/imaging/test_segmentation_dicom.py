"""DICOM SEG, written by highdicom and by dcmqi, on the image's grid."""

from __future__ import annotations

import pathlib
import warnings

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from liverjax.cohort.manifest import MaskSource
from liverjax.imaging import masks, volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans

LIVER, SPLEEN = scans.liver_mask(), scans.spleen_mask()


def write_seg(
    path: pathlib.Path,
    ct: pathlib.Path,
    *,
    kind: str = "BINARY",
    planes: slice = slice(None),
    **options,
) -> pathlib.Path:
    """Writes liver (1) and spleen (2) as highdicom does, empty frames left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import highdicom as hd
        from pydicom.sr.codedict import codes

        sources = sorted(map(pydicom.dcmread, ct.glob("*.dcm")), key=_height)
        for source in sources:
            for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
                setattr(source, keyword, "")
            source.AccessionNumber = source.ReferringPhysicianName = ""
            source.StudyTime = ""
        descriptions = [
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=label,
                segmented_property_category=codes.SCT.Organ,
                segmented_property_type=getattr(codes.SCT, label),
                algorithm_type="MANUAL",
            )
            for number, label in ((1, "Liver"), (2, "Spleen"))
        ]
        pixels = np.stack([LIVER, SPLEEN], axis=-1)[planes].astype(np.uint8)
        segmentation = hd.seg.Segmentation(
            source_images=sources[planes],
            pixel_array=pixels.astype(np.float32) if kind == "FRACTIONAL" else pixels,
            segmentation_type=kind,
            segment_descriptions=descriptions,
            series_instance_uid=scans.uid("seg series"),
            series_number=9,
            sop_instance_uid=scans.uid("seg"),
            instance_number=1,
            manufacturer="m",
            manufacturer_model_name="m",
            software_versions="1",
            device_serial_number="1",
            **options,
        )
        segmentation.save_as(path)
    return path


def _height(dataset: pydicom.Dataset) -> float:
    return float(dataset.ImagePositionPatient[2])


@pytest.fixture
def ct(tmp_path) -> pathlib.Path:
    scans.write_series(tmp_path / "ct", scans.body_hu())
    return tmp_path / "ct"


def read(path: pathlib.Path, *, segment: str = "", **options):
    options.setdefault("image", scans.body_volume())
    mask, findings = masks.read_mask(MaskSource(path, "", segment), **options)
    return sitk.GetArrayFromImage(mask), findings


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_every_kind_of_seg_gives_its_mask(tmp_path, ct, kind):
    path = write_seg(tmp_path / "seg.dcm", ct, kind=kind)
    for segment, organ in (("1", LIVER), ("2", SPLEEN)):
        mask, findings = read(path, segment=segment, image_path=ct)
        np.testing.assert_array_equal(mask, organ)
    assert bool(findings) == (kind == "FRACTIONAL")


@pytest.mark.parametrize("segment", ["2", "Spleen", "spleen", "78961009"])
def test_a_segment_is_chosen_by_number_label_or_code(tmp_path, ct, segment):
    mask, _ = read(write_seg(tmp_path / "seg.dcm", ct), segment=segment)
    np.testing.assert_array_equal(mask, SPLEEN)


def test_without_a_segment_the_organ_decides(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    np.testing.assert_array_equal(read(path)[0], LIVER)
    np.testing.assert_array_equal(read(path, organ="spleen")[0], SPLEEN)


def test_an_unknown_segment_lists_those_that_are_there(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    with pytest.raises(ExaminationError, match=r"1 \(Liver, 10200004\), 2") as caught:
        read(path, segment="tumour")
    assert caught.value.finding.code == "segment"


def shuffle_frames(path: pathlib.Path, *, positions: bool = True) -> None:
    """Stores the frames of a fractional SEG in another order."""
    dataset = pydicom.dcmread(path)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    order = np.random.default_rng(0).permutation(len(groups))
    pixels = np.frombuffer(dataset.PixelData, np.uint8)
    pixels = pixels[: len(groups) * dataset.Rows * dataset.Columns]
    pixels = pixels.reshape(len(groups), -1)
    dataset.PixelData = pixels[order].tobytes()
    dataset.PerFrameFunctionalGroupsSequence = [groups[i] for i in order]
    if not positions:
        for group in groups:
            del group.PlanePositionSequence
    dataset.save_as(path)


@pytest.mark.parametrize("positions", [True, False])
def test_frames_are_placed_by_position_or_source_never_by_number(
    tmp_path, ct, positions
):
    path = write_seg(tmp_path / "seg.dcm", ct, kind="FRACTIONAL")
    shuffle_frames(path, positions=positions)
    mask, _ = read(path, segment="1", image_path=ct)
    np.testing.assert_array_equal(mask, LIVER)


def test_frames_without_position_need_the_dicom_image(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct, kind="FRACTIONAL")
    shuffle_frames(path, positions=False)
    with pytest.raises(ExaminationError, match="neither a position nor") as caught:
        read(path, segment="1")
    assert caught.value.finding.code == "seg-position"


def test_a_frame_away_from_its_source_image_is_refused(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    dataset = pydicom.dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[2] = float(position[2]) + 5
    dataset.save_as(path)
    with pytest.raises(ExaminationError, match=r"5\.00 mm from the image") as caught:
        read(path, segment="1", image_path=ct)
    assert caught.value.finding.code == "seg-position"


def test_a_seg_of_another_frame_of_reference_is_refused(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    dataset = pydicom.dcmread(path)
    dataset.FrameOfReferenceUID = scans.uid("elsewhere")
    dataset.save_as(path)
    with pytest.raises(ExaminationError) as caught:
        read(path, segment="1", image_path=ct)
    assert caught.value.finding.code == "mixed-frame-of-reference"


def test_a_seg_between_the_slices_is_refused(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    image = scans.body_volume()
    image.SetOrigin((-100.0, -80.0, 302.0))
    with pytest.raises(ExaminationError, match="never resampled") as caught:
        read(path, segment="1", image=image)
    assert caught.value.finding.code == "mask-grid"


def test_a_seg_reaching_out_of_the_image_is_refused(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    image = scans.body_volume()[:, :, :8]
    with pytest.raises(ExaminationError) as caught:
        read(path, segment="1", image=image)
    assert caught.value.finding.code == "mask-outside-image"


def test_a_truncated_seg_is_refused(tmp_path, ct):
    path = write_seg(tmp_path / "seg.dcm", ct)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ExaminationError) as caught:
        read(path, segment="1")
    assert caught.value.finding.code == "truncated"


def test_the_dcmqi_seg_is_its_nrrd(shared):
    folder = shared / "data/dcmqi-liver-seg"
    ct = folder / "ct-3slice"
    image, _ = volumes.read_volume(ct)
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "liver_seg.nrrd")))
    for segment in ("", "1", "liver", "T-62000"):
        mask, _ = read(
            folder / "liver.dcm", segment=segment, image=image, image_path=ct
        )
        np.testing.assert_array_equal(mask, truth)
    assert truth.sum() == 107098


def test_overlapping_segments_of_dcmqi_are_kept_apart(shared):
    folder = shared / "data/dcmqi-liver-seg"
    image, _ = volumes.read_volume(folder / "ct-3slice")
    everything = ["mask-outside-body"]
    found = [
        read(
            folder / "partial_overlaps.dcm",
            segment=str(number),
            image=image,
            allow=everything,
        )[0]
        for number in range(1, 6)
    ]
    assert all(mask.any() for mask in found)
    assert (np.sum(found, axis=0) > 1).any()

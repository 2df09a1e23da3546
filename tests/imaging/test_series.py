"""DICOM series: found, cut into volumes, left out by name, read."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pydicom
import pydicom.config
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from liverjax.imaging import series, volumes
from liverjax.imaging.findings import ExaminationError
from tests.imaging import scans

HU = scans.body_hu()


def array_of(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def failed_codes(info: series.SeriesInfo) -> list[str]:
    return [item.code for item in info.findings if item.level == "failed"]


def rewrite(paths: list[pathlib.Path], *, syntax: str) -> None:
    for path in paths:
        scans.save(pydicom.dcmread(path), path, syntax=syntax)


def test_a_series_reads_in_hu_on_its_grid(tmp_path):
    scans.write_series(tmp_path, HU)
    image, findings = volumes.read_volume(tmp_path)
    np.testing.assert_array_equal(array_of(image), HU)
    np.testing.assert_allclose(image.GetOrigin(), scans.ORIGIN_MM)
    np.testing.assert_allclose(image.GetSpacing(), scans.SPACING_MM[::-1])
    assert findings == ()


def test_a_series_from_head_to_foot_and_rotated_rows_reads_the_same(tmp_path):
    def turn(dataset: Dataset, number: int) -> None:
        """Prone rows and columns: both run the other way."""
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        dataset.ImagePositionPatient = [
            scans.ORIGIN_MM[0] + 4 * (HU.shape[2] - 1),
            scans.ORIGIN_MM[1] + 4 * (HU.shape[1] - 1),
            scans.ORIGIN_MM[2] + 5 * (HU.shape[0] - 1 - number),
        ]

    scans.write_series(tmp_path, HU[::-1, ::-1, ::-1], change=turn)
    image, _ = volumes.read_volume(tmp_path)
    np.testing.assert_array_equal(array_of(image), HU)
    np.testing.assert_allclose(image.GetOrigin(), scans.ORIGIN_MM)


def test_the_header_tells_what_an_import_needs(tmp_path):
    def fill(dataset: Dataset, number: int) -> None:
        dataset.KVP, dataset.ConvolutionKernel = 120, "B30f"
        dataset.ContrastBolusAgent, dataset.Manufacturer = "given", "SIEMENS"
        dataset.StudyDate, dataset.AccessionNumber = "20200102", "A1"
        dataset.AcquisitionTime = f"1015{30 - number:02d}"

    scans.write_series(tmp_path, HU, change=fill)
    (info,) = series.find_series(tmp_path)
    assert (info.modality, info.number, info.shape) == ("CT", "3", HU.shape)
    assert (info.kvp, info.kernel, info.thickness_mm) == (120, "B30f", 5)
    assert (info.contrast_agent, info.manufacturer) == ("given", "SIEMENS")
    assert (info.study_date, info.accession) == ("20200102", "A1")
    assert info.acquisition_time == "101515"
    assert info.patient_id == "secret-4711"
    np.testing.assert_allclose(info.spacing_mm, scans.SPACING_MM)
    heights = [frame.plane.position_mm[2] for frame in info.frames]
    assert heights == sorted(heights)
    assert len(info.paths) == 16


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_slices_hold_the_same_hu(tmp_path, compressor):
    for path in scans.write_series(tmp_path, HU[6:9]):
        name = scans.compress(path, compressor=compressor)
    assert "Lossless" in name
    image, _ = series.read_series(series.find_one(tmp_path))
    np.testing.assert_array_equal(array_of(image), HU[6:9])


def test_run_length_encoded_slices_hold_the_same_hu(tmp_path):
    for path in scans.write_series(tmp_path, HU[6:9]):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    image, _ = series.read_series(series.find_one(tmp_path))
    np.testing.assert_array_equal(array_of(image), HU[6:9])


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_native_syntaxes_hold_the_same_hu(tmp_path, syntax):
    rewrite(scans.write_series(tmp_path, HU[6:9]), syntax=syntax)
    image, _ = series.read_series(series.find_one(tmp_path))
    np.testing.assert_array_equal(array_of(image), HU[6:9])


def test_big_endian_slices_hold_the_same_hu(tmp_path):
    def swap(dataset: Dataset, number: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = stored.astype(">u2").tobytes()

    paths = scans.write_series(tmp_path, HU[6:9], change=swap)
    for path in paths:
        dataset = pydicom.dcmread(path)
        meta = dataset.file_meta
        meta.TransferSyntaxUID = ExplicitVRBigEndian
        plain = Dataset()
        plain.update(dict(dataset.items()))
        plain.file_meta, plain.preamble = meta, bytes(128)
        pydicom.dcmwrite(path, plain, little_endian=False, implicit_vr=False)
    image, _ = series.read_series(series.find_one(tmp_path))
    np.testing.assert_array_equal(array_of(image), HU[6:9])


def test_signed_12_bit_pixels_lose_their_overlay_bits(tmp_path):
    def pack(dataset: Dataset, number: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 1
        overlay = (np.arange(stored.size) % 2) << 15
        dataset.PixelData = ((stored & 0xFFF) | overlay).astype("<u2").tobytes()
        dataset.RescaleIntercept = 0

    scans.write_series(tmp_path, HU[6:9], change=pack)
    image, _ = series.read_series(series.find_one(tmp_path))
    np.testing.assert_array_equal(array_of(image), HU[6:9])


def test_every_slice_is_rescaled_by_its_own_numbers(tmp_path):
    def rescale(dataset: Dataset, number: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int)
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, -1024 - number
        dataset.PixelData = ((stored + number) * 2).astype("<u2").tobytes()

    scans.write_series(tmp_path, HU, change=rescale)
    image, (finding,) = volumes.read_volume(tmp_path)
    assert finding.code == "varying-rescale"
    np.testing.assert_array_equal(array_of(image), HU)


def test_mr_slices_are_scaled_too(tmp_path):
    def rescale(dataset: Dataset, number: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = 2.0 + number, 0

    signal = np.abs(HU[6:9])
    scans.write_series(tmp_path, signal, change=rescale, modality="MR")
    image, _ = volumes.read_volume(tmp_path, modality="mr")
    slopes = np.array([2, 3, 4])[:, None, None]
    np.testing.assert_array_equal(array_of(image), signal * slopes)


def test_padding_becomes_air(tmp_path):
    def pad(dataset: Dataset, number: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(HU.shape[1:]).copy()
        stored[:5] = 4000
        dataset.PixelData = stored.tobytes()
        dataset.add_new(0x00280120, "US", 4000)

    scans.write_series(tmp_path, HU, change=pad)
    image, _ = volumes.read_volume(tmp_path)
    assert (array_of(image)[:, :5] == -1024).all()


@pytest.mark.parametrize("order", [list(range(16)), list(range(16))[::-1], None])
def test_an_enhanced_object_reads_frame_by_frame(tmp_path, order):
    if order is None:
        order = list(np.random.default_rng(1).permutation(16))
    scans.write_enhanced(tmp_path / "enhanced.dcm", HU, order=order)
    image, findings = volumes.read_volume(tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(array_of(image), HU)
    np.testing.assert_allclose(image.GetOrigin(), scans.ORIGIN_MM)
    assert [item.code for item in findings] == ["varying-rescale"]


def two_phases(folder: pathlib.Path, keyword: str, values: tuple) -> None:
    """Writes two phases under one SeriesInstanceUID."""
    for phase, value in enumerate(values):

        def mark(dataset: Dataset, number: int, value=value, phase=phase) -> None:
            setattr(dataset, keyword, value)
            dataset.SeriesInstanceUID = scans.uid("both")
            dataset.SOPInstanceUID = scans.uid(f"{phase} {number}")

        brighter = np.where(HU > 0, HU + 60 * phase, HU)
        scans.write_series(folder, brighter, name=f"phase{phase}", change=mark)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("TemporalPositionIdentifier", (1, 2)),
        ("AcquisitionNumber", (4, 11)),
        ("EchoTime", ("2.3", "4.6")),
        ("DiffusionBValue", (50.0, 800.0)),
        (
            "ImageType",
            (["ORIGINAL", "PRIMARY", "IN_PHASE"], ["ORIGINAL", "PRIMARY", "OUT_PHASE"]),
        ),
        ("AcquisitionTime", ("101530", "101600")),
    ],
)
def test_two_volumes_in_one_series_are_told_apart(tmp_path, keyword, values):
    two_phases(tmp_path, keyword, values)
    first, second = series.find_series(tmp_path)
    assert first.uid == second.uid
    assert first.part != second.part
    assert first.usable
    assert second.usable
    one, other = (array_of(series.read_series(info)[0]) for info in (first, second))
    np.testing.assert_array_equal(one, HU)
    np.testing.assert_array_equal(other, np.where(HU > 0, HU + 60, HU))


def test_a_folder_with_two_volumes_names_them(tmp_path):
    two_phases(tmp_path, "AcquisitionNumber", (1, 2))
    with pytest.raises(ExaminationError) as caught:
        volumes.read_volume(tmp_path)
    assert caught.value.finding.code == "several-series"
    assert "series 3 AcquisitionNumber 1 (CT, 16 slices of 48 x 60)" in str(
        caught.value
    )


def test_acquisitions_that_follow_each_other_in_space_stay_one_volume(tmp_path):
    def number_halves(dataset: Dataset, number: int) -> None:
        dataset.AcquisitionNumber = 1 + number // 8

    scans.write_series(tmp_path, HU, change=number_halves)
    image, findings = volumes.read_volume(tmp_path)
    assert image.GetSize()[2] == 16
    assert findings == ()


def test_a_slice_missing_in_one_of_two_phases_is_found_in_that_phase(tmp_path):
    two_phases(tmp_path, "AcquisitionNumber", (1, 2))
    next(tmp_path.glob("phase1_991*")).unlink()
    first, second = series.find_series(tmp_path)
    assert first.usable
    assert failed_codes(second) == ["missing-slices"]


def test_a_localizer_filed_with_a_scan_does_not_spoil_it(tmp_path):
    def join(dataset: Dataset, number: int) -> None:
        dataset.SeriesInstanceUID = scans.uid("series")
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    scans.write_series(tmp_path, HU)
    scans.write_series(tmp_path, HU[:2], name="scout", change=join)
    image, _ = volumes.read_volume(tmp_path)
    np.testing.assert_array_equal(array_of(image), HU)


def test_orientations_in_one_series_are_told_apart(tmp_path):
    def stand(dataset: Dataset, number: int) -> None:
        dataset.SeriesInstanceUID = scans.uid("series")
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [0, 5 * number, 0]

    scans.write_series(tmp_path, HU)
    scans.write_series(tmp_path, HU[:3], name="coronal", change=stand)
    found = {info.part: info.shape[0] for info in series.find_series(tmp_path)}
    assert found == {"orientation 1": 16, "orientation 2": 3} or found == {
        "orientation 1": 3,
        "orientation 2": 16,
    }


@pytest.mark.parametrize(
    ("image_type", "code"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["DERIVED", "SECONDARY", "MPR"], "reformatted"),
        (["DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP"], "projection"),
        (["DERIVED", "PRIMARY", "SUBTRACTION"], "subtraction"),
        (["DERIVED", "SECONDARY", "AXIAL"], "derived"),
    ],
)
def test_pictures_made_from_scans_are_left_out_by_name(tmp_path, image_type, code):
    def mark(dataset: Dataset, number: int) -> None:
        dataset.ImageType = image_type

    scans.write_series(tmp_path, HU, change=mark)
    (info,) = series.find_series(tmp_path)
    assert failed_codes(info) == [code]
    with pytest.raises(ExaminationError, match="left out"):
        series.read_series(info)
    _, (finding,) = series.read_series(info, allow=[code])
    assert finding.level == "warning"


def test_derived_primary_images_are_kept_with_a_warning(tmp_path):
    def mark(dataset: Dataset, number: int) -> None:
        dataset.ImageType = ["DERIVED", "PRIMARY", "DIXON", "WATER"]

    scans.write_series(tmp_path, np.abs(HU), change=mark, modality="MR")
    _, (finding,) = volumes.read_volume(tmp_path, modality="mr")
    assert finding.code == "derived"


def test_screenshots_are_left_out_by_name(tmp_path):
    def mark(dataset: Dataset, number: int) -> None:
        dataset.SOPClassUID = SecondaryCaptureImageStorage

    scans.write_series(tmp_path, HU[:1], change=mark)
    (info,) = series.find_series(tmp_path)
    assert failed_codes(info) == ["secondary-capture"]


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("SamplesPerPixel", 3, "not-scalar"),
        ("NumberOfFrames", 4, "multi-frame"),
        ("RescaleType", "MGML", "not-hounsfield"),
    ],
)
def test_what_no_volume_can_be_made_of_is_left_out(tmp_path, keyword, value, code):
    def mark(dataset: Dataset, number: int) -> None:
        setattr(dataset, keyword, value)

    scans.write_series(tmp_path, HU, change=mark)
    (info,) = series.find_series(tmp_path)
    assert failed_codes(info) == [code]


def test_other_objects_and_files_are_listed_apart(tmp_path):
    scans.write_series(tmp_path / "ct", HU)
    report = Dataset()
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID = scans.uid("report")
    scans.save(report, tmp_path / "report.dcm")
    (tmp_path / "notes.txt").write_text("hello " * 100)
    tree = series.scan(tmp_path)
    assert [kind for _, kind in tree.objects] == ["Basic Text SR Storage"]
    assert tree.other_files == 1
    assert len(tree.series) == 1


def test_the_same_file_twice_is_kept_once_with_a_warning(tmp_path):
    paths = scans.write_series(tmp_path / "a", HU)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(paths) == 16
    image, (finding,) = volumes.read_volume(tmp_path)
    assert finding.code == "duplicate-files"
    np.testing.assert_array_equal(array_of(image), HU)


def test_one_uid_with_other_pixels_is_a_duplicate_slice(tmp_path):
    scans.write_series(tmp_path / "a", HU)
    scans.write_series(tmp_path / "b", HU + 1)
    (info,) = series.find_series(tmp_path)
    assert failed_codes(info) == ["duplicate-slices"]


def test_an_mr_is_not_taken_for_a_ct(tmp_path):
    scans.write_series(tmp_path, np.abs(HU), modality="MR")
    with pytest.raises(ExaminationError, match="is MR, CT was expected") as caught:
        volumes.read_volume(tmp_path)
    assert caught.value.finding.code == "wrong-modality"


def test_texts_that_may_name_a_patient_stay_out_of_messages(tmp_path):
    scans.write_series(tmp_path, HU[[0, 1, 3, 4, 4]], name="series")
    two_phases(tmp_path, "AcquisitionNumber", (1, 2))
    tree = series.scan(tmp_path)
    texts = [item.text for info in tree.series for item in info.findings]
    texts += [info.name for info in tree.series]
    with pytest.raises(ExaminationError) as caught:
        series.find_one(tmp_path)
    texts.append(str(caught.value))
    assert not any("secret" in text.casefold() for text in texts)


def test_odd_values_of_hospitals_raise_no_warnings(tmp_path):
    def spoil(dataset: Dataset, number: int) -> None:
        del dataset.ImageType
        with pydicom.config.disable_value_validation():
            dataset.ImageType = ["original", "primary", "axial plane of the patient"]
            dataset.StudyDate = "yesterday"
            dataset.ContrastBolusAgent = "x" * 100
            dataset.InstanceNumber = number

    scans.write_series(tmp_path, HU, change=spoil)
    image, _ = volumes.read_volume(tmp_path)
    np.testing.assert_array_equal(array_of(image), HU)


@pytest.mark.parametrize("keep", [300, 1200, 5000])
def test_truncated_files_are_named(tmp_path, keep):
    path = scans.write_series(tmp_path, HU)[5]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ExaminationError, match=path.name) as caught:
        volumes.read_volume(tmp_path)
    assert caught.value.finding.code == "truncated"


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_damaged_compressed_pixels_are_named(tmp_path, compressor):
    paths = scans.write_series(tmp_path, HU[6:9])
    scans.compress(paths[1], compressor=compressor)
    dataset = pydicom.dcmread(paths[1])
    dataset.PixelData = pydicom.encaps.encapsulate([b"\x00\x01" * 400])
    dataset.save_as(paths[1])
    with pytest.raises(ExaminationError, match=paths[1].name):
        series.read_series(series.find_one(tmp_path))


def test_a_header_of_too_many_pixels_is_refused_unread(tmp_path):
    def inflate(dataset: Dataset, number: int) -> None:
        dataset.Rows = dataset.Columns = 65535

    scans.write_series(tmp_path, HU, change=inflate)
    with pytest.raises(ExaminationError, match="at most") as caught:
        volumes.read_volume(tmp_path)
    assert caught.value.finding.code == "too-large"


def test_a_directory_file_is_not_followed(tmp_path):
    scans.write_series(tmp_path / "disc" / "images", HU)
    scans.write_series(tmp_path / "elsewhere", HU, name="other")
    index = Dataset()
    index.SOPClassUID = "1.2.840.10008.1.3.10"
    index.SOPInstanceUID = scans.uid("index")
    record = Dataset()
    with pydicom.config.disable_value_validation():
        record.ReferencedFileID = ["..", "elsewhere", "other_999.dcm"]
    index.DirectoryRecordSequence = [record]
    scans.save(index, tmp_path / "disc" / "DICOMDIR")
    (info,) = series.find_series(tmp_path / "disc")
    assert all(path.is_relative_to(tmp_path / "disc") for path in info.paths)


def test_links_to_folders_are_not_followed(tmp_path):
    scans.write_series(tmp_path / "outside", HU)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    assert series.find_series(tmp_path / "inside") == []


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ExaminationError, match="folder of one DICOM series"):
        volumes.read_volume(tmp_path)


# Real scans.


@pytest.fixture(scope="module")
def crlm(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crlm")
    shutil.unpack_archive(shared / "data/crlm-ct-1004/CRLM-CT-1004_dicom.zip", folder)
    return folder


def test_the_crlm_series_reads_and_its_corners_are_clamped(crlm):
    image, findings = volumes.read_volume(crlm)
    array = array_of(image)
    assert array.shape == (41, 512, 512)
    np.testing.assert_allclose(image.GetSpacing()[2], 5.0)
    assert array.min() == -1024
    assert findings == ()


@pytest.mark.slow
def test_our_geometry_and_hu_are_those_of_itk(crlm):
    image, _ = volumes.read_volume(crlm)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(crlm)))
    other = reader.Execute()
    np.testing.assert_array_equal(
        array_of(image), np.maximum(array_of(other), np.float32(-1024))
    )
    np.testing.assert_allclose(image.GetOrigin(), other.GetOrigin(), atol=1e-6)
    np.testing.assert_allclose(image.GetSpacing(), other.GetSpacing(), rtol=1e-6)


def test_a_step_that_differs_from_the_thickness_is_taken_from_positions(shared):
    info = series.find_one(shared / "data/dcmqi-liver-seg/ct-3slice")
    np.testing.assert_allclose(info.spacing_mm, (1.0, 0.810547, 0.810547), rtol=1e-9)
    assert info.thickness_mm == 1.25


def test_the_derived_mr_slice_is_flagged(shared):
    path = shared / "data/pydicom-liver-mr"
    (info,) = series.find_series(path)
    assert failed_codes(info) == ["reformatted", "single-slice"]
    assert info.field_strength_t == pytest.approx(1.494, abs=1e-3)


@pytest.mark.slow
def test_the_same_scan_as_dicom_and_nifti_is_one_volume(shared, tmp_path):
    folder = shared / "data/ibsi/ibsi_1_ct_radiomics_phantom"
    shutil.unpack_archive(folder / "dicom.zip", tmp_path)
    dicom, _ = volumes.read_volume(next(tmp_path.rglob("*IMG*")).parent)
    nifti, _ = volumes.read_volume(folder / "nifti/image/phantom.nii.gz")
    np.testing.assert_array_equal(array_of(dicom), array_of(nifti))
    np.testing.assert_allclose(dicom.GetOrigin(), nifti.GetOrigin(), atol=1e-3)

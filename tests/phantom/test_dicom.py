from __future__ import annotations

import csv
import pathlib

import numpy as np
import pydicom
import SimpleITK as sitk

ODD, JOINED = "ANON-P0002-0", "ANON-P0003-0"


def _headers(folder: pathlib.Path) -> list[pydicom.Dataset]:
    files = sorted(folder.glob("*.dcm"))
    return [pydicom.dcmread(f, stop_before_pixels=True) for f in files]


def test_gdcm_reads_a_series_as_the_nifti_file_has_it(cohort):
    folder = str(cohort / "dicom" / ODD / "series_4")
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(folder)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder, series))
    read = reader.Execute()
    nifti = sitk.ReadImage(str(cohort / "images/p0002/venous.nii.gz"))
    assert (sitk.GetArrayFromImage(read) == sitk.GetArrayFromImage(nifti)).all()
    np.testing.assert_allclose(read.GetOrigin(), nifti.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(read.GetSpacing(), nifti.GetSpacing(), atol=1e-3)


def test_every_second_study_is_numbered_from_top_to_bottom(cohort):
    ways = {}
    for patient in (ODD, JOINED):
        headers = _headers(cohort / "dicom" / patient / "series_2")
        headers.sort(key=lambda h: h.InstanceNumber)
        z = [float(h.ImagePositionPatient[2]) for h in headers]
        ways[patient] = np.sign(np.diff(z))
    assert (ways[ODD] == -1).all()
    assert (ways[JOINED] == 1).all()


def test_file_names_do_not_tell_the_order(cohort):
    headers = _headers(cohort / "dicom" / ODD / "series_2")
    numbers = [h.InstanceNumber for h in headers]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert abs(np.corrcoef(numbers, np.arange(len(numbers)))[0, 1]) < 0.7


def test_two_phases_in_one_series_are_told_apart_by_acquisition_and_time(cohort):
    headers = _headers(cohort / "dicom" / JOINED / "series_3")
    assert len({h.SeriesInstanceUID for h in headers}) == 1
    parts = {(int(h.AcquisitionNumber), h.ContentTime) for h in headers}
    assert len(parts) == 2
    (early, late) = sorted(parts)
    assert early[1] < late[1]
    assert len({h.InstanceNumber for h in headers}) == len(headers)
    assert not (cohort / "dicom" / JOINED / "series_4").exists()


def test_phases_follow_each_other_and_contrast_is_named(cohort):
    first = {
        n: _headers(cohort / "dicom" / ODD / f"series_{n}")[0] for n in (1, 2, 3, 4)
    }
    times = [first[n].AcquisitionTime for n in (2, 3, 4)]
    assert times == sorted(times)
    assert "ContrastBolusAgent" not in first[2]
    assert all("ContrastBolusAgent" in first[n] for n in (3, 4))
    assert "LOCALIZER" in first[1].ImageType
    assert "native" in first[2].SeriesDescription


def test_no_two_slices_share_a_uid_and_patients_are_anonymous(cohort):
    headers = [
        pydicom.dcmread(path, stop_before_pixels=True)
        for path in (cohort / "dicom").rglob("*.dcm")
    ]
    assert len({h.SOPInstanceUID for h in headers}) == len(headers)
    assert {str(h.PatientName) for h in headers} == {"Anonymous^"}
    assert len({h.PatientID for h in headers}) == 5
    assert len({(h.PatientID, h.StudyInstanceUID) for h in headers}) == 5


def test_the_segmentation_holds_both_masks_at_their_places(cohort):
    seg = pydicom.dcmread(cohort / "dicom" / ODD / "series_9/masks.dcm")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Liver", "Spleen"]
    frames = seg.pixel_array
    for segment, column in ((1, "mask_venous"), (2, "spleen_mask_venous")):
        image = sitk.ReadImage(str(cohort / f"images/p0002/{column}.nii.gz"))
        mask, rebuilt = sitk.GetArrayFromImage(image), None
        rebuilt = np.zeros_like(mask)
        for frame, info in zip(
            frames, seg.PerFrameFunctionalGroupsSequence, strict=True
        ):
            place = info.PlanePositionSequence[0].ImagePositionPatient
            if info.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment:
                k = image.TransformPhysicalPointToIndex([float(p) for p in place])[2]
                rebuilt[k] = frame
        assert (rebuilt == mask).all()


def test_the_table_of_labels_joins_the_tree(cohort):
    with (cohort / "dicom_labels.csv").open(newline="") as file:
        labels = {row["patient_id"]: row for row in csv.DictReader(file)}
    with (cohort / "truth.csv").open(newline="") as file:
        subjects = {row["subject"]: row["patient_id"] for row in csv.DictReader(file)}
    with (cohort / "manifest.csv").open(newline="") as file:
        scores = {row["subject"]: row["child_pugh"] for row in csv.DictReader(file)}
    assert set(labels) == {p.name for p in (cohort / "dicom").iterdir()}
    assert subjects.pop("d0001") == ""
    for subject, patient in subjects.items():
        assert labels[patient]["child_pugh"] == scores[subject]
        header = next((cohort / "dicom" / patient).rglob("*.dcm"))
        day = pydicom.dcmread(header, stop_before_pixels=True).StudyDate
        assert labels[patient]["exam_date"].replace("-", "") == day

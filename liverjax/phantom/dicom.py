"""A synthetic examination as a hospital would send it: DICOM series of one study.

What makes real trees hard is here on purpose: file names that say nothing, slices from
top to bottom in some studies, two phases in one series in others (told apart by
AcquisitionNumber and times), a localizer, anonymous ids, padding outside the scan
circle.
"""

from __future__ import annotations

import datetime
import pathlib

import numpy as np
import pydicom
from jaxtyping import Float
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from liverjax.phantom.acquisition import PADDING_HU
from liverjax.phantom.options import ITEMS, PHASES, random_stream
from liverjax.phantom.subject import EXTERNAL_FROM, PhaseImage, Subject

LABEL_COLUMNS = (
    "patient_id",
    "exam_date",
    "child_pugh",
    *(f"{item}_points" for item in ITEMS),
    "sex",
    "age_years",
    "weight_kg",
)
INTERCEPT_HU = -1024
# Seconds from the first phase to the start of each; contrast is injected 30 s before
# the arterial phase.
PHASE_SECONDS = {"native": 0, "arterial": 90, "venous": 125}
INJECTION_SECOND = 60
_FIRST_DAY = datetime.date(2015, 1, 1)


def write_study(
    folder: pathlib.Path, subject: Subject, *, seed: int, scan: int = 0
) -> dict[str, object]:
    """Write one examination as a DICOM study; returns its row of the table of labels.

    Every third subject has the arterial and the venous phase in one series; every
    second has its slices numbered from top to bottom, and its masks as a DICOM SEG
    besides. Bytes depend on the subject alone.

    Args:
        folder: Root of the DICOM tree; a folder named by the patient's id is made in
            it.
        subject: The examination.
        seed: The cohort's seed, part of every id.
        scan: Number of the patient's scan; every scan is a patient of its own here.
    """
    index = subject.truth.index
    study = _describe_study(subject, seed=seed, scan=scan)
    home = folder / str(study.PatientID)
    joined = index % 3 == 2 and "arterial" in subject.phases
    downward = index % 2 == 1
    rng = random_stream(seed=seed, index=index, name=f"dicom/{scan}")
    _write_localizer(home / "series_1", study, subject.phases["venous"])
    venous_slices: list[Dataset] = []
    for number, phase in enumerate(PHASES, start=2):
        if phase not in subject.phases:
            continue
        shares_series = joined and phase != "native"
        series = _describe_series(
            study,
            phase=phase,
            number=3 if shares_series else number,
            acquisition=number - 1,
            joined=shares_series,
            image=subject.phases[phase],
            subject=subject,
        )
        slices = _slices(
            series,
            subject.phases[phase],
            downward=downward,
            first_number=len(subject.phases["arterial"].volume) + 1
            if shares_series and phase == "venous"
            else 1,
        )
        place = home / f"series_{series.SeriesNumber}"
        _write_shuffled(rng, place, slices, prefix=phase[0])
        if phase == "venous":
            venous_slices = slices
    if index % 2 == 1:
        # highdicom takes seconds to import: only where a SEG is written.
        from liverjax.phantom.dicom_masks import write_masks

        write_masks(home / "series_9", subject.phases["venous"], slices=venous_slices)
    return _label_row(study, subject)


def patient_id(index: int, *, scan: int = 0) -> str:
    """The anonymous id of a scan's patient in the DICOM tree.

    Args:
        index: The subject's number.
        scan: Number of the patient's scan.
    """
    letter = "E" if index >= EXTERNAL_FROM else "P"
    return f"ANON-{letter}{index % EXTERNAL_FROM + 1:04d}-{scan}"


def _describe_study(subject: Subject, *, seed: int, scan: int) -> Dataset:
    truth = subject.truth
    rng = random_stream(seed=seed, index=truth.index, name=f"dicom study/{scan}")
    day = _FIRST_DAY + datetime.timedelta(days=int(rng.integers(0, 3000)))
    name = patient_id(truth.index, scan=scan)
    study = Dataset()
    study.PatientID = name
    study.PatientName = "Anonymous^"
    study.PatientBirthDate = ""
    study.PatientSex = truth.patient.sex.upper()
    study.PatientAge = f"{truth.patient.age_years:03d}Y"
    study.PatientWeight = f"{truth.patient.weight_kg:.1f}"
    study.PatientIdentityRemoved = "YES"
    study.StudyDate = day.strftime("%Y%m%d")
    study.StudyTime = f"{int(rng.integers(8, 17)):02d}{int(rng.integers(60)):02d}00"
    study.AccessionNumber = ""
    study.ReferringPhysicianName = ""
    study.StudyID = "1"
    study.StudyInstanceUID = _uid(seed, name, "study")
    study.FrameOfReferenceUID = _uid(seed, name, "frame")
    study.StudyDescription = "CT ABDOMEN"
    study.Modality = "CT"
    study.Manufacturer = "liverjax phantom"
    study.ManufacturerModelName = truth.scan.site
    study.InstitutionName = truth.scan.site
    study.PositionReferenceIndicator = ""
    study.PatientPosition = "HFS"
    study.KVP = "120"
    study.BurnedInAnnotation = "NO"
    return study


def _describe_series(
    study: Dataset,
    *,
    phase: str,
    number: int,
    acquisition: int,
    joined: bool,
    image: PhaseImage,
    subject: Subject,
) -> Dataset:
    started = _seconds_after(study, PHASE_SECONDS[phase])
    words = {"native": "native", "arterial": "arterial", "venous": "portal venous"}
    series = Dataset()
    series.update(study)
    series.SOPClassUID = CTImageStorage
    series.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    series.SeriesNumber = number
    series.SeriesInstanceUID = _uid(study.StudyInstanceUID, f"series {number}")
    series.SeriesDescription = f"Abdomen {'dynamic' if joined else words[phase]}"
    series.SeriesDate = series.AcquisitionDate = series.ContentDate = study.StudyDate
    first = "arterial" if joined else phase
    series.SeriesTime = _seconds_after(study, PHASE_SECONDS[first])
    series.AcquisitionTime = series.ContentTime = started
    series.AcquisitionNumber = acquisition
    kernel = subject.truth.scan.kernel
    series.ConvolutionKernel = {"sharp": "B40f", "smooth": "B20f"}[kernel]
    series.SliceThickness = f"{image.grid.spacing_mm[0]:g}"
    if phase != "native":
        series.ContrastBolusAgent = "IOPROMIDE 370"
        series.ContrastBolusRoute = "IV"
        series.ContrastBolusStartTime = _seconds_after(study, INJECTION_SECOND)
    return series


def _slices(
    series: Dataset, image: PhaseImage, *, downward: bool, first_number: int
) -> list[Dataset]:
    """The slices of one phase in the order of their instance numbers."""
    grid = image.grid
    d = grid.shape[0]
    order = range(d - 1, -1, -1) if downward else range(d)
    slices = []
    for number, k in enumerate(order, start=first_number):
        one = _image_dataset(series, image.volume[k])
        one.InstanceNumber = number
        one.SOPInstanceUID = _uid(series.SeriesInstanceUID, f"slice {number}")
        place = np.asarray(grid.origin) + grid.direction[:, 2] * grid.spacing_mm[0] * k
        one.ImagePositionPatient = [f"{value:.3f}" for value in place]
        one.ImageOrientationPatient = [
            f"{value:.6g}" for value in grid.direction[:, :2].T.ravel()
        ]
        one.SliceLocation = f"{place[2]:.3f}"
        one.PixelSpacing = [f"{s:g}" for s in grid.spacing_mm[1:]]
        slices.append(one)
    return slices


def _image_dataset(series: Dataset, pixels: Float[np.ndarray, "h w"]) -> Dataset:
    one = Dataset()
    one.update(series)
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.Rows, one.Columns = pixels.shape
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit = 15
    one.PixelRepresentation = 1
    one.RescaleIntercept, one.RescaleSlope = str(INTERCEPT_HU), "1"
    one.RescaleType = "HU"
    one.WindowCenter, one.WindowWidth = "40", "400"
    one.PixelPaddingValue = int(PADDING_HU) - INTERCEPT_HU
    one.PixelData = (pixels - INTERCEPT_HU).astype("<i2").tobytes()
    one["PixelData"].VR = "OW"
    return one


def _write_localizer(folder: pathlib.Path, study: Dataset, image: PhaseImage) -> None:
    """A view from the front, as scanners make it to plan the scan."""
    series = Dataset()
    series.update(study)
    series.SOPClassUID = CTImageStorage
    series.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series.SeriesNumber = 1
    series.SeriesInstanceUID = _uid(study.StudyInstanceUID, "series 1")
    series.SeriesDescription = "Topogram"
    series.SeriesDate = series.AcquisitionDate = series.ContentDate = study.StudyDate
    series.SeriesTime = series.AcquisitionTime = series.ContentTime = study.StudyTime
    series.AcquisitionNumber = 1
    grid = image.grid
    one = _image_dataset(series, np.rint(image.volume.mean(axis=1)[::-1]))
    one.InstanceNumber = 1
    one.SOPInstanceUID = _uid(series.SeriesInstanceUID, "slice 1")
    x, y, z = grid.origin
    top = z + (grid.shape[0] - 1) * grid.spacing_mm[0]
    one.ImagePositionPatient = [f"{value:.3f}" for value in (x, y, top)]
    one.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    one.PixelSpacing = [f"{grid.spacing_mm[0]:g}", f"{grid.spacing_mm[2]:g}"]
    one.SliceThickness = f"{grid.shape[1] * grid.spacing_mm[1]:g}"
    _write(folder / "topogram.dcm", one)


def _write_shuffled(
    rng: np.random.Generator,
    folder: pathlib.Path,
    slices: list[Dataset],
    *,
    prefix: str,
) -> None:
    for name, one in zip(rng.permutation(len(slices)), slices, strict=True):
        _write(folder / f"{prefix}{name:05d}.dcm", one)


def _write(path: pathlib.Path, dataset: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128)
    pydicom.dcmwrite(path, file, enforce_file_format=True)


def _seconds_after(study: Dataset, seconds: int) -> str:
    time = datetime.datetime.strptime(study.StudyTime, "%H%M%S")
    return (time + datetime.timedelta(seconds=seconds)).strftime("%H%M%S")


def _uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def _label_row(study: Dataset, subject: Subject) -> dict[str, object]:
    truth = subject.truth
    day = datetime.datetime.strptime(study.StudyDate, "%Y%m%d").date()
    points = dict(zip(ITEMS, truth.items.tolist(), strict=True))
    return {
        "patient_id": study.PatientID,
        "exam_date": day.isoformat(),
        "child_pugh": truth.child_pugh,
        **{f"{item}_points": value for item, value in points.items()},
        "sex": truth.patient.sex,
        "age_years": truth.patient.age_years,
        "weight_kg": truth.patient.weight_kg,
    }

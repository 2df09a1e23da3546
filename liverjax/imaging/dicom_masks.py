"""Masks that lie in a DICOM tree: found by the series they refer to, proposed."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import traceback
from collections.abc import Sequence

import pydicom
import SimpleITK as sitk

from liverjax.imaging import masks, segmentation_dicom, structures
from liverjax.imaging.findings import FAILED, WARNING, ExaminationError, Finding
from liverjax.imaging.series import SeriesInfo

_REFERENCES = ("ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence")
_COLUMNS = {"liver": "mask", "spleen": "spleen_mask"}


@dataclasses.dataclass(frozen=True)
class MaskObject:
    """A SEG or RTSTRUCT file.

    Attributes:
        path: Its file.
        images: SOPInstanceUIDs of the slices it was drawn on, as far as it says.
    """

    path: pathlib.Path
    images: frozenset[str]

    def belongs_to(self, info: SeriesInfo) -> bool:
        """Returns whether it was drawn on this volume of its series."""
        own = {frame.sop_uid for frame in info.frames}
        return not self.images or bool(self.images & own)


def masks_by_series(
    objects: Sequence[tuple[pathlib.Path, str]],
) -> tuple[dict[str, tuple[MaskObject, ...]], int]:
    """Returns SEG and RTSTRUCT files by the SeriesInstanceUID they refer to.

    Args:
        objects: From `liverjax.imaging.series.scan`.

    Returns:
        The files, and the number of those that refer to no series.
    """
    found = collections.defaultdict(list)
    without = 0
    for path, _ in objects:
        dataset = pydicom.dcmread(
            path,
            stop_before_pixels=True,
            specific_tags=["SOPClassUID", *_REFERENCES],
            force=True,
        )
        kind = dataset.get("SOPClassUID")
        if kind not in (*segmentation_dicom.SOP_CLASSES, structures.SOP_CLASS):
            continue
        references = _references(dataset)
        without += not references
        for uid, images in references.items():
            found[uid].append(MaskObject(path, frozenset(images)))
    return {uid: tuple(found[uid]) for uid in sorted(found)}, without


def write_masks(
    sources: Sequence[MaskObject],
    *,
    image: sitk.Image,
    info: SeriesInfo,
    folder: pathlib.Path,
    stem: str,
) -> tuple[dict[str, str], list[Finding]]:
    """Writes the organs that objects hold of an image, and returns their files.

    Only a structure that is named or coded as the organ is taken.

    Args:
        sources: Files that refer to the series.
        image: The volume as it is written.
        info: Its headers.
        folder: Where masks go; its name begins the returned files.
        stem: Of the file's name.

    Returns:
        File by ``mask`` and ``spleen_mask``, and findings, none of which quotes a file.
    """
    written: dict[str, str] = {}
    findings = []
    for organ, column in _COLUMNS.items():
        found = []
        for source in sources:
            if not source.belongs_to(info):
                continue
            mask, noticed = _read(source.path, image=image, info=info, organ=organ)
            findings += noticed
            if mask is not None:
                found.append(mask)
        if len(found) > 1:
            text = f"{len(found)} objects hold a {organ} of one series; none is taken"
            findings.append(Finding("several-masks", text))
        elif found:
            name = f"{stem}_{organ}.nii.gz"
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".part-{name}"
            sitk.WriteImage(found[0], str(temporary), useCompression=True)
            temporary.replace(folder / name)
            written[column] = f"{folder.name}/{name}"
    return written, findings


def unforeseen(error: Exception) -> Finding:
    """Returns a finding for an error of a reader, by its kind and place alone."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    file = pathlib.Path(place.filename).name
    text = f"{type(error).__name__} while reading ({file}, line {place.lineno})"
    return Finding("unreadable", text, FAILED)


def _read(
    source: pathlib.Path, *, image: sitk.Image, info: SeriesInfo, organ: str
) -> tuple[sitk.Image | None, list[Finding]]:
    by_uid = {frame.sop_uid: frame for frame in info.frames}
    is_structures = (
        pydicom.dcmread(source, specific_tags=["SOPClassUID"], force=True).SOPClassUID
        == structures.SOP_CLASS
    )
    read = structures.read if is_structures else segmentation_dicom.read
    for segment in (organ, *segmentation_dicom.ORGAN_CODES[organ]):
        try:
            inside, noticed = read(
                source, image=image, segment=segment, organ=organ, source=by_uid
            )
        except ExaminationError as error:
            if error.finding.code == "segment":
                continue
            # Its text may quote labels of the file.
            text = f"a {organ} mask in the tree cannot be placed on its series"
            return None, [Finding(error.finding.code, text)]
        except Exception as error:  # a reader's own error may quote the file
            return None, [dataclasses.replace(unforeseen(error), level=WARNING)]
        mask = sitk.GetImageFromArray(inside.astype("uint8"))
        mask.CopyInformation(image)
        checked = masks.check_mask(
            mask, image=image, organ=organ, modality=info.modality.lower()
        )
        found = [*noticed, *checked]
        if any(finding.level == FAILED for finding in found):
            return None, found
        return mask, found
    return None, []


def _references(dataset: pydicom.Dataset) -> dict[str, set[str]]:
    """SOPInstanceUIDs that an object refers to, by SeriesInstanceUID."""
    found: dict[str, set[str]] = {}
    items = [
        (item, "ReferencedInstanceSequence")
        for item in dataset.get("ReferencedSeriesSequence") or ()
    ]
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for item in study.get("RTReferencedSeriesSequence") or ():
                items.append((item, "ContourImageSequence"))
    for item, images in items:
        uid = str(item.get("SeriesInstanceUID", ""))
        if uid:
            found.setdefault(uid, set()).update(
                str(image.get("ReferencedSOPInstanceUID", ""))
                for image in item.get(images) or ()
            )
    return {uid: uids - {""} for uid, uids in found.items()}

"""One study of a DICOM tree: its volumes read, judged, given roles, and written."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import pathlib
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pydicom
import SimpleITK as sitk

from liverjax.imaging import dicom_geometry, dicom_masks, grids, plausibility
from liverjax.imaging.dicom_patients import Study, seconds_since_first
from liverjax.imaging.enhancement import Enhancement, measure_enhancement
from liverjax.imaging.findings import FAILED, ExaminationError, Finding, settle
from liverjax.imaging.header_words import plain
from liverjax.imaging.role_rules import RoleRules
from liverjax.imaging.roles import (
    CONFIRMED,
    Assignment,
    Clues,
    Suggestion,
    assign_roles,
    suggest_roles,
    unfit,
)
from liverjax.imaging.series import SeriesInfo, read_series

_MIN_AXIAL_COSINE = 0.9
_INT16 = (-32768, 32767)
_MRI_WORDS = re.compile(r"\b(?:t[12]\w*|spir|spair|flair|dwi|vibe|haste|tse|stir)\b")


@dataclasses.dataclass(frozen=True)
class Job:
    """A study to convert; a pure value, so that any process can do it.

    Attributes:
        study: Its volumes.
        subject: Key of its patient.
        visit: Number of the visit.
        out: Folder of the import; files are named relative to it.
        rules: A site's ``roles.toml``.
        allow: Codes of failed findings that are taken.
        masks: SEG and RTSTRUCT files by the SeriesInstanceUID they refer to.
        all_volumes: Write every volume that can be read.
    """

    study: Study
    subject: str
    visit: int
    out: pathlib.Path
    rules: RoleRules
    allow: tuple[str, ...]
    masks: Mapping[str, tuple[dicom_masks.MaskObject, ...]]
    all_volumes: bool


@dataclasses.dataclass(frozen=True)
class Volume:
    """What became of one volume.

    Attributes:
        info: Its headers.
        part: Number of the volume in its series, from 1.
        seconds: Since the study's first, NaN if unknown.
        file: Relative to the import's folder; empty if it was not written.
        findings: With what was noticed in voxels.
    """

    info: SeriesInfo
    part: int
    seconds: float
    file: str
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a study.

    Attributes:
        job: What was asked.
        volumes: One a volume.
        roles: Their roles; indices are those of ``volumes``.
        masks: Written mask files by column of the manifest.
        findings: Those of the study as a whole.
    """

    job: Job
    volumes: tuple[Volume, ...]
    roles: Assignment
    masks: Mapping[str, str]
    findings: tuple[Finding, ...]


@contextlib.contextmanager
def quiet_readers() -> Iterator[None]:
    """Keeps libraries from showing a header's text on the screen or in a log."""
    logger = logging.getLogger("pydicom")
    disabled, display = logger.disabled, sitk.ProcessObject.GetGlobalWarningDisplay()
    logger.disabled = True
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled
        sitk.ProcessObject.SetGlobalWarningDisplay(display)


def convert(job: Job) -> Outcome:
    """Returns what became of a study; its volumes and masks are written.

    No error leaves it: a volume that cannot be read has a failed finding.
    """
    with quiet_readers():
        return _convert(job)


def _convert(job: Job) -> Outcome:
    infos = job.study.volumes
    seconds = seconds_since_first(infos)
    parts = _parts(infos)
    clues = [
        _clues(info, seconds=seconds[index], part=parts[index])
        for index, info in enumerate(infos)
    ]
    said = suggest_roles(clues, rules=job.rules)
    images: dict[int, sitk.Image] = {}
    findings: dict[int, tuple[Finding, ...]] = {}
    for index, info in enumerate(infos):
        if not _wanted(info, clue=clues[index], said=said[index], job=job):
            findings[index] = info.findings
            continue
        image, findings[index] = _read(info, allow=job.allow)
        if image is not None:
            images[index] = image
            found = _enhancement(image, info)
            clues[index] = dataclasses.replace(clues[index], enhancement=found)
    readable = [index for index in range(len(infos)) if index in images]
    roles = _roles(clues, readable=readable, rules=job.rules)
    odd = [*_study_findings(job.study), *_order_findings(roles, seconds=seconds)]
    names = _file_names(roles, readable=readable, job=job, parts=parts)
    for index, name in names.items():
        _write(images[index], job.out / "volumes" / name)
    masks = {}
    for role, index in roles.chosen.items():
        written, noticed = dicom_masks.write_masks(
            job.masks.get(infos[index].uid, ()),
            image=images[index],
            info=infos[index],
            folder=job.out / "masks",
            stem=f"{job.subject}_v{job.visit}_{role}",
        )
        masks |= {f"{kind}_{role}": name for kind, name in written.items()}
        odd += noticed
    volumes = tuple(
        Volume(
            info=info,
            part=parts[index],
            seconds=seconds[index],
            file=f"volumes/{names[index]}" if index in names else "",
            findings=findings[index],
        )
        for index, info in enumerate(infos)
    )
    return Outcome(job, volumes, roles, masks, tuple(odd))


def _parts(infos: Sequence[SeriesInfo]) -> list[int]:
    seen: dict[str, int] = {}
    parts = []
    for info in infos:
        seen[info.uid] = seen.get(info.uid, 0) + 1
        parts.append(seen[info.uid])
    return parts


def _clues(info: SeriesInfo, *, seconds: float, part: int) -> Clues:
    plane = info.frames[0].plane
    axial = plane is not None and bool(abs(plane.normal[2]) >= _MIN_AXIAL_COSINE)
    return Clues(
        description=info.description,
        protocol=info.protocol,
        kernel=info.kernel,
        agent=info.contrast_agent,
        number=info.number,
        part=part,
        seconds=seconds,
        slice_mm=info.spacing_mm[0],
        slices=info.shape[0],
        axial=axial,
        modality=info.modality,
    )


def _wanted(info: SeriesInfo, *, clue: Clues, said: Suggestion, job: Job) -> bool:
    """Whether a volume is worth reading: it could be a phase, or all are asked for."""
    allowed = set(job.allow) - set(dicom_geometry.FINAL)
    if any(f.level == FAILED and f.code not in allowed for f in info.findings):
        return False
    if said.confidence == CONFIRMED:
        return bool(said.role) or job.all_volumes
    return job.all_volumes or not unfit(clue)


def _read(
    info: SeriesInfo, *, allow: Collection[str]
) -> tuple[sitk.Image | None, tuple[Finding, ...]]:
    """The volume as it will be written, None if it cannot be read."""
    modality = info.modality.lower()
    try:
        found = _burned_in(info)
        image, findings = read_series(info, allow=allow)
        found += grids.check_grid(image)
        found += plausibility.check_voxels(image, modality=modality)
        findings += settle(found, allow=allow)
    except ExaminationError as error:
        kept = [f for f in info.findings if f.level != FAILED]
        return None, (*kept, error.finding)
    except Exception as error:  # a reader's own error may quote the header
        return None, (*info.findings, dicom_masks.unforeseen(error))
    if modality != "ct":
        return image, findings
    array = np.rint(sitk.GetArrayViewFromImage(image))
    low, high = _INT16
    beyond = int(np.count_nonzero((array < low) | (array > high)))
    if beyond:
        text = f"{beyond} voxels beyond {high} HU are cut to it"
        findings += (Finding("clipped-hu", text),)
    whole = sitk.GetImageFromArray(np.clip(array, low, high).astype(np.int16))
    whole.CopyInformation(image)
    return whole, findings


def _burned_in(info: SeriesInfo) -> list[Finding]:
    """Whether the headers say that text is written into the pixels."""
    header = pydicom.dcmread(
        info.paths[0],
        specific_tags=["BurnedInAnnotation"],
        stop_before_pixels=True,
        force=True,
    )
    if str(header.get("BurnedInAnnotation", "")).strip().upper() != "YES":
        return []
    text = "BurnedInAnnotation is YES: names may be written into the pixels"
    return [Finding("burned-in-text", text, FAILED)]


def _enhancement(image: sitk.Image, info: SeriesInfo) -> Enhancement | None:
    if info.modality != "CT":
        return None
    return measure_enhancement(sitk.Cast(image, sitk.sitkFloat32))


def _roles(
    clues: Sequence[Clues], *, readable: Sequence[int], rules: RoleRules
) -> Assignment:
    """Roles of all volumes; one that cannot be read has none."""
    whole = assign_roles(clues, rules=rules)
    readable_only = assign_roles([clues[i] for i in readable], rules=rules)
    suggestions = [
        dataclasses.replace(suggestion, role="", confidence="unclear")
        for suggestion in whole.suggestions
    ]
    for place, index in enumerate(readable):
        suggestions[index] = readable_only.suggestions[place]
    return Assignment(
        suggestions=tuple(suggestions),
        chosen={role: readable[i] for role, i in readable_only.chosen.items()},
        candidates={
            role: tuple(readable[i] for i in indices)
            for role, indices in readable_only.candidates.items()
        },
    )


def _study_findings(study: Study) -> list[Finding]:
    """What the headers of a study lack or say wrongly."""
    findings = []
    if study.day is None:
        text = "StudyDate is absent or no date, so exam_day stays empty"
        findings.append(Finding("no-study-date", text))
    for info in study.volumes:
        if info.modality == "CT" and _MRI_WORDS.search(plain(info.protocol)):
            text = "ProtocolName of a CT speaks of an MRI sequence and is not believed"
            findings.append(Finding("protocol-of-mri", text))
            break
    return findings


def _order_findings(roles: Assignment, *, seconds: Sequence[float]) -> list[Finding]:
    """A contradiction between the chosen phases and their times."""
    order = [role for role in ("native", "arterial", "venous") if role in roles.chosen]
    times = [seconds[roles.chosen[role]] for role in order]
    if any(math.isnan(time) for time in times) or times == sorted(times):
        return []
    text = f"by their times {', '.join(order)} do not follow each other; look at them"
    return [Finding("phase-order", text)]


def _file_names(
    roles: Assignment,
    *,
    readable: Sequence[int],
    job: Job,
    parts: Sequence[int],
) -> dict[int, str]:
    """Names of the volumes to write, by index."""
    stem = f"{job.subject}_v{job.visit}"
    names = {i: f"{stem}_{role}.nii.gz" for role, i in roles.chosen.items()}
    open_ones = {index for indices in roles.candidates.values() for index in indices}
    if job.all_volumes or not (roles.chosen or open_ones):
        open_ones |= set(readable)
    for index in sorted(open_ones - set(names)):
        names[index] = f"{stem}_series-{index + 1:02d}.nii.gz"
    return names


def _write(image: sitk.Image, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{path.name}")
    sitk.WriteImage(image, str(temporary), useCompression=True)
    temporary.replace(path)

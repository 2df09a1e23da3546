"""Do slices make a volume: order, gaps, duplicates, tilt, all from their positions."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from liverjax.imaging.dicom_headers import SPLITTERS, Frame
from liverjax.imaging.findings import FAILED, WARNING, Finding
from liverjax.imaging.grids import Plane

# Findings after which no volume can be made; they are not overridden by name.
FINAL = (
    "no-position",
    "single-slice",
    "mixed-orientation",
    "mixed-matrix",
    "mixed-spacing",
    "gantry-tilt",
    "impossible-spacing",
)

# Share of the slice spacing by which a slice may be off a regular stack: rounding of
# 0.1 mm in a header passes at 1 mm, a wrong slice does not.
POSITION_TOLERANCE = 0.1
TILT_TOLERANCE_DEG = 0.5
COSINE_TOLERANCE = 1e-3
SAME_POSITION_MM = 1e-3


def plane_of(frame: Frame) -> Plane:
    """Returns where a slice lies, of a frame that `check_slices` found complete."""
    assert frame.plane is not None  # checked first, as ``no-position``
    return frame.plane


def heights_mm(frames: Sequence[Frame]) -> Float[np.ndarray, " n"]:
    """Positions of slices along the first one's normal, in their given order."""
    across = plane_of(frames[0]).normal
    return np.array([np.dot(plane_of(f).position_mm, across) for f in frames])


def sort_slices(frames: Sequence[Frame]) -> list[Frame]:
    """Returns slices ordered by position along their normal.

    File names and instance numbers play no part, except among slices at one position.

    Args:
        frames: Slices that all have a position and one orientation.
    """
    heights = heights_mm(frames)
    order = sorted(
        range(len(frames)), key=lambda i: (heights[i], frames[i].instance or 0)
    )
    return [frames[i] for i in order]


def check_slices(frames: Sequence[Frame], *, modality: str = "CT") -> list[Finding]:
    """Returns what keeps slices from being one regular volume, in words.

    Codes: those of `FINAL`, ``several-patients``, ``mixed-frame-of-reference``,
    ``duplicate-slices``, ``missing-slices``, ``uneven-spacing``, ``no-rescale`` (CT);
    warning: ``varying-rescale``.

    Args:
        frames: Slices of one volume in any order.
        modality: ``CT`` or ``MR``.
    """
    findings = _check_headers(frames, modality=modality)
    if any(finding.code in FINAL for finding in findings):
        return findings
    return findings + _check_positions(sort_slices(frames))


def regular_spacing_mm(heights: Float[np.ndarray, " n"]) -> tuple[float, np.ndarray]:
    """Slice spacing of sorted positions and each slice's place in a regular stack.

    Args:
        heights: At least two different positions, ascending.

    Returns:
        The spacing that fits best, and an index a slice (gaps leave numbers out).
    """
    gaps = np.diff(heights)
    typical = float(np.median(gaps[gaps > SAME_POSITION_MM]))
    places = np.concatenate([[0], np.cumsum(np.rint(gaps / typical))]).astype(int)
    if places[-1] == 0:
        return typical, places
    centred = places - places.mean()
    rise = np.dot(centred, heights - heights.mean())
    return float(rise / np.dot(centred, centred)), places


def split_volumes(frames: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """Cuts the slices of one series into volumes, each with the name of its part.

    Orientations are always told apart. Within one orientation a regular stack stays
    whole; otherwise the first tag of `SPLITTERS` (then all that vary) that gives
    regular stacks over a common range is taken. Stacks that follow each other in space
    stay together, so that a gap between them is found.

    Args:
        frames: Slices of one series.
    """
    volumes = []
    groups = _by_orientation(frames)
    for number, group in enumerate(groups, start=1):
        prefix = f"orientation {number}" if len(groups) > 1 else ""
        for name, part in _split_stack(group):
            volumes.append((", ".join(filter(None, (prefix, name))), part))
    return volumes


def _split_stack(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    if any(frame.plane is None for frame in frames) or _is_regular(frames):
        return [("", frames)]
    varying = [
        index
        for index in range(len(SPLITTERS))
        if len({frame.splitters[index] for frame in frames}) > 1
    ]
    attempts = [(index,) for index in varying]
    attempts += [tuple(varying[:length]) for length in range(2, len(varying) + 1)]
    # Where no cut gives regular stacks, one without repeated positions is taken, so
    # that a slice missing in one volume is found in that volume.
    for fits in (_is_regular, _is_distinct):
        for keys in attempts:
            parts = _group(frames, keys=keys)
            if all(fits(part) for part in parts.values()) and _share_a_range(parts):
                return _named_parts(parts, keys=keys)
    return [("", frames)]


Parts = dict[tuple[str, ...], list[Frame]]


def _group(frames: list[Frame], *, keys: tuple[int, ...]) -> Parts:
    parts: Parts = collections.defaultdict(list)
    for frame in frames:
        parts[tuple(frame.splitters[index] for index in keys)].append(frame)
    return parts


def _named_parts(parts: Parts, *, keys: tuple[int, ...]) -> list[tuple[str, list]]:
    names = [SPLITTERS[index] for index in keys]
    ordered = sorted(parts.items(), key=lambda item: _natural(item[0]))
    return [
        (_part_name(names, values, number), part)
        for number, (values, part) in enumerate(ordered, start=1)
    ]


def _part_name(names: list[str], values: tuple[str, ...], count: int) -> str:
    # Times and free values say little and may say too much: the part's number does.
    shown = ("TemporalPositionIdentifier", "DiffusionBValue", "EchoTime")
    if len(names) == 1 and names[0] in (*shown, "AcquisitionNumber", "ImageType"):
        return f"{names[0]} {values[0] or 'absent'}"
    return f"part {count} by {' and '.join(names)}"


def _natural(values: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
    keys = []
    for value in values:
        try:
            keys.append((float(value), ""))
        except ValueError:
            keys.append((float("inf"), value))
    return tuple(keys)


def _is_regular(frames: list[Frame]) -> bool:
    if len(frames) < 2:
        return False
    ordered = sort_slices(frames)
    return not _check_positions(ordered)


def _is_distinct(frames: list[Frame]) -> bool:
    return len(frames) > 1 and bool(
        (np.diff(heights_mm(sort_slices(frames))) > SAME_POSITION_MM).all()
    )


def _share_a_range(parts: Parts) -> bool:
    """Whether stacks lie beside each other, not one after the other."""
    first = next(iter(parts.values()))[0]
    across = plane_of(first).normal
    ranges = []
    for part in parts.values():
        heights = [float(np.dot(plane_of(frame).position_mm, across)) for frame in part]
        ranges.append((min(heights), max(heights)))
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    shortest = min(r[1] - r[0] for r in ranges)
    return high - low >= 0.5 * shortest


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _same_orientation(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _same_orientation(one: Frame, other: Frame) -> bool:
    if one.plane is None or other.plane is None:
        return one.plane is other.plane
    apart = np.subtract(one.plane.orientation, other.plane.orientation)
    return bool(np.abs(apart).max() <= COSINE_TOLERANCE)


def _check_headers(frames: Sequence[Frame], *, modality: str) -> list[Finding]:
    findings: list[Finding] = []

    def note(code: str, text: str, level: str = FAILED) -> None:
        findings.append(Finding(code, text, level))

    lost = [frame for frame in frames if frame.plane is None]
    if lost:
        note(
            "no-position",
            f"{len(lost)} of {len(frames)} slices have no ImagePositionPatient, "
            "ImageOrientationPatient or PixelSpacing; none is invented",
        )
        return findings
    if len(frames) < 2:
        note("single-slice", "one slice is no volume; at least 2 are needed")
        return findings
    orientation = np.reshape(plane_of(frames[0]).orientation, (2, 3))
    if not np.allclose(orientation @ orientation.T, np.eye(2), atol=COSINE_TOLERANCE):
        note(
            "no-position",
            "ImageOrientationPatient is not two unit vectors at right angles",
        )
        return findings
    if not all(_same_orientation(frames[0], frame) for frame in frames):
        note("mixed-orientation", "slices of different orientation in one volume")
    sizes = sorted({frame.shape for frame in frames})
    if len(sizes) > 1:
        note("mixed-matrix", f"slices of different size (rows, columns): {sizes}")
    spacings = np.array([plane_of(frame).spacing_mm for frame in frames])
    if not np.allclose(spacings, spacings[0], rtol=1e-3, atol=0):
        note("mixed-spacing", "slices of different PixelSpacing in one volume")
    if not (spacings > 0).all():
        note("impossible-spacing", "PixelSpacing is zero or negative")
    if len({frame.patient_id for frame in frames}) > 1:
        note("several-patients", "slices of one series carry different PatientIDs")
    if len({frame.frame_of_reference for frame in frames} - {""}) > 1:
        note(
            "mixed-frame-of-reference",
            "slices refer to different frames of reference; their positions may not "
            "belong together",
        )
    rescales = {(frame.slope, frame.intercept) for frame in frames}
    if modality == "CT" and any(None in rescale for rescale in rescales):
        note(
            "no-rescale",
            "RescaleSlope or RescaleIntercept is absent: stored values are no HU",
        )
    if len(rescales) > 1:
        note(
            "varying-rescale",
            f"{len(rescales)} different rescale slopes and intercepts; each slice is "
            "rescaled by its own",
            WARNING,
        )
    return findings


def _check_positions(frames: Sequence[Frame]) -> list[Finding]:
    """Findings on sorted slices of one orientation."""
    heights = heights_mm(frames)
    gaps = np.diff(heights)
    same = int(np.count_nonzero(gaps < SAME_POSITION_MM))
    if same == len(gaps):
        text = f"all {len(frames)} slices lie at one position ({heights[0]:.2f} mm)"
        return [Finding("single-slice", text, FAILED)]
    findings = []
    if same:
        where = heights[:-1][gaps < SAME_POSITION_MM]
        findings.append(
            Finding(
                "duplicate-slices",
                f"{same} slices repeat a position, the first at {where[0]:.2f} mm; "
                "allowed by name, the lowest instance number is kept",
                FAILED,
            )
        )
    findings += _check_tilt(frames)
    kept = np.concatenate([[True], gaps >= SAME_POSITION_MM])
    heights = heights[kept]
    spacing, places = regular_spacing_mm(heights)
    off = np.abs(heights - heights.mean() - spacing * (places - places.mean()))
    steps = np.diff(places)
    if (steps < 1).any() or off.max() > POSITION_TOLERANCE * spacing:
        steps_mm = np.diff(heights)
        findings.append(
            Finding(
                "uneven-spacing",
                f"slices are {steps_mm.min():.2f} to {steps_mm.max():.2f} mm apart, "
                f"expected {spacing:.2f}; allowed by name, slices are interpolated to "
                "even distances",
                FAILED,
            )
        )
    elif (steps > 1).any():
        after = heights[:-1][steps > 1]
        findings.append(
            Finding(
                "missing-slices",
                f"{int((steps - 1).sum())} slices are missing, the first after "
                f"{after[0]:.2f} mm (spacing {spacing:.2f} mm); allowed by name, they "
                "are interpolated between their neighbours",
                FAILED,
            )
        )
    return findings


def _check_tilt(frames: Sequence[Frame]) -> list[Finding]:
    across = plane_of(frames[0]).normal
    path = np.subtract(
        plane_of(frames[-1]).position_mm, plane_of(frames[0]).position_mm
    )
    length = np.linalg.norm(path)
    sideways = np.linalg.norm(path - np.dot(path, across) * across)
    angle = float(np.degrees(np.arcsin(min(1.0, sideways / length))))
    if angle <= TILT_TOLERANCE_DEG:
        return []
    return [
        Finding(
            "gantry-tilt",
            f"the stack leans by {angle:.1f} degrees against the slices' normal; "
            "correct the tilt when converting, it is not resampled here",
            FAILED,
        )
    ]

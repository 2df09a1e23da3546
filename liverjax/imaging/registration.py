"""Rigid maps between phases, estimated by elastix; nothing is resampled here."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import pathlib
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from liverjax.imaging.findings import ExaminationError
from liverjax.imaging.geometry import (
    Matrix,
    coarsen,
    euler_matrix,
    ijk_to_lps,
    map_points,
    moved,
    resample,
    rotation_deg,
    translation_matrix,
)
from liverjax.imaging.intensity import AIR_HU, clamp_to_air
from liverjax.imaging.similarity import quantise, symmetric_information

WHOLE_IMAGE = "whole_image"
LIVER_MARGIN = "liver_margin"

# What no patient does between two phases of one examination.
_LARGEST_ROTATION_DEG = 45.0
_SMALLEST_OVERLAP = 0.25
# A map may lose this share of the agreement that the headers alone give: below it the
# search ran away, above it is the noise of the measure.
_LOST_AGREEMENT = 0.9
# Two phases of one patient share 0.3 to 0.6; noise and a scan share 0.001.
_LEAST_AGREEMENT = 0.05
_CHECK_SPACING_MM = 6.0
_LOG = "elastix.log"
# Large MaximumNumberOfSamplingAttempts overflow elastix's stack: it stays at 8.
_MORE_SAMPLES = {"NumberOfSpatialSamples": "8192"}
# elastix erodes masks by its smoothing, which leaves nothing of a liver at 3.5 mm.
_KEEP_MASK = {"ErodeMask": "false"}

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Registration:
    """A rigid map and how it came about.

    Attributes:
        matrix: From points of the fixed image to the same anatomy in the moving one,
            LPS millimetres.
        attempt: 1 if elastix's default settings and the headers' placement were enough;
            higher when more samples or aligned centres had to help.
        agreement: Mutual information of the two images over their overlap, as a share
            of their mean entropy, 0 to 1.
        agreement_before: The same by the headers alone.
    """

    matrix: Matrix
    attempt: int
    agreement: float
    agreement_before: float


def register(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    seed: int,
    spacing_mm: float | None = 1.5,
    fixed_mask: sitk.Image | None = None,
    start: Matrix | None = None,
) -> Registration:
    """Returns elastix's default rigid map from a fixed to a moving CT.

    When it cannot be estimated, or is no better than what it started from, it is tried
    again with more samples, then from aligned centres; identity is never handed back in
    silence.

    Args:
        fixed: The image whose grid will be kept (study 000: portal venous phase).
        moving: Another phase.
        seed: Of elastix's random samples, set on every call.
        spacing_mm: Estimate on block means of about this voxel size, to save time
            (measured: the same accuracy as at 0.73 mm, six times as fast); None uses
            every voxel.
        fixed_mask: Non-zero voxels are the only ones that count; on any grid.
        start: Rigid map to begin with; None begins with the headers' placement.

    Raises:
        ExaminationError: ``registration-failed`` if no attempt gave a map.
    """
    fixed = coarsen(clamp_to_air(fixed), spacing_mm=spacing_mm)
    moving = coarsen(clamp_to_air(moving), spacing_mm=spacing_mm)
    if fixed_mask is not None:
        fixed_mask = _mask_on(fixed, fixed_mask)
    header = np.eye(4) if start is None else start
    attempts: list[tuple[Matrix, Mapping[str, str]]] = [
        (header, {}),
        (header, _MORE_SAMPLES),
    ]
    if start is None:
        attempts.append((_aligned_centres(fixed, moving), _MORE_SAMPLES))
    agreement = _Agreement(fixed, moving, mask=fixed_mask)
    before = agreement(header)
    reasons = []
    for number, (placement, settings) in enumerate(attempts, start=1):
        try:
            matrix = estimate_rigid(
                fixed,
                moved(moving, placement),
                seed=seed,
                fixed_mask=fixed_mask,
                settings=settings,
            )
        except RuntimeError as error:
            reasons.append(str(error))
            continue
        matrix = placement @ matrix
        after = agreement(matrix)
        problem = _implausible(matrix, after=after, before=before)
        if not problem:
            return Registration(matrix, number, after, before)
        reasons.append(problem)
        _log.debug("registration attempt %d: %s", number, problem)
    why = "; ".join(dict.fromkeys(reasons))
    raise ExaminationError(
        "registration-failed",
        f"no rigid map was found in {len(attempts)} attempts ({why}); "
        "expected two phases of one examination that show the same part of the body; "
        "look at both images, or set prepare.registration=none to trust the headers",
    )


def estimate_rigid(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    seed: int,
    fixed_mask: sitk.Image | None = None,
    settings: Mapping[str, str] | None = None,
) -> Matrix:
    """Returns what one run of elastix with its default rigid parameter map finds.

    Args:
        fixed: Float image, used as it is.
        moving: Float image, used as it is.
        seed: Of the random samples.
        fixed_mask: On the fixed image's grid; None uses all of it.
        settings: Replaces values of the default parameter map.

    Raises:
        RuntimeError: If elastix gives up, with its own words, or an image is constant.
    """
    for name, image in (("fixed", fixed), ("moving", moving)):
        if np.ptp(sitk.GetArrayViewFromImage(image)) == 0:
            # elastix would end the process with a segmentation fault.
            raise RuntimeError(f"the {name} image is constant")
    itk = _load_itk()
    parameters = itk.ParameterObject.New()
    settings = {**({} if fixed_mask is None else _KEEP_MASK), **(settings or {})}
    chosen = {
        **parameters.GetDefaultParameterMap("rigid"),
        "WriteResultImage": ("false",),
        "RandomSeed": (str(seed),),
        **{name: (value,) for name, value in settings.items()},
    }
    parameters.AddParameterMap(chosen)
    kind = itk.Image[itk.F, 3]
    method = itk.ElastixRegistrationMethod[kind, kind].New()
    method.SetFixedImage(_to_itk(fixed, np.float32))
    method.SetMovingImage(_to_itk(moving, np.float32))
    if fixed_mask is not None:
        method.SetFixedMask(_to_itk(fixed_mask, np.uint8))
    method.SetParameterObject(parameters)
    method.SetNumberOfThreads(1)
    method.SetLogToConsole(False)
    with tempfile.TemporaryDirectory() as folder:
        method.SetOutputDirectory(folder)
        method.SetLogFileName(_LOG)
        method.SetLogToFile(True)
        try:
            method.UpdateLargestPossibleRegion()
        except RuntimeError:
            raise RuntimeError(_reason(pathlib.Path(folder) / _LOG)) from None
    return matrix_from_map(method.GetTransformParameterObject().GetParameterMap(0))


def matrix_from_map(parameters: Mapping[str, Sequence[str]]) -> Matrix:
    """Returns the matrix of an elastix transform parameter map.

    Args:
        parameters: Of an ``EulerTransform`` in three dimensions without an initial one.

    Returns:
        From points of the fixed image to points of the moving one, LPS millimetres.

    Raises:
        ValueError: If the transform is another, or its numbers are not finite.
    """
    name = parameters["Transform"][0]
    first = parameters.get("InitialTransformParameterFileName", ["NoInitialTransform"])
    if name != "EulerTransform" or first[0] != "NoInitialTransform":
        raise ValueError(f"transform {name} after {first[0]}: expected EulerTransform")
    numbers = [float(value) for value in parameters["TransformParameters"]]
    centre = [float(value) for value in parameters["CenterOfRotationPoint"]]
    if len(numbers) != 6 or not np.isfinite(numbers + centre).all():
        raise ValueError(f"parameters {numbers}: expected six finite numbers")
    return euler_matrix(
        numbers[:3],
        translation_mm=numbers[3:],
        centre_mm=centre,
        zyx=parameters.get("ComputeZYX", ["false"])[0] == "true",
    )


def liver_margin(liver: sitk.Image, *, margin_mm: float) -> sitk.Image:
    """Returns a mask of the liver and everything within a margin of it.

    Args:
        liver: Non-zero inside; its grid is kept, thinned to about 1.5 mm.
        margin_mm: Distance from the liver that still counts.
    """
    inside = coarsen(liver, spacing_mm=1.5) >= 0.5
    distance = sitk.SignedMaurerDistanceMap(
        inside, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return distance <= margin_mm


class _Agreement:
    """Normalised mutual information of two images under a map, on a coarse grid."""

    def __init__(
        self, fixed: sitk.Image, moving: sitk.Image, *, mask: sitk.Image | None
    ) -> None:
        coarse = coarsen(fixed, spacing_mm=_CHECK_SPACING_MM)
        self._moving = coarsen(moving, spacing_mm=_CHECK_SPACING_MM)
        self._grid = ijk_to_lps(coarse)
        self._fixed = quantise(sitk.GetArrayFromImage(coarse))
        self._counts = np.ones(self._fixed.shape, bool)
        if mask is not None:
            self._counts = sitk.GetArrayFromImage(_mask_on(coarse, mask)) > 0

    def __call__(self, matrix: Matrix) -> float:
        """Agreement, 0 where less than a quarter of the fixed image is covered."""
        values = resample(
            self._moving,
            grid=self._grid,
            shape=self._fixed.shape,
            matrix=matrix,
            outside=2 * AIR_HU,
        )
        inside = self._counts & (values >= AIR_HU)
        if inside.sum() < _SMALLEST_OVERLAP * max(self._counts.sum(), 1):
            return 0.0
        return symmetric_information(self._fixed[inside], quantise(values[inside]))


def _implausible(matrix: Matrix, *, after: float, before: float) -> str:
    if not after:
        return f"the map leaves less than {_SMALLEST_OVERLAP:.0%} in common"
    if rotation_deg(matrix) > _LARGEST_ROTATION_DEG:
        return f"the map turns the body by {rotation_deg(matrix):.0f} degrees"
    if after < _LEAST_AGREEMENT:
        return f"the images have nothing in common (agreement {after:.3f})"
    if after < _LOST_AGREEMENT * before:
        return (
            f"the images agree less with it ({after:.3f}) than without ({before:.3f})"
        )
    return ""


def _aligned_centres(fixed: sitk.Image, moving: sitk.Image) -> Matrix:
    centres = [
        map_points(ijk_to_lps(image), (np.array([image.GetSize()]) - 1) / 2)[0]
        for image in (fixed, moving)
    ]
    return translation_matrix(centres[1] - centres[0])


def _mask_on(image: sitk.Image, mask: sitk.Image) -> sitk.Image:
    values = resample(
        sitk.Cast(mask != 0, sitk.sitkUInt8),
        grid=ijk_to_lps(image),
        shape=image.GetSize()[::-1],
        nearest=True,
        outside=0.0,
    )
    placed = sitk.GetImageFromArray(values)
    placed.CopyInformation(image)
    return placed


def _load_itk() -> Any:
    """The itk module; loading takes seconds, so only who registers pays for it."""
    # Its wrappers warn while they load (SWIG under Python 3.12 and before); where
    # warnings are errors, that kills the process. They load when first named.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        itk: Any = importlib.import_module("itk")
        kind = itk.Image[itk.F, 3]
        _ = (itk.ParameterObject, itk.ElastixRegistrationMethod[kind, kind])
        _ = (itk.image_from_array, itk.PyBuffer, itk.matrix_from_array)
        # What elastix finds depends on the number of threads.
        itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
    return itk


def _to_itk(image: sitk.Image, dtype: type) -> Any:
    itk = _load_itk()
    copy = itk.image_from_array(sitk.GetArrayFromImage(image).astype(dtype))
    copy.SetSpacing(image.GetSpacing())
    copy.SetOrigin(image.GetOrigin())
    direction = np.array(image.GetDirection()).reshape(3, 3)
    copy.SetDirection(itk.matrix_from_array(direction))
    return copy


def _reason(log: pathlib.Path) -> str:
    """What elastix wrote about its end; the exception itself only names the log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    found = re.findall(r"Description: (?:ITK ERROR: )?(.+)", text)
    return re.sub(r"\(0x[0-9a-f]+\)", "", found[-1]) if found else "elastix gave up"

"""One phase against the reference: its map, and what it is worth at the liver."""

from __future__ import annotations

import dataclasses

import numpy as np
import SimpleITK as sitk

from liverjax.imaging.findings import Finding
from liverjax.imaging.geometry import Matrix, coarsen, index_points
from liverjax.imaging.intensity import clamp_to_air
from liverjax.imaging.quality import LiverAgreement, Motion, liver_agreement, motion_of
from liverjax.imaging.registration import liver_margin, register


@dataclasses.dataclass(frozen=True)
class Alignment:
    """How a phase lies against the reference.

    Attributes:
        matrix: From points of the reference to points of the phase, LPS millimetres.
        attempts: How many attempts the registration took; 0 if there was none.
        motion: Size of the map at the liver's centre.
        liver: What the map is worth there.
    """

    matrix: Matrix
    attempts: int
    motion: Motion
    liver: LiverAgreement

    def measures(self) -> dict[str, float]:
        """Returns the numbers for ``qc/status.csv``, by name."""
        return {
            "rotation_deg": self.motion.rotation_deg,
            "translation_mm": self.motion.translation_mm,
            "liver_residual_mm": self.liver.residual_mm,
            "liver_information": self.liver.information,
            "liver_information_best": self.liver.best_information,
            "liver_edges": self.liver.edges,
            "attempts": self.attempts,
        }

    def findings(self, *, channel: str) -> tuple[Finding, ...]:
        """Returns what is wrong at the liver, see `LiverAgreement.findings`."""
        return self.liver.findings(channel=channel)


def align(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    liver: sitk.Image,
    method: str,
    region: str,
    margin_mm: float,
    seed: int,
    spacing_mm: float | None,
) -> Alignment:
    """Returns the map of one phase and its agreement at the liver.

    For ``liver_margin`` the body is mapped first; then the liver is looked for around
    the place where that map puts it; from there elastix estimates on the liver and its
    margin alone. Started from the headers, that last step loses a liver that has moved
    by 10 mm or more.

    Args:
        fixed: The reference, HU.
        moving: The phase, HU.
        liver: The reference's liver mask.
        method: ``rigid``, or ``none`` to trust the headers.
        region: ``whole_image`` or ``liver_margin``.
        margin_mm: Around the liver.
        seed: Of elastix's samples.
        spacing_mm: Voxel size to estimate on; None takes every voxel.

    Raises:
        ExaminationError: ``registration-failed``.
    """
    fixed = coarsen(clamp_to_air(fixed), spacing_mm=spacing_mm)
    moving = coarsen(clamp_to_air(moving), spacing_mm=spacing_mm)
    matrix, attempts = np.eye(4), 0
    if method == "rigid":
        found = register(fixed, moving, seed=seed, spacing_mm=spacing_mm)
        matrix, attempts = found.matrix, found.attempt
    agreement = liver_agreement(fixed, moving, matrix, liver=liver)
    if method == "rigid" and region == "liver_margin":
        found = register(
            fixed,
            moving,
            seed=seed,
            spacing_mm=spacing_mm,
            fixed_mask=liver_margin(liver, margin_mm=margin_mm),
            start=matrix @ agreement.correction,
        )
        matrix, attempts = found.matrix, max(attempts, found.attempt)
        agreement = liver_agreement(fixed, moving, matrix, liver=liver)
    voxels = np.argwhere(sitk.GetArrayViewFromImage(liver))
    centre = index_points(liver, voxels.mean(0)[None])[0]
    return Alignment(matrix, attempts, motion_of(matrix, at_mm=centre), agreement)

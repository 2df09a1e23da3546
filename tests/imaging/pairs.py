"""Small phantom pairs with known motion, for tests of registration and its measures."""

from __future__ import annotations

import functools

import numpy as np
import SimpleITK as sitk

from benchmarks.registration import to_image
from liverjax.imaging.geometry import Matrix, index_points, map_points
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.options import PhantomOptions
from liverjax.phantom.subject import make_subject

BODY = rigid_matrix(rotation_deg=(3.0, -2.0, 5.0), translation_mm=(6.0, -4.0, 7.0))


@functools.cache
def pair(
    *, breathing_mm: float = 0.0, phase: str = "native", subject: int = 1
) -> tuple[sitk.Image, sitk.Image, sitk.Image, PhaseMotion]:
    """Returns the venous phase, another, the liver, and the motion between them."""
    motion = PhaseMotion(matrix=BODY, liver_shift_mm=(0.0, 0.0, breathing_mm))
    made = make_subject(
        PhantomOptions(cut_share=0.0), seed=0, index=subject, motion={phase: motion}
    )
    fixed = made.phases["venous"]
    liver = sitk.GetImageFromArray(fixed.liver.astype(np.uint8))
    liver.CopyInformation(to_image(fixed))
    return to_image(fixed), to_image(made.phases[phase]), liver, motion


def error_mm(matrix: Matrix, *, liver: sitk.Image, motion: PhaseMotion) -> float:
    """Returns a map's mean error over the liver."""
    points = index_points(liver, np.argwhere(sitk.GetArrayViewFromImage(liver)))
    truth = motion.move_liver(points.astype(np.float32))
    return float(np.linalg.norm(map_points(matrix, points) - truth, axis=1).mean())

"""How the body and the breathing liver move between phases, and moving a real scan so.

One convention everywhere: maps go from a point of the *fixed* (venous) image to the
place of the same tissue in the *moving* image, in LPS millimetres. Breathing comes
first, in the fixed frame; then the whole body moves rigidly.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.spatial import transform

from liverjax.phantom.options import FIXED_PHASE, PHASES, PhantomOptions, random_stream
from liverjax.phantom.shapes import Axes

BEND_WAVE_MM = 160.0


@dataclasses.dataclass(frozen=True)
class PhaseMotion:
    """Motion of one phase against the venous one.

    Attributes:
        matrix: Body motion, 4x4, fixed to moving LPS.
        liver_shift_mm: Breathing: shift of the liver (and, less, of its neighbours)
            against spine and ribs, x, y, z in the fixed frame.
        bend_mm: Largest slight bending of the liver along each axis.
        bend_phase: Phases of the bending's waves, radians.
    """

    matrix: Float[np.ndarray, "4 4"] = dataclasses.field(
        default_factory=lambda: np.eye(4)
    )
    liver_shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bend_mm: float = 0.0
    bend_phase: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def move_liver(
        self, points_mm: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """Places in the moving image of points of the liver in the fixed image.

        Args:
            points_mm: Points x, y, z in LPS.
        """
        bend = np.stack(self.bend(list(points_mm.T)), axis=-1)
        return self.move_body(points_mm + self.liver_shift_mm + bend)

    def move_body(
        self, points_mm: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """Places in the moving image of points of spine and body wall.

        Args:
            points_mm: Points x, y, z in LPS.
        """
        return points_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def bend(self, axes: Axes) -> Axes:
        """Bending at points: along each axis a wave over another axis.

        Args:
            axes: The points' x, y and z.
        """
        wave = np.float32(2 * np.pi / BEND_WAVE_MM)
        amount = np.float32(self.bend_mm)
        return [
            amount * np.sin(wave * axes[other] + np.float32(phase))
            for other, phase in zip((2, 0, 1), self.bend_phase, strict=True)
        ]

    def unmove_liver(self, axes: Axes) -> Axes:
        """Fixed places of liver points whose breathing (not body) motion is undone.

        Args:
            axes: x, y and z of points, body motion already undone.
        """
        at = [a - np.float32(s) for a, s in zip(axes, self.liver_shift_mm, strict=True)]
        if self.bend_mm == 0:
            return at
        still = at
        for _ in range(3):
            still = [a - b for a, b in zip(at, self.bend(still), strict=True)]
        return still


def rigid_matrix(
    *,
    rotation_deg: tuple[float, float, float],
    translation_mm: tuple[float, float, float],
    center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Float[np.ndarray, "4 4"]:
    """A rotation about a centre (about x, then y, then z), followed by a translation.

    Args:
        rotation_deg: Angles about x, y, z.
        translation_mm: Translation along x, y, z.
        center_mm: Fixed point of the rotation.
    """
    rotation = transform.Rotation.from_euler("xyz", rotation_deg, degrees=True)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    center = np.asarray(center_mm, dtype=float)
    matrix[:3, 3] = center - matrix[:3, :3] @ center + translation_mm
    return matrix


def draw_motion(
    options: PhantomOptions, *, seed: int, index: int, scan: int = 0
) -> dict[str, PhaseMotion]:
    """Motion of every phase; the venous one stands still.

    The whole rotation's angle is uniform up to `max_rotation_deg` about a random axis,
    the translation uniform in length and direction up to `max_translation_mm`.

    Args:
        options: Knobs; the four `max_` fields are used.
        seed: The cohort's seed.
        index: The subject's number.
        scan: Number of the patient's scan.
    """
    rng = random_stream(seed=seed, index=index, name=f"motion/{scan}")
    motions = {}
    for phase in PHASES:
        axis, way = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
        angle = rng.uniform(0, options.max_rotation_deg)
        length = rng.uniform(0, options.max_translation_mm)
        breath = rng.uniform(-options.max_breathing_mm, options.max_breathing_mm)
        bend = rng.uniform(0, options.max_deformation_mm)
        phases = rng.uniform(0, 2 * np.pi, size=3)
        if phase == FIXED_PHASE:
            motions[phase] = PhaseMotion()
            continue
        matrix = np.eye(4)
        rotation = transform.Rotation.from_rotvec(np.deg2rad(angle) * axis)
        matrix[:3, :3] = rotation.as_matrix()
        matrix[:3, 3] = length * way
        motions[phase] = PhaseMotion(
            matrix=matrix,
            # A descending liver also slides forward a little.
            liver_shift_mm=(0.0, float(0.15 * breath), float(breath)),
            bend_mm=float(bend),
            bend_phase=(float(phases[0]), float(phases[1]), float(phases[2])),
        )
    return motions

"""One body ready to be imaged: patient, sizes of the signs, and their random fields."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from liverjax.phantom.grid import Box, Points
from liverjax.phantom.motion import PhaseMotion
from liverjax.phantom.options import SIGNS, PhantomOptions
from liverjax.phantom.patient import Patient
from liverjax.phantom.severity import Severity
from liverjax.phantom.shapes import Axes, Vector, random_lattice

# A sign of strength 1 at effect 1, in the unit of the picture.
NODULE_MM = 4.0
RIGHT_LOBE_LOSS = 0.17
LEFT_LOBE_GAIN = 0.22
CAUDATE_GAIN = 0.75
SPLEEN_GAIN = 0.55
FLUID_MM = 22.0


@dataclasses.dataclass(frozen=True)
class Signs:
    """What severity does to the picture; every field is 0 in a liver without signs.

    `nodule_mm` is the root mean square of the surface's waves, the lobes' and the
    spleen's fields are relative changes of length, `portal_loss` is the share of
    `contrast.PORTAL_LOSS` that is reached, `fluid_mm` the thickness of the ascites.
    """

    nodule_mm: float
    right_lobe_loss: float
    left_lobe_gain: float
    caudate_gain: float
    spleen_gain: float
    portal_loss: float
    fluid_mm: float


@dataclasses.dataclass(frozen=True)
class Body:
    """A patient with signs, and the random fields that are theirs alone."""

    patient: Patient
    signs: Signs
    texture: Float[np.ndarray, "n n n"]
    nodules: Float[np.ndarray, "n n n"]


def make_signs(severity: Severity, *, options: PhantomOptions) -> Signs:
    """Sizes of the signs of one examination.

    Args:
        severity: Truth of one examination (n = 1).
        options: Knobs; `effect` multiplies every sign.
    """
    strength = dict(zip(SIGNS, options.effect * severity.strengths[0], strict=True))
    return Signs(
        nodule_mm=float(NODULE_MM * strength["nodularity"]),
        right_lobe_loss=float(RIGHT_LOBE_LOSS * strength["lobes"]),
        left_lobe_gain=float(LEFT_LOBE_GAIN * strength["lobes"]),
        caudate_gain=float(CAUDATE_GAIN * strength["lobes"]),
        spleen_gain=float(SPLEEN_GAIN * strength["spleen"]),
        portal_loss=float(min(strength["portal"], 1.3)),
        fluid_mm=float(FLUID_MM * strength["ascites"]),
    )


def make_body(patient: Patient, *, signs: Signs) -> Body:
    """The body of a patient with these signs.

    Args:
        patient: The patient; `lattice_seed` makes the random fields.
        signs: Sizes of the signs.
    """
    rng = np.random.Generator(np.random.Philox(patient.lattice_seed))
    # Long along the body, so that neighbouring slices of a patient look alike.
    texture = random_lattice(rng, smoothing_knots=(1.6, 0.7, 0.7))
    waves = np.abs(random_lattice(rng, smoothing_knots=(1.3, 1.3, 1.3)))
    return Body(
        patient=patient,
        signs=signs,
        texture=texture,
        nodules=((waves - waves.mean()) / waves.std()).astype(np.float32),
    )


@dataclasses.dataclass(frozen=True)
class Scene:
    """One phase of a body: where its voxels lie, its HU, and how it has breathed.

    `points` lie in the body's frame (body motion undone), `table_points` in the
    scanner's; `edge_mm` is the width over which neighbours mix in a voxel.
    """

    body: Body
    hu: dict[str, float]
    motion: PhaseMotion
    phase: str
    points: Points
    table_points: Points
    edge_mm: float

    def shifted(self, center: Vector, *, share: float = 1.0) -> Vector:
        """A centre moved by a share of the breathing shift.

        Args:
            center: Place in the fixed frame, x, y, z.
            share: 1 for the liver's neighbours, less for what hangs on the spine.
        """
        x, y, z = (
            c + share * s
            for c, s in zip(center, self.motion.liver_shift_mm, strict=True)
        )
        return x, y, z

    def liver_axes(self, box: Box) -> Axes:
        """Fixed places of a box's points, breathing undone.

        Args:
            box: Slices of the block.
        """
        return self.motion.unmove_liver(self.points.axes(box))


@dataclasses.dataclass
class Canvas:
    """The picture while it is painted: HU, and the shares of liver and spleen."""

    hu: Float[np.ndarray, "d h w"]
    liver: Float[np.ndarray, "d h w"]
    spleen: Float[np.ndarray, "d h w"]
    edge_mm: float

    def paint(
        self,
        box: Box,
        distance: Float[np.ndarray, "d h w"],
        value: float | Float[np.ndarray, "d h w"],
        *,
        organ: str = "",
    ) -> None:
        """Lay a tissue over what is there, mixing HU in the voxels of its border.

        Args:
            box: Where to paint.
            distance: Distance to the tissue, negative inside.
            value: HU of the tissue.
            organ: `liver` or `spleen` if the tissue is part of that mask.
        """
        share = np.clip(np.float32(0.5) - distance / np.float32(self.edge_mm), 0, 1)
        self.hu[box] += share * (np.asarray(value, np.float32) - self.hu[box])
        for name, mask in (("liver", self.liver), ("spleen", self.spleen)):
            if name == organ:
                np.maximum(mask[box], share, out=mask[box])
            else:
                mask[box] *= 1 - share

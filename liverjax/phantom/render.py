"""From a scene to Hounsfield units and masks, a slab of slices at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from liverjax.phantom.body import Body, Canvas, Scene
from liverjax.phantom.contrast import tissue_hu
from liverjax.phantom.grid import Grid, Points
from liverjax.phantom.liver import (
    dome_heights,
    liver_box,
    liver_distance,
    paint_fluid,
    paint_liver,
)
from liverjax.phantom.motion import PhaseMotion
from liverjax.phantom.organs import (
    paint_bowel,
    paint_kidneys,
    paint_spleen,
    paint_stomach,
)
from liverjax.phantom.trunk import (
    cavity_distance,
    paint_arms,
    paint_great_vessels,
    paint_lungs,
    paint_ribs,
    paint_spine,
    paint_table,
    paint_wall,
)

# Voxels painted at a time: about 200 MB of temporaries.
SLAB_VOXELS = 4_000_000


@dataclasses.dataclass(frozen=True)
class Picture:
    """One phase as the scanner would see it without noise."""

    hu: Float[np.ndarray, "d h w"]
    liver: Bool[np.ndarray, "d h w"]
    spleen: Bool[np.ndarray, "d h w"]


def render(body: Body, *, phase: str, grid: Grid, motion: PhaseMotion) -> Picture:
    """The picture of a body in one phase, on a grid, after a motion.

    Args:
        body: Whom to image.
        phase: `native`, `arterial` or `venous`.
        grid: Voxels in patient space.
        motion: Where body and liver have gone against the venous phase.
    """
    d, h, w = grid.shape
    step = max(1, SLAB_VOXELS // (h * w))
    hu = np.empty(grid.shape, np.float32)
    masks = np.zeros((2, *grid.shape), bool)
    tissues = tissue_hu(phase, patient=body.patient, portal_loss=body.signs.portal_loss)
    still = np.linalg.inv(motion.matrix) @ grid.ijk_to_lps
    for first in range(0, d, step):
        last = min(first + step, d)
        shape, start = (last - first, h, w), (first, 0, 0)
        scene = Scene(
            body=body,
            hu=tissues,
            motion=motion,
            phase=phase,
            points=Points(matrix=still, shape=shape, start=start),
            table_points=Points(matrix=grid.ijk_to_lps, shape=shape, start=start),
            edge_mm=float(np.mean(grid.spacing_mm)),
        )
        canvas = _paint(scene)
        hu[first:last] = canvas.hu
        masks[0, first:last] = canvas.liver > 0.5
        masks[1, first:last] = canvas.spleen > 0.5
    return Picture(hu=hu, liver=masks[0], spleen=masks[1])


def _paint(scene: Scene) -> Canvas:
    """All tissues of a slab, from the back to the front."""
    shape = scene.points.shape
    canvas = Canvas(
        hu=np.full(shape, np.float32(scene.hu["air"])),
        liver=np.zeros(shape, np.float32),
        spleen=np.zeros(shape, np.float32),
        edge_mm=scene.edge_mm,
    )
    patient = scene.body.patient
    axes = scene.points.axes()
    paint_table(canvas, scene)
    paint_arms(canvas, scene)
    cavity = cavity_distance(axes, patient=patient)
    paint_wall(canvas, scene, axes=axes, cavity=cavity)
    domes = dome_heights(patient)
    paint_lungs(canvas, scene, axes=axes, cavity=cavity, dome_mm=domes)
    paint_ribs(canvas, scene, axes=axes, cavity=cavity)
    box = liver_box(scene)
    if box is not None:
        still = scene.liver_axes(box)
        liver = liver_distance(still, scene=scene)
        paint_fluid(canvas, scene, axes=axes, cavity=cavity, box=box, liver=liver)
    paint_spine(canvas, scene)
    paint_bowel(canvas, scene)
    paint_stomach(canvas, scene)
    paint_kidneys(canvas, scene)
    paint_spleen(canvas, scene)
    paint_great_vessels(canvas, scene)
    if box is not None:
        paint_liver(canvas, scene, box=box, axes=still, liver=liver)
    return canvas

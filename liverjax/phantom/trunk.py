"""The trunk around the organs: wall, ribs, spine, great vessels, lungs, arms, table."""

from __future__ import annotations

import numpy as np

from liverjax.phantom.body import Canvas, Scene
from liverjax.phantom.grid import Box
from liverjax.phantom.patient import Patient
from liverjax.phantom.shapes import (
    Axes,
    Field,
    ellipsoid,
    smooth_max,
    smooth_min,
    superellipse,
    tube,
)

SPINE_Y_MM = 56.0
RIB_SPACING_MM = 25.0
VERTEBRA_MM = 33.0
COLUMN_MM = 500.0


def paint_wall(canvas: Canvas, scene: Scene, *, axes: Axes, cavity: Field) -> None:
    """Paint fat, muscle, and the fat that fills the cavity between the organs.

    Args:
        canvas: The picture.
        scene: What to paint.
        axes: All points of the canvas.
        cavity: Their distance to the cavity.
    """
    patient, hu = scene.body.patient, scene.hu
    everywhere = _all(canvas)
    x, y, z = axes
    swell = 1 + np.float32(0.02) * np.sin(z / np.float32(70.0))
    skin = superellipse(
        x,
        y,
        half_widths=(patient.half_width_mm * swell, patient.half_depth_mm * swell),
        power=patient.squareness,
    )
    canvas.paint(everywhere, skin, hu["fat"])
    canvas.paint(everywhere, np.abs(skin + 1.0) - 1.0, 20.0)
    # Fat is thicker over flanks and lower belly than over breastbone and back.
    fat = patient.fat_mm * (
        1 + np.float32(0.25) * np.abs(x) / patient.half_width_mm - 0.0012 * z
    )
    canvas.paint(everywhere, skin + fat, hu["muscle"])
    canvas.paint(everywhere, cavity, hu["visceral_fat"])


def cavity_distance(axes: Axes, *, patient: Patient) -> Field:
    """Distance to the cavity inside ribs and belly muscles.

    Args:
        axes: Points in the body's frame.
        patient: Whose body.
    """
    x, y, z = axes
    inset = patient.fat_mm * 1.12 + patient.muscle_mm
    # The chest narrows towards the lungs.
    taper = 1 - np.float32(0.0009) * np.maximum(z, 0)
    return superellipse(
        x,
        y + np.float32(3.0),
        half_widths=(
            (patient.half_width_mm - inset) * taper,
            (patient.half_depth_mm - 0.92 * inset) * taper,
        ),
        power=2.25,
    )


def diaphragm_distance(
    axes: Axes, *, scene: Scene, dome_mm: tuple[float, float]
) -> Field:
    """Distance to the space under the two domes of the diaphragm.

    Args:
        axes: Points, breathing undone.
        scene: Whose diaphragm.
        dome_mm: Heights (z) of the right and the left dome.
    """
    width, depth = scene.body.patient.half_width_mm, scene.body.patient.half_depth_mm
    x, y, z = axes
    up = np.maximum(z + np.float32(35.0), 0)
    domes = [
        ellipsoid(
            [x, y, up],
            center=(side * 0.40 * width, -2.0, 0.0),
            radii=(0.50 * width, 0.92 * depth, top + 35.0),
        )
        for side, top in zip((-1, 1), dome_mm, strict=True)
    ]
    return smooth_min(domes[0], domes[1], width=25.0)


def paint_lungs(
    canvas: Canvas,
    scene: Scene,
    *,
    axes: Axes,
    cavity: Field,
    dome_mm: tuple[float, float],
) -> None:
    """Paint what lies above the diaphragm: lungs, heart, mediastinum.

    Args:
        canvas: The picture.
        scene: What to paint.
        axes: All points of the canvas.
        cavity: Their distance to the cavity.
        dome_mm: Heights of the domes.
    """
    box = _above(canvas, axes, lowest_mm=-60.0)
    if box is None:
        return
    here = [a[box] for a in axes]
    still = scene.motion.unmove_liver(here)
    below = diaphragm_distance(still, scene=scene, dome_mm=dome_mm)
    cavity = cavity[box]
    x, y, _ = here
    # Spine and gullet keep the lungs apart behind, the heart's fat in front.
    middle = np.abs(x - np.float32(4.0)) - np.float32(19.0) - np.abs(y) / 9.0
    lung = smooth_max(
        smooth_max(cavity + 1.5, 2.5 - below, width=4.0), -middle, width=8.0
    )
    canvas.paint(box, lung, scene.hu["lung"])
    heart = ellipsoid(
        still, center=(22.0, -38.0, dome_mm[1] + 48.0), radii=(58.0, 44.0, 46.0)
    )
    heart = smooth_max(heart, 3.0 - below, width=6.0)
    canvas.paint(box, smooth_max(heart - 6.0, cavity + 3.0, width=4.0), scene.hu["fat"])
    canvas.paint(
        box, smooth_max(heart, cavity + 6.0, width=4.0), scene.hu["muscle"] + 20
    )
    canvas.paint(box, heart + 9.0, scene.hu["heart"])


def paint_ribs(canvas: Canvas, scene: Scene, *, axes: Axes, cavity: Field) -> None:
    """Paint the ribs as bands that run down and forward in the wall.

    Args:
        canvas: The picture.
        scene: What to paint.
        axes: All points of the canvas.
        cavity: Their distance to the cavity.
    """
    patient = scene.body.patient
    x, y, z = axes
    depth = cavity - np.float32(6.0)
    # 0 at the spine, 1 at the breastbone.
    around = np.arctan2(np.abs(x), y) / np.float32(np.pi)
    run = z + np.float32(190.0) * around * (1 - np.float32(0.3) * around)
    place = run / np.float32(RIB_SPACING_MM) + np.float32(patient.phase_ribs)
    off = (place - np.round(place)) * np.float32(RIB_SPACING_MM * 0.9)
    rib = np.hypot(off / np.float32(1.55), depth) - np.float32(4.2)
    end = (around - np.float32(0.72) - z * np.float32(0.0012)) * 150.0
    start = (np.float32(0.1) - around) * 150.0
    rib = np.maximum(np.maximum(rib, end), start)
    everywhere = _all(canvas)
    canvas.paint(everywhere, rib, scene.hu["cortical_bone"])
    canvas.paint(everywhere, rib + 2.6, scene.hu["marrow"])


def paint_spine(canvas: Canvas, scene: Scene) -> None:
    """Paint vertebrae, discs, arches, canal and spinous processes, and back muscles.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    hu = scene.hu
    box = _column(scene, y_mm=SPINE_Y_MM + 15.0, radius_mm=60.0)
    if box is None:
        return
    axes = scene.points.axes(box)
    x, y, z = axes
    y0 = np.float32(SPINE_Y_MM)
    for side in (-1.0, 1.0):
        back = superellipse(
            x - np.float32(side * 29), y - y0 - 30, half_widths=(27.0, 15.0), power=2.4
        )
        canvas.paint(box, back, hu["muscle"])
        psoas_width = np.clip(-z * np.float32(0.16), 1.0, 14.0)
        psoas = np.hypot((x - np.float32(side * 31)), (y - y0 - 4)) - psoas_width
        canvas.paint(box, psoas, hu["muscle"])
    place = z / np.float32(VERTEBRA_MM) + np.float32(scene.body.patient.phase_spine)
    level = (place - np.round(place)) * np.float32(VERTEBRA_MM)
    waist = np.float32(2.0) * np.cos(level * np.float32(2 * np.pi / VERTEBRA_MM))
    trunk = superellipse(x, y - y0, half_widths=(21.0, 16.5), power=2.2) + waist * 0.6
    disc = np.abs(level) - np.float32(VERTEBRA_MM / 2 - 4.0)
    canvas.paint(box, trunk, hu["cortical_bone"])
    canvas.paint(box, trunk + 3.0, hu["marrow"])
    canvas.paint(box, np.maximum(trunk, -disc), hu["disc"])
    ring = np.abs(np.hypot(x, (y - y0 - 25) * np.float32(1.1)) - 13.0) - 3.6
    spinous = np.maximum(np.abs(x) - 3.6, np.abs(y - y0 - 45) - 14.0)
    across = np.maximum(np.abs(y - y0 - 25 - 0.25 * np.abs(x)) - 4.0, np.abs(x) - 36.0)
    bony = np.maximum(np.minimum(spinous, across), np.abs(level) - 9.0)
    canvas.paint(box, np.minimum(ring, bony), hu["cortical_bone"] * 0.8)
    canvas.paint(box, np.hypot(x, y - y0 - 25) - 9.2, hu["canal"])


def paint_great_vessels(canvas: Canvas, scene: Scene) -> None:
    """Paint aorta, inferior vena cava and the crura of the diaphragm.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    patient, hu = scene.body.patient, scene.hu
    box = _column(scene, y_mm=SPINE_Y_MM - 28.0, radius_mm=45.0)
    if box is None:
        return
    axes = scene.points.axes(box)
    x, y, z = axes
    for side, reach in ((-1.0, 70.0), (1.0, 70.0)):
        crus = superellipse(
            x - np.float32(side * 15.0),
            y - (SPINE_Y_MM - 14),
            half_widths=(7.0, 19.0),
            power=2.0,
        )
        canvas.paint(box, np.maximum(crus, np.abs(z - 10.0) - reach), hu["muscle"])
    drift = np.float32(0.03) * z
    aorta = np.hypot(x - 9.0 - drift, y - (SPINE_Y_MM - 29.0)) - patient.aorta_mm
    canvas.paint(box, aorta, hu["aorta"])
    cava = superellipse(
        x + 24.0 - drift,
        y - (SPINE_Y_MM - 30.0 - 0.12 * np.maximum(z, 0)),
        half_widths=(12.5, 9.5),
        power=2.0,
    )
    canvas.paint(box, np.maximum(cava, z - 95.0), hu["cava"])


def paint_arms(canvas: Canvas, scene: Scene) -> None:
    """Paint both upper arms beside the body if they are down.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    patient = scene.body.patient
    if not patient.arms_down:
        return
    everywhere = _all(canvas)
    axes = scene.points.axes()
    for side in (-1.0, 1.0):
        middle = side * (patient.half_width_mm + 36.0)
        start, end = (middle - 4 * side, 12.0, 260.0), (middle, 18.0, -260.0)
        arm = tube(axes, start=start, end=end, radii=(36.0, 33.0))
        canvas.paint(everywhere, arm, scene.hu["fat"])
        canvas.paint(everywhere, arm + 7.0, scene.hu["muscle"])
        canvas.paint(everywhere, arm + 25.0, scene.hu["cortical_bone"])
        canvas.paint(everywhere, arm + 30.0, scene.hu["marrow"])


def paint_table(canvas: Canvas, scene: Scene) -> None:
    """Paint the scanner's table, which does not move with the body.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    x, y, _ = scene.table_points.axes()
    patient = scene.body.patient
    top = patient.half_depth_mm + patient.table_gap_mm + 10.0
    curve = np.float32(top) - np.float32(0.0007) * x * x
    slab = np.maximum(np.abs(y - curve - 11.0) - 11.0, np.abs(x) - 205.0)
    slab = slab + np.zeros(canvas.hu.shape, np.float32)
    canvas.paint(_all(canvas), slab, scene.hu["table"])
    canvas.paint(_all(canvas), np.abs(slab + 1.0) - 1.0, scene.hu["table_shell"])


def _all(canvas: Canvas) -> Box:
    d, h, w = canvas.hu.shape
    return slice(0, d), slice(0, h), slice(0, w)


def _above(canvas: Canvas, axes: Axes, *, lowest_mm: float) -> Box | None:
    rows = np.flatnonzero(
        (axes[2] > lowest_mm).reshape(axes[2].shape[0], -1).any(axis=1)
    )
    if rows.size == 0:
        return None
    _, h, w = canvas.hu.shape
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(0, h), slice(0, w)


def _column(scene: Scene, *, y_mm: float, radius_mm: float) -> Box | None:
    """The box around a column along the spine."""
    ends = (0.0, y_mm, -COLUMN_MM), (0.0, y_mm, COLUMN_MM)
    return scene.points.box_around(*ends, radius_mm=radius_mm)

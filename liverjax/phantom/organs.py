"""Spleen, kidneys, stomach, pancreas and bowel."""

from __future__ import annotations

import numpy as np

from liverjax.phantom.body import Canvas, Scene
from liverjax.phantom.shapes import (
    Vector,
    ellipsoid,
    sample_lattice,
    smooth_max,
    smooth_min,
)
from liverjax.phantom.trunk import cavity_distance

SPLEEN_CENTER: Vector = (88.0, 20.0, 22.0)
SPLEEN_RADII: Vector = (26.0, 42.0, 48.0)


def paint_spleen(canvas: Canvas, scene: Scene) -> None:
    """Paint the spleen; a big one grows downward, forward and to the middle.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    patient, signs, hu = scene.body.patient, scene.body.signs, scene.hu
    size = patient.spleen_scale * (1.0 + signs.spleen_gain)
    a, b, c = (size * r for r in SPLEEN_RADII)
    grown = size - 1.0
    middle = (
        patient.half_width_mm * 0.60 - 12 * grown,
        SPLEEN_CENTER[1] - 16 * grown,
        SPLEEN_CENTER[2] - 36 * grown + patient.liver_shift_mm[2],
    )
    center = scene.shifted(middle)
    box = scene.points.box_around(center, radius_mm=max(a, b, c) + 8.0)
    if box is None:
        return
    still = scene.liver_axes(box)
    spleen = ellipsoid(still, center=middle, radii=(a, b, c), tilt_deg=-15.0)
    hollow_center = (middle[0] - 1.35 * a, middle[1] - 0.35 * b, middle[2] - 6.0)
    hollow = ellipsoid(still, center=hollow_center, radii=(0.9 * a, 0.8 * b, 1.2 * c))
    spleen = smooth_max(spleen, -hollow, width=10.0)
    cavity = cavity_distance(scene.points.axes(box), patient=patient)
    wall = cavity + np.float32(2.0 + 0.5 * signs.fluid_mm)
    spleen = smooth_max(spleen, wall, width=10.0)
    if signs.fluid_mm > 0:
        rim = np.maximum(spleen - 0.6 * signs.fluid_mm, cavity + 1.5)
        canvas.paint(box, rim, hu["ascites"])
    tissue = np.float32(hu["spleen"]) + np.float32(0.5 * patient.texture_hu) * (
        sample_lattice(scene.body.texture, axes=still, knot_mm=patient.texture_knot_mm)
    )
    if scene.phase == "arterial":
        # Red and white pulp fill at different speeds: the arterial zebra.
        x, y, z = still
        bands = np.sin(x / 4.2 + np.sin(y / 9.0) * 1.8 + z / 11.0)
        tissue = tissue + np.float32(22.0 * patient.contrast_dose) * bands
    canvas.paint(box, spleen, tissue, organ="spleen")


def paint_kidneys(canvas: Canvas, scene: Scene) -> None:
    """Paint both kidneys: cortex, medulla and the fat of the sinus.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    patient, hu = scene.body.patient, scene.hu
    size = patient.kidney_scale
    for side, height in ((-1.0, -66.0), (1.0, -52.0)):
        middle = (side * 56.0, 42.0, height + 0.5 * patient.liver_shift_mm[2])
        center = scene.shifted(middle, share=0.4)
        box = scene.points.box_around(center, radius_mm=60.0 * size)
        if box is None:
            continue
        axes = scene.points.axes(box)
        a, b, c = 27.0 * size, 23.0 * size, 52.0 * size
        tilt = side * 35.0
        kidney = ellipsoid(axes, center=center, radii=(a, b, c), tilt_deg=tilt)
        x0, y0, z0 = center
        sinus = ellipsoid(
            axes, center=(x0 - side * 19.0, y0 - 11.0, z0), radii=(19.0, 12.0, 24.0)
        )
        kidney = smooth_max(kidney, -sinus, width=5.0)
        pelvis = ellipsoid(
            axes, center=(x0 - side * 16.0, y0 - 9.0, z0), radii=(9.0, 5.0, 12.0)
        )
        canvas.paint(box, kidney - 9.0, hu["visceral_fat"])
        canvas.paint(box, kidney, hu["kidney_cortex"])
        canvas.paint(box, kidney + 7.0, hu["kidney_medulla"])
        canvas.paint(box, pelvis, 15.0)


def paint_stomach(canvas: Canvas, scene: Scene) -> None:
    """Paint the stomach with its content and, in front, its gas.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    patient, hu = scene.body.patient, scene.hu
    size = patient.stomach_scale
    middle = (44.0, -26.0, 18.0 + patient.liver_shift_mm[2])
    center = scene.shifted(middle)
    box = scene.points.box_around(center, radius_mm=75.0 * size)
    if box is None:
        return
    axes = scene.points.axes(box)
    x0, y0, z0 = center
    fundus = ellipsoid(
        axes,
        center=(x0 + 6, y0 + 12, z0 + 14),
        radii=(32 * size, 34 * size, 36 * size),
    )
    corpus = ellipsoid(
        axes,
        center=(x0 - 8, y0 - 14, z0 - 26),
        radii=(36 * size, 24 * size, 30 * size),
        tilt_deg=20.0,
    )
    bag = smooth_min(fundus, corpus, width=24.0)
    bag = smooth_max(bag, cavity_distance(axes, patient=patient) + 4.0, width=8.0)
    level = axes[1] - np.float32(y0 - 22.0 * patient.gas_level * 2.2)
    canvas.paint(box, bag, hu["stomach_wall"])
    canvas.paint(box, bag + 4.0, hu["stomach_content"])
    canvas.paint(box, smooth_max(bag + 4.5, level, width=3.0), hu["gas"])


def paint_bowel(canvas: Canvas, scene: Scene) -> None:
    """Paint pancreas, duodenum, loops of small bowel, and the colon with gas.

    Args:
        canvas: The picture.
        scene: What to paint.
    """
    hu = scene.hu
    # Bowel fills what fat leaves.
    size = 1.08 - 0.1 * scene.body.patient.visceral_fat
    soft: tuple[tuple[Vector, Vector, float], ...] = (
        ((-8.0, 2.0, -42.0), (14.0, 14.0, 24.0), 0.0),
        ((22.0, 4.0, -30.0), (26.0, 9.0, 13.0), 15.0),
        ((52.0, 12.0, -20.0), (24.0, 9.0, 12.0), 15.0),
    )
    for center, radii, tilt in soft:
        _paint_blob(canvas, scene, center, radii, tilt, hu["pancreas"], None)
    loops: tuple[tuple[Vector, Vector, bool], ...] = (
        ((-30.0, 8.0, -62.0), (15.0, 13.0, 30.0), False),
        ((6.0, -28.0, -66.0), (25.0, 15.0, 14.0), False),
        ((48.0, -20.0, -58.0), (19.0, 16.0, 22.0), False),
        ((30.0, 2.0, -84.0), (25.0, 15.0, 15.0), False),
        ((-6.0, -10.0, -98.0), (20.0, 17.0, 16.0), False),
        ((56.0, -4.0, -96.0), (19.0, 20.0, 20.0), False),
        ((-44.0, -44.0, -82.0), (30.0, 16.0, 18.0), True),
        ((14.0, -52.0, -84.0), (38.0, 14.0, 17.0), True),
        ((82.0, -12.0, -54.0), (17.0, 19.0, 46.0), True),
        ((-78.0, -8.0, -106.0), (21.0, 21.0, 30.0), True),
    )
    for center, radii, gas in loops:
        content = hu["gas"] if gas else hu["bowel_content"]
        radii = (size * radii[0], size * radii[1], size * radii[2])
        _paint_blob(canvas, scene, center, radii, 10.0, hu["bowel_wall"], content)


def _paint_blob(
    canvas: Canvas,
    scene: Scene,
    center: Vector,
    radii: Vector,
    tilt_deg: float,
    wall_hu: float,
    content_hu: float | None,
) -> None:
    middle = scene.shifted(center, share=0.5)
    box = scene.points.box_around(middle, radius_mm=max(radii) + 6.0)
    if box is None:
        return
    axes = scene.points.axes(box)
    blob = ellipsoid(axes, center=middle, radii=radii, tilt_deg=tilt_deg)
    wall = cavity_distance(axes, patient=scene.body.patient) + 3.0
    blob = smooth_max(blob, wall, width=6.0)
    canvas.paint(box, blob, wall_hu)
    if content_hu is None:
        return
    canvas.paint(box, blob + 3.5, scene.hu["bowel_content"])
    if content_hu < -500:
        level = axes[1] - np.float32(middle[1] + 2.0)
        canvas.paint(box, smooth_max(blob + 4.0, level, width=3.0), content_hu)

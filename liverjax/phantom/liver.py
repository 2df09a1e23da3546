"""The liver, its vessels, and the fluid around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from liverjax.phantom.body import Body, Canvas, Scene
from liverjax.phantom.grid import Box
from liverjax.phantom.patient import Patient
from liverjax.phantom.shapes import (
    Axes,
    Field,
    Vector,
    ellipsoid,
    sample_lattice,
    smooth_max,
    smooth_min,
    tube,
)
from liverjax.phantom.trunk import cavity_distance, diaphragm_distance

LIVER_CENTER: Vector = (-48.0, -8.0, 0.0)
# Corners of a box, in the textbook's frame, that holds every liver and its fluid.
_LOW_CORNER: Vector = (-138.0, -98.0, -104.0)
_HIGH_CORNER: Vector = (108.0, 88.0, 104.0)
NODULE_KNOT_MM = 5.5
# Portal and hepatic veins: start, end, radii; in the textbook liver's frame.
_PORTAL: tuple[tuple[Vector, Vector, tuple[float, float]], ...] = (
    ((8.0, 8.0, -45.0), (-22.0, -8.0, -6.0), (7.5, 7.5)),
    ((-22.0, -8.0, -6.0), (-52.0, 0.0, 2.0), (7.0, 5.5)),
    ((-52.0, 0.0, 2.0), (-82.0, -28.0, -8.0), (4.8, 2.6)),
    ((-52.0, 0.0, 2.0), (-84.0, 24.0, 6.0), (4.8, 2.6)),
    ((-52.0, 0.0, 2.0), (-74.0, 4.0, 38.0), (4.2, 2.4)),
    ((-22.0, -8.0, -6.0), (-8.0, -34.0, 12.0), (6.0, 4.5)),
    ((-8.0, -34.0, 12.0), (24.0, -48.0, 20.0), (4.2, 2.4)),
)
_HEPATIC: tuple[tuple[Vector, Vector, tuple[float, float]], ...] = (
    ((-24.0, 16.0, 56.0), (-68.0, 12.0, 40.0), (5.5, 4.4)),
    ((-68.0, 12.0, 40.0), (-92.0, -4.0, 4.0), (4.4, 2.4)),
    ((-24.0, 14.0, 58.0), (-44.0, -32.0, 40.0), (5.2, 4.2)),
    ((-44.0, -32.0, 40.0), (-58.0, -52.0, 6.0), (4.2, 2.2)),
    ((-24.0, 14.0, 58.0), (2.0, -32.0, 42.0), (4.8, 2.4)),
)


def textbook_axes(axes: Axes, *, patient: Patient) -> Axes:
    """Points in the textbook liver's frame: this patient's shift and size undone.

    Args:
        axes: Points in the body's frame, breathing undone.
        patient: Whose liver.
    """
    return [
        (a - np.float32(c + s)) / np.float32(scale) + np.float32(c)
        for a, c, s, scale in zip(
            axes, LIVER_CENTER, patient.liver_shift_mm, patient.liver_scale, strict=True
        )
    ]


def textbook_place(place: Vector, *, patient: Patient) -> Vector:
    """The place in the body of a place in the textbook liver's frame.

    Args:
        place: Place in the textbook.
        patient: Whose liver.
    """
    x, y, z = (
        (p - c) * scale + c + s
        for p, c, s, scale in zip(
            place,
            LIVER_CENTER,
            patient.liver_shift_mm,
            patient.liver_scale,
            strict=True,
        )
    )
    return x, y, z


def liver_box(scene: Scene) -> Box | None:
    """The part of the block that can hold liver, or None.

    Args:
        scene: Whose liver.
    """
    patient = scene.body.patient
    corners = [
        scene.shifted(textbook_place((x, y, z), patient=patient))
        for x in (_LOW_CORNER[0], _HIGH_CORNER[0])
        for y in (_LOW_CORNER[1], _HIGH_CORNER[1])
        for z in (_LOW_CORNER[2], _HIGH_CORNER[2])
    ]
    return scene.points.box_around(*corners, radius_mm=scene.motion.bend_mm)


def dome_heights(patient: Patient) -> tuple[float, float]:
    """Heights of the right and the left dome of the diaphragm, set by the liver.

    Args:
        patient: Whose body.
    """
    top = textbook_place((0.0, 0.0, 80.0), patient=patient)[2]
    return top + 5.0, top - 8.0


def liver_distance(axes: Axes, *, scene: Scene) -> Field:
    """Distance to the liver, waves of its surface included.

    Args:
        axes: Points, breathing undone.
        scene: Whose liver.
    """
    body = scene.body
    patient, signs = body.patient, body.signs
    inside = textbook_axes(axes, patient=patient)
    right = 1.0 - signs.right_lobe_loss
    left = patient.left_lobe_scale * (1.0 + signs.left_lobe_gain)
    lobe = ellipsoid(
        inside,
        center=(-66.0 + 12 * (1 - right), 2.0, 0.0),
        radii=(62.0 * right, 74.0 * right, 86.0 * right),
        tilt_deg=12.0,
    )
    middle = ellipsoid(inside, center=(-34.0, -26.0, 14.0), radii=(54.0, 43.0, 58.0))
    tip = ellipsoid(
        inside,
        center=(2.0 + 14 * (left - 1), -40.0, 24.0),
        radii=(66.0 * left, 26.0 * left, 42.0 * left),
        tilt_deg=-10.0,
    )
    whole = smooth_min(smooth_min(lobe, middle, width=26.0), tip, width=22.0)
    whole = _hollow_below(whole, inside)
    whole = smooth_min(whole, _caudate(inside, scene=scene), width=6.0)
    gap = 2.5 + 0.4 * signs.fluid_mm
    wall = cavity_distance(axes, patient=patient) + np.float32(gap)
    dome = diaphragm_distance(axes, scene=scene, dome_mm=dome_heights(patient))
    whole = smooth_max(whole, wall, width=14.0)
    whole = smooth_max(whole, dome + np.float32(3.0 + 0.3 * signs.fluid_mm), width=12.0)
    return whole - _waves(axes, body=body)


def paint_fluid(
    canvas: Canvas,
    scene: Scene,
    *,
    axes: Axes,
    cavity: Field,
    box: Box,
    liver: Float[np.ndarray, "d h w"],
) -> None:
    """Paint ascites: around the liver, and deep in the flanks where it runs together.

    Args:
        canvas: The picture.
        scene: What to paint.
        axes: All points of the canvas.
        cavity: Their distance to the cavity.
        box: The box that `liver` covers.
        liver: Distance to the liver.
    """
    thickness = np.float32(scene.body.signs.fluid_mm)
    if thickness <= 0:
        return
    patient = scene.body.patient
    d, h, w = canvas.hu.shape
    x, y, z = axes
    dome = diaphragm_distance(
        scene.motion.unmove_liver(axes), scene=scene, dome_mm=dome_heights(patient)
    )
    room = np.maximum(cavity + np.float32(1.5), dome + np.float32(1.5))
    # Lying on the back, fluid gathers behind and to the sides, and more so lower down.
    sideways = np.abs(x) / np.float32(patient.half_width_mm)
    depth = thickness * (
        np.clip(1.9 * sideways - 0.55, 0, 1.3)
        * np.clip(0.75 + y / 90.0, 0, 1.2)
        * np.clip(1.0 - z / 120.0, 0.5, 1.5)
    )
    fluid = smooth_max(room, -(cavity + depth + 1.5), width=4.0)
    around = np.full(canvas.hu.shape, np.float32(1e3))
    around[box] = liver - thickness * (0.75 + 0.25 * np.clip(y[box] / 60.0, -1, 1))
    fluid = np.minimum(fluid, smooth_max(around, room, width=4.0))
    canvas.paint((slice(0, d), slice(0, h), slice(0, w)), fluid, scene.hu["ascites"])


def paint_liver(
    canvas: Canvas,
    scene: Scene,
    *,
    box: Box,
    axes: Axes,
    liver: Float[np.ndarray, "d h w"],
) -> None:
    """Paint the liver's tissue with its texture, then its veins and the gallbladder.

    Args:
        canvas: The picture.
        scene: What to paint.
        box: The box that `axes` and `liver` cover.
        axes: Points, breathing undone.
        liver: Distance to the liver.
    """
    patient, hu = scene.body.patient, scene.hu
    grain = sample_lattice(
        scene.body.texture, axes=axes, knot_mm=patient.texture_knot_mm
    )
    tissue = np.float32(hu["liver"]) + np.float32(patient.texture_hu) * grain
    gallbladder = ellipsoid(
        textbook_axes(axes, patient=patient),
        center=(-42.0, -42.0, -46.0),
        radii=(
            13.0 * patient.gallbladder_scale,
            15.0,
            24.0 * patient.gallbladder_scale,
        ),
        tilt_deg=30.0,
    )
    canvas.paint(box, liver, tissue, organ="liver")
    for vessels, name in ((_PORTAL, "portal_vein"), (_HEPATIC, "hepatic_veins")):
        for start, end, radii in vessels:
            _paint_vessel(canvas, scene, start, end, radii, name)
    canvas.paint(box, gallbladder - 2.0, hu["bowel_wall"])
    canvas.paint(box, gallbladder, hu["gallbladder"])


def _paint_vessel(
    canvas: Canvas,
    scene: Scene,
    start: Vector,
    end: Vector,
    radii: tuple[float, float],
    name: str,
) -> None:
    patient = scene.body.patient
    ends = [scene.shifted(textbook_place(p, patient=patient)) for p in (start, end)]
    box = scene.points.box_around(*ends, radius_mm=max(radii) + 4.0)
    if box is None:
        return
    vessel = tube(scene.points.axes(box), start=ends[0], end=ends[1], radii=radii)
    inside = canvas.liver[box].copy()
    canvas.paint(box, vessel, scene.hu[name])
    # Vessels inside the liver belong to its mask.
    canvas.liver[box] = np.maximum(canvas.liver[box], inside)


def _hollow_below(whole: Field, inside: Axes) -> Field:
    """The liver's lower face is hollowed by stomach, duodenum and right kidney."""
    hilum = ellipsoid(inside, center=(16.0, 26.0, -42.0), radii=(62.0, 50.0, 66.0))
    kidney = ellipsoid(inside, center=(-58.0, 46.0, -74.0), radii=(38.0, 40.0, 60.0))
    stomach = ellipsoid(inside, center=(48.0, 4.0, 10.0), radii=(56.0, 34.0, 62.0))
    for hollow, width in ((hilum, 24.0), (kidney, 18.0), (stomach, 14.0)):
        whole = smooth_max(whole, -hollow, width=width)
    return whole


def _caudate(inside: Axes, *, scene: Scene) -> Field:
    signs, patient = scene.body.signs, scene.body.patient
    size = patient.caudate_scale * (1.0 + signs.caudate_gain)
    return ellipsoid(
        inside,
        center=(-12.0 + 7 * (size - 1), 4.0 - 3 * (size - 1), 10.0),
        radii=(14.0 * size, 11.0 * size, 26.0 * (0.6 + 0.4 * size)),
        tilt_deg=20.0,
    )


def _waves(axes: Axes, *, body: Body) -> Field | float:
    if body.signs.nodule_mm <= 0:
        return 0.0
    waves = sample_lattice(body.nodules, axes=axes, knot_mm=NODULE_KNOT_MM)
    return np.float32(body.signs.nodule_mm) * waves

"""The scanner: where it puts its voxels, and what it does to a picture."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from liverjax.phantom.grid import Grid
from liverjax.phantom.options import FIXED_PHASE, PHASES, PhantomOptions, random_stream

LOWEST_HU = -1024.0
PADDING_HU = -3024.0
RING_HU = 45.0
RING_EVERY_MM = 30.0
SHORTCUT_SPACING = 1.2
SHORTCUT_CIRCLE = 0.86
# Fraction of the square's half width that the scan circle covers where corners are cut.
CIRCLE = 0.99
# The body lies a little above the middle of the scan circle.
TABLE_LOW_MM = 6.0


@dataclasses.dataclass(frozen=True)
class Scan:
    """How one examination is acquired.

    `offset_hu`, `noise_hu` and `blur_px` (in-plane, slice) describe scanner and kernel,
    `corner_hu` is what lies outside the scan circle (None: corners are measured),
    `ring_hu` the height of ring artefacts, `missing` the phase that was not scanned.
    """

    site: str
    grids: dict[str, Grid]
    offset_hu: float
    noise_hu: float
    blur_px: tuple[float, float]
    kernel: str
    corner_hu: float | None
    circle: float
    ring_hu: float
    is_cut: bool
    missing: str


def draw_scan(
    options: PhantomOptions,
    *,
    seed: int,
    index: int,
    external: bool,
    is_class_c: bool,
    scan: int = 0,
) -> Scan:
    """The acquisition of one examination.

    Nothing here knows the score, but for the sites in `shortcut_sites`.

    Args:
        options: Knobs of acquisition and sites.
        seed: The cohort's seed.
        index: The subject's number.
        external: Whether the examination is from the external site.
        is_class_c: Whether its true class is C; used by shortcuts only.
        scan: Number of the patient's scan.
    """
    rng = random_stream(seed=seed, index=index, name=f"scan/{scan}")
    sites = (*options.sites, options.external_site)
    place = len(options.sites) if external else int(rng.integers(len(options.sites)))
    shift = options.site_shift * place
    is_cut = bool(rng.random() < options.cut_share)
    padded = bool(rng.random() < options.padding_share)
    is_missing = bool(rng.random() < options.missing_phase_share)
    missing = ("native", "arterial")[int(rng.integers(2))] if is_missing else ""
    sharpness = rng.uniform(-1, 1)
    honest = bool(rng.random() < options.shortcut_strength)
    betrayed = sites[place] in options.shortcut_sites and is_class_c == honest
    kind = options.shortcut_kind if betrayed else ""
    stretch = SHORTCUT_SPACING if kind == "spacing" else 1.0
    circle = SHORTCUT_CIRCLE if kind == "border" else CIRCLE
    corner = PADDING_HU if padded else None
    if kind == "border" and corner is None:
        corner = LOWEST_HU
    return Scan(
        site=sites[place],
        grids=_draw_grids(rng, options=options, is_cut=is_cut, stretch=stretch),
        offset_hu=float(8.0 * shift + rng.normal(0, 1.5)),
        noise_hu=float(options.noise_hu * (1 + 0.35 * shift) * rng.uniform(0.85, 1.15)),
        blur_px=(max(0.1, 0.45 + 0.12 * sharpness + 0.12 * shift), 0.35),
        kernel="sharp" if sharpness < 0 else "smooth",
        corner_hu=corner,
        circle=circle,
        ring_hu=RING_HU if kind == "mark" else 0.0,
        is_cut=is_cut,
        missing=missing,
    )


def acquire(
    rng: np.random.Generator,
    *,
    picture_hu: Float[np.ndarray, "d h w"],
    grid: Grid,
    scan: Scan,
) -> Float[np.ndarray, "d h w"]:
    """The scanner's image of a picture: blurred, noisy, cut off below -1024 HU.

    Values are whole numbers (float32), as they are stored.

    Args:
        rng: Source of the noise.
        picture_hu: Picture without noise.
        grid: Its voxels.
        scan: Scanner and kernel.
    """
    in_plane, between = scan.blur_px
    image = ndimage.gaussian_filter(picture_hu, (between, in_plane, in_plane))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0.3, 0.75 * in_plane + 0.3, 0.6))
    image += np.float32(scan.noise_hu / noise.std()) * noise
    image += np.float32(scan.offset_hu) * (image > -500)
    radius_mm = _radius_mm(grid)
    if scan.ring_hu:
        ring = np.cos(radius_mm * np.float32(2 * np.pi / RING_EVERY_MM)) > 0.8
        image += np.float32(scan.ring_hu) * ring
    image = np.clip(np.rint(image), LOWEST_HU, 3071.0)
    if scan.corner_hu is not None:
        half = 0.5 * grid.shape[2] * grid.spacing_mm[2]
        image[:, radius_mm > scan.circle * half] = scan.corner_hu
    return image.astype(np.float32)


def _draw_grids(
    rng: np.random.Generator, *, options: PhantomOptions, is_cut: bool, stretch: float
) -> dict[str, Grid]:
    height = options.slices * options.slice_mm
    # A cut scan ends inside the liver, at its dome or at its lower edge.
    cut_mm = rng.choice((-1.0, 1.0)) * rng.uniform(0.22, 0.32) * height
    grids = {}
    for phase in PHASES:
        slice_mm, slices = options.slice_mm, options.slices
        offset = rng.uniform(-0.5, 0.5, size=3)
        thicker, longer = rng.uniform(0.9, 1.25), int(rng.integers(-1, 3))
        if options.different_grids and phase != FIXED_PHASE:
            slices = max(8, round(slices / thicker) + longer)
            slice_mm = slice_mm * thicker
        else:
            offset = np.zeros(3)
        pixel_mm = options.in_plane_mm * stretch
        spacing = (round(slice_mm, 3), round(pixel_mm, 4), round(pixel_mm, 4))
        shape = (slices, options.in_plane_px, options.in_plane_px)
        half_mm = [0.5 * (n - 1) * s for n, s in zip(shape, spacing, strict=True)]
        grids[phase] = Grid(
            shape=shape,
            spacing_mm=spacing,
            origin=(
                round(-half_mm[2] + offset[2] * pixel_mm, 3),
                round(-half_mm[1] + offset[1] * pixel_mm + TABLE_LOW_MM, 3),
                round(-half_mm[0] + offset[0] * slice_mm + cut_mm * is_cut, 3),
            ),
        )
    return grids


def _radius_mm(grid: Grid) -> Float[np.ndarray, "h w"]:
    _, h, w = grid.shape
    y = (np.arange(h, dtype=np.float32) - (h - 1) / 2) * np.float32(grid.spacing_mm[1])
    x = (np.arange(w, dtype=np.float32) - (w - 1) / 2) * np.float32(grid.spacing_mm[2])
    return np.hypot(x[None], y[:, None])

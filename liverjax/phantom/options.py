"""Every knob of the synthetic cohort, with its default, in one frozen dataclass."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

PHASES = ("native", "arterial", "venous")
FIXED_PHASE = "venous"
SIGNS = ("nodularity", "lobes", "spleen", "portal", "ascites")
ITEMS = ("bilirubin", "albumin", "inr", "ascites", "encephalopathy")
CLASSES = ("A", "B", "C")
SHORTCUTS = ("mark", "spacing", "border")

# In-plane pixels, slices, in-plane mm, slice mm.
SIZES: dict[str, tuple[int, int, float, float]] = {
    "tiny": (48, 24, 7.0, 9.0),
    "demo": (96, 48, 3.5, 4.5),
    "fine": (192, 100, 1.8, 2.2),
    "paper": (512, 320, 0.7, 0.7),
}


@dataclasses.dataclass(frozen=True)
class PhantomOptions:
    """Knobs of the synthetic cohort; the defaults are the demo's cohort.

    What concerns the score:
        effect: Size of every image sign; 0 leaves nothing to find, 1 is a textbook
            picture.
        visibility: Correlation of each sign with the latent severity, in [0, 1]; it
            sets the ceiling (`ceiling.compute_ceiling`): 0.8 gives tau 0.58.
        signs: The signs that are switched on, of `SIGNS`.
        class_shares: Shares of Child-Pugh classes A, B, C; need not sum to 1.
        label_noise: Probability that an examination's table holds the items of an
            unrelated draw.

    What concerns the picture but not the score:
        patients: Strength of the differences between patients (size, fat, position,
            steatosis, contrast dose, ...); 0 makes all bodies equal.
        texture: Strength of the texture that identifies a patient, 1 is about 6 HU.
        noise_hu: Standard deviation of the correlated noise, before kernel and site.
        arms_share: Share of patients scanned with the arms down.

    Acquisition:
        in_plane_px, slices, in_plane_mm, slice_mm: The venous grid, square in plane.
        different_grids: Native and arterial phases get their own slice spacing, origin
            and coverage; otherwise all share the venous grid.
        cut_share: Share of examinations whose scan ends inside the liver.
        padding_share: Share whose corners outside the scanner's circle hold -3024 HU
            (otherwise all corners are air).
        missing_phase_share: Share without the native or the arterial phase.

    Motion of native and arterial against venous:
        max_rotation_deg, max_translation_mm: Body moved rigidly, uniform up to these.
        max_breathing_mm: Liver moved along the spine, uniform in +- this.
        max_deformation_mm: Largest bending of the liver while it breathes.

    Sites:
        sites: Names of the sites of the first set.
        external_site: Name of the site of the set `external`.
        site_shift: 0 makes scanners equal; 1 shifts the later sites clearly in HU,
            noise and kernel.
        shortcut_sites: Sites in which the scanner betrays class C.
        shortcut_kind: `mark` (ring artefact), `spacing` (coarser pixels) or `border`
            (narrower scan circle).
        shortcut_strength: Probability that the shortcut tells the truth, 0.5 to 1.

    Raises:
        ValueError: At construction, for a value outside its range.
    """

    effect: float = 1.0
    visibility: float = 0.8
    signs: tuple[str, ...] = SIGNS
    class_shares: tuple[float, float, float] = (76.0, 120.0, 63.0)
    label_noise: float = 0.0

    patients: float = 1.0
    texture: float = 1.0
    noise_hu: float = 12.0
    arms_share: float = 0.15

    in_plane_px: int = 96
    slices: int = 48
    in_plane_mm: float = 3.5
    slice_mm: float = 4.5
    different_grids: bool = True
    cut_share: float = 0.03
    padding_share: float = 0.0
    missing_phase_share: float = 0.0

    max_rotation_deg: float = 3.0
    max_translation_mm: float = 8.0
    max_breathing_mm: float = 2.0
    max_deformation_mm: float = 0.5

    sites: tuple[str, ...] = ("north", "south")
    external_site: str = "elsewhere"
    site_shift: float = 0.3
    shortcut_sites: tuple[str, ...] = ()
    shortcut_kind: str = "mark"
    shortcut_strength: float = 0.95

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(
                    f"phantom option {name} is {value}, expected {low} to {high}"
                )
        _expect_names("signs", self.signs, SIGNS)
        if self.shortcut_kind not in SHORTCUTS:
            raise ValueError(
                f"phantom option shortcut_kind is {self.shortcut_kind!r}, expected one "
                f"of {', '.join(SHORTCUTS)}"
            )
        shares = np.asarray(self.class_shares, dtype=float)
        if shares.shape != (3,) or not (shares >= 0).all() or not shares.sum() > 0:
            raise ValueError(
                f"phantom option class_shares is {self.class_shares}, expected three "
                "numbers of at least 0, not all 0"
            )
        _check_sites(self)


# Smallest and largest value of every number: beyond these the anatomy falls apart.
_RANGES: dict[str, tuple[float, float]] = {
    "effect": (0.0, 1.5),
    "visibility": (0.0, 1.0),
    "label_noise": (0.0, 1.0),
    "patients": (0.0, 1.5),
    "texture": (0.0, 5.0),
    "noise_hu": (0.0, 100.0),
    "arms_share": (0.0, 1.0),
    "in_plane_px": (16, 1024),
    "slices": (8, 1024),
    "in_plane_mm": (0.4, 20.0),
    "slice_mm": (0.4, 20.0),
    "cut_share": (0.0, 1.0),
    "padding_share": (0.0, 1.0),
    "missing_phase_share": (0.0, 1.0),
    "max_rotation_deg": (0.0, 30.0),
    "max_translation_mm": (0.0, 60.0),
    "max_breathing_mm": (0.0, 30.0),
    "max_deformation_mm": (0.0, 5.0),
    "site_shift": (0.0, 3.0),
    "shortcut_strength": (0.5, 1.0),
}


def size_options(text: str) -> dict[str, int | float]:
    """Grid fields of `PhantomOptions` for a preset's name or four numbers.

    Args:
        text: A name of `SIZES`, or `PIXELS,SLICES,PIXEL_MM,SLICE_MM`.

    Raises:
        ValueError: If it is neither.
    """
    if text in SIZES:
        numbers = SIZES[text]
    else:
        try:
            pixels, slices, pixel_mm, slice_mm = text.split(",")
            numbers = int(pixels), int(slices), float(pixel_mm), float(slice_mm)
        except ValueError:
            raise ValueError(
                f"size {text!r} is neither one of {', '.join(SIZES)} nor four numbers "
                "PIXELS,SLICES,PIXEL_MM,SLICE_MM such as 96,48,3.5,4.5"
            ) from None
    names = ("in_plane_px", "slices", "in_plane_mm", "slice_mm")
    return dict(zip(names, numbers, strict=True))


def random_stream(*, seed: int, index: int, name: str) -> np.random.Generator:
    """A generator that depends on seed, subject and purpose alone.

    Purposes have streams of their own, so that what is drawn for one (say, the body's
    size) can neither know nor disturb another (say, the score).

    Args:
        seed: The cohort's seed, at least 0.
        index: The subject's number, at least 0.
        name: The purpose, such as `severity` or `noise/venous/0`.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed} and subject index {index} must not be negative")
    entropy = [seed, index, *name.encode()]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def _expect_names(field: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown or len(set(values)) != len(values):
        raise ValueError(
            f"phantom option {field} is {', '.join(values)}, expected each of "
            f"{', '.join(known)} at most once"
        )


def _check_sites(options: PhantomOptions) -> None:
    names = (*options.sites, options.external_site)
    if not options.sites or len(set(names)) != len(names) or not all(names):
        raise ValueError(
            f"phantom options sites and external_site are {', '.join(names)}, expected "
            "at least one site, each name once and not empty"
        )
    _expect_names("shortcut_sites", options.shortcut_sites, names)

"""What augmentation may do to an example: ranges, probabilities, and their limits.

Plain values without jax, so that a study's config and the preparation of a cohort
(which chooses the stored margin) can use them too.
"""

from __future__ import annotations

import dataclasses
import math

# A cubic B-spline field cannot fold while every control point moves less than this
# share of the grid spacing along each axis.
FOLDING_LIMIT = 1 / 2.046392675


# The smallest value that may start a range.
LOWEST = {
    "rotation_deg": -360.0,
    "scale": 0.01,
    "elastic_px": 0.0,
    "contrast": 0.0,
    "brightness": -1.0,
    "noise_std": 0.0,
}


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """Ranges (low, high) and probabilities of every random change of an example.

    A probability of 0 leaves a transform out of the compiled program. The paper of
    study 000 names rotation, scaling and elastic deformation by batchgenerators and
    gives no numbers. As in that library's `SpatialTransform` each of the three acts on
    every example, about the centre, in the order elastic, rotation, scaling; its full
    turn is narrowed to the tilt of a patient on a table, its scales 0.75 to 1.25 are
    made symmetric, and its elastic strength, which may fold tissue over, is held
    below the limit at which a spline field can.

    Pixels outside the stored array are 0: the lower end of the intensity window, and
    the background of a label.

    Attributes:
        rotation_deg: Rotation in plane, uniform; positive turns what is seen clockwise
            where rows run down and columns to the right.
        rotation_probability: Share of examples that are rotated.
        scale: Magnification, log-uniform: 1.25 shows the anatomy a quarter larger.
        scale_probability: Share of examples that are scaled.
        elastic_px: Largest shift of a control point along each axis in pixels of the
            crop, uniform per example; each point's shift is uniform within it. The
            resulting field has a standard deviation of 0.28 times this value.
        elastic_grid_px: Distance of the control points in pixels; cubic B-splines in
            between.
        elastic_probability: Share of examples that are deformed.
        flip_rows_probability: Share of examples mirrored along the first axis.
        flip_columns_probability: Share of examples mirrored along the second axis
            (left and right of the patient in an axial slice).
        contrast: Factor on the distance of an intensity from its channel's mean,
            uniform, drawn per channel.
        contrast_probability: Share of examples whose contrast changes.
        brightness: Added to intensities in [0, 1], uniform, drawn per channel.
        brightness_probability: Share of examples whose brightness changes.
        noise_std: Standard deviation of white Gaussian noise on intensities in
            [0, 1], uniform per channel.
        noise_probability: Share of examples that get noise.

    Raises:
        ValueError: If a range is reversed or impossible, a probability is outside
            [0, 1], or the elastic shift could fold the image; all at once.

    Reference:
        Ranges: batchgenerators, `SpatialTransform`, `ContrastAugmentationTransform`.
        Limit of folding: Choi and Lee, Injectivity conditions of 2D and 3D uniform
        cubic B-spline functions, Graphical Models 2000.
    """

    rotation_deg: tuple[float, float] = (-15.0, 15.0)
    rotation_probability: float = 1.0
    scale: tuple[float, float] = (0.8, 1.25)
    scale_probability: float = 1.0
    elastic_px: tuple[float, float] = (0.0, 12.0)
    elastic_grid_px: int = 32
    elastic_probability: float = 1.0
    flip_rows_probability: float = 0.0
    flip_columns_probability: float = 0.0
    contrast: tuple[float, float] = (0.75, 1.25)
    contrast_probability: float = 0.0
    brightness: tuple[float, float] = (-0.1, 0.1)
    brightness_probability: float = 0.0
    noise_std: tuple[float, float] = (0.0, 0.1)
    noise_probability: float = 0.0

    def __post_init__(self):
        problems = []
        for name, value in dataclasses.asdict(self).items():
            if name.endswith("_probability"):
                if not 0 <= value <= 1:
                    problems.append(f"{name} is {value}; expected 0 to 1")
            elif name in LOWEST:
                low, high = value
                if not LOWEST[name] <= low <= high < math.inf:
                    problems.append(
                        f"{name} is {value}; expected (low, high) with "
                        f"{LOWEST[name]} <= low <= high"
                    )
        if self.elastic_grid_px < 1:
            problems.append(
                f"elastic_grid_px is {self.elastic_grid_px}; expected 1 or more"
            )
        elif self.elastic_px[1] > FOLDING_LIMIT * self.elastic_grid_px:
            problems.append(
                f"elastic_px goes up to {self.elastic_px[1]}, but with elastic_grid_px "
                f"{self.elastic_grid_px} a shift of more than "
                f"{FOLDING_LIMIT * self.elastic_grid_px:.1f} px can fold the image; "
                "lower elastic_px or widen elastic_grid_px"
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def warps(self) -> bool:
        """Whether any geometric transform can act."""
        return any(
            (
                self.rotation_probability,
                self.scale_probability,
                self.elastic_probability,
                self.flip_rows_probability,
                self.flip_columns_probability,
            )
        )


def full_store_px(settings: AugmentSettings, *, crop_px: int) -> int:
    """Side in pixels of the stored square that no warp of a crop can look out of.

    Smaller stored squares are allowed: what lies outside them is 0 after the warp.

    Args:
        settings: The geometric ranges.
        crop_px: Side of the crop that the network sees.
    """
    reach = (crop_px - 1) / 2
    if settings.elastic_probability:
        reach += settings.elastic_px[1]
    if settings.rotation_probability:
        low, high = (math.radians(angle) for angle in settings.rotation_deg)
        # |cos| + |sin| peaks at odd multiples of 45 degrees.
        quarter = math.pi / 2
        peak = (math.ceil(low / quarter - 0.5) + 0.5) * quarter
        worst = [low, high] + ([peak] if peak <= high else [])
        reach *= max(abs(math.cos(a)) + abs(math.sin(a)) for a in worst)
    if settings.scale_probability:
        reach /= min(settings.scale[0], 1.0)
    # One pixel more where the crop cannot lie exactly in the middle of the store.
    side = math.ceil(2 * reach + 1 - 1e-9)
    return side + (side - crop_px) % 2

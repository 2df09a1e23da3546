"""Which features stay what they are when mask or image change a little."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from sklearn.base import BaseEstimator, TransformerMixin

from liverjax.radiomics.region import Spacing

MIN_ICC = 0.75


def perturb(
    rng: np.random.Generator,
    *,
    image: Float[np.ndarray, "d h w"],
    mask: Bool[np.ndarray, "d h w"],
    spacing_mm: Spacing,
    shift_mm: float = 0.0,
    rotation_degrees: float = 0.0,
    noise: float = 0.0,
    contour_mm: float = 0.0,
) -> tuple[Float[np.ndarray, "d h w"], Bool[np.ndarray, "d h w"]]:
    """Returns a slightly different image and mask on the same grid.

    Image and mask move together (translation, in-plane rotation), the image gets noise,
    the contour is moved in or out. An amount of 0 leaves a change out.

    Args:
        rng: Of every draw.
        image: Intensities.
        mask: The region.
        spacing_mm: Voxel size.
        shift_mm: Standard deviation of the translation along each in-plane axis.
        rotation_degrees: Standard deviation of the in-plane angle.
        noise: Standard deviation of Gaussian noise, in the image's unit.
        contour_mm: Standard deviation of the distance the contour moves outwards.
    """
    moved, inside = image, mask.astype(float)
    if shift_mm or rotation_degrees:
        shift = rng.normal(0, shift_mm, 2) if shift_mm else np.zeros(2)
        angle = np.deg2rad(rng.normal(0, rotation_degrees)) if rotation_degrees else 0.0
        matrix, offset = _in_plane(angle, shift, shape=image.shape, spacing=spacing_mm)
        moved = ndimage.affine_transform(
            moved, matrix, offset=offset, order=1, mode="nearest"
        )
        inside = ndimage.affine_transform(
            inside, matrix, offset=offset, order=1, mode="constant"
        )
    if noise:
        moved = moved + rng.normal(0, noise, moved.shape)
    found = inside >= 0.5
    if contour_mm:
        reach = rng.normal(0, contour_mm)
        outside = ndimage.distance_transform_edt(~found, spacing_mm)
        within = ndimage.distance_transform_edt(found, spacing_mm)
        found = np.where(found, within > -reach, outside <= reach)
    return moved, found


def _in_plane(
    angle: float, shift: np.ndarray, *, shape: tuple[int, ...], spacing: Spacing
) -> tuple[np.ndarray, np.ndarray]:
    """The map from new to old voxels: a turn about the centre in mm, then a shift."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    size = np.diag(np.array(spacing, float))
    matrix = np.linalg.inv(size) @ turn @ size
    centre = (np.array(shape) - 1) / 2
    step = np.array([0.0, *shift]) / np.array(spacing)
    return matrix, centre - matrix @ centre + step


def icc(repeats: Float[np.ndarray, "n k f"]) -> Float[np.ndarray, "f"]:
    """Returns the intraclass correlation ICC(1,1) of each feature.

    The share of the variance that lies between subjects, from a one-way analysis; NaN
    for a feature that never changes.

    Args:
        repeats: Subjects, repeats of each (the unperturbed one may be among them),
            features; finite.

    Raises:
        ValueError: For fewer than two subjects or two repeats.

    Reference:
        Shrout and Fleiss, Psychological Bulletin 1979;86:420-428, case 1.
    """
    n, k, _ = repeats.shape
    if n < 2 or k < 2:
        raise ValueError(f"{n} subjects, {k} repeats of each: at least 2 are needed")
    means = repeats.mean(axis=1)
    between = k * ((means - means.mean(axis=0)) ** 2).sum(axis=0) / (n - 1)
    within = ((repeats - means[:, None]) ** 2).sum(axis=(0, 1)) / (n * (k - 1))
    total = between + (k - 1) * within
    made = np.full(total.shape, np.nan)
    return np.divide(between - within, total, out=made, where=total > 0)


def reproducible(
    repeats: Float[np.ndarray, "n k f"], *, min_icc: float = MIN_ICC
) -> Bool[np.ndarray, "f"]:
    """Returns which features reach an ICC among the subjects that have repeats.

    Args:
        repeats: As `icc` takes them; all NaN for a subject without.
        min_icc: Lowest that is kept.

    Raises:
        ValueError: If fewer than two subjects have repeats.
    """
    return icc(repeats[~np.isnan(repeats).all(axis=(1, 2))]) >= min_icc


class ReproducibleColumns(TransformerMixin, BaseEstimator):
    """Keeps the features whose ICC over repeats of the training subjects is high.

    Attributes:
        repeats: ``(subjects, repeats, features)`` of every subject, whoever is trained;
            all NaN for a subject without.
        limit: Lowest ICC that is kept.
    """

    def __init__(self, repeats: np.ndarray, limit: float = MIN_ICC):
        self.repeats = repeats
        self.limit = limit

    def fit_subjects(self, train: Bool[np.ndarray, "n"]) -> ReproducibleColumns:
        """Chooses the columns by these subjects' repeats alone.

        Raises:
            ValueError: If no feature reaches the limit, or fewer than two of these
                subjects have repeats.
        """
        found = reproducible(self.repeats[train], min_icc=self.limit)
        self.kept_ = np.flatnonzero(found)
        if not self.kept_.size:
            raise ValueError(f"no feature has an ICC of {self.limit} or more")
        return self

    def transform(self, columns: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n k"]:
        """Returns the kept columns."""
        return columns[:, self.kept_]

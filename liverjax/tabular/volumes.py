"""What liver and spleen volumes say: ratios, and the liver's size for the body."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from liverjax.tabular.units import Value, checked

# Linguraru et al., Medical Physics 39 (2012): mild and massive hepatomegaly.
HEPATOMEGALY_ML_PER_M2 = (920.0, 1080.0)


def liver_spleen_ratio(
    liver_volume_ml: Value,
    *,
    spleen_volume_ml: Value,
) -> Float[np.ndarray, "..."]:
    """Returns liver over spleen volume; it falls with portal hypertension.

    Raises:
        ImplausibleValueError: If a volume is in another unit.
    """
    liver = checked(liver_volume_ml, name="liver_volume_ml")
    return np.asarray(liver / checked(spleen_volume_ml, name="spleen_volume_ml"))


def spleen_liver_ratio(
    spleen_volume_ml: Value,
    *,
    liver_volume_ml: Value,
) -> Float[np.ndarray, "..."]:
    """Returns spleen over liver volume, which rises with severity.

    Raises:
        ImplausibleValueError: If a volume is in another unit.
    """
    spleen = checked(spleen_volume_ml, name="spleen_volume_ml")
    return np.asarray(spleen / checked(liver_volume_ml, name="liver_volume_ml"))


def body_surface_m2(
    weight_kg: Value,
    *,
    height_cm: Value,
) -> Float[np.ndarray, "..."]:
    """Returns the body's surface by Mosteller's formula.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Mosteller, New England Journal of Medicine 317 (1987) 1098.
    """
    weight = checked(weight_kg, name="weight_kg")
    height = checked(height_cm, name="height_cm")
    return np.asarray(np.sqrt(weight * height / 3600))


def liver_volume_ml_per_m2(
    liver_volume_ml: Value,
    *,
    weight_kg: Value,
    height_cm: Value,
) -> Float[np.ndarray, "..."]:
    """Returns liver volume for the body's surface; see `HEPATOMEGALY_ML_PER_M2`.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Linguraru et al., Medical Physics 39 (2012) 6255.
    """
    liver = checked(liver_volume_ml, name="liver_volume_ml")
    return np.asarray(liver / body_surface_m2(weight_kg, height_cm=height_cm))

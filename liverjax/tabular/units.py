"""Units of laboratory values: conversions, and refusal of what is in another unit.

A value that no patient has is not repaired: it is refused, with the unit that it is
probably in. A column is also refused when its median says so, since single values of
one unit are often possible in the other (bilirubin 1.2 is mg/dL, or low in umol/L).
Deep jaundice in mg/dL and a normal column in umol/L even share their medians: such a
column is refused where all its values are whole numbers, and warned of where not.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Num

BILIRUBIN_UMOL_PER_MG_DL = 17.1  # umol/L in 1 mg/dL; some tools use 17.104
CREATININE_UMOL_PER_MG_DL = 88.4
_log = logging.getLogger(__name__)

# A single value or a column of them.
Value: TypeAlias = float | int | np.number | Num[np.ndarray, "..."]
# Rows from which a column's median is judged.
_COLUMN = 8


class ImplausibleValueError(ValueError):
    """A value that no patient has, most often one in another unit."""


@dataclasses.dataclass(frozen=True)
class _Range:
    """What patients have: all values, the median of a column, the usual mistakes.

    Attributes:
        shared: Medians from here on are as usual in the unit of ``if_above``, where
            values are written as whole numbers, which they are not in this one.
    """

    low: float | int
    high: float | int
    median_low: float | int
    median_high: float | int
    if_below: str
    if_above: str
    shared: float | int = math.inf


_RANGES = {
    "platelets_10e9_per_l": _Range(
        2, 3_000, 20, 600,
        "is it in 10^12/L? multiply by 1000",
        "is it a count per microlitre? divide by 1000",
    ),
    "bilirubin_umol_per_l": _Range(
        1, 1_500, 5, 600, "is it in mg/dL? multiply by 17.1", "is it in nmol/L?"
    ),
    "bilirubin_mg_per_dl": _Range(
        # Normal is up to 1.2, or 5 to 21 umol/L; cohorts of severe alcoholic hepatitis
        # have medians of 10 to 25 mg/dL.
        0.05, 90, 0.2, 40,
        "is it in mg/mL?",
        "is it in umol/L? divide by 17.1",
        shared=5,
    ),
    "albumin_g_per_l": _Range(
        8, 80, 15, 60, "is it in g/dL? multiply by 10", "is it in mg/dL? divide by 100"
    ),
    "albumin_g_per_dl": _Range(
        0.5, 8, 1.5, 6, "is it in g/mL?", "is it in g/L? divide by 10"
    ),
    "creatinine_umol_per_l": _Range(
        15, 3_000, 30, 900, "is it in mg/dL? multiply by 88.4", "is it in nmol/L?"
    ),
    "creatinine_mg_per_dl": _Range(
        0.1, 30, 0.3, 12, "is it in mmol/L?", "is it in umol/L? divide by 88.4"
    ),
    "inr": _Range(
        0.5, 20, 0.8, 6,
        "is it a ratio of something else?",
        "is it a prothrombin time in seconds or percent?",
    ),
    "sodium_mmol_per_l": _Range(
        90, 200, 120, 150, "is it in another unit?", "is it in mg/dL? divide by 2.3"
    ),
    "ast_u_per_l": _Range(
        2, 30_000, 8, 3_000, "is it in ukat/L? multiply by 60", "is it in nkat/L?"
    ),
    "alt_u_per_l": _Range(
        1, 30_000, 5, 3_000, "is it in ukat/L? multiply by 60", "is it in nkat/L?"
    ),
    "ast_uln_u_per_l": _Range(
        10, 100, 20, 60,
        "is it in ukat/L? multiply by 60",
        "is it a value instead of the laboratory's upper limit?",
    ),
    "age_years": _Range(
        0, 120, 0, 110, "is it a difference of dates?", "is it in months or days?"
    ),
    "bmi_kg_per_m2": _Range(
        8, 100, 14, 60, "was the height in centimetres?", "was the height in metres?"
    ),
    "height_cm": _Range(
        30, 250, 40, 200, "is it in metres? multiply by 100", "is it in millimetres?"
    ),
    "weight_kg": _Range(
        1, 400, 3, 200, "is it in another unit?", "is it in grams? divide by 1000"
    ),
    "liver_volume_ml": _Range(
        50, 12_000, 200, 5_000,
        "is it in litres? multiply by 1000",
        "is it in cubic millimetres? divide by 1000",
    ),
    "spleen_volume_ml": _Range(
        2, 10_000, 10, 4_000,
        "is it in litres? multiply by 1000",
        "is it in cubic millimetres? divide by 1000",
    ),
}  # fmt: skip
KNOWN = frozenset(_RANGES)


def checked(value: Value, *, name: str) -> Float[np.ndarray, "..."]:
    """Returns a quantity as float64; missing values (NaN) stay missing.

    Args:
        value: One value or a column.
        name: The quantity with its unit, such as ``platelets_10e9_per_l``.

    Raises:
        ImplausibleValueError: If a value, or the median of a column of 8 or more, is
            what no patient (no column) has, or a column could be of another unit and
            is written as in that one; the likely unit is named.
        ValueError: If the name is unknown.
    """
    if name not in _RANGES:
        raise ValueError(f"{name!r}: expected one of {list(_RANGES)}")
    limits = _RANGES[name]
    column = np.asarray(value, float)
    below, above = column < limits.low, column > limits.high
    if below.any() or above.any():
        # Where both occur, the mistake that is made more often.
        low = below.sum() > above.sum()
        wrong, bound = (below, limits.low) if low else (above, limits.high)
        row = int(np.flatnonzero(wrong)[0])
        where = f" in row {row}" if column.ndim else ""
        count = f" ({wrong.sum()} of {column.size} values are)" if column.ndim else ""
        raise ImplausibleValueError(
            f"{name} {column.flat[row]:g}{where} is {'below' if low else 'above'} "
            f"{bound:g}{count}: {limits.if_below if low else limits.if_above}"
        )
    known = column[~np.isnan(column)]
    if known.size >= _COLUMN:
        median = float(np.median(known))
        low = median < limits.median_low
        if low or median > limits.median_high:
            hint = limits.if_below if low else limits.if_above
            raise ImplausibleValueError(
                f"{name}: the median of {known.size} values is {median:g}, outside "
                f"{limits.median_low:g} to {limits.median_high:g}: {hint}"
            )
        if median >= limits.shared:
            _tell_shared(known, name=name, median=median)
    return column


def _tell_shared(known: np.ndarray, *, name: str, median: float) -> None:
    """Refuses or warns of a column whose median is as usual in another unit."""
    said = f"{name}: the median of {known.size} values is {median:g}"
    hint = _RANGES[name].if_above
    if np.all(known == np.round(known)):
        unit = name.partition("_")[2].replace("_per_", "/").replace("_", " ")
        raise ImplausibleValueError(
            f"{said} and all are whole numbers, as {unit} seldom are: {hint}"
        )
    _log.warning("warning: %s, which the sickest cohorts have; %s", said, hint)


def bilirubin_mg_per_dl(
    umol_per_l: Value,
) -> Float[np.ndarray, "..."]:
    """Returns bilirubin in mg/dL from umol/L.

    Raises:
        ImplausibleValueError: If a value is not in umol/L.
    """
    return np.asarray(
        checked(umol_per_l, name="bilirubin_umol_per_l") / BILIRUBIN_UMOL_PER_MG_DL
    )


def bilirubin_umol_per_l(
    mg_per_dl: Value,
) -> Float[np.ndarray, "..."]:
    """Returns bilirubin in umol/L from mg/dL.

    Raises:
        ImplausibleValueError: If a value is not in mg/dL.
    """
    return np.asarray(
        checked(mg_per_dl, name="bilirubin_mg_per_dl") * BILIRUBIN_UMOL_PER_MG_DL
    )


def creatinine_mg_per_dl(
    umol_per_l: Value,
) -> Float[np.ndarray, "..."]:
    """Returns creatinine in mg/dL from umol/L.

    Raises:
        ImplausibleValueError: If a value is not in umol/L.
    """
    return np.asarray(
        checked(umol_per_l, name="creatinine_umol_per_l") / CREATININE_UMOL_PER_MG_DL
    )


def albumin_g_per_dl(
    g_per_l: Value,
) -> Float[np.ndarray, "..."]:
    """Returns albumin in g/dL from g/L.

    Raises:
        ImplausibleValueError: If a value is not in g/L.
    """
    return np.asarray(checked(g_per_l, name="albumin_g_per_l") / 10)


def albumin_g_per_l(
    g_per_dl: Value,
) -> Float[np.ndarray, "..."]:
    """Returns albumin in g/L from g/dL.

    Raises:
        ImplausibleValueError: If a value is not in g/dL.
    """
    return np.asarray(checked(g_per_dl, name="albumin_g_per_dl") * 10)


def platelets_10e9_per_l(
    per_microlitre: Value,
) -> Float[np.ndarray, "..."]:
    """Returns platelets in 10^9/L from a count per microlitre.

    Raises:
        ImplausibleValueError: If a value is not per microlitre.
    """
    return checked(np.asarray(per_microlitre) / 1000, name="platelets_10e9_per_l")


def enzyme_u_per_l(
    ukat_per_l: Value,
) -> Float[np.ndarray, "..."]:
    """Returns an enzyme's activity in U/L from ukat/L."""
    return np.asarray(np.asarray(ukat_per_l, float) * 60)

"""Clinical liver scores from laboratory values, units in the arguments' names.

Every function takes single values or columns, which broadcast; a missing value (NaN)
makes its score missing and is never replaced. A value in another unit is refused
(`units.checked`). Cut-offs are those of the papers and stand beside their score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float

from liverjax.tabular.units import Value, checked

FIB4_CUTOFFS = (1.45, 3.25)  # Sterling 2006; 1.3 and 2.67 in fatty liver
APRI_CUTOFFS = (0.5, 1.5)  # Wai 2003, significant fibrosis
NFS_CUTOFFS = (-1.455, 0.676)
ALBI_CUTOFFS = (-2.60, -1.39)
ASCITES_POINTS = {"none": 1, "mild": 2, "moderate_severe": 3}
ENCEPHALOPATHY_POINTS = {"none": 1, "grade1_2": 2, "grade3_4": 3}


@dataclasses.dataclass(frozen=True)
class ChildPugh:
    """The Child-Pugh score and its laboratory items; NaN where an item is missing.

    Attributes:
        points: 5 to 15.
        bilirubin_points: 1 to 3.
        albumin_points: 1 to 3.
        inr_points: 1 to 3.
    """

    points: Float[np.ndarray, "..."]
    bilirubin_points: Float[np.ndarray, "..."]
    albumin_points: Float[np.ndarray, "..."]
    inr_points: Float[np.ndarray, "..."]


def fib4(
    *,
    age_years: Value,
    ast_u_per_l: Value,
    alt_u_per_l: Value,
    platelets_10e9_per_l: Value,
) -> Float[np.ndarray, "..."]:
    """Returns FIB-4, ``age AST / (platelets sqrt(ALT))``.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Sterling et al., Hepatology 43 (2006) 1317.
    """
    age = checked(age_years, name="age_years")
    ast = checked(ast_u_per_l, name="ast_u_per_l")
    alt = checked(alt_u_per_l, name="alt_u_per_l")
    platelets = checked(platelets_10e9_per_l, name="platelets_10e9_per_l")
    return np.asarray(age * ast / (platelets * np.sqrt(alt)))


def apri(
    *,
    ast_u_per_l: Value,
    platelets_10e9_per_l: Value,
    ast_uln_u_per_l: Value = 40.0,
) -> Float[np.ndarray, "..."]:
    """Returns the AST to platelet ratio index, ``100 (AST / ULN) / platelets``.

    Args:
        ast_u_per_l: Aspartate aminotransferase.
        platelets_10e9_per_l: Platelets.
        ast_uln_u_per_l: The laboratory's upper limit of normal; 40 where not known.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Wai et al., Hepatology 38 (2003) 518.
    """
    ast = checked(ast_u_per_l, name="ast_u_per_l")
    limit = checked(ast_uln_u_per_l, name="ast_uln_u_per_l")
    platelets = checked(platelets_10e9_per_l, name="platelets_10e9_per_l")
    return np.asarray(100 * (ast / limit) / platelets)


def nafld_fibrosis_score(
    *,
    age_years: Value,
    bmi_kg_per_m2: Value,
    diabetes_or_impaired_glucose: Value | Bool[np.ndarray, "..."],
    ast_u_per_l: Value,
    alt_u_per_l: Value,
    platelets_10e9_per_l: Value,
    albumin_g_per_dl: Value,
) -> Float[np.ndarray, "..."]:
    """Returns the NAFLD fibrosis score.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Angulo et al., Hepatology 45 (2007) 846.
    """
    ratio = checked(ast_u_per_l, name="ast_u_per_l") / checked(
        alt_u_per_l, name="alt_u_per_l"
    )
    return np.asarray(
        -1.675
        + 0.037 * checked(age_years, name="age_years")
        + 0.094 * checked(bmi_kg_per_m2, name="bmi_kg_per_m2")
        + 1.13 * _yes_no(diabetes_or_impaired_glucose)
        + 0.99 * ratio
        - 0.013 * checked(platelets_10e9_per_l, name="platelets_10e9_per_l")
        - 0.66 * checked(albumin_g_per_dl, name="albumin_g_per_dl")
    )


def albi(
    *,
    bilirubin_umol_per_l: Value,
    albumin_g_per_l: Value,
    albumin_coefficient: float = -0.085,
) -> Float[np.ndarray, "..."]:
    """Returns the albumin-bilirubin score, ``0.66 log10(bilirubin) - 0.085 albumin``.

    Args:
        bilirubin_umol_per_l: Total bilirubin.
        albumin_g_per_l: Albumin.
        albumin_coefficient: The paper's formula has -0.085, its model table -0.0852.

    Raises:
        ImplausibleValueError: If a value is in another unit.

    Reference:
        Johnson et al., Journal of Clinical Oncology 33 (2015) 550.
    """
    bilirubin = checked(bilirubin_umol_per_l, name="bilirubin_umol_per_l")
    albumin = checked(albumin_g_per_l, name="albumin_g_per_l")
    return np.asarray(0.66 * np.log10(bilirubin) + albumin_coefficient * albumin)


def albi_grade(score: Value) -> Float[np.ndarray, "..."]:
    """Returns grade 1 (at most -2.60), 2 (at most -1.39) or 3; NaN where missing."""
    value = np.asarray(score, float)
    # A score that should be -2.60 may be -2.5999999999999996.
    low, high = (cut + 1e-9 for cut in ALBI_CUTOFFS)
    grade = 1.0 + (value > low) + (value > high)
    return np.where(np.isnan(value), np.nan, grade)


def child_pugh(
    *,
    bilirubin_mg_per_dl: Value,
    albumin_g_per_dl: Value,
    inr: Value,
    ascites_points: Value,
    encephalopathy_points: Value,
    cholestatic: bool = False,
) -> ChildPugh:
    """Returns the Child-Pugh score; values on a boundary score 2.

    Args:
        bilirubin_mg_per_dl: 1 point below 2, 3 points above 3.
        albumin_g_per_dl: 1 point above 3.5, 3 points below 2.8.
        inr: 1 point below 1.7, 3 points above 2.3.
        ascites_points: 1 none, 2 mild, 3 moderate or severe (`ASCITES_POINTS`).
        encephalopathy_points: 1 none, 2 grade 1 or 2, 3 grade 3 or 4.
        cholestatic: Cut bilirubin at 4 and 10, as for primary biliary disease.

    Raises:
        ImplausibleValueError: If a value is in another unit.
        ValueError: If points are not 1, 2 or 3.

    Reference:
        Pugh et al., British Journal of Surgery 60 (1973) 646.
    """
    bilirubin = checked(bilirubin_mg_per_dl, name="bilirubin_mg_per_dl")
    albumin = checked(albumin_g_per_dl, name="albumin_g_per_dl")
    ratio = checked(inr, name="inr")
    low, high = (4.0, 10.0) if cholestatic else (2.0, 3.0)
    of_bilirubin = _points(bilirubin, low=low, high=high)
    of_albumin = np.asarray(4 - _points(albumin, low=2.8, high=3.5))
    of_inr = _points(ratio, low=1.7, high=2.3)
    clinical = [
        _given_points(ascites_points, name="ascites_points"),
        _given_points(encephalopathy_points, name="encephalopathy_points"),
    ]
    return ChildPugh(
        points=np.asarray(of_bilirubin + of_albumin + of_inr + sum(clinical)),
        bilirubin_points=of_bilirubin,
        albumin_points=of_albumin,
        inr_points=of_inr,
    )


def child_pugh_class(
    points: Value,
) -> Float[np.ndarray, "..."]:
    """Returns 0 for class A (5, 6), 1 for B (7 to 9), 2 for C; NaN where missing.

    Raises:
        ValueError: If points are not in 5 to 15.
    """
    value = np.asarray(points, float)
    if np.any((value < 5) | (value > 15)):
        raise ValueError("Child-Pugh points are not in 5 to 15")
    return np.where(np.isnan(value), np.nan, 0.0 + (value > 6) + (value > 9))


@dataclasses.dataclass(frozen=True)
class TableScore:
    """A score that a table with its columns allows.

    Attributes:
        compute: Of the columns, by their names.
        columns: What it needs.
        optional: What it uses where the table has it, and what it takes where not.
    """

    compute: Callable[..., np.ndarray]
    columns: tuple[str, ...]
    optional: Mapping[str, str] = dataclasses.field(default_factory=dict)


SCORES: Mapping[str, TableScore] = {
    "fib4": TableScore(
        fib4, ("age_years", "ast_u_per_l", "alt_u_per_l", "platelets_10e9_per_l")
    ),
    "apri": TableScore(
        apri,
        ("ast_u_per_l", "platelets_10e9_per_l"),
        {"ast_uln_u_per_l": "40 U/l assumed as the laboratory's upper limit of AST"},
    ),
    "albi": TableScore(albi, ("bilirubin_umol_per_l", "albumin_g_per_l")),
}


def _points(value: Value, *, low: float, high: float) -> Float[np.ndarray, "..."]:
    return np.where(np.isnan(value), np.nan, 1.0 + (value >= low) + (value > high))


def _given_points(value: Value, *, name: str) -> Float[np.ndarray, "..."]:
    points = np.asarray(value, float)
    if not np.all(np.isnan(points) | np.isin(points, (1, 2, 3))):
        raise ValueError(f"{name}: expected 1, 2, 3 or NaN")
    return points


def _yes_no(value: Value) -> Float[np.ndarray, "..."]:
    answer = np.asarray(value, float)
    if not np.all(np.isnan(answer) | np.isin(answer, (0, 1))):
        raise ValueError("diabetes_or_impaired_glucose: expected 0, 1 or NaN")
    return answer

"""MELD, MELD-Na and MELD 3.0, unrounded or rounded as organ allocation does.

Arguments and missing values are handled as in `scores`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from liverjax.tabular.units import Value, checked

ROUNDINGS = ("none", "optn")


def meld(
    *,
    creatinine_mg_per_dl: Value,
    bilirubin_mg_per_dl: Value,
    inr: Value,
    dialysis: bool | Bool[np.ndarray, "..."] = False,
    rounding: str = "optn",
) -> Float[np.ndarray, "..."]:
    """Returns MELD as UNOS computes it.

    Values below 1 count as 1; creatinine is at most 4, and 4 on dialysis.

    Args:
        creatinine_mg_per_dl: Creatinine.
        bilirubin_mg_per_dl: Total bilirubin.
        inr: International normalised ratio.
        dialysis: Twice within the week before.
        rounding: ``optn``: the bracket to one decimal, times 10, kept in 6 to 40;
            ``none``.

    Raises:
        ImplausibleValueError: If a value is in another unit.
        ValueError: If the rounding is unknown.

    Reference:
        Kamath et al., Hepatology 33 (2001) 464; OPTN Policy 9.
    """
    _known(rounding)
    creatinine = _kidney(creatinine_mg_per_dl, dialysis, most=4.0)
    bilirubin = _at_least_1(checked(bilirubin_mg_per_dl, name="bilirubin_mg_per_dl"))
    ratio = _at_least_1(checked(inr, name="inr"))
    bracket = (
        0.957 * np.log(creatinine)
        + 0.378 * np.log(bilirubin)
        + 1.12 * np.log(ratio)
        + 0.643
    )
    if rounding == "none":
        return np.asarray(10 * bracket)
    return np.asarray(np.clip(_half_up(10 * bracket), 6.0, 40.0))


def meld_na(
    *,
    creatinine_mg_per_dl: Value,
    bilirubin_mg_per_dl: Value,
    inr: Value,
    sodium_mmol_per_l: Value,
    dialysis: bool | Bool[np.ndarray, "..."] = False,
    formula: str = "optn2016",
    rounding: str = "optn",
) -> Float[np.ndarray, "..."]:
    """Returns MELD-Na.

    Args:
        creatinine_mg_per_dl: Creatinine.
        bilirubin_mg_per_dl: Total bilirubin.
        inr: International normalised ratio.
        sodium_mmol_per_l: Kept in 125 to 137 (``optn2016``) or to 140 (``kim2008``).
        dialysis: As in `meld`.
        formula: ``optn2016`` (MELD above 11 only) or ``kim2008``.
        rounding: ``optn``: MELD first, then the result, at most 40; ``none``.

    Raises:
        ImplausibleValueError: If a value is in another unit.
        ValueError: If formula or rounding is unknown.

    Reference:
        Kim et al., New England Journal of Medicine 359 (2008) 1018; OPTN Policy 9.
    """
    if formula not in ("optn2016", "kim2008"):
        raise ValueError(f"formula {formula!r}: optn2016 or kim2008")
    score = meld(
        creatinine_mg_per_dl=creatinine_mg_per_dl,
        bilirubin_mg_per_dl=bilirubin_mg_per_dl,
        inr=inr,
        dialysis=dialysis,
        rounding=rounding,
    )
    sodium = checked(sodium_mmol_per_l, name="sodium_mmol_per_l")
    if formula == "kim2008":
        kept = np.clip(sodium, 125.0, 140.0)
        out = score - kept - 0.025 * score * (140 - kept) + 140
    else:
        lack = 137 - np.clip(sodium, 125.0, 137.0)
        # NaN sodium makes the score missing even where it would not be used.
        out = np.where(
            score > 11, score + 1.32 * lack - 0.033 * score * lack, score + 0 * lack
        )
    return np.asarray(out if rounding == "none" else np.clip(_half_up(out), 6.0, 40.0))


def meld3(
    *,
    female: bool | Bool[np.ndarray, "..."],
    creatinine_mg_per_dl: Value,
    bilirubin_mg_per_dl: Value,
    inr: Value,
    sodium_mmol_per_l: Value,
    albumin_g_per_dl: Value,
    dialysis: bool | Bool[np.ndarray, "..."] = False,
    rounding: str = "optn",
) -> Float[np.ndarray, "..."]:
    """Returns MELD 3.0.

    Creatinine is kept in 1 to 3 (3 on dialysis), sodium in 125 to 137, albumin in 1.5
    to 3.5; bilirubin and INR below 1 count as 1.

    Args:
        female: Sex as the allocation counts it.
        creatinine_mg_per_dl: Creatinine.
        bilirubin_mg_per_dl: Total bilirubin.
        inr: International normalised ratio.
        sodium_mmol_per_l: Sodium.
        albumin_g_per_dl: Albumin.
        dialysis: As in `meld`.
        rounding: ``optn``: to a whole number in 6 to 40; ``none``: the paper's, without
            an upper end.

    Raises:
        ImplausibleValueError: If a value is in another unit.
        ValueError: If the rounding is unknown.

    Reference:
        Kim et al., Gastroenterology 161 (2021) 1887.
    """
    _known(rounding)
    kidney = np.log(_kidney(creatinine_mg_per_dl, dialysis, most=3.0))
    bile = np.log(_at_least_1(checked(bilirubin_mg_per_dl, name="bilirubin_mg_per_dl")))
    clotting = np.log(_at_least_1(checked(inr, name="inr")))
    sodium = checked(sodium_mmol_per_l, name="sodium_mmol_per_l")
    lack = 137 - np.clip(sodium, 125.0, 137.0)
    albumin = checked(albumin_g_per_dl, name="albumin_g_per_dl")
    low_albumin = 3.5 - np.clip(albumin, 1.5, 3.5)
    score = (
        1.33 * np.asarray(female, float)
        + 4.56 * bile
        + 0.82 * lack
        - 0.24 * lack * bile
        + 9.09 * clotting
        + 11.14 * kidney
        + 1.85 * low_albumin
        - 1.83 * low_albumin * kidney
        + 6
    )
    if rounding == "none":
        return np.asarray(score)
    return np.asarray(np.clip(_half_up(score), 6.0, 40.0))


def meld3_survival_90_days(
    score: Value,
) -> Float[np.ndarray, "..."]:
    """Returns the expected share alive after 90 days without transplantation.

    Reference:
        Kim et al., Gastroenterology 161 (2021) 1887, supplement.
    """
    return np.asarray(0.946 ** np.exp(0.17698 * np.asarray(score, float) - 3.56))


def _known(rounding: str) -> None:
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding {rounding!r}: expected one of {ROUNDINGS}")


def _kidney(
    creatinine_mg_per_dl: Value,
    dialysis: bool | Bool[np.ndarray, "..."],
    *,
    most: float,
) -> Float[np.ndarray, "..."]:
    creatinine = checked(creatinine_mg_per_dl, name="creatinine_mg_per_dl")
    return np.where(dialysis, most, np.clip(creatinine, 1.0, most))


def _at_least_1(value: Value) -> Float[np.ndarray, "..."]:
    return np.asarray(np.maximum(value, 1.0))


def _half_up(value: Value) -> Float[np.ndarray, "..."]:
    """To whole numbers as on paper: one half goes up, rounding noise apart."""
    return np.asarray(np.floor(value + 0.5 + 1e-9))

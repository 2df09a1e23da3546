from __future__ import annotations

import csv

import numpy as np
import pytest

from liverjax.tabular import meld, scores, units, volumes


def test_a_platelet_count_per_microlitre_is_refused_with_its_reason():
    with pytest.raises(units.ImplausibleValueError) as refused:
        scores.apri(ast_u_per_l=80.0, platelets_10e9_per_l=150_000)
    assert str(refused.value) == (
        "platelets_10e9_per_l 150000 is above 3000: is it a count per microlitre? "
        "divide by 1000"
    )


def test_mixed_platelets_of_real_records_are_caught(shared):
    """Of 162 counts of the HCC table 115 stand per microlitre."""
    path = shared / "data" / "liver-tabular" / "hcc-survival.csv"
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    (name,) = [column for column in rows[0] if "platelet" in column.lower()]
    cells = [row[name].replace(",", "").strip() for row in rows]
    counts = np.array([np.nan if c in ("", "?") else float(c) for c in cells])
    with pytest.raises(units.ImplausibleValueError, match="divide by 1000") as refused:
        units.checked(counts, name="platelets_10e9_per_l")
    above = int(np.sum(counts > 3000))
    assert f"({above} of {len(counts)} values are)" in str(refused.value)
    assert above == 115


def test_a_column_in_the_other_unit_is_known_by_its_median():
    """Single values of mg/dL are possible in umol/L; a median of 1 is not."""
    column = np.array([0.9, 1.2, 4.0, 1.1, 2.2, 1.0, 7.0, 1.5])
    with pytest.raises(units.ImplausibleValueError, match=r"multiply by 17\.1"):
        scores.albi(bilirubin_umol_per_l=column, albumin_g_per_l=40.0)
    with pytest.raises(units.ImplausibleValueError, match="median of 8 values is 2"):
        units.checked(column + 1, name="bilirubin_umol_per_l")


def bilirubin(rng, *, median, spread, low, high, decimals):
    """A cohort's column, as a laboratory writes it."""
    values = np.exp(rng.normal(np.log(median), spread, 200))
    return np.round(np.clip(values, low, high), decimals)


def test_a_normal_bilirubin_column_in_umol_per_l_is_not_taken_for_mg_per_dl(caplog):
    rng = np.random.default_rng(0)
    column = bilirubin(rng, median=12, spread=0.4, low=6, high=60, decimals=0)
    assert units.checked(column, name="bilirubin_umol_per_l").tolist() == list(column)
    with pytest.raises(units.ImplausibleValueError, match=r"whole numbers.*17\.1"):
        units.checked(column, name="bilirubin_mg_per_dl")
    units.checked(column + 0.5, name="bilirubin_mg_per_dl")  # both are possible
    assert "which the sickest cohorts have; is it in umol/L?" in caplog.text


@pytest.mark.parametrize(
    ("median", "spread", "told"),
    [(0.8, 0.4, False), (1.6, 0.9, False), (3.2, 0.8, False), (17.0, 0.5, True)],
    ids=["healthy", "cirrhosis", "decompensated", "alcoholic hepatitis"],
)
def test_cohorts_pass_in_their_own_unit_icteric_ones_too(median, spread, told, caplog):
    rng = np.random.default_rng(1)
    column = bilirubin(rng, median=median, spread=spread, low=0.2, high=50, decimals=1)
    units.checked(column, name="bilirubin_mg_per_dl")
    assert ("sickest cohorts" in caplog.text) == told
    umol = np.round(column * units.BILIRUBIN_UMOL_PER_MG_DL)
    caplog.clear()
    units.checked(umol, name="bilirubin_umol_per_l")
    assert not caplog.text
    if not told:
        with pytest.raises(units.ImplausibleValueError, match=r"umol/L\? divide by 17"):
            units.checked(umol, name="bilirubin_mg_per_dl")


def test_missing_stays_missing():
    platelets = np.array([150.0, np.nan])
    assert np.isnan(
        scores.fib4(
            age_years=50, ast_u_per_l=40, alt_u_per_l=30, platelets_10e9_per_l=platelets
        )
    ).tolist() == [False, True]
    found = scores.child_pugh(
        bilirubin_mg_per_dl=np.array([1.0, np.nan]),
        albumin_g_per_dl=np.array([4.0, 4.0]),
        inr=1.0,
        ascites_points=np.array([1, 1]),
        encephalopathy_points=1,
    )
    assert found.points.tolist()[0] == 5
    assert np.isnan(found.points[1])
    assert np.isnan(found.bilirubin_points[1])
    assert np.isnan(scores.child_pugh_class(found.points)[1])
    assert np.isnan(scores.albi_grade(np.nan))


def test_missing_sodium_leaves_no_score_even_where_meld_is_low():
    score = meld.meld_na(
        creatinine_mg_per_dl=1.0,
        bilirubin_mg_per_dl=1.0,
        inr=1.0,
        sodium_mmol_per_l=np.array([np.nan, 130.0]),
        rounding="none",
    )
    assert np.isnan(score[0])
    assert score[1] == pytest.approx(6.43)


def test_impossible_points_and_answers_are_refused():
    with pytest.raises(ValueError, match="expected 1, 2, 3"):
        scores.child_pugh(
            bilirubin_mg_per_dl=1.0,
            albumin_g_per_dl=4.0,
            inr=1.0,
            ascites_points=0,
            encephalopathy_points=1,
        )
    with pytest.raises(ValueError, match="5 to 15"):
        scores.child_pugh_class(4.0)
    with pytest.raises(ValueError, match="expected 0, 1"):
        scores.nafld_fibrosis_score(
            age_years=50,
            bmi_kg_per_m2=25,
            diabetes_or_impaired_glucose=2,
            ast_u_per_l=30,
            alt_u_per_l=30,
            platelets_10e9_per_l=200,
            albumin_g_per_dl=4,
        )
    with pytest.raises(ValueError, match="optn2016 or kim2008"):
        meld.meld_na(
            creatinine_mg_per_dl=1,
            bilirubin_mg_per_dl=1,
            inr=1,
            sodium_mmol_per_l=140,
            formula="2016",
        )


def test_cholestatic_disease_has_its_own_bilirubin_cuts():
    def points(bilirubin: float, cholestatic: bool) -> float:
        found = scores.child_pugh(
            bilirubin_mg_per_dl=bilirubin,
            albumin_g_per_dl=4.0,
            inr=1.0,
            ascites_points=1,
            encephalopathy_points=1,
            cholestatic=cholestatic,
        )
        return float(found.bilirubin_points)

    assert [points(v, False) for v in (1.9, 2.0, 3.0, 3.1)] == [1, 2, 2, 3]
    assert [points(v, True) for v in (3.9, 4.0, 10.0, 10.1)] == [1, 2, 2, 3]


def test_grades_and_classes_hold_their_boundaries():
    assert scores.albi_grade(np.array([-2.60, -2.59, -1.39, -1.38])).tolist() == (
        [1, 2, 2, 3]
    )
    assert scores.child_pugh_class(np.array([5, 6, 7, 9, 10, 15])).tolist() == (
        [0, 0, 1, 1, 2, 2]
    )


def test_conversions_and_back():
    assert units.bilirubin_mg_per_dl(34.2) == pytest.approx(2.0)
    assert units.bilirubin_umol_per_l(2.0) == pytest.approx(34.2)
    assert units.creatinine_mg_per_dl(88.4) == pytest.approx(1.0)
    assert units.albumin_g_per_dl(40) == 4
    assert units.albumin_g_per_l(4) == 40
    assert units.platelets_10e9_per_l(np.array([150_000])) == [150]
    assert units.enzyme_u_per_l(0.5) == 30
    with pytest.raises(units.ImplausibleValueError, match="g/dL"):
        units.albumin_g_per_dl(4.0)
    with pytest.raises(ValueError, match="expected one of"):
        units.checked(1.0, name="bilirubin")


def test_volume_ratios():
    assert volumes.liver_spleen_ratio(1500, spleen_volume_ml=300) == 5
    assert volumes.spleen_liver_ratio(300, liver_volume_ml=1500) == 0.2
    assert volumes.body_surface_m2(72, height_cm=200) == 2
    index = volumes.liver_volume_ml_per_m2(1840, weight_kg=72, height_cm=200)
    assert index == volumes.HEPATOMEGALY_ML_PER_M2[0]
    with pytest.raises(units.ImplausibleValueError, match="litres"):
        volumes.liver_spleen_ratio(1.5, spleen_volume_ml=300)

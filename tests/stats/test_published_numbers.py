"""What the studies print, computed again; docs/published_numbers.md tells the story."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

from liverjax.stats.diagnostic import diagnostic
from liverjax.stats.paired import mcnemar
from liverjax.stats.proportions import binomial_test, proportion
from liverjax.stats.rank_correlation import kendall_tau
from liverjax.stats.roc import exact_binomial_interval, hanley_mcneil_variance
from liverjax.tabular.scores import apri, fib4

# Study 000


def z_per_tau(x: np.ndarray, y: np.ndarray) -> float:
    """The same for all orders of the rows: margins fix both variances."""
    found = kendall_tau(x, y=y)
    return found.z / found.estimate


def test_no_variant_of_tau_gives_the_child_pugh_studys_p():
    """Printed: tau 0.43, p 3.23e-16, that is z 8.16 and z / tau 19.0."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [76, 120, 63])
    continuous = rng.normal(size=259) + classes
    other = rng.permutation(classes)
    printed = scipy.stats.norm.isf(3.23e-16 / 2) / 0.43
    assert printed == pytest.approx(19.0, abs=0.05)
    assert z_per_tau(continuous, classes) == pytest.approx(20.7, abs=0.05)
    assert z_per_tau(other, classes) == pytest.approx(17.9, abs=0.05)
    p = [2 * scipy.stats.norm.sf(0.43 * ratio) for ratio in (20.7, 17.9)]
    assert p == pytest.approx([5e-19, 1.4e-14], rel=0.2)


def test_predictions_in_seven_levels_against_classes_come_near_it():
    classes = np.repeat([0, 1, 2], [76, 120, 63])
    levels = np.random.default_rng(0).permutation(np.arange(259) % 7)
    assert z_per_tau(levels, classes) == pytest.approx(19.0, abs=0.5)


# Study 001


def test_percentages_allow_one_table_of_the_external_set():
    """Five figures of the combined model leave two, FIB-4's sensitivity one of them."""
    printed = {"se": 84, "sp": 73, "ppv": 85, "npv": 71, "accuracy": 80}
    tables = []
    for positives in range(1, 115):
        for tp, tn in itertools.product(range(positives + 1), range(116 - positives)):
            fn, fp = positives - tp, 115 - positives - tn
            if not (tp + fp and tn + fn):
                continue
            found = {
                "se": tp / positives,
                "sp": tn / (115 - positives),
                "ppv": tp / (tp + fp),
                "npv": tn / (tn + fn),
                "accuracy": (tp + tn) / 115,
            }
            if all(abs(100 * found[k] - v) <= 0.5 for k, v in printed.items()):
                tables.append((tp, fn, tn, fp))
    assert tables == [(62, 12, 30, 11), (63, 12, 29, 11)]
    of_fib4 = [{round(100 * k / n) for k in range(n)} & {62} for n in (74, 75)]
    assert of_fib4 == [{62}, set()]


INTERVALS = {
    "combined": (0.86, 0.78, 0.91),
    "CNN": (0.81, 0.73, 0.88),
    "FIB-4": (0.69, 0.59, 0.77),
    "APRI": (0.67, 0.58, 0.76),
    "radiologist 1": (0.73, 0.64, 0.81),
    "radiologist 2": (0.71, 0.61, 0.79),
}


def fits(interval, printed: tuple[float, float, float]) -> bool:
    """Whether some area that rounds as printed has an interval that does."""
    area, low, high = printed
    for exact in np.linspace(area - 0.005, area + 0.005, 101):
        ends = interval(float(exact))
        if abs(ends[0] - low) <= 0.005 and abs(ends[1] - high) <= 0.005:
            return True
    return False


def wilson(area: float) -> tuple[float, float]:
    z2, n = scipy.stats.norm.ppf(0.975) ** 2, 115
    middle = (area + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * area * (1 - area) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return middle - half, middle + half


def hanley(area: float) -> tuple[float, float]:
    variance = hanley_mcneil_variance(area, positives=74, negatives=41)
    half = 1.96 * np.sqrt(variance)
    return area - half, area + half


def test_the_external_sets_intervals_are_exact_binomial():
    for name, printed in INTERVALS.items():
        assert fits(lambda a: exact_binomial_interval(a, n=115), printed), name
    assert not fits(wilson, INTERVALS["APRI"])
    assert not fits(hanley, INTERVALS["combined"])


def test_no_symmetric_interval_fits_the_combined_model():
    """DeLong's is symmetric about the area: 0.86 cannot give 0.78 and 0.91."""
    area, low, high = INTERVALS["combined"]
    middle = (low + high) / 2
    assert abs(area - middle) > 0.005 + 0.005


def test_no_one_mcnemar_gives_both_printed_p_of_sensitivity():
    """62/74 against 46/74 (FIB-4, p 0.003) and against 48/74 (APRI, p 0.007)."""
    fitting = {
        method: [
            any(
                abs(getattr(mcnemar(table), method) - printed) <= 0.0005
                for only_second in range(13)
                for table in [sensitivity_table(62, other, only_second)]
            )
            for other, printed in ((46, 0.003), (48, 0.007))
        ]
        for method in ("p_exact", "p_mid", "p_asymptotic", "p_corrected")
    }
    assert fitting == {
        "p_exact": [False, True],
        "p_mid": [True, False],
        "p_asymptotic": [True, False],
        "p_corrected": [True, False],
    }


def sensitivity_table(right: int, other: int, only_second: int) -> np.ndarray:
    both = other - only_second
    return np.array([[both, right - both], [only_second, 74 - right - only_second]])


def test_cohort_counts_of_the_cirrhosis_study_add_up_but_for_lesions():
    assert 840 + 94 + 266 + 115 == 1315
    assert 1231 + 21 + 63 == 1315
    assert 66 + 8 + 41 == 115
    assert 1014 + 197 == 1315 - 104
    assert 1056 + 172 - (1315 - 104) == 17  # HCC and other lesions overlap or err


def test_fib4_and_apri_by_hand():
    """A man of 60, AST 80, ALT 64, platelets 100: 60 80 / (100 8) and (80/40)/100."""
    assert fib4(
        age_years=60, ast_u_per_l=80, alt_u_per_l=64, platelets_10e9_per_l=100
    ) == pytest.approx(6.0)
    assert apri(ast_u_per_l=80, platelets_10e9_per_l=100) == pytest.approx(2.0)


# Study 002: T2, precision, sensitivity, specificity and F1 of each stage, in percent

STAGES = (319, 133, 166)
PER_STAGE = """
VGG-19|82.03 78.68 81.61 80.32|19.32 30.08 65.57 23.53|60.95 38.55 90.93 47.23
ResNet-50|78.78 76.80 77.93 77.78|17.24 18.80 75.26 17.99|52.47 51.20 82.96 51.83
MobileNetV3-S|70.73 94.67 58.19 80.97|15.00 6.77 89.48 9.33|51.91 40.96 86.06 45.79
ConvNeXt-B|84.82 68.34 86.96 75.69|16.11 21.80 68.87 18.53|60.77 66.27 84.29 63.40
PVTv2-B2|72.73 60.19 75.92 65.87|13.16 15.04 72.78 14.04|61.39 74.70 82.74 67.39
Vim-S|71.65 43.57 81.61 54.19|22.05 43.61 57.73 29.29|63.98 62.05 87.17 63.00
MedMamba-S|77.33 54.55 82.94 63.97|22.35 42.86 59.18 29.38|59.42 49.40 87.61 53.95
MambaVision-T|77.71 76.49 76.59 77.09|30.77 36.09 77.73 33.22|68.92 61.45 89.82 64.97
tree|58.11 40.44 68.90 47.69|22.30 45.11 56.91 29.85|36.22 27.71 82.08 31.40
forest|63.37 54.23 66.56 58.45|26.36 51.13 60.82 34.78|47.13 24.70 89.82 32.41
k-NN|57.67 54.23 57.53 55.90|26.85 51.88 61.24 35.38|42.62 15.66 92.26 22.91
SVC|68.07 60.82 69.57 64.24|28.36 58.65 59.38 38.24|74.14 25.90 96.68 38.39
NB|54.63 38.87 65.55 45.42|27.02 50.38 62.68 35.17|46.15 39.76 82.96 42.72
logistic|69.26 64.26 69.57 66.67|29.92 57.14 63.30 39.28|66.18 27.11 94.91 38.46
boosting|68.50 58.62 71.24 63.18|27.17 51.88 61.86 35.66|54.95 30.12 90.93 38.91
"""
# Accuracy, and macro precision, sensitivity, specificity and F1 in percent
MACRO = """
VGG-19 .574 54.10 49.10 79.37 50.36
ResNet-50 .574 49.50 48.93 78.72 49.20
MobileNetV3-S .613 45.88 47.47 77.91 45.36
ConvNeXt-B .578 53.90 52.14 80.04 52.54
PVTv2-B2 .544 49.09 49.97 77.15 49.10
Vim-S .485 52.56 49.74 75.50 48.83
MedMamba-S .506 53.04 48.93 76.58 49.10
MambaVision-T .638 59.13 58.01 81.38 58.43
tree .380 38.88 37.75 69.29 36.31
forest .456 45.62 43.35 72.40 41.88
k-NN .434 42.38 40.59 70.34 38.06
SVC .510 56.86 48.46 75.21 46.96
NB .416 42.60 43.00 70.40 41.10
logistic .528 55.12 49.50 75.93 48.13
boosting .495 50.20 46.87 74.67 45.92
"""
PRINTED = {
    name: [[float(v) for v in stage.split()] for stage in stages]
    for name, *stages in (line.split("|") for line in PER_STAGE.strip().splitlines())
}


@pytest.mark.parametrize("line", MACRO.strip().splitlines(), ids=str.split)
def test_macro_figures_are_plain_means_of_618_slices(line):
    name, accuracy, *macro = line.split()
    right, called, rows = 0, 0, []
    for size, (precision, se, sp, f1) in zip(STAGES, PRINTED[name], strict=True):
        tp = round(se / 100 * size)
        fp = round((1 - sp / 100) * (618 - size))
        found = diagnostic(tp, fp=fp, fn=size - tp, tn=618 - size - fp)
        got = [found.ppv.estimate, found.sensitivity.estimate]
        got.append(found.specificity.estimate)
        got.append(2 * got[0] * got[1] / (got[0] + got[1]))
        assert np.multiply(got, 100) == pytest.approx(
            [precision, se, sp, f1], abs=0.006
        )
        right, called = right + tp, called + tp + fp
        rows.append(got)
    assert called == 618
    assert right / 618 == pytest.approx(float(accuracy), abs=0.00051)
    means = 100 * np.mean(rows, axis=0)
    assert means == pytest.approx([float(v) for v in macro], abs=0.011)


def test_stage_sizes_are_the_only_ones_below_600():
    for stage, size in enumerate(STAGES):
        fitting = [
            n
            for n in range(1, 600)
            if all(
                abs(round(row[stage][1] / 100 * n) / n * 100 - row[stage][1]) <= 0.0051
                for row in PRINTED.values()
            )
        ]
        multiples = [size * k for k in range(1, 600 // size + 1)]
        assert fitting == multiples


def test_most_classifiers_do_not_beat_the_no_information_rate():
    p = {}
    for line in MACRO.strip().splitlines():
        name, accuracy = line.split()[:2]
        right = round(float(accuracy) * 618)
        p[name] = binomial_test(right, n=618, p0=319 / 618, alternative="greater").p
    assert p["MambaVision-T"] == pytest.approx(8e-10, rel=0.1)
    assert p["MobileNetV3-S"] == pytest.approx(7e-7, rel=0.1)
    assert p["PVTv2-B2"] == pytest.approx(0.09, abs=0.005)
    assert p["logistic"] == pytest.approx(0.30, abs=0.01)
    beaten = {name for name, value in p.items() if value < 0.05}
    deep = {"VGG-19", "ResNet-50", "ConvNeXt-B", "MobileNetV3-S", "MambaVision-T"}
    assert beaten == deep


def test_t1_accuracies_fit_437_or_563_slices():
    accuracies = (
        ".728 .611 .590 .661 .652 .563 .490 .584 .391 .519 .478 .522 .540 .508 .499"
    )
    values = [float(v) for v in accuracies.split()]
    sizes = [
        n
        for n in range(100, 778)
        if all(abs(round(v * n) / n - v) <= 0.000501 for v in values)
    ]
    assert sizes == [437, 563]


# Study 004

STAGED = np.array([134, 8, 10, 18, 82])
CUTS = {"F2-F4": 2, "F3-F4": 3, "F4": 4}
SHARES = {  # sensitivity, specificity, accuracy in percent
    "F2-F4": (83.0, 91.7, 88.3),
    "F3-F4": (79.5, 88.2, 85.2),
    "F4": (75.1, 86.5, 83.3),
}


def is_share(percent: float, n: int) -> bool:
    return abs(100 * round(percent / 100 * n) / n - percent) <= 0.0501


def test_most_shares_of_the_fibrosis_study_are_no_counts_of_252():
    found = {}
    for name, first in CUTS.items():
        positives = int(STAGED[first:].sum())
        totals = (positives, 252 - positives, 252)
        found[name] = [
            is_share(v, n) for v, n in zip(SHARES[name], totals, strict=True)
        ]
    assert found == {
        "F2-F4": [False, False, False],
        "F3-F4": [False, True, False],
        "F4": [False, True, True],
    }


def test_its_accuracies_imply_another_prevalence_than_its_cohort():
    implied, real = [], []
    for name, first in CUTS.items():
        se, sp, accuracy = SHARES[name]
        implied.append((accuracy - sp) / (se - sp))
        real.append(STAGED[first:].sum() / 252)
    assert implied == pytest.approx([0.39, 0.345, 0.28], abs=0.005)
    assert real == pytest.approx([0.44, 0.40, 0.33], abs=0.005)


def test_its_intervals_are_too_wide_for_252():
    """83.0 [71.7, 94.7] is what about 40 positives give, not 110."""
    whole = proportion(91, n=110)
    assert whole.high - whole.low < 0.15 < 0.947 - 0.717
    forty = proportion(34, n=41)
    assert forty.high - forty.low == pytest.approx(0.947 - 0.717, abs=0.02)
    half = 1.96 * np.sqrt(hanley_mcneil_variance(0.92, positives=110, negatives=142))
    assert half < 0.04 < (0.97 - 0.86) / 2


def test_its_table_1_lacks_three_biopsies_of_f4():
    assert STAGED.sum() == 252
    assert 68 + 3 + 7 + 11 + 51 == 140
    assert 7 + 6 + 6 + 17 == 39 - 3
    assert 17 + 5 + 57 == 82 - 3
    assert 39 + 5 + 74 == 252 - 134 == 26 + 5 + 3 + 10 + 3 + 8 + 1 + 17 + 45
    assert is_share(91.0, 134)
    assert not is_share(76.4, 82)

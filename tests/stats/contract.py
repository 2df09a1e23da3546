"""Reference cases against this package's functions.

A case names a ``statistic`` and its keyword ``inputs``; `REGISTRY` maps the name to an
adapter that takes them and returns the fields that the case expects.
"""

from __future__ import annotations

import csv
import json
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tests.stats import adapters

REGISTRY: dict[str, Callable[..., dict[str, Any]]] = {
    "kendall_tau": adapters.kendall_tau,
    "concordance_pairs": adapters.concordance_pairs,
    "somers_d": adapters.somers_d,
    "spearman_rho": adapters.spearman_rho,
    "pearson_r": adapters.pearson_r,
    "proportion_ci": adapters.proportion_ci,
    "binomial_test": adapters.binomial_test,
    "nir_test": adapters.nir_test,
    "per_class_metrics": adapters.per_class_metrics,
    "multiclass_metrics": adapters.multiclass_metrics,
    "multiclass_from_confusion": adapters.multiclass_from_confusion,
    "proportion_ci_more": adapters.proportion_ci_more,
    "proportion_diff_ci": adapters.proportion_diff_ci,
    "auc_binomial_exact_ci": adapters.auc_binomial_exact_ci,
    "diagnostic_2x2": adapters.diagnostic_2x2,
    "auc_delong_ci": adapters.auc_delong_ci,
    "auc_hanley_mcneil": adapters.auc_hanley_mcneil,
    "delong_paired_test": adapters.delong_paired_test,
    "delong_unpaired_test": adapters.delong_unpaired_test,
    "youden_cutoff": adapters.youden_cutoff,
    "roc_curve": adapters.roc_points,
    "average_precision": adapters.average_precision,
    "multiclass_auc": adapters.multiclass_auc,
    "bootstrap_auc_ci": adapters.bootstrap_auc_ci,
    "mcnemar_test": adapters.mcnemar_test,
    "paired_se_sp": adapters.paired_se_sp,
    "kosinski_wgs": adapters.kosinski_wgs,
    "leisenring_gs": adapters.leisenring_gs,
    "relative_pv_moskowitz_pepe": adapters.relative_pv_moskowitz_pepe,
    "bowker_stuart_maxwell": adapters.bowker_stuart_maxwell,
    "cochran_q": adapters.cochran_q,
    "friedman": adapters.friedman,
    "kruskal_wallis": adapters.kruskal_wallis,
    "cochran_armitage_trend": adapters.cochran_armitage_trend,
    "mann_whitney": adapters.mann_whitney,
    "wilcoxon_signed_rank": adapters.wilcoxon_signed_rank,
    "t_test": adapters.t_test,
    "contingency_tests": adapters.contingency_tests,
    "p_adjust": adapters.p_adjust,
    "brier_score": adapters.brier_score,
    "calibration_slope_intercept": adapters.calibration_slope_intercept,
    "val_prob": adapters.val_prob,
    "hosmer_lemeshow": adapters.hosmer_lemeshow,
    "lowess_calibration": adapters.lowess_calibration,
    "expected_calibration_error": adapters.expected_calibration_error,
    "calibration_curve": adapters.calibration_curve,
    "multiclass_proper_scores": adapters.multiclass_proper_scores,
    "net_benefit": adapters.net_benefit,
    "vif": adapters.vif,
    "logistic_regression": adapters.logistic_regression,
    "cohen_kappa": adapters.cohen_kappa,
    "fleiss_kappa": adapters.fleiss_kappa,
    "kendall_w": adapters.kendall_w,
    "icc": adapters.icc,
    "bland_altman": adapters.bland_altman,
    "lin_ccc": adapters.lin_ccc,
    "harrell_c": adapters.harrell_c,
    "kaplan_meier": adapters.kaplan_meier,
    "logrank": adapters.logrank,
    "cox_ph": adapters.cox_ph,
    "obuchowski_index": adapters.obuchowski_index,
    "segmentation_metrics": adapters.segmentation_metrics,
    "dice": adapters.dice,
    "froc_hits": adapters.froc_hits,
    "froc_curve": adapters.froc_curve,
    "box_iou": adapters.box_iou,
    "fib4": adapters.fib4,
    "apri": adapters.apri,
    "nfs": adapters.nfs,
    "albi": adapters.albi,
    "meld": adapters.meld_score,
    "meld_na": adapters.meld_na,
    "meld3": adapters.meld3,
    "meld3_survival90": adapters.meld3_survival90,
    "child_pugh": adapters.child_pugh,
}


def cases(folder: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yields every case of every case file in a folder."""
    for path in sorted(folder.glob("*.json")):
        yield from json.loads(path.read_text())["cases"]


def resolve(value: Any, *, folder: pathlib.Path) -> Any:
    """Returns an input with its references to CSV columns read."""
    if isinstance(value, Mapping) and "$csv" in value:
        with (folder / value["$csv"]).open(newline="") as file:
            column = [row[value["col"]] for row in csv.DictReader(file)]
        return np.array([float(cell) if cell else np.nan for cell in column])
    if isinstance(value, Mapping) and "$rle" in value:
        runs = np.asarray(value["$rle"]["runs"])
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return flat.reshape(value["$rle"]["shape"])
    if isinstance(value, Mapping) and "$sphere" in value:
        ball = value["$sphere"]
        grid = np.indices(ball["shape"]).T * ball["spacing"] - ball["centre"]
        return (np.sum(grid**2, axis=-1) <= ball["radius"] ** 2).T
    if isinstance(value, Mapping) and "$box" in value:
        box = value["$box"]
        mask = np.zeros(box["shape"], bool)
        mask[tuple(map(slice, box["start"], box["stop"]))] = True
        return mask
    if isinstance(value, list):
        return [resolve(item, folder=folder) for item in value]
    if isinstance(value, Mapping):
        return {key: resolve(item, folder=folder) for key, item in value.items()}
    return value


def differences(case: Mapping[str, Any], *, folder: pathlib.Path) -> list[str]:
    """Returns a sentence for each field of a case that this package misses."""
    inputs = {
        name: resolve(value, folder=folder) for name, value in case["inputs"].items()
    }
    got = REGISTRY[case["statistic"]](**inputs)
    by_field = case.get("atol_by_field", {})
    missed: list[str] = []
    for field, expected in case["expected"].items():
        atol = by_field.get(field, by_field.get("*", case["atol"]))
        missed += _compare(
            f"{case['id']}.{field}",
            got.get(field),
            expected,
            rtol=case["rtol"],
            atol=atol,
        )
    return missed


def _compare(name: str, got: Any, expected: Any, *, rtol, atol) -> list[str]:
    if isinstance(expected, Mapping):
        return [
            line
            for key, item in expected.items()
            for line in _compare(
                f"{name}.{key}", got.get(key), item, rtol=rtol, atol=atol
            )
        ]
    if isinstance(expected, list):
        if got is None or len(got) != len(expected):
            return [f"{name}: {got} instead of {expected}"]
        return [
            line
            for i, item in enumerate(expected)
            for line in _compare(f"{name}[{i}]", got[i], item, rtol=rtol, atol=atol)
        ]
    if got is None:
        return [f"{name}: missing"]
    if isinstance(expected, str) and expected not in ("nan", "inf", "-inf"):
        return [] if got == expected else [f"{name}: {got!r} instead of {expected!r}"]
    wanted, got = float(expected), float(got)
    same = got == wanted or (math.isnan(got) and math.isnan(wanted))
    if same or abs(got - wanted) <= atol + rtol * abs(wanted):
        return []
    return [f"{name}: {got!r} instead of {wanted!r}"]

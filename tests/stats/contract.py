"""Adapters from the reference cases' words to this package's functions.

A case names a ``statistic`` and its keyword ``inputs``; `REGISTRY` maps the name to a
function that takes them and returns the fields that the case expects.
"""

from __future__ import annotations

import csv
import json
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from liverjax.stats import classification, proportions, rank_correlation


def kendall_tau(x, y, *, variant, method, alternative):
    found = rank_correlation.kendall_tau(
        np.asarray(x, float),
        y=np.asarray(y, float),
        variant=variant,
        method=method,
        alternative=alternative.replace(".", "-"),
    )
    return {
        "tau": found.estimate,
        "p": found.p,
        "z": found.z,
        "T": found.concordant,
    }


def concordance_pairs(x, y):
    found = rank_correlation.concordance_pairs(np.asarray(x), y=np.asarray(y))
    names = ("concordant", "discordant", "tied_x", "tied_y", "tied_xy")
    ratios = ("tau_a", "gamma", "somers_d_xy")
    return {name: getattr(found, name) for name in names + ratios}


def proportion_ci(x, n, *, conf):
    found = {
        method: proportions.proportion(x, n=n, method=method, conf=conf)
        for method in proportions.METHODS
    }
    return {method: [one.low, one.high] for method, one in found.items()}


def binomial_test(k, n, *, p0, alternative, conf):
    found = proportions.binomial_test(
        k, n=n, p0=p0, alternative=alternative.replace(".", "-"), conf=conf
    )
    return {"p": found.p, "ci_low": found.low, "ci_high": found.high}


def nir_test(confusion, *, alternative, conf):
    assert alternative == "greater"
    confusion = np.asarray(confusion)
    found = proportions.no_information_rate_test(confusion, conf=conf)
    return {
        "accuracy": found.accuracy,
        "nir": found.estimate,
        "p": found.p,
        "ci_low": found.accuracy_low,
        "ci_high": found.accuracy_high,
        "kappa": classification.kappa(confusion),
    }


def per_class_metrics(confusion):
    confusion = np.asarray(confusion)
    found = classification.class_figures(confusion)
    return {
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
        "ppv": found.precision,
        "npv": found.npv,
        "f1": found.f1,
        "prevalence": found.prevalence,
        "detection_rate": found.detection_rate,
        "detection_prevalence": found.detection_prevalence,
        "balanced_accuracy": found.balanced_accuracy,
        "accuracy": classification.accuracy(confusion),
        "kappa": classification.kappa(confusion),
    }


def multiclass_metrics(y_true, y_pred, *, labels):
    assert list(labels) == list(range(len(labels)))
    confusion = classification.confusion_matrix(
        np.asarray(y_true, int),
        predicted_class=np.asarray(y_pred, int),
        num_classes=len(labels),
    )
    figures = classification.class_figures(confusion, zero_division=0.0)
    named = {
        "precision": figures.precision,
        "recall": figures.sensitivity,
        "f1": figures.f1,
    }
    accuracy = classification.accuracy(confusion)
    macro = {name: values.mean() for name, values in named.items()}
    return {
        "macro": macro | {"specificity": figures.specificity.mean()},
        "weighted": {name: v @ figures.prevalence for name, v in named.items()},
        "micro": dict.fromkeys(named, accuracy),  # one label a row: all are accuracy
        "accuracy": accuracy,
        "balanced_accuracy": figures.sensitivity.mean(),
        "mcc": classification.matthews(confusion),
        "cohen_kappa": classification.kappa(confusion),
        "kappa_linear": classification.kappa(confusion, weights="linear"),
        "kappa_quadratic": classification.kappa(confusion, weights="quadratic"),
        "confusion": confusion,
        "mae": classification.mean_class_error(confusion),
        "within_1": classification.within_one_class(confusion),
    }


def multiclass_from_confusion(confusion):
    confusion = np.asarray(confusion)
    figures = classification.class_figures(confusion)
    named = {
        "precision": figures.precision,
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "f1": figures.f1,
    }
    means = {f"macro_{name}": values.mean() for name, values in named.items()}
    return named | means | {"accuracy": classification.accuracy(confusion)}


REGISTRY: dict[str, Callable[..., dict[str, Any]]] = {
    "kendall_tau": kendall_tau,
    "concordance_pairs": concordance_pairs,
    "proportion_ci": proportion_ci,
    "binomial_test": binomial_test,
    "nir_test": nir_test,
    "per_class_metrics": per_class_metrics,
    "multiclass_metrics": multiclass_metrics,
    "multiclass_from_confusion": multiclass_from_confusion,
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
    wanted = float(expected)
    if got is None:
        return [f"{name}: missing"]
    got = float(got)
    same = got == wanted or (math.isnan(got) and math.isnan(wanted))
    if same or abs(got - wanted) <= atol + rtol * abs(wanted):
        return []
    return [f"{name}: {got!r} instead of {wanted!r}"]

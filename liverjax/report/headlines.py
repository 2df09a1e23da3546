"""Which figures stand first, by the kind of judgement."""

from __future__ import annotations

from collections.abc import Mapping

from liverjax.tasks import kinds

# Printed by the command line, and shown for each set, site and model.
HEADLINES: Mapping[str, tuple[str, ...]] = {
    kinds.POINTS: ("kendall_tau", "kendall_tau_within_folds", "accuracy"),
    kinds.BINARY: ("auc", "sensitivity", "specificity", "accuracy"),
    kinds.STAGES: ("auc_macro", "obuchowski_index", "quadratic_kappa", "accuracy"),
    kinds.NUMBER: ("mean_absolute_error", "bias", "icc_agreement"),
    kinds.SURVIVAL: ("harrell_c", "hazard_ratio", "log_rank"),
}
# What tells whether a score ranks at all.
RANKED: Mapping[str, str] = {
    kinds.POINTS: "kendall_tau",
    kinds.BINARY: "auc",
    kinds.STAGES: "kendall_tau",
    kinds.NUMBER: "kendall_tau",
    kinds.SURVIVAL: "harrell_c",
}
# Figures that have one value by chance.
CHANCE = {
    "kendall_tau": 0.0,
    "lin_concordance": 0.0,
    "auc": 0.5,
    "obuchowski_index": 0.5,
    "harrell_c": 0.5,
}
# Forest plots of sets, sites and models.
FORESTS: Mapping[str, tuple[str, ...]] = {
    kinds.POINTS: ("kendall_tau", "accuracy"),
    kinds.BINARY: ("auc", "accuracy"),
    kinds.STAGES: ("obuchowski_index", "accuracy"),
    kinds.NUMBER: ("lin_concordance",),
    kinds.SURVIVAL: ("harrell_c",),
}
FOREST_LABELS = {
    "kendall_tau": "Kendall's tau",
    "accuracy": "Accuracy",
    "auc": "AUC",
    "obuchowski_index": "Obuchowski index",
    "lin_concordance": "Lin's concordance",
    "harrell_c": "Harrell's C",
    "mean_absolute_error": "Mean absolute error",
}
DIFFERENCE_LABELS = {
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    **FOREST_LABELS,
    "brier": "Brier score",
}


def chance_line(name: str) -> dict[str, float]:
    """Returns the line of a forest plot where a figure says nothing, by its label."""
    if name not in CHANCE:
        return {}
    return {f"{CHANCE[name]:g}: no better than chance": CHANCE[name]}

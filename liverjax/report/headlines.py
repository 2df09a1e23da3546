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

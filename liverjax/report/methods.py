"""The methods paragraph of a paper, written from what was run and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverjax.report import markup
from liverjax.report.flow import Flow
from liverjax.report.markup import Section
from liverjax.report.notes import SEVERAL_ROWS
from liverjax.report.run import RunFolder
from liverjax.report.words import counted, listed
from liverjax.tasks import kinds
from liverjax.tasks.question import Question


def methods(run: RunFolder, *, task: Question, flow: Flow) -> Section:
    """Returns a paragraph an author can start from; what is not known is not said."""
    sentences = [
        *_images(run.config),
        *_network(run.config, run),
        *_judged(run, task=task),
        *_statistics(run.metrics),
        *how_compared(run.metrics),
        *_handling(run, flow=flow),
    ]
    paragraph = f"<p>{markup.text(' '.join(sentences))}</p>"
    note = (
        "<p class='source'>A draft: check it, and add what only the authors know "
        "(the checklists below say what).</p>"
    )
    return markup.section("methods", "Methods, as run", paragraph, note)


def _images(config: Mapping[str, Any]) -> list[str]:
    prepare = config.get("prepare") or {}
    if not prepare:
        return []
    found = []
    channels = prepare.get("channels") or ()
    if channels:
        found.append(f"Input images were {listed(channels)}.")
    kind = prepare.get("registration")
    if kind and kind != "none":
        region = str(prepare.get("registration_region") or "").replace("_", " ")
        found.append(
            f"Phases were aligned by {kind} registration"
            + (f" of the {region}." if region else ".")
        )
    if prepare.get("patch_px"):
        found.append(
            f"Patches had {prepare['patch_px']} x {prepare['patch_px']} pixels."
        )
    return found


def _network(config: Mapping[str, Any], run: RunFolder) -> list[str]:
    model, train = config.get("model") or {}, config.get("train") or {}
    split, found = config.get("split") or {}, []
    if model.get("name"):
        start = model.get("pretrained") or "none"
        words = "random weights" if start == "none" else f"weights of {start}"
        found.append(f"The network was {model['name']}, started from {words}.")
    if model.get("frozen"):
        found.append(
            "All its layers but the last were frozen; linear heads were trained on "
            "features of the central crop, without image augmentation."
        )
    if train.get("epochs"):
        what = "Each head" if model.get("frozen") else "It"
        found.append(
            f"{what} was trained for at most {train['epochs']} epochs with batches of "
            f"{train.get('batch_size', '?')} and a learning rate of "
            f"{train.get('learning_rate', '?')}."
        )
    if run.folds and split.get("folds"):
        apart = split.get("select_on") == "select"
        picked = "patients apart from the held-out fold" if apart else "that same fold"
        found.append(
            f"Patients were split into {split['folds']} folds; the epoch was picked on "
            f"{picked}."
        )
    return found


def _judged(run: RunFolder, *, task: Question) -> list[str]:
    metrics, rows = run.metrics, run.metrics["input"]
    name = metrics["set"]
    found = [
        f"{counted(rows['judged'], 'examination')} of "
        f"{counted(rows['judged_subjects'], 'patient')} had a prediction and a "
        f"reference value. The reported set is “{name}”"
        + (f": {run.held_out}." if run.held_out else ".")
    ]
    kind = metrics["kind"]
    if kind == kinds.BINARY:
        found.append(
            f"The positive class was “{task.classes[1]}”{_called_from(metrics)}."
        )
    elif kind == kinds.STAGES:
        found.append(f"Stages were {listed(task.classes)}, in this order.")
    if metrics.get("slices") == "independent":
        found.append("Slices, not patients, were counted.")
    return found


def _called_from(metrics: Mapping[str, Any]) -> str:
    chosen = metrics.get("cutoff")
    cutoff = (metrics.get("options") or {}).get("cutoff")
    if chosen:
        return (
            f", called from a score of {chosen['threshold']:.4g} on, the cut-off with "
            f"the largest Youden index in the set “{chosen['set']}”"
        )
    return "" if cutoff is None else f", called from a score of {cutoff:g} on"


_AGAINST_COMMONEST = (
    "Accuracy was tested against the no-information rate by the exact binomial test, "
    "which takes class sizes as fixed, and against the answer “the commonest class” by "
    "McNemar's test (mid-p), which does not."
)
# By which tests two models are compared.
_TESTS = {
    kinds.POINTS: (
        "McNemar's exact test of accuracy and a permutation test of Kendall's tau, "
        "which exchanges the models' ranks within patients"
    ),
    kinds.BINARY: (
        "DeLong's test, McNemar's exact test (sensitivity, specificity, accuracy), "
        "Kosinski's test (predictive values) and a permutation test of the Brier "
        "score, which exchanges the models' losses within patients"
    ),
    kinds.STAGES: (
        "DeLong's test of each cut, the test of paired Obuchowski indices, McNemar's "
        "exact test of accuracy and a permutation test of Kendall's tau, which "
        "exchanges the models' ranks within patients"
    ),
    kinds.NUMBER: (
        "permutation tests of the mean absolute error and of Kendall's tau, which "
        "exchange the models' errors, or ranks, within patients"
    ),
    kinds.SURVIVAL: (
        "a permutation test of Harrell's C, which exchanges the models' ranks within "
        "patients"
    ),
}
_WORDS = {
    kinds.POINTS: {
        "kendall_tau": "Agreement of score and truth was measured by Kendall's tau-b, "
        "pooled and within folds, with a one-sided permutation test within folds, and "
        "by accuracy.",
    },
    kinds.BINARY: {
        "auc": "Discrimination was measured by the area under the ROC curve with "
        "DeLong's interval on the logit scale and a bootstrap interval.",
        "sensitivity": "Sensitivity, specificity, predictive values and accuracy have "
        "{intervals} intervals.",
        "brier": "Calibration was assessed by the slope and intercept of a logistic "
        "recalibration, calibration in the large, the Brier score and a calibration "
        "curve; clinical use by decision curves.",
    },
    kinds.STAGES: {
        "auc_from": "Each cut between stages was judged by its area under the ROC "
        "curve with DeLong's interval on the logit scale.",
        "auc_macro": "All stages were judged by the macro and micro averaged area.",
        "obuchowski_index": "The order of the stages was judged by Obuchowski's index "
        "with a linear penalty.",
        "quadratic_kappa": "Agreement of classes was measured by quadratic weighted "
        "kappa.",
    },
    kinds.NUMBER: {
        "mean_absolute_error": "Agreement was measured by the mean difference and "
        "limits of agreement of Bland and Altman, the mean absolute error, the "
        "intraclass correlation ICC(2,1) and Lin's concordance correlation.",
    },
    kinds.SURVIVAL: {
        "harrell_c": "Discrimination was measured by Harrell's C.",
        "log_rank": "Halves of the predicted risk were compared by Kaplan-Meier curves "
        "and the log-rank test.",
        "hazard_ratio": "The risk was entered into a Cox regression.",
    },
}


def _statistics(metrics: Mapping[str, Any]) -> list[str]:
    resampled = (
        "Bootstrap intervals (95 %) are percentiles of 2,000 resamples of patients, "
        f"drawn with seed {metrics['seed']}."
    )
    exact = "Clopper" in (metrics.get("sensitivity") or {}).get("method", "")
    intervals = "exact (Clopper-Pearson)" if exact else "bootstrap"
    # What is not in the metrics was not done, whatever the kind of task.
    said = [
        sentence.format(intervals=intervals)
        for name, sentence in _WORDS[metrics["kind"]].items()
        if _is_there(metrics, name)
    ]
    both = {"accuracy_gain", "no_information_rate_test"} <= set(metrics)
    return [*said, *([_AGAINST_COMMONEST] if both else []), resampled]


def _is_there(metrics: Mapping[str, Any], start: str) -> bool:
    """Whether there is a figure of this name, or of one for each cut or class."""
    return any(
        name.startswith(start) and value.get("estimate") is not None
        for name, value in metrics.items()
        if isinstance(value, dict)
    )


def how_compared(metrics: Mapping[str, Any]) -> list[str]:
    """Returns sentences on the tests of models, readers and subgroups."""
    found = []
    sets = metrics["sets"].values()
    clustered = SEVERAL_ROWS in metrics["notes"]
    if any(block["models"] for block in sets):
        several = "; patients with several examinations counted as clusters"
        found.append(
            "Models were compared on the same examinations by "
            f"{_TESTS[metrics['kind']]}{several if clustered else ''}. Holm's method "
            "corrected for the number of these tests, of all models and sets."
        )
    if metrics.get("readers"):
        found.append(
            f"{len(metrics['readers']['readers'])} readers were compared by the "
            "multi-reader multi-case analysis of Obuchowski and Rockette with DeLong's "
            "covariances, readers and cases taken as random samples."
        )
    if metrics.get("subgroups"):
        found.append(_subgroups(metrics, clustered=clustered))
    return found


def _subgroups(metrics: Mapping[str, Any], *, clustered: bool) -> str:
    names = listed(list(metrics["subgroups"]))
    tested = any(
        not markup.is_absent(group["interaction"]["p"])
        for block in metrics["sets"].values()
        for group in block["subgroups"].values()
    )
    found = f"Subgroups by {names} were compared by "
    if tested:
        found += "tests of interaction, corrected by Holm's method."
        if clustered and metrics["kind"] == kinds.POINTS:
            found += " The tests resample patients with all their examinations."
        elif clustered:
            found += (
                " Where patients had several examinations they were not tested: their "
                "intervals keep the examinations of a patient together."
            )
    elif clustered:
        found += (
            "their intervals alone, which keep the examinations of a patient together; "
            "tests of interaction would take them as independent."
        )
    else:
        found += "their intervals alone."
    return found


def _handling(run: RunFolder, *, flow: Flow) -> list[str]:
    found = []
    missing = run.metrics["input"]["without_target"]
    if missing:
        found.append(
            f"Left out: {counted(missing, 'examination')} without a reference value."
        )
    if flow.missing:
        found.append(
            "Without a prediction: "
            f"{counted(len(flow.missing), 'prepared examination')}."
        )
    found.append("No value was imputed.")
    versions = run.environment.get("versions") or {}
    tools = [
        f"{name} {versions[name]}" for name in ("jax", "numpy") if name in versions
    ]
    listed = f" ({', '.join(tools)})" if tools else ""
    found.append(f"Statistics were computed by liverjax{listed}.")
    return found

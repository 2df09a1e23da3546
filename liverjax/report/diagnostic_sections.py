"""The panels of a kind of judgement: curves of two classes, stages, numbers, times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.cohort.schema import TRAIN
from liverjax.report import diagnostic_figures as draw
from liverjax.report import figures, markup
from liverjax.report.judged import Judged, judged_rows
from liverjax.report.measure_block import high_risk
from liverjax.report.recalibration import SUFFIX
from liverjax.report.run import RunFolder
from liverjax.report.stage_block import cut_score, cut_suffix
from liverjax.report.tables import matching_rows
from liverjax.stats import (
    calibration,
    calibration_groups,
    decision_curve,
    measurement,
    roc_curve,
    roc_multiclass,
    survival,
)
from liverjax.stats.roc_curve import RocCurve
from liverjax.tasks import kinds
from liverjax.tasks.question import Question

THRESHOLDS = np.arange(0.01, 1.0, 0.01)


def panels(run: RunFolder, *, task: Question) -> list[str]:
    """Returns the figures of the headline's set, by the kind of judgement."""
    rows = run.predictions.take(run.predictions.set == run.metrics["set"])
    judged = judged_rows(rows, task=task, seed=run.metrics["seed"])
    makers = {
        kinds.BINARY: (_roc, _calibration, _decision, _scores),
        kinds.STAGES: (_cut_rocs, _mean_rocs, _cut_calibrations, _scores),
        kinds.NUMBER: (_agreement,),
        kinds.SURVIVAL: (_survival,),
    }
    return [make(run, judged, task) for make in makers.get(judged.kind, ())]


def cut_table(metrics: Mapping[str, Any], *, task: Question) -> str:
    """Returns a row for each cut between stages: area, calibration, Brier score."""
    columns = {
        "auc": "AUC",
        "brier": "Brier",
        "calibration_slope": "Calibration slope",
        "calibration_in_the_large": "Calibration in the large",
    }
    rows = []
    for cut in range(1, len(task.classes)):
        suffix = cut_suffix(task.classes, cut=cut)
        if f"auc{suffix}" not in metrics:
            continue
        area = metrics[f"auc{suffix}"]
        cells = (
            markup.estimate(metrics.get(f"{name}{suffix}"), decimals=2)
            for name in columns
        )
        rows.append(
            (f"{markup.text(task.classes[cut])} or later", *cells, str(area["n"]))
        )
    caption = (
        "Each cut between stages. AUC: DeLong on the logit scale. Slope 1 and 0 in the "
        "large are perfect calibration."
    )
    header = ("Cut", *columns.values(), "n")
    return markup.table(header, rows, caption=caption) if rows else ""


def recalibration_table(metrics: Mapping[str, Any]) -> str:
    """Returns the other sets' calibration before and after, as HTML; empty for none."""
    columns = {
        "calibration_slope": "Slope",
        "calibration_in_the_large": "In the large",
        "brier": "Brier",
    }
    rows: list[tuple[str, ...]] = []
    for name, block in metrics["sets"].items():
        if f"brier{SUFFIX}" not in block:
            continue
        for words, suffix in (("as given", ""), ("recalibrated on train", SUFFIX)):
            cells = (
                markup.estimate(block.get(f"{column}{suffix}"), decimals=2)
                for column in columns
            )
            test = block.get(f"hosmer_lemeshow{suffix}") or {"p": None}
            rows.append(
                (
                    f"{markup.text(name)}, {words}",
                    *cells,
                    markup.p_value(test["p"]),
                    str(block[f"brier{suffix}"]["n"]),
                )
            )
    if not rows:
        return ""
    train = metrics["sets"][TRAIN]
    slope, intercept = (
        markup.number(train[f"calibration_{end}"]["estimate"], decimals=2)
        for end in ("slope", "intercept")
    )
    caption = (
        f"Logistic recalibration (slope {slope}, intercept {intercept}) fitted on the "
        f"{train['calibration_slope']['n']} rows of train, each predicted by a model "
        "that had not seen it; the other sets had no part in it. Slope 1 and 0 in the "
        "large are perfect calibration."
    )
    header = ("Set", *columns.values(), "Hosmer-Lemeshow, p", "n")
    return markup.table(header, rows, caption=caption)


def _others(run: RunFolder, task: Question) -> dict[str, Judged]:
    """The compared models' rows of the headline's set, of four models at most."""
    own = run.predictions
    own = own.take((own.set == run.metrics["set"]) & np.isfinite(own.target))
    found = {}
    for name, other in run.models.items():
        if len(found) == 4:
            break
        if name not in run.metrics["models"]:  # it has rows of other sets alone
            continue
        ours, theirs = matching_rows(own, other)
        answers = other.take(theirs).answering(own.take(ours))
        found[name] = judged_rows(answers, task=task, seed=run.metrics["seed"])
    return found


def _roc(run: RunFolder, judged: Judged, task: Question) -> str:
    if len(np.unique(judged.positive)) < 2:
        return ""
    area = markup.estimate(run.metrics["auc"], decimals=2)
    curves = {
        f"this model: AUC {area}": roc_curve.roc_curve(
            judged.score, positive=judged.positive
        )
    }
    for name, other in _others(run, task).items():
        if len(np.unique(other.positive)) == 2:
            area = markup.estimate(run.metrics["models"][name]["auc"], decimals=2)
            curves[f"{model_name(name)}: AUC {area}"] = roc_curve.roc_curve(
                other.score, positive=other.positive
            )
    point = None
    if judged.predicted_class is not None:
        calls = (
            run.metrics[name]["estimate"] for name in ("specificity", "sensitivity")
        )
        specificity, sensitivity = calls
        point = (1 - specificity, sensitivity)
    return _figure(
        run,
        draw.roc_curves(curves, point=point),
        name="roc",
        caption="ROC curve.",
        alt=f"ROC curve, area {run.metrics['auc']['estimate']}",
    )


def _calibration(run: RunFolder, judged: Judged, task: Question) -> str:
    del task
    if judged.probability is None or len(np.unique(judged.probability)) < 2:
        return ""
    slope = run.metrics.get("calibration_slope")
    large = run.metrics.get("calibration_in_the_large")
    return _figure(
        run,
        _calibration_figure(judged.probability, judged.positive),
        name="calibration",
        caption=f"Calibration: slope {markup.estimate(slope, decimals=2)}, in the "
        f"large {markup.estimate(large, decimals=2)}. Below: how often each "
        "probability was given, with and without the finding.",
        alt="Calibration curve, observed share against predicted probability",
    )


def _calibration_figure(probability: np.ndarray, positive: np.ndarray) -> Any:
    return draw.calibration(
        calibration_groups.calibration_bins(probability, positive=positive),
        smooth=calibration.smooth_calibration(probability, positive=positive),
        probability=probability,
        positive=positive,
    )


def _decision(run: RunFolder, judged: Judged, task: Question) -> str:
    if judged.probability is None:
        return ""
    curves = {
        "this model": decision_curve.decision_curve(
            judged.probability,
            positive=judged.positive,
            threshold=THRESHOLDS,
            weight=judged.weight,
        )
    }
    for name, other in _others(run, task).items():
        if other.probability is not None and len(other.score) == len(judged.score):
            curves[model_name(name)] = decision_curve.decision_curve(
                other.probability, positive=other.positive, threshold=THRESHOLDS
            )
    return _figure(
        run,
        draw.decision(curves),
        name="decision_curve",
        caption="Decision curve: net benefit of acting on the model, with its 95 % "
        "band, of acting on all, and on none. Read it over thresholds chosen "
        "beforehand.",
        alt="Decision curve, net benefit against threshold probability",
    )


def _scores(run: RunFolder, judged: Judged, task: Question) -> str:
    words = "score" if judged.probability is None else "predicted probability"
    if judged.kind == kinds.STAGES and judged.on_scale:
        words = "expected stage"
    return _figure(
        run,
        draw.score_by_class(
            judged.score,
            true_class=judged.true_class,
            classes=task.classes,
            label=words,
        ),
        name="score_by_class",
        caption=f"{words.capitalize()} in each true class: median, quartiles, and "
        "every examination.",
        alt=f"Box plots of the {words} in each true class",
    )


def _cut_rocs(run: RunFolder, judged: Judged, task: Question) -> str:
    curves: dict[str, RocCurve] = {}
    for cut in range(1, len(task.classes)):
        positive = judged.true_class >= cut
        if len(np.unique(positive)) == 2:
            suffix = cut_suffix(task.classes, cut=cut)
            area = markup.estimate(run.metrics[f"auc{suffix}"], decimals=2)
            label = f"{task.classes[cut]} or later: AUC {area}"
            score = cut_score(judged, cut=cut)
            curves[label] = roc_curve.roc_curve(score, positive=positive)
    if not curves:
        return ""
    return _figure(
        run,
        draw.roc_curves(curves),
        name="roc_by_cut",
        caption="ROC curve of each cut between stages.",
        alt="ROC curves, one for each cut between stages",
    )


def _mean_rocs(run: RunFolder, judged: Judged, task: Question) -> str:
    del task
    if "auc_macro" not in run.metrics or judged.probs is None:
        return ""
    shares = judged.probs / judged.probs.sum(axis=1, keepdims=True)
    curves = {
        f"{word}: AUC {markup.estimate(run.metrics[f'auc_{word}'], decimals=2)}": curve(
            shares, true_class=judged.true_class
        )
        for word, curve in (
            ("macro", roc_multiclass.macro_curve),
            ("micro", roc_multiclass.micro_curve),
        )
    }
    return _figure(
        run,
        draw.roc_curves(curves),
        name="roc_means",
        caption="Each stage against the rest: mean of the stages (macro), and all "
        "decisions together (micro).",
        alt="Macro and micro averaged ROC curves",
    )


def _cut_calibrations(run: RunFolder, judged: Judged, task: Question) -> str:
    """The cut in the middle of the stages; the table has all."""
    if judged.probs is None:
        return ""
    cut = len(task.classes) // 2
    positive = judged.true_class >= cut
    probability = np.clip(cut_score(judged, cut=cut), 0, 1)
    if len(np.unique(positive)) < 2:
        return ""
    return _figure(
        run,
        _calibration_figure(probability, positive),
        name="calibration",
        caption=f"Calibration of the probability of {markup.text(task.classes[cut])} "
        "or later; the table has every cut.",
        alt="Calibration curve of the middle cut",
    )


def _agreement(run: RunFolder, judged: Judged, task: Question) -> str:
    del task
    if len(judged.target) < 3 or judged.ideal is None:
        return ""
    agreement = measurement.bland_altman(judged.score, second=judged.target)
    return _figure(
        run,
        draw.differences(agreement),
        name="bland_altman",
        caption="Bland-Altman plot: mean difference and limits of agreement, with "
        "their 95 % intervals in grey.",
        alt="Bland-Altman plot, differences against means",
    )


def _survival(run: RunFolder, judged: Judged, task: Question) -> str:
    del task
    assert judged.event is not None
    high = high_risk(judged)
    if high.all() or not high.any():
        return ""
    names = {"risk up to the median": ~high, "risk above the median": high}
    event = judged.event.astype(bool)
    curves = {
        f"{label} (n = {of.sum()})": survival.kaplan_meier(
            judged.target[of], event=event[of]
        )
        for label, of in names.items()
    }
    times = _ticks(float(judged.target.max()))
    at_risk = {
        label: [int(np.sum(curve.observed >= time)) for time in times]
        for label, curve in curves.items()
    }
    p = (
        markup.p_value(run.metrics["log_rank"]["p"])
        if "log_rank" in run.metrics
        else ""
    )
    return _figure(
        run,
        draw.survival_curves(curves, at_risk=at_risk, times=times),
        name="survival",
        caption=f"Kaplan-Meier curves with 95 % bands; log-rank p = {p}.",
        alt="Kaplan-Meier curves of the lower and the upper half of the risk",
    )


def model_name(name: str) -> str:
    """Returns a model's name as a reader sees it."""
    return re.sub(r"^baseline_", "", name).replace("_", " ")


def _ticks(last: float) -> list[float]:
    step = 10.0 ** np.floor(np.log10(last)) if last > 0 else 1.0
    step = next(s for s in (step / 5, step / 2, step, step * 2) if last / s <= 6)
    return [float(v) for v in np.arange(0, last + step * 0.999, step)]


def _figure(run: RunFolder, figure: Any, *, name: str, caption: str, alt: str) -> str:
    svg = figures.save(figure, run.path / "figures", name=name)
    return markup.figure(
        svg, kind="svg+xml", alt=alt, caption=f"{caption} figures/{name}.svg"
    )

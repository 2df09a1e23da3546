"""TRIPOD+AI and CLAIM, filled in from what a run knows; the rest is the authors'.

Items are told in our own words; the numbers are those of the published lists. An entry
says where the page answers it, never that the answer is good.

Reference:
    Collins et al., BMJ 385 (2024) e078378 (TRIPOD+AI); Tejani et al., Radiology:
    Artificial Intelligence 6 (2024) e240300 (CLAIM, update of 2024).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from liverjax.report import markup
from liverjax.report.flow import Flow
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.words import counted
from liverjax.tasks.kinds import SURVIVAL

AUTHORS = "for the authors to write"

# Number, what is asked, and the key of what a run can answer (empty: the authors).
TRIPOD_AI: tuple[tuple[str, str, str], ...] = (
    ("1", "Title names model, population and outcome", ""),
    ("2", "Abstract by its own checklist", ""),
    ("3a", "Clinical context and reason for the model", ""),
    ("3b", "Who is it for, and who uses it", ""),
    ("3c", "Known inequalities in care", ""),
    ("4", "Aims: development, evaluation, or both", ""),
    ("5a", "Sources of the data, for training and evaluation", "sets"),
    ("5b", "Dates of the data", ""),
    ("6a", "Setting: centres and their number", "sites"),
    ("6b", "Who was eligible", ""),
    ("6c", "Treatments received", ""),
    ("7", "Preparation of the data", "preparation"),
    ("8a", "Outcome: definition and time", ""),
    ("8b", "Who assessed a subjective outcome", ""),
    ("8c", "Blinding of that assessment", ""),
    ("9a", "Choice of predictors", ""),
    ("9b", "Definition of predictors", "inputs"),
    ("9c", "Who assessed subjective predictors", ""),
    ("10", "How the sample size was reached", ""),
    ("11", "Missing data", "missing"),
    ("12a", "How data were split", "split"),
    ("12b", "How predictors were handled", "inputs"),
    ("12c", "Kind of model, its building and its internal validation", "training"),
    ("12d", "Differences between centres", "sites"),
    ("12e", "Measures of performance", "measures"),
    ("12f", "Updating of the model", ""),
    ("12g", "How predictions are computed", "training"),
    ("13", "Handling of class imbalance", ""),
    ("14", "Fairness", "subgroups"),
    ("15", "Output of the model and its cut-offs", "measures"),
    ("16", "Differences between training and evaluation data", "table_one"),
    ("17", "Ethical approval", ""),
    ("18a", "Funding", ""),
    ("18b", "Conflicts of interest", ""),
    ("18c", "Protocol", ""),
    ("18d", "Registration", ""),
    ("18e", "Sharing of data", ""),
    ("18f", "Sharing of code", "code"),
    ("19", "Involvement of patients and the public", ""),
    ("20a", "Flow of participants", "flow"),
    ("20b", "Characteristics, missing values, events", "table_one"),
    ("20c", "Comparison of training and evaluation sets", "table_one"),
    ("21", "Participants and events in each analysis", "counts"),
    ("22", "The full model", "training"),
    ("23a", "Performance with intervals, also in subgroups", "results"),
    ("23b", "Differences in performance between centres", "sites"),
    ("24", "Results of updating", ""),
    ("25", "Interpretation, fairness included", ""),
    ("26", "Limitations", "cautions"),
    ("27a", "Inputs of poor quality or missing in use", ""),
    ("27b", "What users must be able to do", ""),
    ("27c", "Next steps", ""),
)
CLAIM: tuple[tuple[str, str, str], ...] = (
    ("1", "Title names the method", ""),
    ("2", "Structured summary", ""),
    ("3", "Background and intended use", ""),
    ("4", "Aims and hypotheses", ""),
    ("5", "Prospective or retrospective", ""),
    ("6", "Goal of the study", ""),
    ("7", "Sources of the data", "sets"),
    ("8", "Who was included and excluded", "flow"),
    ("9", "Preprocessing", "preparation"),
    ("10", "Selection of parts of the data", "flow"),
    ("11", "De-identification", ""),
    ("12", "Missing data", "missing"),
    ("13", "Image acquisition", ""),
    ("14", "Definition of the reference standard", ""),
    ("15", "Why this reference standard", ""),
    ("16", "Who made the reference annotations", ""),
    ("17", "Annotation of the test set", ""),
    ("18", "Agreement of readers", "readers"),
    ("19", "How data were assigned to sets", "split"),
    ("20", "Level at which sets are disjoint", "split"),
    ("21", "Intended sample size", ""),
    ("22", "The model in detail", "training"),
    ("23", "Software", "code"),
    ("24", "Initial weights", "training"),
    ("25", "Training in detail", "training"),
    ("26", "How the final model was chosen", "training"),
    ("27", "Ensembling", "ensembling"),
    ("28", "Measures of performance", "measures"),
    ("29", "Significance and uncertainty", "measures"),
    ("30", "Robustness", "subgroups"),
    ("31", "Explanation of the model", ""),
    ("32", "Evaluation on internal data", "results"),
    ("33", "Test on external data", "external"),
    ("34", "Trial registration", ""),
    ("35", "Numbers included and excluded", "flow"),
    ("36", "Characteristics of each set", "table_one"),
    ("37", "Performance on every set", "results"),
    ("38", "Estimates with their precision", "results"),
    ("39", "Analysis of failures", "failures"),
    ("40", "Limitations", "cautions"),
    ("41", "Implications for practice", ""),
    ("42", "Protocol and further details", ""),
    ("43", "Where software and model are found", "code"),
    ("44", "Funding", ""),
)


def checklists(
    run: RunFolder, *, flow: Flow, parts_there: Sequence[Section]
) -> Section:
    """Returns both lists, closed until opened, with a count of what is answered.

    Args:
        run: The judged folder.
        flow: Its flow of examinations.
        parts_there: The page's other parts; an answer leads only to one that is there.
    """
    anchors = {part.anchor for part in parts_there if part.html}
    known = {
        key: words
        for key, words in answers(run, flow=flow).items()
        if set(re.findall(r"href='#(\w+)'", words)) <= anchors
    }
    parts = []
    for title, items in (("TRIPOD+AI", TRIPOD_AI), ("CLAIM 2024", CLAIM)):
        done = sum(key in known for _, _, key in items)
        summary = f"{title}: {done} of {len(items)} items have material on this page"
        parts.append(markup.details(summary, _table(items, known)))
    note = (
        "<p>What the run knows is filled in; everything else is marked as the authors' "
        "to write. Items are told in short; the published lists are the authority.</p>"
    )
    return markup.section("checklists", "Reporting checklists", note, *parts)


def answers(run: RunFolder, *, flow: Flow) -> dict[str, str]:
    """Returns what the page says, as HTML, by the keys of the lists."""
    metrics, config, rows = run.metrics, run.config, run.metrics["input"]
    sets = ", ".join(
        f"{name} ({np.sum(run.predictions.set == name)})" for name in metrics["sets"]
    )
    found = {
        "sets": f"Examinations by set: {markup.text(sets)}.",
        "missing": "Predicted but not judged: "
        f"{counted(rows['without_target'], 'examination')} without a reference value; "
        "no value was imputed.",
        "measures": _see("methods", "Methods, as run"),
        "flow": f"{len(flow.steps)} steps: {_see('cohort', 'Cohort')}",
        "table_one": f"Table 1: {_see('cohort', 'Cohort')}",
        "counts": f"{counted(rows['judged'], 'judged examination')}; n stands at every "
        "number.",
        "results": _see("results", "Results"),
        "cautions": "Limits that the files show: "
        + _see("cautions", "Read this first"),
        "code": "liverjax"
        + (
            f", commit {markup.text(run.environment['commit'])}"
            if run.environment.get("commit")
            else ""
        )
        + ".",
    }
    if metrics["sites"]:
        names = ", ".join(metrics["sites"])
        found["sites"] = f"Centres: {markup.text(names)}."
    if metrics.get("subgroups"):
        found["subgroups"] = _see("subgroups", "Subgroups")
    if metrics.get("readers"):
        found["readers"] = _see("readers", "Readers")
    external = [name for name in metrics["sets"] if "external" in name]
    if external:
        found["external"] = f"Set {markup.text(', '.join(external))}."
    if run.folds:
        found["split"] = f"By patient, {len(run.folds)} folds: {_see('split', 'Split')}"
    if config:
        found |= {
            "training": _see("run", "What was run"),
            "inputs": _see("run", "What was run"),
        }
    if run.status:
        found["preparation"] = _see("preparation", "Preparation and registration")
    if np.any(run.predictions.members > 1):
        found["ensembling"] = (
            f"Up to {run.predictions.members.max()} predictions were averaged."
        )
    if metrics["kind"] != SURVIVAL:
        found["failures"] = _see("worst", "The worst cases")
    return found


def _see(anchor: str, title: str) -> str:
    return f"<a href='#{anchor}'>{markup.text(title)}</a>."


def _table(items: Sequence[tuple[str, str, str]], known: dict[str, str]) -> str:
    rows = [
        (number, markup.text(asked), known.get(key, f"<em>{AUTHORS}</em>"))
        for number, asked, key in items
    ]
    return markup.table(("Item", "What is asked", "Here"), rows)

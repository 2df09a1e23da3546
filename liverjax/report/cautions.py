"""What a reader must be told before believing a report, found in its own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liverjax.cohort.schema import TRAIN
from liverjax.report.flow import Flow
from liverjax.report.run import RunFolder
from liverjax.report.simple_models import as_good_as
from liverjax.report.tables import examination_name
from liverjax.report.words import counted

_FULL_WIDTH = 64


def collect_cautions(run: RunFolder, *, flow: Flow) -> list[str]:
    """Returns a sentence for each reason to read the numbers with care."""
    return [
        *as_good_as(run.metrics),
        *_of_design(run),
        *_of_config(run.config),
        *_of_split(run),
        *_of_members(run),
        *_of_flow(run, flow),
        *run.metrics.get("notes", ()),
    ]


def preparation_findings(run: RunFolder) -> list[tuple[str, str, str]]:
    """Returns name, status and reasons of examinations that are not simply ok."""
    return [
        (
            examination_name(row["subject"], row["visit"]),
            row["status"],
            row.get("reasons", "") or row.get("codes", ""),
        )
        for row in run.status
        if row["status"] != "ok"
    ]


def _of_design(run: RunFolder) -> list[str]:
    sets = list(run.metrics["sets"])
    outside = [name for name in sets if "external" in name]
    found = []
    if run.held_out and not run.folds:
        found.append(
            f"That each row of {run.metrics['set']} was held out when its model was "
            "fitted is what the table's column fold states; nothing here can show it."
        )
    if not outside:
        only = "cross-validated in one cohort" if sets == [TRAIN] else ", ".join(sets)
        found.append(
            f"Not external: no set is named external ({only}). Nothing here shows how "
            "the model does at another hospital."
        )
    if len(run.metrics["sites"]) == 1 and not outside:
        found.append("One site only: a shortcut of that site would not be seen.")
    return found


def _of_config(config: Mapping[str, Any]) -> list[str]:
    if not config:
        return []
    found = []
    model, cohort = config.get("model") or {}, config.get("cohort") or {}
    width = (model.get("options") or {}).get("width")
    resnet = str(model.get("name")).startswith("resnet")
    if cohort.get("phantom"):
        found.append(
            "Synthetic cohort: the images are drawn by a program. The numbers show "
            "that the software works, not that anything is seen in patients."
        )
    if isinstance(width, int) and not resnet:
        found.append(
            f"The network's first stage was set to {width} channels, not left at its "
            "published width."
        )
    elif isinstance(width, int) and width < _FULL_WIDTH:
        found.append(
            f"The network has {width}/{_FULL_WIDTH} of its published width: a demo, "
            "not the paper's network."
        )
    if model.get("frozen"):
        found.append(
            "Frozen backbone: only linear heads were trained, on features of images "
            "without augmentation. A cheap baseline, not the network trained whole."
        )
    if model.get("pretrained") == "none":
        found.append("No pretrained weights: the network started at random.")
    if (config.get("split") or {}).get("leak_check") is False:
        found.append(
            "The check for one patient's images under two names was switched off: "
            "subjects may leak between folds, and the figures may be optimistic."
        )
    if (config.get("split") or {}).get("stratify") is False:
        found.append("Folds are not stratified by class: the pooled tau is biased.")
    return found


def _of_split(run: RunFolder) -> list[str]:
    found = []
    optimistic = [
        number
        for number, fold in enumerate(run.folds)
        if set(fold.get("select", ())) & set(fold.get("held_out", ()))
    ]
    if optimistic:
        found.append(
            f"Optimistic: in {len(optimistic)} of {len(run.folds)} folds the subjects "
            "that picked the epoch are those that give the result."
        )
    leaking = [
        number
        for number, fold in enumerate(run.folds)
        if set(fold.get("train", ())) & set(fold.get("held_out", ()))
    ]
    if leaking:
        found.append(f"Folds {leaking} were tested on subjects they were trained on.")
    return found


def _of_members(run: RunFolder) -> list[str]:
    found = []
    lost = sum(row["finite"] == "0" for row in run.heads)
    if lost:
        found.append(f"{lost} of {len(run.heads)} heads became non-finite.")
    for member in run.members:
        failed = member.done.get("failed_at")
        if failed:
            epoch, step = failed["epoch"] + 1, failed["step"]
            fate = (
                f"its state of epoch {member.done['best_epoch'] + 1} predicts"
                if member.done.get("best_epoch") is not None
                else "it has no state that could predict"
            )
            found.append(
                f"Member {member.name} became non-finite at epoch {epoch}, step "
                f"{step}; {fate}."
            )
        elif not member.done:
            found.append(f"Member {member.name} has not finished.")
        if len(member.done.get("environments", ())) > 1:
            found.append(
                f"Member {member.name} was resumed in another environment (devices, "
                "threads or mesh): its bits are not those of an undisturbed run."
            )
    return found


def _of_flow(run: RunFolder, flow: Flow) -> list[str]:
    found = [f"The flow does not add up: {gap}" for gap in flow.gaps]
    if flow.missing:
        found.append(
            f"Prepared but without a prediction: {_names(flow.missing)} of "
            f"{counted(len(run.examinations), 'examination')}."
        )
    for status in ("failed", "excluded", "warning"):
        names = [
            name for name, level, _ in preparation_findings(run) if level == status
        ]
        if names:
            found.append(
                f"Status “{status}” after preparation: {_names(names)} of "
                f"{counted(len(run.status), 'examination')}; the reasons stand under "
                "Preparation."
            )
    return found


def _names(names: Sequence[str]) -> str:
    """``3 (a, b, c)``, cut short after a dozen."""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{len(names)} ({shown})"

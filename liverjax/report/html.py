"""The report: one page that needs no network, made of a judged run folder alone."""

from __future__ import annotations

import importlib.resources
import pathlib
from collections.abc import Sequence

from liverjax.cohort.files import write_bytes
from liverjax.report import (
    checklists,
    cohort_sections,
    group_sections,
    markup,
    methods,
    reader_sections,
    result_sections,
    run_sections,
    subgroup_sections,
)
from liverjax.report.cautions import collect_cautions
from liverjax.report.flow import count_flow
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder, read_run
from liverjax.report.words import counted
from liverjax.tasks.kinds import BINARY
from liverjax.tasks.question import Question

RESEARCH_ONLY = "Research use only, not a medical device."


def write_report(run_dir: pathlib.Path, *, task: Question) -> pathlib.Path:
    """Writes ``report.html`` and ``figures/`` of a judged folder; returns the page.

    Only ``predictions.csv`` and ``metrics.json`` are required: a table of predictions
    made elsewhere has nothing else. The same folder gives the same bytes.

    Args:
        run_dir: The run folder; `liverjax.report.judge_run` wrote its metrics.
        task: The clinical question.

    Raises:
        InputError: If the folder is not judged yet, or a file of it cannot be read.
    """
    run = read_run(run_dir, task=task)
    flow = count_flow(run)
    sections = [
        run_sections.cautions(collect_cautions(run, flow=flow)),
        result_sections.results(run, task=task),
        group_sections.groups(run),
        subgroup_sections.subgroups(run),
        reader_sections.readers(run),
        group_sections.folds(run, task=task),
        cohort_sections.cohort(run, flow=flow, task=task),
        cohort_sections.preparation(run),
        cohort_sections.worst_cases(run, task=task),
        methods.methods(run, task=task, flow=flow),
        run_sections.training(run),
        run_sections.what_was_run(run),
        run_sections.sources(run),
    ]
    lists = checklists.checklists(run, flow=flow, parts_there=sections)
    sections.insert(-3, lists)
    path = run_dir / "report.html"
    write_bytes(path, _page(run, sections, task=task).encode())
    return path


def _page(run: RunFolder, sections: Sequence[Section], *, task: Question) -> str:
    title = run.config.get("study") or f"Judgement of {run.metrics['input']['file']}"
    rows = run.metrics["input"]
    subtitle = (
        f"{counted(rows['judged'], 'judged examination')} of "
        f"{counted(rows['judged_subjects'], 'patient')}. The headline is the set "
        f"{run.metrics['set']}"
    )
    if run.held_out:
        subtitle += f": {run.held_out}"
    if run.metrics["kind"] == BINARY:
        subtitle += f". Positive: {task.classes[1]}"
    there = [section for section in sections if section.html]
    links = "".join(f"<a href='#{s.anchor}'>{markup.text(s.title)}</a>" for s in there)
    style = importlib.resources.files("liverjax.report").joinpath("report.css")
    body = "".join(section.html for section in there)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{markup.text(title)}</title>"
        f"<style>{style.read_text(encoding='utf-8')}</style></head><body>"
        f"<header><p class='banner'>{RESEARCH_ONLY}</p><h1>{markup.text(title)}</h1>"
        f"<p class='subtitle'>{markup.text(subtitle)}.</p>"
        f"{result_sections.headline(run)}<nav>{links}</nav></header>"
        f"<main>{body}</main>"
        f"<footer><p>{RESEARCH_ONLY} Made by liverjax.</p></footer></body></html>\n"
    )

"""The page's parts about the run: training, what was run, where numbers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liverjax.report import figures, markup
from liverjax.report.markup import Section
from liverjax.report.run import MemberFacts, RunFolder


def cautions(sentences: Sequence[str]) -> Section:
    """Returns what to know before the numbers are read."""
    escaped = [markup.text(sentence) for sentence in sentences]
    return markup.section("cautions", "Read this first", markup.items(escaped))


def training(run: RunFolder) -> Section:
    """Returns the learning curves and how each network's training ended."""
    if run.heads:
        return _heads(run)
    curves = {member.name: member.epochs for member in run.members if member.epochs}
    picture = ""
    if curves:
        best = {
            member.name: int(member.done["best_epoch"])
            for member in run.members
            if member.done.get("best_epoch") is not None and member.epochs
        }
        svg = figures.save(
            figures.learning_curves(curves, best=best),
            run.path / "figures",
            name="learning_curves",
        )
        picture = markup.figure(
            svg,
            kind="svg+xml",
            alt="Training loss, selection loss and selection score by epoch",
            caption=f"{len(curves)} networks, a thin line each; thick: median. "
            "figures/learning_curves.svg",
        )
    rows = [_member_row(member) for member in run.members]
    header = ("Network", "Ended", "Epochs", "Best epoch", "Score there", "Time")
    return markup.section(
        "training",
        "Training",
        markup.beside(picture, markup.table(header, rows) if rows else ""),
        source="members/*/metrics.jsonl, members/*/done.json",
    )


def _heads(run: RunFolder) -> Section:
    """Returns how the heads on a frozen backbone ended, in a few lines."""
    epochs = [int(row["epochs"]) for row in run.heads]
    known = [float(row["select_score"]) for row in run.heads if row["select_score"]]
    summary = markup.facts(
        [
            ("Linear heads", len(run.heads)),
            *(
                (label, len({row[name] for row in run.heads}))
                for label, name in (
                    ("Folds", "fold"),
                    ("Seeds", "seed"),
                    ("Trials", "trial"),
                )
            ),
            ("Epochs", f"{min(epochs)} to {max(epochs)}"),
            (
                "Selection score",
                f"{min(known):.3g} to {max(known):.3g}" if known else None,
            ),
            ("Not finite", sum(row["finite"] == "0" for row in run.heads)),
        ]
    )
    return markup.section(
        "training",
        "Training",
        "<p>The backbone's features of the central crop were computed once, without "
        "augmentation; the heads were trained on them together.</p>",
        summary,
        source="members/heads/heads.csv, trials.csv",
    )


def what_was_run(run: RunFolder) -> Section:
    """Returns the study in a few lines, then config and environment whole."""
    config, environment = run.config, run.environment
    model, split = config.get("model") or {}, config.get("split") or {}
    train, prepare = config.get("train") or {}, config.get("prepare") or {}
    summary = markup.facts(
        [
            ("Study", config.get("study")),
            ("Task", run.metrics["task"]),
            ("Channels", _listed(prepare.get("channels"))),
            ("Patch, pixels", prepare.get("patch_px")),
            ("Registration", prepare.get("registration")),
            ("Registered region", prepare.get("registration_region")),
            ("Network", model.get("name")),
            ("Network options", _listed(model.get("options"))),
            ("Pretrained", model.get("pretrained")),
            ("Backbone", "frozen" if model.get("frozen") else None),
            ("Folds", split.get("folds")),
            ("Epoch picked on", split.get("select_on")),
            ("Seeds a fold", train.get("seeds")),
            ("Epochs at most", train.get("epochs")),
            ("Batch size", train.get("batch_size")),
            ("Learning rate", train.get("learning_rate")),
            ("Device", environment.get("device_kind")),
            ("Devices", environment.get("devices")),
            ("Software", _listed(environment.get("versions"), few=True)),
            ("Commit", environment.get("commit")),
            ("Seed of the statistics", run.metrics.get("seed")),
        ]
    )
    whole = [
        markup.details(f"{name}, whole", markup.table(("Name", "Value"), _flat(value)))
        for name, value in (
            ("Config", _without_places(config)),
            ("Environment", environment),
        )
        if value
    ]
    return markup.section(
        "run",
        "What was run",
        summary,
        *whole,
        source="config.json, environment.json" if config else "metrics.json",
    )


def sources(run: RunFolder) -> Section:
    """Returns the files behind the page, with their hashes."""
    rows = [
        (markup.code(one.name), f"<code>{one.sha256}</code>") for one in run.sources
    ]
    return markup.section(
        "sources",
        "Where every number comes from",
        "<p>Each part names its files; each statistic names its key in "
        "<code>metrics.json</code>, which is computed from "
        "<code>predictions.csv</code> alone. "
        "<code>python -m liverjax.report --run FOLDER</code> computes them again.</p>",
        markup.table(("File", "SHA-256"), rows),
    )


def _member_row(member: MemberFacts) -> tuple[str, ...]:
    done, best = member.done, member.done.get("best_epoch")
    at_best = [line for line in member.epochs if line.get("epoch") == best]
    score = at_best[0].get("select_score") if at_best and best is not None else None
    seconds = done.get("seconds")
    return (
        markup.code(member.name),
        markup.text(done.get("status") or ("done" if done else "not finished")),
        str(len(member.epochs)),
        markup.NONE if best is None else str(int(best) + 1),
        markup.number(score),
        f"{seconds / 60:.1f} min" if seconds else markup.NONE,
    )


def _without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config without paths: a page travels, and folders may bear names."""
    shown = {name: value for name, value in config.items() if name != "workdir"}
    for section, places in {
        "cohort": ("path", "manifest"),
        "model": ("weights_dir",),
        "split": ("file",),
    }.items():
        values = shown.get(section) or {}
        shown[section] = {k: v for k, v in values.items() if k not in places}
    return {name: value for name, value in shown.items() if value != {}}


def _listed(value: Any, *, few: bool = False) -> str | None:
    """Values of a list or mapping in one line; of versions the main ones."""
    if isinstance(value, Mapping):
        names = ("jax", "flax", "numpy", "SimpleITK", "itk-elastix") if few else value
        return ", ".join(f"{name} {value[name]}" for name in names if value.get(name))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names and values of a nested mapping, as cells."""
    if isinstance(value, Mapping) and value:
        return [
            row
            for key, item in value.items()
            for row in _flat(item, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(markup.code(prefix), markup.text(value))]

"""The page's parts about examinations: flow, table 1, preparation, worst cases."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping, Sequence

import matplotlib.image
import numpy as np
from jaxtyping import Float, Int

from liverjax.cohort.files import Row
from liverjax.cohort.schema import STATUS_COLUMNS
from liverjax.report import figures, markup
from liverjax.report.cautions import preparation_findings
from liverjax.report.flow import Flow
from liverjax.report.judged import ideal_score
from liverjax.report.markup import Section
from liverjax.report.run import RunFolder
from liverjax.report.table_one import column_numbers, table_one
from liverjax.report.tables import Predictions, examination_name
from liverjax.report.words import counted
from liverjax.tasks.question import Question

WORST = 10
_PICTURE_WIDTH_PX = 800
_PICTURE_BYTES = 250_000


def cohort(run: RunFolder, *, flow: Flow, task: Question) -> Section:
    """Returns the flow of examinations and table 1 by set and by class."""
    return markup.section(
        "cohort",
        "Cohort",
        _flow_boxes(flow),
        table_one(run.predictions, task=task),
        source=", ".join(
            sorted({*(step.source for step in flow.steps), "predictions.csv"})
        ),
    )


def preparation(run: RunFolder) -> Section:
    """Returns registration quality, other measures, and every finding by name."""
    measures = _measures(run.status)
    residuals = {
        name.removesuffix("_liver_residual_mm"): list(values.values())
        for name, values in measures.items()
        if name.endswith("_liver_residual_mm")
    }
    picture = ""
    if residuals:
        svg = figures.save(
            figures.strips(residuals, label="residual at the liver, mm"),
            run.path / "figures",
            name="registration",
        )
        picture = markup.figure(
            svg,
            kind="svg+xml",
            alt="Residual displacement at the liver of each registered phase",
            caption="Residual at the liver after registration, a point an examination; "
            "bars are medians. figures/registration.svg",
        )
    rows = []
    for name, values in measures.items():
        numbers = np.array(list(values.values()))
        low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
        worst = max(values, key=lambda key: values[key])
        rows.append(
            (
                markup.code(name),
                f"{middle:.3g} ({low:.3g} to {high:.3g})",
                f"{numbers.min():.3g}",
                f"{numbers.max():.3g} ({markup.text(worst)})",
                str(len(numbers)),
            )
        )
    header = ("Measure", "Median (quartiles)", "Least", "Most", "n")
    findings = [
        (markup.text(name), markup.text(status), markup.text(reason))
        for name, status, reason in preparation_findings(run)
    ]
    named = markup.table(("Examination", "Status", "Reasons"), findings)
    return markup.section(
        "preparation",
        "Preparation and registration",
        markup.beside(picture, markup.table(header, rows) if rows else ""),
        markup.details(
            f"{counted(len(findings), 'examination')} with findings, by name", named
        )
        if findings
        else "",
        source="status.csv",
    )


def worst_cases(run: RunFolder, *, task: Question) -> Section:
    """Returns the ten examinations furthest from their truth, with their pictures."""
    rows = run.predictions
    rows = rows.take((rows.set == run.metrics["set"]) & np.isfinite(rows.target))
    if not task.classes and not rows.on_scale:
        return markup.section(
            "worst",
            "The worst cases",
            "<p>Not listed: a risk has no distance from a time.</p>",
        )
    true_class = np.asarray(task.true_class(rows.target), int)
    columns, order = _furthest(rows, true_class, task=task)
    status = {(row["subject"], row["visit"]): row for row in run.status}
    cards = "".join(
        _case(
            rows.take(order[i : i + 1]),
            place=i + 1,
            distances=[(name, cells[order[i]]) for name, cells in columns.items()],
            true_class=task.classes[true_class[order[i]]] if task.classes else "",
            task=task,
            status=status,
            pictures=run.pictures,
        )
        for i in range(len(order))
    )
    return markup.section(
        "worst",
        f"The {len(order)} worst cases",
        f"<div class='cases'>{cards}</div>",
        source="predictions.csv, status.csv, and the cohort's qc/ pictures",
    )


def misordered(
    score: Float[np.ndarray, " n"], *, true_class: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Returns the share of the other classes' rows that each row is ranked wrongly to.

    A sick row below a healthy one is wrong, a tie half so; 0 where there is one class.
    """
    wrong, others = np.zeros(len(score)), np.zeros(len(score))
    for level in np.unique(true_class):
        of = true_class == level
        ranked = np.sort(score[of])
        below = np.searchsorted(ranked, score) / 2
        below += np.searchsorted(ranked, score, side="right") / 2
        sicker, milder = true_class > level, true_class < level
        wrong[sicker] += len(ranked) - below[sicker]
        wrong[milder] += below[milder]
        others[~of] += len(ranked)
    return np.divide(wrong, others, out=np.zeros(len(score)), where=others > 0)


def _furthest(
    rows: Predictions, true_class: np.ndarray, *, task: Question
) -> tuple[dict[str, list[str]], np.ndarray]:
    """Cells that tell each row's distance, and the rows from the furthest on."""
    ideal = ideal_score(rows, task=task)
    if ideal is not None:
        error = rows.score - ideal
        order = np.lexsort((rows.subject, -np.abs(error)))
        return {"Score less truth": [_signed(e, decimals=2) for e in error]}, (
            order[:WORST]
        )
    # Such scores only rank: how many of other classes stand on the wrong side?
    share = misordered(rows.score, true_class=true_class)
    keys = [rows.subject, -share]
    columns = {}
    if np.all(rows.predicted_class >= 0):
        off = rows.predicted_class - true_class
        keys.append(-np.abs(off))
        columns["Classes off"] = [_signed(float(o), decimals=0) for o in off]
    columns["Ranked wrongly to"] = [f"{s:.0%} of the other classes" for s in share]
    return columns, np.lexsort(keys)[:WORST]


def _signed(value: float, *, decimals: int) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def read_picture(path: pathlib.Path) -> bytes:
    """Returns a PNG's bytes, made smaller by whole factors when it is large."""
    content = path.read_bytes()
    if len(content) <= _PICTURE_BYTES:
        return content
    pixels = matplotlib.image.imread(path)
    factor = int(np.ceil(pixels.shape[1] / _PICTURE_WIDTH_PX))
    if factor > 1:
        height, width = (side // factor * factor for side in pixels.shape[:2])
        blocks = pixels[:height, :width].reshape(
            height // factor, factor, width // factor, factor, -1
        )
        pixels = blocks.mean(axis=(1, 3)).squeeze()
    small = io.BytesIO()
    options = {"cmap": "gray", "vmin": 0, "vmax": 1} if pixels.ndim == 2 else {}
    matplotlib.image.imsave(small, pixels, format="png", **options)
    return small.getvalue()


def _case(
    row: Predictions,
    *,
    place: int,
    distances: Sequence[tuple[str, str]],
    true_class: str,
    task: Question,
    status: Mapping[tuple[str, str], Row],
    pictures: pathlib.Path,
) -> str:
    subject, visit = row.examinations()[0]
    index = int(row.predicted_class[0])
    predicted = f" ({task.classes[index]})" if index >= 0 else ""
    found = status.get((subject, str(visit)), {})
    pairs = [
        ("Truth", _truth(float(row.target[0]), true_class)),
        ("Prediction", f"{row.score[0]:.2f}{predicted}"),
        *distances,
        ("Site", row.site[0]),
        ("Fold", row.fold[0]),
        ("Preparation", found.get("status", "")),
        ("Codes", found.get("codes", "")),
    ]
    # As `liverjax.cohort.write` names it; a stranger's subject must not lead elsewhere.
    name = pathlib.PurePosixPath(f"{subject}-{visit}.png").name
    picture = ""
    if (pictures / name).is_file():
        picture = markup.figure(
            read_picture(pictures / name),
            kind="png",
            alt=f"Slices of examination {subject}, visit {visit}",
            caption=f"qc/{markup.text(name)}",
        )
    elif pictures.is_dir():
        picture = "<p class='source'>No picture.</p>"
    title = f"<h3>{place}. {markup.text(examination_name(subject, visit))}</h3>"
    return f"<article class='case'>{title}{markup.facts(pairs)}{picture}</article>"


def _truth(target: float, name: str) -> str:
    """``7 (B)``; of classes that are the truth themselves only the name."""
    if not name or name == f"{target:g}":
        return f"{target:g}"
    return f"{target:g} ({name})"


def _flow_boxes(flow: Flow) -> str:
    boxes = []
    for step in flow.steps:
        lost = [f"{count} {markup.text(reason)}" for reason, count in step.lost]
        aside = f"<div class='lost'>{markup.items(lost)}</div>" if lost else ""
        boxes.append(
            f"<li><div class='box'><b>{step.count}</b> {markup.text(step.label)}</div>"
            f"{aside}</li>"
        )
    gaps = "".join(f"<p class='gap'>{markup.text(gap)}</p>" for gap in flow.gaps)
    return f"<ol class='flow'>{''.join(boxes)}</ol>{gaps}"


def _measures(status: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Numeric columns of status.csv: value by examination, empty cells left out."""
    found: dict[str, dict[str, float]] = {}
    for name in status[0] if status else ():
        if name in STATUS_COLUMNS:
            continue
        values = column_numbers([row[name] for row in status])
        if values is None or not np.isfinite(values).any():
            continue
        keys = [examination_name(row["subject"], row["visit"]) for row in status]
        pairs = zip(keys, values.tolist(), strict=True)
        found[name] = {key: value for key, value in pairs if np.isfinite(value)}
    return found

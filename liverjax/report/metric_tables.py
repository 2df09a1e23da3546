"""Tables beside ``metrics.json``: confusion matrices, figures by class and by fold."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from liverjax.cohort.files import write_csv
from liverjax.report.judged import Block, Judged
from liverjax.stats import rank_correlation

CONFUSION_COLUMNS = ("set", "true", "predicted", "n")
CLASS_COLUMNS = ("set", "class", "figure", "estimate", "low", "high", "n", "method")
FOLD_COLUMNS = (
    "set",
    "fold",
    "n",
    "kendall_tau",
    "accuracy",
    "mean_score",
    "mean_target",
)


def write_metric_tables(
    out_dir: pathlib.Path,
    judged: Mapping[str, Judged],
    *,
    blocks: Mapping[str, Block],
) -> None:
    """Writes ``confusion.csv``, ``per_class.csv`` and ``per_fold.csv``.

    Args:
        out_dir: The folder of ``metrics.json``.
        judged: Rows of each set.
        blocks: Their statistics.
    """
    for name, columns, rows in (
        ("confusion", CONFUSION_COLUMNS, _confusion_rows(judged)),
        ("per_class", CLASS_COLUMNS, _class_rows(judged, blocks)),
        ("per_fold", FOLD_COLUMNS, _fold_rows(judged)),
    ):
        write_csv(out_dir / f"{name}.csv", rows, columns=columns)


def _confusion_rows(judged: Mapping[str, Judged]) -> Iterator[dict[str, Any]]:
    for name, rows in judged.items():
        if rows.predicted_class is None:
            continue
        for (i, j), count in np.ndenumerate(rows.confusion):
            yield {
                "set": name,
                "true": rows.classes[i],
                "predicted": rows.classes[j],
                "n": int(count),
            }


def _class_rows(
    judged: Mapping[str, Judged], blocks: Mapping[str, Block]
) -> Iterator[dict[str, Any]]:
    for name, rows in judged.items():
        for key, value in blocks[name].items():
            figure, _, label = key.rpartition("_")
            if label in rows.classes and f"macro_{figure}" in blocks[name]:
                place = {"set": name, "class": label, "figure": figure}
                yield place | value.as_metric()


def _fold_rows(judged: Mapping[str, Judged]) -> Iterator[dict[str, Any]]:
    for name, rows in judged.items():
        if rows.fold is None:
            continue
        for fold in sorted(set(rows.fold.tolist()), key=lambda f: (len(f), f)):
            inside = rows.fold == fold
            row = {
                "set": name,
                "fold": fold,
                "n": int(inside.sum()),
                "mean_score": float(rows.score[inside].mean()),
                "mean_target": float(rows.target[inside].mean()),
                "kendall_tau": rank_correlation.concordance_pairs(
                    rows.score[inside], y=rows.target[inside]
                ).tau_b,
            }
            if rows.predicted_class is not None:
                right = rows.predicted_class[inside] == rows.true_class[inside]
                row["accuracy"] = float(np.mean(right))
            yield row

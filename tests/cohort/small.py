"""A small cohort on disk, written with the package's own pieces."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from liverjax.cohort import files, records, schema

RECIPE = schema.Recipe(
    channels=("venous",), registration="none", patch_px=48, store_px=48
)


def write_cohort(
    path: pathlib.Path,
    images: Sequence[np.ndarray] | np.ndarray,
    *,
    subjects: list[str],
    recipe: schema.Recipe = RECIPE,
    columns: dict[str, list[str]] | None = None,
    hashes: list[str] | None = None,
    per_shard: int = 4,
) -> schema.Cohort:
    """Writes images (n, h, w, c), a subject each, grouped by subject."""
    store = len(images[0])
    recipe = dataclasses.replace(
        recipe, store_px=store, patch_px=min(recipe.patch_px, store)
    )
    path.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(subjects))
    examinations = []
    for number, name in enumerate(names):
        places = [i for i, subject in enumerate(subjects) if subject == name]
        row = {"subject": name, "visit": 1, "set": "train", "site": ""}
        row |= {key: values[number] for key, values in (columns or {}).items()}
        row |= {"first_record": places[0], "last_record": places[-1]}
        examinations.append(row)
    keys = dict.fromkeys(["subject", "visit", "set", "site", *(columns or {})])
    files.write_csv(
        path / "examinations.csv",
        examinations,
        columns=[*keys, "first_record", "last_record"],
    )
    index = [
        {
            "record": i,
            "subject": subject,
            "visit": 1,
            "source_slice": i,
            "source_sha256": hashes[i] if hashes else f"{i:064x}",
            "ijk_to_lps": f"1 0 0 {10 * names.index(subject)} 0 1 0 0 0 0 0 {5 * i}",
        }
        for i, subject in enumerate(subjects)
    ]
    files.write_csv(path / "index.csv", index, columns=schema.INDEX_COLUMNS)
    encoded = [records.encode({"image": x}, specs=recipe.arrays()) for x in images]
    starts = range(0, len(encoded), per_shard)
    shards = tuple(
        records.write_shard(
            path / f"shards-{k:05d}-of-{len(starts):05d}.array_record",
            encoded[start : start + per_shard],
        )
        for k, start in enumerate(starts)
    )
    schema.write_header(
        path, recipe=recipe, shards=shards, inputs={}, counts={}, versions={}
    )
    return schema.open_cohort(path)

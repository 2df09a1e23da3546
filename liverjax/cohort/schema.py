"""The written schema of a prepared cohort: recipe, arrays, tables, `cohort.json`.

A cohort is a folder: ``cohort.json``, ``examinations.csv`` (a row an examination),
``index.csv`` (a row a record), ``shards-*.array_record`` and ``qc/`` (``status.csv``,
a picture an examination). A record is one slice with named arrays.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from liverjax.cohort import files
from liverjax.errors import InputError

SCHEMA = 1
TRAIN = "train"

# Keys of a batch, of an example and of a record.
IMAGE = "image"
MASK = "mask"
RECORD = "record"
TARGET = "target"
ARRAYS = "arrays"

MASK_LABELS = {"background": 0, "liver": 1, "spleen": 2, "lesion": 3}

INDEX_COLUMNS = (
    "record",  # 0-based, over all shards in order
    "subject",
    "visit",
    "source_slice",  # 0-based slice number in the reference image, from caudal
    "source_sha256",  # of the slice's stored pixels before any processing
    "slice_position_mm",  # along the stack's normal, LPS
    "liver_fraction",  # 0 at the caudal end of the liver's extent, 1 at the cranial
    "liver_area_mm2",
    "liver_coverage",  # share of the slice's liver inside the used patch
    "padded_share",  # share of the used patch outside the scan
    "ijk_to_lps",  # 12 numbers, row-major 3x4: (column, row, 0, 1) of the record -> mm
)
STATUS_COLUMNS = ("subject", "visit", "set", "site", "status", "codes", "reasons")
STATUSES = ("ok", "warning", "failed", "excluded")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every number of the preparation of a CT study; lies in ``cohort.json`` as it is.

    Attributes:
        channels: Image columns of the manifest, in the order of the record's channels.
        optional_channels: Those that may be absent (zeros in the record, presence flag
            in ``examinations.csv``); every other absent channel excludes the
            examination.
        reference: The channel whose grid is kept and whose mask is used.
        registration: ``rigid`` maps every other channel to the reference; ``none``
            resamples by the headers alone.
        registration_region: ``whole_image`` (elastix's default map, study 000) or
            ``liver_margin`` (fixed mask of the liver and a margin around it).
        registration_margin_mm: That margin.
        registration_spacing_mm: The map is estimated on block means of about this voxel
            size (measured: as exact, five times as fast); None takes every voxel.
        registration_seed: Seed of elastix's sampler, set on every call.
        window_centre_hu: Centre of the intensity window.
        window_width_hu: Its width; ends map to 0 and 255.
        pad_hu: Intensity outside the scan, before the window.
        inplane_spacing_mm: Pixel size of a record; None keeps the scan's own (study
            000), which is refused when the cohort spans more than 15 %.
        slice_spacing_mm: Distance of kept slices (the nearest existing one is taken);
            None keeps every slice.
        slice_range: Part of the liver's craniocaudal extent that is kept, from caudal.
        patch_px: Side of the square that a network sees.
        store_px: Side of the stored square; the margin is for the warp.
        patch_center: ``liver_centroid`` (3-D), ``slice_centroid`` or ``liver_box``.
        mask_channels: Planes of the stored label map; empty stores none.
        min_liver_coverage: Warn below this share of the liver inside the patches.
        visit_rule: ``closest_to_reference``, ``first`` or ``all`` visits of a subject.
    """

    channels: tuple[str, ...] = ("native", "arterial", "venous")
    optional_channels: tuple[str, ...] = ()
    reference: str = "venous"
    registration: str = "rigid"
    registration_region: str = "whole_image"
    registration_margin_mm: float = 10.0
    registration_spacing_mm: float | None = 1.5
    registration_seed: int = 0
    window_centre_hu: float = 40.0
    window_width_hu: float = 400.0
    pad_hu: float = -1024.0
    inplane_spacing_mm: float | None = None
    slice_spacing_mm: float | None = 2.1
    slice_range: tuple[float, float] = (0.2, 0.8)
    patch_px: int = 224
    store_px: int = 256
    patch_center: str = "liver_centroid"
    mask_channels: tuple[str, ...] = ()
    min_liver_coverage: float = 0.9
    visit_rule: str = "all"

    def __post_init__(self) -> None:
        choices = {
            "registration": ("rigid", "none"),
            "registration_region": ("whole_image", "liver_margin"),
            "patch_center": ("liver_centroid", "slice_centroid", "liver_box"),
            "visit_rule": ("closest_to_reference", "first", "all"),
        }
        wrong = [
            f"{name}={getattr(self, name)!r}: expected one of {list(known)}"
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        low, high = self.slice_range
        positive = {
            "window_width_hu": self.window_width_hu,
            "registration_margin_mm": self.registration_margin_mm,
            "registration_spacing_mm": _or_one(self.registration_spacing_mm),
            "inplane_spacing_mm": _or_one(self.inplane_spacing_mm),
            "slice_spacing_mm": _or_one(self.slice_spacing_mm),
            "patch_px": self.patch_px,
        }
        wrong += [f"{k}={v}: expected above 0" for k, v in positive.items() if v <= 0]
        if not self.channels or len(set(self.channels)) != len(self.channels):
            wrong.append(f"channels={self.channels}: expected different names")
        if self.reference not in self.channels:
            wrong.append(f"reference={self.reference!r}: expected one of the channels")
        if not set(self.optional_channels) <= set(self.channels) - {self.reference}:
            wrong.append(
                f"optional_channels={self.optional_channels}: expected channels other "
                "than the reference"
            )
        if not 0 <= low < high <= 1:
            wrong.append(
                f"slice_range={self.slice_range}: expected 0 <= low < high <= 1"
            )
        if self.store_px < self.patch_px:
            wrong.append(
                f"store_px={self.store_px}: expected at least patch_px={self.patch_px}"
            )
        if (self.store_px - self.patch_px) % 2:
            wrong.append(
                f"store_px={self.store_px}: expected an even margin around "
                f"patch_px={self.patch_px}, or the patch has no middle"
            )
        if not 0 <= self.min_liver_coverage <= 1:
            wrong.append(f"min_liver_coverage={self.min_liver_coverage}: expected 0..1")
        if not set(self.mask_channels) <= {"liver", "spleen", "lesion"}:
            wrong.append(
                f"mask_channels={self.mask_channels}: expected liver, spleen or lesion"
            )
        if wrong:
            raise InputError("; ".join(wrong))

    def arrays(self) -> tuple[ArraySpec, ...]:
        """Returns the arrays that a record made by this recipe holds."""
        side = self.store_px
        image = ArraySpec(
            IMAGE, (side, side, len(self.channels)), "uint8", "intensity", "linear"
        )
        if not self.mask_channels:
            return (image,)
        mask = ArraySpec(
            MASK, (side, side, len(self.mask_channels)), "uint8", "label", "nearest"
        )
        return (image, mask)


def _or_one(value: float | None) -> float:
    return 1.0 if value is None else value


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One named array of a record.

    Attributes:
        name: Its key, such as ``image`` or ``mask``.
        shape: Of one record, ``(h, w, channels)``.
        dtype: A numpy type's name.
        kind: ``intensity`` or ``label``.
        interpolation: ``linear`` or ``nearest``, how a warp reads it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str
    interpolation: str

    @property
    def nbytes(self) -> int:
        """Bytes of one record's array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclasses.dataclass(frozen=True)
class Shard:
    """One ArrayRecord file: its name, number of records and SHA-256."""

    file: str
    records: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Cohort:
    """An opened cohort: ``cohort.json`` and its two tables.

    Attributes:
        path: Its folder.
        recipe: How it was prepared.
        arrays: What a record holds.
        shards: Its files, in the order of the records.
        examinations: Rows of ``examinations.csv`` as text.
        index: Rows of ``index.csv`` as text, one a record, in order.
        fingerprint: SHA-256 of ``cohort.json``, which names every other hash.
    """

    path: pathlib.Path
    recipe: Recipe
    arrays: tuple[ArraySpec, ...]
    shards: tuple[Shard, ...]
    examinations: tuple[files.Row, ...]
    index: tuple[files.Row, ...]
    fingerprint: str

    @property
    def num_records(self) -> int:
        """Number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    @property
    def nbytes(self) -> int:
        """Bytes of all records, decoded."""
        return self.num_records * sum(spec.nbytes for spec in self.arrays)


def recipe_from_json(value: dict[str, Any]) -> Recipe:
    """Returns the recipe that ``dataclasses.asdict`` wrote.

    Raises:
        InputError: If a field is unknown or impossible.
    """
    known = {field.name for field in dataclasses.fields(Recipe)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise InputError(f"recipe has unknown fields {unknown}; known: {sorted(known)}")
    lists = {key: tuple(v) if isinstance(v, list) else v for key, v in value.items()}
    return Recipe(**lists)


def open_cohort(path: pathlib.Path, *, verify: bool = True) -> Cohort:
    """Returns the cohort in a folder, its files checked against their hashes.

    Args:
        path: The folder that ``data_prep.build`` wrote.
        verify: Read every shard to compare its SHA-256; sizes and tables are compared
            in any case.

    Raises:
        InputError: If a file is missing or altered, or the schema is another.
    """
    header_path = path / "cohort.json"
    if not header_path.exists():
        raise InputError(
            f"{path}: no prepared cohort (cohort.json is missing); make it with "
            "python -m data_prep.build"
        )
    header = files.read_json(header_path)
    if header.get("schema") != SCHEMA:
        raise InputError(
            f"{header_path}: schema {header.get('schema')}, this version reads "
            f"{SCHEMA}; prepare the cohort again with python -m data_prep.build"
        )
    shards = tuple(Shard(**shard) for shard in header["shards"])
    expected = dict(header["tables"])
    if verify:
        expected |= {shard.file: shard.sha256 for shard in shards}
    else:
        missing = [s.file for s in shards if not (path / s.file).exists()]
        if missing:
            raise InputError(f"{path}: missing shards {missing}; run data_prep.build")
    _verify(path, expected)
    _, examinations = files.read_csv(path / "examinations.csv")
    _, index = files.read_csv(path / "index.csv")
    return Cohort(
        path=path,
        recipe=recipe_from_json(header["recipe"]),
        arrays=tuple(
            ArraySpec(**(spec | {"shape": tuple(spec["shape"])}))
            for spec in header["arrays"]
        ),
        shards=shards,
        examinations=tuple(examinations),
        index=tuple(index),
        fingerprint=files.sha256_file(header_path),
    )


def write_header(
    path: pathlib.Path,
    *,
    recipe: Recipe,
    shards: tuple[Shard, ...],
    inputs: dict[str, str],
    counts: dict[str, int],
    versions: dict[str, str],
    allow: tuple[str, ...] = (),
) -> None:
    """Writes ``cohort.json``, last of a cohort's files: with it the cohort is complete.

    Args:
        path: The cohort's folder; the two tables are there already.
        recipe: How it was prepared.
        shards: Its files.
        inputs: SHA-256 of what was read, by ``subject/visit/column``: a path may hold
            what identifies a patient.
        counts: Examinations by status, subjects, records.
        versions: Tools that the bytes depend on.
        allow: Codes of findings that the user took responsibility for.
    """
    tables = ("examinations.csv", "index.csv")
    files.write_json(
        path / "cohort.json",
        {
            "schema": SCHEMA,
            "recipe": dataclasses.asdict(recipe),
            "arrays": [dataclasses.asdict(spec) for spec in recipe.arrays()],
            "shards": [dataclasses.asdict(shard) for shard in shards],
            "tables": {name: files.sha256_file(path / name) for name in tables},
            "inputs": inputs,
            "counts": counts,
            "versions": versions,
            "allow": list(allow),
        },
    )


def _verify(path: pathlib.Path, expected: dict[str, str]) -> None:
    for name, sha256 in expected.items():
        if not (path / name).exists():
            raise InputError(
                f"{path / name}: missing, though cohort.json names it; copy the cohort "
                "whole or run data_prep.build again"
            )
        found = files.sha256_file(path / name)
        if found != sha256:
            raise InputError(
                f"{path / name}: altered (SHA-256 {found[:12]}..., cohort.json says "
                f"{sha256[:12]}...); restore it or run data_prep.build again"
            )

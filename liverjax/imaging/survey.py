"""A cohort's headers, read before its voxels: what is wrong, odd, or varied."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import multiprocessing
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from liverjax.cohort.manifest import Examination
from liverjax.cohort.schema import Recipe
from liverjax.imaging import headers
from liverjax.imaging.findings import FAILED
from liverjax.imaging.headers import Grid, Header

# Native pixels may differ by this much before a fixed number of pixels means another
# part of the body in every patient.
MAX_INPLANE_SPREAD = 0.15
# A liver measures 150 to 200 mm in plane (CHAOS, TotalSegmentator: 163 and 224 mm held
# 97 and 94 %).
MIN_PATCH_MM = 150.0
MAX_PADDED_SHARE = 0.25
MIN_COMMON_RANGE = 0.5
_POOL_FROM = 4


@dataclasses.dataclass(frozen=True)
class Survey:
    """Headers of a manifest's files, and what they show.

    Attributes:
        images: By line of the manifest and channel.
        problems: Sentences; each will stop an examination, or the whole cohort.
        warnings: Sentences.
    """

    images: Mapping[tuple[int, str], Header]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def grids(self, channel: str) -> list[Grid]:
        """Grids of one channel's images, where they are known."""
        return [
            header.grid
            for (_, name), header in self.images.items()
            if name == channel and header.grid is not None
        ]


def survey(
    examinations: Sequence[Examination], *, recipe: Recipe, workers: int = 1
) -> Survey:
    """Returns what the headers of all images and masks show.

    Args:
        examinations: Their files exist.
        recipe: Channels, spacings and patch that the headers are held against.
        workers: Processes that read DICOM folders; files are read here.
    """
    paths = [path for row in examinations for path in row.images.values()]
    by_path = _read_all(list(dict.fromkeys(paths)), workers=workers)
    images = {
        (row.line, channel): by_path[path]
        for row in examinations
        for channel, path in row.images.items()
    }
    problems, warnings = [], []
    for row in examinations:
        own = {channel: images[row.line, channel] for channel in row.images}
        labelled = list(own.items()) + _masks(row, own)
        where = f"line {row.line}, subject {row.subject!r}"
        for name, header in labelled:
            for finding in header.findings:
                text = f"{where}, {name}: {finding.text} ({finding.code})"
                (problems if finding.level == FAILED else warnings).append(text)
        warnings += [f"{where}: {text}" for text in _range_warnings(own, recipe=recipe)]
    done = Survey(images, tuple(problems), tuple(warnings))
    more, odd = spacing_spread(done.grids(recipe.reference), recipe=recipe)
    return dataclasses.replace(
        done, problems=(*problems, *more), warnings=(*warnings, *odd)
    )


def patch_facts(grid: Grid, *, recipe: Recipe) -> tuple[float, float]:
    """Returns the patch's side in mm, and its share that lies outside the scan.

    Args:
        grid: Of the reference image; the patch is taken to be centred in it.
        recipe: Patch and in-plane spacing.
    """
    native = float(np.mean(grid.spacing_mm[1:]))
    side_mm = recipe.patch_px * (recipe.inplane_spacing_mm or native)
    inside = [min(1.0, extent / side_mm) for extent in grid.extent_mm[1:]]
    return side_mm, 1 - inside[0] * inside[1]


def _read_all(
    paths: Sequence[pathlib.Path], *, workers: int
) -> dict[pathlib.Path, Header]:
    folders = [path for path in paths if path.is_dir()]
    found = dict(
        zip(folders, _map(headers.read_header, folders, workers=workers), strict=True)
    )
    return {p: found[p] if p in found else headers.read_header(p) for p in paths}


def _map(
    function: Callable[[pathlib.Path], Header],
    paths: Sequence[pathlib.Path],
    *,
    workers: int,
) -> Iterable[Header]:
    if workers < 2 or len(paths) < _POOL_FROM:
        return [function(path) for path in paths]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(function, paths))


def _masks(row: Examination, own: Mapping[str, Header]) -> list[tuple[str, Header]]:
    found = []
    for organ, prefix, masks in (
        ("liver", "mask", row.masks),
        ("spleen", "spleen_mask", row.spleen_masks),
    ):
        for channel, source in masks.items():
            grid = own[channel].grid if channel in own else None
            header = headers.read_mask_header(source, image=grid, organ=organ)
            found.append((f"{prefix}_{channel}", header))
    return found


def _range_warnings(own: Mapping[str, Header], *, recipe: Recipe) -> list[str]:
    """Channels that show little of what the reference shows, by their positions."""
    reference = own[recipe.reference].grid if recipe.reference in own else None
    if reference is None:
        return []
    low, high = reference.height_range_mm
    warnings = []
    for channel, header in own.items():
        if header.grid is None:
            continue
        bottom, top = header.grid.height_range_mm
        share = (min(high, top) - max(low, bottom)) / max(high - low, 1e-6)
        if share < MIN_COMMON_RANGE:
            warnings.append(
                f"{channel} covers {max(share, 0):.0%} of the {recipe.reference} "
                "image's height by its positions; is it the same visit and region?"
            )
    return warnings


def spacing_spread(
    grids: Sequence[Grid], *, recipe: Recipe
) -> tuple[list[str], list[str]]:
    """Returns problems and warnings of the cohort's spacings and fields of view.

    Args:
        grids: Of the reference images.
        recipe: Spacings and patch that they are held against.
    """
    if not grids:
        return [], []
    problems, warnings = [], []
    inplane = [float(np.mean(grid.spacing_mm[1:])) for grid in grids]
    spread = headers.spacing_spread(inplane)
    if recipe.inplane_spacing_mm is None and spread > MAX_INPLANE_SPREAD:
        problems.append(
            f"in-plane spacing spans {min(inplane):.3f} to {max(inplane):.3f} mm "
            f"({spread:.0%}), so {recipe.patch_px} px show another part of the body in "
            "every patient; set prepare.inplane_spacing_mm (such as "
            f"{float(np.median(inplane)):.2f}), or leave the odd scans out"
        )
    step = recipe.slice_spacing_mm
    coarse = [grid for grid in grids if step and grid.spacing_mm[0] > 1.05 * step]
    if coarse:
        widest = max(grid.spacing_mm[0] for grid in coarse)
        warnings.append(
            f"{len(coarse)} of {len(grids)} scans have slices further apart (up to "
            f"{widest:g} mm) than prepare.slice_spacing_mm={step:g}; they keep every "
            "slice and give fewer records"
        )
    facts = [patch_facts(grid, recipe=recipe) for grid in grids]
    small = sum(side < MIN_PATCH_MM for side, _ in facts)
    if small:
        warnings.append(
            f"the patch of {recipe.patch_px} px spans less than {MIN_PATCH_MM:.0f} mm "
            f"in {small} of {len(grids)} scans and may cut livers; --deep measures it"
        )
    padded = sum(share > MAX_PADDED_SHARE for _, share in facts)
    if padded:
        worst = max(share for _, share in facts)
        warnings.append(
            f"in {padded} of {len(grids)} scans more than {MAX_PADDED_SHARE:.0%} of "
            f"the patch lies outside the scan (up to {worst:.0%}); set a smaller "
            "prepare.patch_px, or prepare.inplane_spacing_mm"
        )
    return problems, warnings

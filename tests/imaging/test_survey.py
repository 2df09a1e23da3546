from __future__ import annotations

import pathlib

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.cohort.manifest import Examination, MaskSource
from liverjax.cohort.schema import Recipe
from liverjax.imaging import grids
from liverjax.imaging.survey import survey

RECIPE = Recipe(patch_px=8, store_px=8, slice_spacing_mm=3.0, inplane_spacing_mm=25.0)


def examination(
    folder: pathlib.Path,
    *,
    line: int = 2,
    pixel_mm: float = 20.0,
    slice_mm: float = 3.0,
    lift_mm: float = 0.0,
) -> Examination:
    images = {}
    for channel in RECIPE.channels:
        images[channel] = folder / f"{line}{channel}.nrrd"
        image = grids.make_volume(
            np.zeros((20, 10, 10), np.int16),
            origin_mm=(0.0, 0.0, lift_mm if channel == "arterial" else 0.0),
            spacing_mm=(slice_mm, pixel_mm, pixel_mm),
        )
        sitk.WriteImage(image, str(images[channel]))
    masks = {"venous": MaskSource(images["venous"])}
    return Examination(f"p{line}", 1, "train", "", images, masks, {}, {}, line)


def test_a_sound_cohort_gives_neither_problem_nor_warning(tmp_path):
    found = survey([examination(tmp_path)], recipe=RECIPE)
    assert (found.problems, found.warnings) == ((), ())
    assert [grid.shape for grid in found.grids("native")] == [(20, 10, 10)]


def test_native_pixels_of_many_sizes_are_refused_unless_resampled(tmp_path):
    rows = [
        examination(tmp_path, line=2, pixel_mm=16.0),
        examination(tmp_path, line=3, pixel_mm=20.0),
    ]
    recipe = Recipe(patch_px=10, store_px=10, slice_spacing_mm=3.0)
    (problem,) = survey(rows, recipe=recipe).problems
    assert "in-plane spacing spans 16.000 to 20.000 mm (25%)" in problem
    assert survey(rows, recipe=RECIPE).problems == ()


def test_a_mask_on_another_grid_is_a_problem_with_its_line(tmp_path):
    row = examination(tmp_path)
    other = examination(tmp_path, line=3, pixel_mm=17.0)
    row.masks["venous"] = other.masks["venous"]
    (problem,) = survey([row], recipe=RECIPE).problems
    assert problem.startswith("line 2, subject 'p2', mask_venous: the mask lies on")


def test_coarse_slices_small_patches_and_padding_are_warnings(tmp_path):
    rows = [examination(tmp_path, slice_mm=5.0, pixel_mm=17.0)]
    recipe = Recipe(patch_px=8, store_px=8, slice_spacing_mm=3.0)
    first, second = survey(rows, recipe=recipe).warnings
    assert "1 of 1 scans have slices further apart (up to 5 mm)" in first
    assert "spans less than 150 mm in 1 of 1" in second
    recipe = Recipe(patch_px=16, store_px=16, slice_spacing_mm=5.0)
    (padded,) = survey(rows, recipe=recipe).warnings
    assert "more than 25% of the patch lies outside the scan (up to 61%)" in padded


def test_phases_of_different_regions_are_a_warning(tmp_path):
    (warning,) = survey([examination(tmp_path, lift_mm=45.0)], recipe=RECIPE).warnings
    assert "arterial covers 21% of the venous image's height" in warning


@pytest.mark.slow
def test_folders_are_read_by_workers_as_by_one(tmp_path):
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "x").write_text("no DICOM")
    images = {str(n): tmp_path / str(n) for n in range(5)}
    row = Examination("p", 1, "train", "", images, {}, {}, {}, 2)
    one, two = (survey([row], recipe=RECIPE, workers=w) for w in (1, 2))
    assert one.problems == two.problems
    assert len(one.problems) == 5

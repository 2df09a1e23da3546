from __future__ import annotations

import io

import numpy as np
import SimpleITK as sitk
from PIL import Image

from liverjax.cohort.schema import Recipe
from liverjax.imaging.montage import CONTOUR, montage

RECIPE = Recipe(patch_px=24, store_px=32)


def picture(*, channels=("native", "arterial", "venous"), warnings=()) -> np.ndarray:
    rng = np.random.default_rng(0)
    scan = sitk.GetImageFromArray(rng.normal(40, 30, (20, 40, 50)).astype(np.float32))
    scan.SetSpacing((2.0, 2.0, 4.0))
    inside = np.zeros((20, 40, 50), np.uint8)
    inside[5:15, 10:30, 10:30] = 1
    liver = sitk.GetImageFromArray(inside)
    liver.CopyInformation(scan)
    outline = np.zeros((5, 32, 32), bool)
    outline[:, 8:24, 8:24] = True
    content = montage(
        rng.integers(0, 255, (5, 32, 32, 3)).astype(np.uint8),
        outline,
        phases=dict.fromkeys(channels, scan),
        matrices=dict.fromkeys(channels, np.eye(4)),
        whole_liver=liver,
        recipe=RECIPE,
        warnings=list(warnings),
    )
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def test_a_picture_has_a_row_a_channel_and_shows_the_liver():
    found = picture()
    assert found.shape[1] == 5 * 196 - 4
    assert found.shape[0] == 3 * 196 + 18
    assert (found == CONTOUR).all(-1).sum() > 1000


def test_an_absent_channel_has_no_row_and_warnings_have_a_line():
    assert picture(channels=("venous",)).shape[0] == 196 + 18
    assert picture(warnings=["liver-coverage"]).shape[0] == 3 * 196 + 36


def test_the_same_examination_gives_the_same_bytes():
    assert np.array_equal(picture(), picture())

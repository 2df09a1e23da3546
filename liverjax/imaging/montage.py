"""One picture an examination, by which a person judges its preparation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from liverjax.cohort.schema import Recipe
from liverjax.imaging.geometry import Matrix, ijk_to_lps, resample
from liverjax.imaging.intensity import window_to_uint8

CONTOUR = np.array([255, 176, 0], np.uint8)  # orange: seen by the colour-blind too
BOX = np.array([100, 143, 255], np.uint8)
_SIDE = 192
_GAP = 4
_HEADER = 18
# An odd number, so that a board looks alike from both ends.
_TILES = 9
_AROUND_LIVER_MM = 45.0
_LEGEND = ("orange: liver of the", "reference", "blue: patch and kept slices")


def montage(
    images: UInt8[np.ndarray, "n h w c"],
    outline: Bool[np.ndarray, "n h w"],
    *,
    phases: Mapping[str, sitk.Image],
    matrices: Mapping[str, Matrix],
    whole_liver: sitk.Image,
    recipe: Recipe,
    warnings: Sequence[str],
) -> bytes:
    """Returns a PNG: a row a channel; slices, then how it lies on the reference.

    Columns: the most caudal, the middle and the most cranial kept slice as stored, with
    the reference's liver (orange) and the square that the network sees (blue); the
    middle slice and a coronal cut as checker-boards of the channel and the reference:
    edges must run on from tile to tile, and in the coronal cut the channel's dome and
    lower rim must meet the orange line, or the liver has breathed. The coronal cut of
    the reference shows the kept slices between blue lines.

    Args:
        images: The stored squares, windowed.
        outline: The reference's liver on them.
        phases: HU of every phase that there is.
        matrices: Map from the reference to each.
        whole_liver: On the reference's grid.
        recipe: Names channels, reference, window and used square.
        warnings: Codes for the last line.
    """
    shown = (0, len(images) // 2, len(images) - 1)
    coronal = _coronal(phases, matrices, liver=whole_liver, recipe=recipe)
    base = recipe.channels.index(recipe.reference)
    rows = []
    for place, channel in enumerate(recipe.channels):
        if channel not in phases:
            continue
        tiles = [
            _axial(images[i, :, :, place], outline[i], used_px=recipe.patch_px)
            for i in shown
        ]
        middle = images[shown[1], :, :, place]
        if channel != recipe.reference:
            middle = _checker_board(middle, images[shown[1], :, :, base])
            tiles.append(_with_contour(middle, outline[shown[1]]))
        else:
            tiles.append(np.zeros((_SIDE, _SIDE, 3), np.uint8))
        rows.append(([*tiles, coronal[channel]], channel))
    return _page(rows, recipe=recipe, warnings=warnings)


def _page(
    rows: Sequence[tuple[Sequence[np.ndarray], str]],
    *,
    recipe: Recipe,
    warnings: Sequence[str],
) -> bytes:
    columns = len(rows[0][0])
    step = _SIDE + _GAP
    size = (columns * step - _GAP, len(rows) * step + _HEADER * (2 if warnings else 1))
    page = Image.new("RGB", size, (32, 32, 32))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(12)
    titles = ("most caudal slice", "middle slice", "most cranial slice")
    for column, title in enumerate((*titles, f"on {recipe.reference}", "coronal")):
        draw.text((column * step + 3, 1), title, fill=(200, 200, 200), font=font)
    for row, (tiles, channel) in enumerate(rows):
        top = _HEADER + row * step
        for column, tile in enumerate(tiles):
            page.paste(Image.fromarray(tile), (column * step, top))
        draw.text((3, top + 1), channel, fill="white", font=font)
        if channel == recipe.reference:
            for line, text in enumerate(_LEGEND):
                place = (3 * step + 6, top + 60 + 18 * line)
                draw.text(place, text, fill=(200, 200, 200), font=font)
    if warnings:
        line = ", ".join(dict.fromkeys(warnings))
        draw.text((3, size[1] - _HEADER + 1), line, fill=tuple(CONTOUR), font=font)
    content = io.BytesIO()
    page.save(content, "PNG", optimize=True)
    return content.getvalue()


def _coronal(
    phases: Mapping[str, sitk.Image],
    matrices: Mapping[str, Matrix],
    *,
    liver: sitk.Image,
    recipe: Recipe,
) -> dict[str, np.ndarray]:
    """A cut through the liver's centre for each phase, cranial side up."""
    inside = np.argwhere(sitk.GetArrayViewFromImage(liver))
    low, high = inside.min(0), inside.max(0)
    grid, spacing = _coronal_grid(liver, inside)
    shape = (_SIDE, 1, _SIDE)

    def picture(channel: str) -> np.ndarray:
        hu = resample(
            phases[channel],
            grid=grid,
            shape=shape,
            matrix=matrices[channel],
            outside=recipe.pad_hu,
        )
        return window_to_uint8(
            hu[::-1, 0],
            centre_hu=recipe.window_centre_hu,
            width_hu=recipe.window_width_hu,
        )

    outline = resample(liver, grid=grid, shape=shape, nearest=True, outside=0.0)
    contour = outline[::-1, 0] > 0
    base = picture(recipe.reference)
    found = {}
    for channel in phases:
        if channel != recipe.reference:
            board = _checker_board(picture(channel), base)
            found[channel] = _with_contour(board, contour)
            continue
        colour = _with_contour(base, contour)
        middle_mm = (low[0] + high[0]) / 2 * liver.GetSpacing()[2]
        for share in recipe.slice_range:
            at_mm = (low[0] + share * (high[0] - low[0])) * liver.GetSpacing()[2]
            row = _SIDE / 2 - (at_mm - middle_mm) / spacing
            colour[int(np.clip(row, 0, _SIDE - 1))] = BOX
        found[channel] = colour
    return found


def _coronal_grid(liver: sitk.Image, inside: np.ndarray) -> tuple[Matrix, float]:
    """A square upright grid with room around the liver, and its pixel in mm."""
    spacing = np.array(liver.GetSpacing())
    low, high = inside.min(0)[::-1], inside.max(0)[::-1]
    extent = (high - low) * spacing + 2 * _AROUND_LIVER_MM
    pixel = float(max(extent[0], extent[2]) / _SIDE)
    middle = (low + high) / 2
    middle[1] = inside[:, 1].mean()
    scan = ijk_to_lps(liver)
    grid = scan.copy()
    grid[:3, :3] *= pixel / spacing
    # Rows of the picture run along the scan's slices; the thin axis is its rows.
    corner = np.array([-(_SIDE - 1) / 2, 0, -(_SIDE - 1) / 2])
    grid[:3, 3] = (scan @ [*middle, 1])[:3] + grid[:3, :3] @ corner
    return grid, pixel


def _axial(image: np.ndarray, liver: np.ndarray, *, used_px: int) -> np.ndarray:
    colour = _with_contour(image, liver)
    margin = (len(image) - used_px) // 2 * _SIDE / len(image)
    low, high = int(margin), int(np.ceil(_SIDE - margin)) - 1
    colour[[low, high], low : high + 1] = BOX
    colour[low : high + 1, [low, high]] = BOX
    return colour


def _with_contour(image: np.ndarray, liver: np.ndarray) -> np.ndarray:
    size = (_SIDE, _SIDE)
    grey = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    colour = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)
    inside = Image.fromarray(liver.astype(np.uint8) * 255)
    smooth = np.asarray(inside.resize(size, Image.Resampling.BILINEAR)) > 127
    colour[smooth & ~ndimage.binary_erosion(smooth, border_value=1)] = CONTOUR
    return colour


def _checker_board(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    tile = np.arange(len(image)) * _TILES // len(image)
    from_image = (tile[:, None] + tile[None, :]) % 2 == 0
    return np.where(from_image, image, reference)

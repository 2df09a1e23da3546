"""One picture an examination, by which a person judges its preparation."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage

CONTOUR = np.array([255, 176, 0], np.uint8)  # orange: seen by the colour-blind too
BOX = np.array([100, 143, 255], np.uint8)
_GAP_PX = 4
_TILES = 8


def montage(
    images: UInt8[np.ndarray, "n h w c"],
    liver: Bool[np.ndarray, "n h w"],
    *,
    channels: Sequence[str],
    reference: str,
    patch_px: int,
    title: str,
) -> bytes:
    """Returns a PNG: a row a channel, a column a slice, and the registration.

    The caudal, middle and cranial slice with the liver's outline and the square that
    the network sees; in the last column the middle slice as a checker-board of the
    channel and the reference, in which edges must run on from tile to tile.

    Args:
        images: The stored squares, windowed.
        liver: The reference's liver on them.
        channels: Names of the last axis.
        reference: The channel that the others were registered to.
        patch_px: Side of the used square.
        title: First line, such as the subject's name.
    """
    count, side = len(images), images.shape[1]
    shown = sorted({round((count - 1) * share) for share in (0.1, 0.5, 0.9)})
    middle, base = count // 2, list(channels).index(reference)
    rows = []
    for place, channel in enumerate(channels):
        tiles = [
            _outlined(images[i, :, :, place], liver[i], patch_px=patch_px)
            for i in shown
        ]
        if channel == reference:
            board = np.zeros((side, side, 3), np.uint8)
        else:
            board = _checker_board(
                images[middle, :, :, place], images[middle, :, :, base]
            )
        rows.append(_joined([*tiles, board], axis=1))
    page = Image.fromarray(_joined(rows, axis=0))
    header = Image.new("RGB", (page.width, page.height + 16))
    header.paste(page, (0, 16))
    draw = ImageDraw.Draw(header)
    draw.text((4, 2), title, fill="white")
    for place, channel in enumerate(channels):
        draw.text((4, 20 + place * (side + _GAP_PX)), channel, fill="white")
    buffer = io.BytesIO()
    header.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _outlined(image: np.ndarray, liver: np.ndarray, *, patch_px: int) -> np.ndarray:
    colour = np.repeat(image[:, :, None], 3, axis=2)
    low = (len(image) - patch_px) // 2
    high = low + patch_px - 1
    colour[[low, high], low : high + 1] = BOX
    colour[low : high + 1, [low, high]] = BOX
    colour[liver & ~ndimage.binary_erosion(liver, border_value=1)] = CONTOUR
    return colour


def _checker_board(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    tile = np.arange(len(image)) * _TILES // len(image)
    from_image = (tile[:, None] + tile[None, :]) % 2 == 0
    return np.repeat(np.where(from_image, image, reference)[:, :, None], 3, axis=2)


def _joined(tiles: Sequence[np.ndarray], *, axis: int) -> np.ndarray:
    shape = list(tiles[0].shape)
    shape[axis] = _GAP_PX
    gap = np.full(shape, 64, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)]
    return np.concatenate(parts[:-1], axis=axis)

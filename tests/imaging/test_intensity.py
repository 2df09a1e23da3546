from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from liverjax.imaging.intensity import clamp_to_air, window_to_uint8


def test_the_papers_window_by_hand():
    hu = np.array([-1024, -160, -120, 40, 240, 3000], np.float32)
    # (40 + 160) * 255 / 400 = 127.5, and (-120 + 160) * 255 / 400 = 25.5: halves go up.
    expected = [0, 0, 26, 128, 255, 255]
    assert window_to_uint8(hu, centre_hu=40.0, width_hu=400.0).tolist() == expected


def test_a_window_without_width_is_refused():
    with pytest.raises(ValueError, match=r"width_hu=.*: expected above 0"):
        window_to_uint8(np.zeros(2, np.float32), centre_hu=40.0, width_hu=0.0)


def test_corners_below_air_become_air_and_nothing_else_changes():
    image = sitk.GetImageFromArray(np.array([[[-3024, -1024, 55, 3071]]], np.int16))
    values = sitk.GetArrayFromImage(clamp_to_air(image))
    assert values.dtype == np.float32
    assert values.ravel().tolist() == [-1024, -1024, 55, 3071]

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from liverjax.data.augment import sampling_coordinates
from liverjax.data.augment_settings import AugmentSettings, full_store_px


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotation_deg": (15.0, -15.0)}, "rotation_deg is .15.0, -15.0.; expected"),
        ({"scale": (0.0, 1.0)}, "scale is .0.0, 1.0.; expected"),
        ({"elastic_px": (-1.0, 1.0)}, "elastic_px is .-1.0, 1.0.; expected"),
        ({"noise_std": (0.0, float("nan"))}, "noise_std is"),
        ({"flip_rows_probability": 1.5}, "flip_rows_probability is 1.5; expected 0 to"),
        ({"elastic_grid_px": 0}, "elastic_grid_px is 0; expected 1 or more"),
        ({"elastic_grid_px": 16}, "more than 7.8 px can fold the image; lower"),
    ],
)
def test_an_impossible_value_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        AugmentSettings(**change)


def test_all_impossible_values_are_named_at_once():
    with pytest.raises(ValueError, match=r"(?s)scale is.*noise_probability is 2.0"):
        AugmentSettings(scale=(2.0, 1.0), noise_probability=2.0)


def test_settings_without_geometry_do_not_warp():
    off = AugmentSettings(
        rotation_probability=0.0, scale_probability=0.0, elastic_probability=0.0
    )
    assert not off.warps
    assert dataclasses.replace(off, flip_columns_probability=0.5).warps


def test_full_store_of_each_transform_alone_is_worked_out_by_hand():
    off = {
        "rotation_probability": 0.0,
        "scale_probability": 0.0,
        "elastic_probability": 0.0,
    }

    def side(**change):
        return full_store_px(AugmentSettings(**{**off, **change}), crop_px=81)

    assert side() == 81
    assert side(scale_probability=1.0, scale=(0.5, 1.0)) == 161  # 2 * 40 / 0.5 + 1
    assert side(scale_probability=1.0, scale=(2.0, 3.0)) == 81
    assert side(elastic_probability=1.0, elastic_px=(0.0, 4.0)) == 89
    # 80 * sqrt(2) + 1 = 114.1, and odd as the crop is
    assert side(rotation_probability=1.0, rotation_deg=(-60.0, 60.0)) == 115
    assert side(rotation_probability=1.0, rotation_deg=(130.0, 140.0)) == 115
    assert side(rotation_probability=1.0, rotation_deg=(0.0, 90.0)) == 115
    # 80 * (cos 10 + sin 10) + 1 = 93.7
    assert side(rotation_probability=1.0, rotation_deg=(-10.0, 0.0)) == 95


def test_no_warp_looks_out_of_the_full_store():
    settings = AugmentSettings(rotation_deg=(-180.0, 180.0))
    side = full_store_px(settings, crop_px=48)
    keys = jax.random.split(jax.random.key(0), 500)
    coordinates = jax.jit(
        jax.vmap(
            lambda key: sampling_coordinates(
                key, settings=settings, stored_px=(side, side), crop_px=48
            )
        )
    )(keys)
    coordinates = np.asarray(coordinates)
    assert coordinates.min() >= 0
    assert coordinates.max() <= side - 1

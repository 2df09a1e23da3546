from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from liverjax.cohort.schema import ArraySpec
from liverjax.data.augment import (
    augment,
    center_crop,
    change_intensity,
    sampling_coordinates,
)
from liverjax.data.augment_settings import AugmentSettings, full_store_px

STORED_PX, CROP_PX = 61, 40
SPECS = (
    ArraySpec("image", (STORED_PX, STORED_PX, 3), "uint8", "intensity", "linear"),
    ArraySpec("mask", (STORED_PX, STORED_PX, 1), "uint8", "label", "nearest"),
)
SETTINGS = AugmentSettings(elastic_px=(0.0, 10.0), elastic_grid_px=40)
OFF = AugmentSettings(
    rotation_probability=0.0, scale_probability=0.0, elastic_probability=0.0
)
CHANGED = dataclasses.replace(
    SETTINGS,
    contrast_probability=1.0,
    brightness_probability=1.0,
    noise_probability=1.0,
)


@functools.cache
def batch(num: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (num, STORED_PX, STORED_PX)
    return {
        "image": rng.integers(0, 256, (*shape, 3), np.uint8),
        "mask": rng.integers(0, 4, (*shape, 1), np.uint8),
    }


def example(index: int = 0) -> dict[str, np.ndarray]:
    return {name: array[index] for name, array in batch().items()}


def keys(num: int = 16) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(num))


def of_one(
    settings: AugmentSettings = SETTINGS, *, specs=SPECS, crop_px: int = CROP_PX
):
    return functools.partial(augment, specs=specs, settings=settings, crop_px=crop_px)


@functools.cache
def compiled(settings: AugmentSettings = SETTINGS):
    """The augmentation of a batch of examples; one program a batch shape."""
    return jax.jit(jax.vmap(of_one(settings)))


@functools.cache
def compiled_alone():
    return jax.jit(of_one())


@functools.cache
def augmented(settings: AugmentSettings = SETTINGS) -> dict[str, np.ndarray]:
    return jax.tree.map(np.asarray, compiled(settings)(keys(), batch()))


def repeated(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.stack([array] * 16) for name, array in arrays.items()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_augmentation_agrees_with_scipy_on_its_coordinates():
    locate = functools.partial(
        sampling_coordinates,
        settings=SETTINGS,
        stored_px=(STORED_PX, STORED_PX),
        crop_px=CROP_PX,
    )
    spots = np.float64(jax.jit(jax.vmap(locate))(keys()))
    for index in range(4):
        for name, order, unit in (("image", 1, 255), ("mask", 0, 1)):
            stored = batch()[name][index, ..., 0].astype(np.float64)
            expected = scipy.ndimage.map_coordinates(
                stored, spots[index], order=order, mode="constant", cval=0
            )
            found = augmented()[name][index, ..., 0]
            np.testing.assert_allclose(found, expected / unit, atol=1e-4)


def test_the_crop_without_augmentation_is_the_middle_in_units_of_one():
    found = center_crop(example(), specs=SPECS, crop_px=CROP_PX)
    middle = slice(10, 50)
    expected = example()["image"][middle, middle].astype(np.float32) / 255
    np.testing.assert_allclose(found["image"], expected, rtol=1e-7)
    np.testing.assert_array_equal(found["mask"], example()["mask"][middle, middle])
    assert found["image"].dtype == np.float32
    assert found["mask"].dtype == np.uint8


NEUTRAL = AugmentSettings(
    rotation_deg=(0.0, 0.0), scale=(1.0, 1.0), elastic_px=(0.0, 0.0)
)


@pytest.mark.parametrize("settings", [OFF, NEUTRAL], ids=["off", "neutral"])
def test_augmentation_that_changes_nothing_is_the_center_crop_bit_for_bit(settings):
    crop = functools.partial(center_crop, specs=SPECS, crop_px=CROP_PX)
    assert_same_bits(augmented(settings), jax.jit(jax.vmap(crop))(batch()))


def test_an_example_has_the_same_bits_in_any_batch():
    for rows in ([3], list(range(15, -1, -1))):
        rows = np.array(rows)
        some = {name: array[rows] for name, array in batch().items()}
        found = compiled()(keys()[rows], some)
        assert_same_bits(found, {n: a[rows] for n, a in augmented().items()})


def test_an_example_has_the_same_bits_alone():
    found = compiled_alone()(keys()[3], example(3))
    assert_same_bits(found, {name: array[3] for name, array in augmented().items()})


def test_an_example_has_the_same_bits_inside_a_compiled_loop():
    @jax.jit
    def in_pieces(keys, arrays, start, stop):
        def piece(step, out):
            rows = [jax.lax.dynamic_slice_in_dim(keys, step * 4, 4)]
            rows.append(
                {
                    name: jax.lax.dynamic_slice_in_dim(array, step * 4, 4)
                    for name, array in arrays.items()
                }
            )
            found = jax.vmap(of_one())(*rows)
            return {
                name: jax.lax.dynamic_update_slice_in_dim(out[name], part, step * 4, 0)
                for name, part in found.items()
            }

        out = {
            "image": jnp.zeros((16, CROP_PX, CROP_PX, 3), jnp.float32),
            "mask": jnp.zeros((16, CROP_PX, CROP_PX, 1), jnp.uint8),
        }
        return jax.lax.fori_loop(start, stop, piece, out)

    assert_same_bits(in_pieces(keys(), batch(), 0, 4), augmented())


def test_an_example_has_the_same_bits_in_double_precision_mode():
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(of_one()))(keys(), batch())
    assert_same_bits(found, augmented())
    assert found["image"].dtype == np.float32


def test_jitted_equals_unjitted():
    # A compiled product and sum may be rounded once instead of twice, which moves
    # coordinates by some 1e-5 px; on white noise a pixel changes by up to 1e-4.
    found = of_one()(keys()[3], example(3))
    np.testing.assert_allclose(found["image"], augmented()["image"][3], atol=1e-4)
    assert np.mean(found["mask"] != augmented()["mask"][3]) < 0.002


def test_all_slices_of_a_stack_share_one_warp():
    stack = {name: array[:5] for name, array in batch().items()}
    found = compiled_alone()(keys()[2], stack)
    assert found["image"].shape == (5, CROP_PX, CROP_PX, 3)
    for depth in range(5):
        slices = {name: array[depth] for name, array in stack.items()}
        alone = compiled_alone()(keys()[2], slices)
        assert_same_bits({n: a[depth] for n, a in found.items()}, alone)


def test_a_mask_stays_on_its_image():
    side = np.arange(STORED_PX) - 30
    disc = (side[:, None] ** 2 + (side[None] - 5) ** 2 < 18**2).astype(np.uint8)
    disc = disc[..., None]
    stored = {"image": np.repeat(disc * np.uint8(255), 3, axis=-1), "mask": disc}
    found = compiled()(keys(), repeated(stored))
    image, mask = found["image"][..., :1], found["mask"]
    # Where all four pixels agree the nearest is one of them.
    sure = (image == 0) | (image == 1)
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(mask[sure], image[sure])
    assert 0.1 < mask.mean() < 0.9


def test_an_array_is_warped_alike_whatever_comes_with_it():
    alone = compiled_alone()(keys()[0], {"image": example()["image"]})
    np.testing.assert_array_equal(alone["image"], augmented()["image"][0])


def test_keys_differ_and_so_do_their_warps():
    found = compiled()(keys(), repeated(example()))["image"]
    assert len(np.unique(np.reshape(found, (16, -1)), axis=0)) == 16


def test_full_scale_stays_full_scale_within_the_full_store():
    side = full_store_px(SETTINGS, crop_px=CROP_PX)
    white = {"image": np.full((side, side, 2), 255, np.uint8)}
    apply = jax.jit(jax.vmap(of_one(), in_axes=(0, None)))
    assert np.all(apply(keys(), white)["image"] == 1.0)


def test_what_lies_outside_the_stored_array_is_zero():
    settings = AugmentSettings(scale=(0.5, 0.5), rotation_probability=0.0)
    white = {
        "image": np.full((CROP_PX, CROP_PX, 1), 255, np.uint8),
        "mask": np.ones((CROP_PX, CROP_PX, 1), np.uint8),
    }
    found = jax.jit(of_one(settings))(keys()[0], white)
    assert np.all(found["image"][0] == 0)
    assert np.all(found["mask"][0] == 0)
    assert np.all(found["image"][20, 20] == 1)
    np.testing.assert_array_equal(found["mask"], found["image"])


@pytest.mark.parametrize("settings", [SETTINGS, CHANGED], ids=["warp", "intensity too"])
def test_values_stay_in_range(settings):
    image, mask = augmented(settings)["image"], augmented(settings)["mask"]
    assert np.all((image >= 0) & (image <= 1))
    assert set(np.unique(mask)) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)]
)
def test_the_largest_intensity_of_a_type_becomes_one(dtype, top):
    specs = (dataclasses.replace(SPECS[0], dtype=np.dtype(dtype).name),)
    white = {"image": np.full((STORED_PX, STORED_PX, 1), top, dtype)}
    assert np.all(center_crop(white, specs=specs, crop_px=CROP_PX)["image"] == 1.0)


def test_intensity_changes_leave_warp_and_labels_alone():
    assert np.any(augmented(CHANGED)["image"] != augmented()["image"])
    np.testing.assert_array_equal(augmented(CHANGED)["mask"], augmented()["mask"])


def test_brightness_is_added_and_clipped():
    image = jax.random.uniform(jax.random.key(1), (20, 20, 3))
    settings = AugmentSettings(brightness_probability=1.0, brightness=(0.25, 0.25))
    found = change_intensity(keys()[0], image, settings=settings)
    np.testing.assert_allclose(found, np.clip(image + 0.25, 0, 1), atol=1e-6)


def test_contrast_widens_each_channel_about_its_mean():
    rng = np.random.default_rng(0)
    image = rng.uniform(0.4, 0.6, (50, 50, 3)).astype(np.float32)
    settings = AugmentSettings(contrast_probability=1.0, contrast=(1.5, 1.5))
    found = change_intensity(keys()[0], jnp.asarray(image), settings=settings)
    mean = image.mean(axis=(0, 1), keepdims=True)
    np.testing.assert_allclose(found, mean + 1.5 * (image - mean), atol=1e-6)


def test_noise_has_the_drawn_spread_in_each_channel():
    image = np.full((150, 150, 3), 0.5, np.float32)
    settings = AugmentSettings(noise_probability=1.0, noise_std=(0.02, 0.08))
    noise = change_intensity(keys()[0], jnp.asarray(image), settings=settings) - 0.5
    spread = np.std(noise, axis=(0, 1))
    assert np.all((spread > 0.0195) & (spread < 0.0805))
    assert np.ptp(spread) > 0.005
    assert np.abs(np.corrcoef(np.reshape(noise, (-1, 3)).T) - np.eye(3)).max() < 0.04


def test_without_intensity_changes_the_image_is_returned_as_it_is():
    image = jnp.full((4, 4, 1), 2.0)
    assert change_intensity(keys()[0], image, settings=SETTINGS) is image


@pytest.mark.parametrize(
    ("arrays", "specs", "crop_px", "message"),
    [
        ({"t1": (61, 61, 1)}, SPECS, 40, "'t1' is not declared; .*'image', 'mask'"),
        ({"image": (61, 61)}, SPECS, 40, r"shape \(61, 61\); expected \(h, w, c\)"),
        ({"image": (61, 61, 1)}, SPECS, 62, r"crop_px is 62; .* \(61, 61\) px"),
        (
            {"image": (61, 61, 1), "mask": (61, 60, 1)},
            SPECS,
            40,
            "differ in height and width: .*'mask': .61, 60.",
        ),
        (
            {"mask": (61, 61, 1)},
            (dataclasses.replace(SPECS[1], interpolation="linear"),),
            40,
            "'mask' is declared with .*'label', 'linear'.; expected one of",
        ),
    ],
)
def test_what_does_not_fit_is_named(arrays, specs, crop_px, message):
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in arrays.items()}
    with pytest.raises(ValueError, match=message):
        augment(keys()[0], arrays, specs=specs, settings=SETTINGS, crop_px=crop_px)
    with pytest.raises(ValueError, match=message):
        center_crop(arrays, specs=specs, crop_px=crop_px)


def test_signed_intensities_are_refused():
    arrays = {"image": np.zeros((61, 61, 1), np.int16)}
    with pytest.raises(ValueError, match="'image' holds intensities as int16; expec"):
        center_crop(arrays, specs=SPECS, crop_px=CROP_PX)

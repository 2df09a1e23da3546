from __future__ import annotations

import numpy as np
import pytest

from liverjax.errors import InputError
from liverjax.radiomics import Settings, extract
from liverjax.radiomics.diagnostics import describe
from liverjax.radiomics.settings import make_settings
from tests.radiomics import ibsi

nib = pytest.importorskip("nibabel")


def read(path):
    image = nib.load(path)
    spacing = tuple(float(size) for size in image.header.get_zooms()[::-1])
    return np.asarray(image.dataobj).T.astype(float), spacing


def test_every_reference_value_of_the_digital_phantom_is_met():
    image, mask, spacing, reference = ibsi.digital_phantom()
    found = extract(image, mask, spacing_mm=spacing, settings=ibsi.DIGITAL)
    assert len(reference) == 482
    assert ibsi.failing(found, reference) == {}


@pytest.mark.parametrize("name", sorted(ibsi.CONFIGURATIONS))
def test_every_reference_value_of_the_ct_phantom_is_met(name, shared):
    folder = shared / "data" / "ibsi"
    scan = folder / "ibsi_1_ct_radiomics_phantom" / "nifti"
    image, spacing = read(scan / "image" / "phantom.nii.gz")
    mask = read(scan / "mask" / "mask.nii.gz")[0] > 0.5
    settings = ibsi.CONFIGURATIONS[name]
    values = {"spacing_mm": spacing, "settings": settings}
    found = describe(image, mask, **values) | extract(image, mask, **values)
    table = folder / "ibsi_1_reference_values" / f"ibsi_1_chest_config_{name}.csv"
    reference = ibsi.read_reference(table)
    assert len(reference) > 250
    assert ibsi.failing(found, reference) == {}


@pytest.fixture(scope="module")
def ball():
    rng = np.random.default_rng(7)
    place = np.indices((13, 15, 17)) - np.array([6, 7, 8])[:, None, None, None]
    mask = (place**2).sum(axis=0) <= 25
    return rng.normal(100, 20, mask.shape), mask


SPACING = (3.0, 1.5, 1.0)
EVERY = Settings(bin_number=8, aggregation=("3D_avg", "3D_comb"))


def close(one, two, names=None):
    for name in names or one:
        assert two[name] == pytest.approx(one[name], rel=1e-9, abs=1e-9), name


def test_moving_the_region_changes_nothing(ball):
    image, mask = (np.pad(array, 8) for array in ball)
    one = extract(image, mask, spacing_mm=SPACING, settings=EVERY)
    image, mask = (np.roll(array, (2, -3, 1), (0, 1, 2)) for array in (image, mask))
    close(one, extract(image, mask, spacing_mm=SPACING, settings=EVERY))


def test_swapping_axes_with_their_spacing_changes_no_volumetric_feature(ball):
    one = extract(*ball, spacing_mm=SPACING, settings=EVERY)
    image, mask = (np.ascontiguousarray(array.transpose(2, 0, 1)) for array in ball)
    swapped = (SPACING[2], SPACING[0], SPACING[1])
    two = extract(image, mask, spacing_mm=swapped, settings=EVERY)
    # The surface's table treats ambiguous cubes by their orientation: none here.
    close(one, two)


def test_a_grey_level_shift_changes_no_texture_under_a_fixed_bin_number(ball):
    image, mask = ball
    one = extract(image, mask, spacing_mm=SPACING, settings=EVERY)
    two = extract(image + 1024, mask, spacing_mm=SPACING, settings=EVERY)
    names = [n for n in one if n.split("_")[0] in ("cm", "rlm", "szm", "ngl", "ih")]
    assert len(names) == 138
    close(one, two, names)


PLANAR = Settings(bin_number=8, aggregation=ibsi.PLANAR)
PACKAGE = Settings(preset="pyradiomics", aggregation=("3D_avg",))


@pytest.mark.parametrize("settings", [PLANAR, PACKAGE], ids=["planar", "pyradiomics"])
def test_moving_the_region_changes_nothing_in_any_convention(ball, settings):
    image, mask = (np.pad(array, 8) for array in ball)
    one = extract(image, mask, spacing_mm=SPACING, settings=settings)
    image, mask = (np.roll(array, (2, -3, 1), (0, 1, 2)) for array in (image, mask))
    close(one, extract(image, mask, spacing_mm=SPACING, settings=settings))


def test_swapping_a_slice_s_axes_changes_no_planar_feature(ball):
    one = extract(*ball, spacing_mm=SPACING, settings=PLANAR)
    image, mask = (np.ascontiguousarray(array.transpose(0, 2, 1)) for array in ball)
    swapped = (SPACING[0], SPACING[2], SPACING[1])
    close(one, extract(image, mask, spacing_mm=swapped, settings=PLANAR))


def test_every_slice_alone_gives_the_averaged_textures(ball):
    image, mask = ball
    settings = Settings(
        bin_number=None,
        aggregation=("2D_avg", "2D_comb"),
        families=("glcm", "glrlm", "glszm", "gldzm", "ngldm"),
    )
    levels = np.rint(image / 20).clip(1)
    whole = extract(levels, mask, spacing_mm=SPACING, settings=settings)
    slices = [
        extract(
            levels[k : k + 1], mask[k : k + 1], spacing_mm=SPACING, settings=settings
        )
        for k in np.flatnonzero(mask.any(axis=(1, 2)))
    ]
    # Normalised difference features count the highest level of the whole region.
    names = [name for name in whole if "_norm_" not in name]
    for name in names:
        mean = np.nanmean([one[name] for one in slices])
        assert whole[name] == pytest.approx(mean, rel=1e-9, abs=1e-9), name


def test_a_mask_at_the_border_has_the_textures_of_one_inside():
    rng = np.random.default_rng(2)
    image, mask = rng.normal(size=(4, 5, 6)), np.ones((4, 5, 6), bool)
    names = ("glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm", "histogram")
    settings = Settings(bin_number=4, families=names)
    one = extract(image, mask, spacing_mm=SPACING, settings=settings)
    image, mask = np.pad(image, 2), np.pad(mask, 2)
    close(one, extract(image, mask, spacing_mm=SPACING, settings=settings))


def test_one_voxel_has_pyradiomics_features_where_they_are_defined():
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    settings = Settings(preset="pyradiomics", aggregation=("3D_avg",))
    found = extract(mask * 7.0, mask, spacing_mm=(1.0, 1.0, 1.0), settings=settings)
    assert found["original_shape_MeshVolume"] == pytest.approx(1 / 6)
    assert found["original_shape2D_MeshSurface"] == 0.5  # a square on its corner
    assert found["original_shape2D_Perimeter"] == pytest.approx(2 * 2**0.5)
    assert np.isnan(found["original_shape2D_Elongation"])
    assert np.isnan(found["original_glcm_Contrast"])
    assert found["original_glszm_ZonePercentage"] == 1


def test_one_grey_level_has_pyradiomics_flat_values(ball):
    _, mask = ball
    flat = np.full(mask.shape, 5.0)
    found = extract(flat, mask, spacing_mm=SPACING, settings=PACKAGE)
    assert found["original_glcm_Correlation"] == 1
    assert found["original_glcm_MCC"] == 1
    assert found["original_firstorder_Kurtosis"] == 0
    assert found["original_ngtdm_Coarseness"] == 1e6


def test_a_slice_s_contour_is_that_of_its_pixels():
    mask = np.zeros((1, 7, 9), bool)
    mask[0, 1:4, 2:7] = True
    settings = Settings(preset="pyradiomics", families=("morphology",))
    found = extract(mask * 1.0, mask, spacing_mm=(5.0, 2.0, 1.0), settings=settings)
    # Its corners are cut off: four triangles of half a pixel by half a pixel.
    assert found["original_shape2D_MeshSurface"] == 3 * 2 * 5 * 1 - 4 * (1 * 0.5 / 2)
    sides = 2 * 4 * 1 + 2 * 2 * 2 + 4 * np.hypot(1, 0.5)
    assert found["original_shape2D_Perimeter"] == pytest.approx(sides)
    assert found["original_shape2D_PixelSurface"] == 30


def test_one_voxel_that_a_coarser_grid_misses_is_a_clear_error(ball):
    image, mask = ball
    one = np.zeros(mask.shape, bool)
    one[6, 7, 8] = True
    settings = Settings(new_spacing_mm=(9, 9, 9), families=("statistics",))
    with pytest.raises(InputError, match="0 voxels are left of the mask"):
        extract(image, one, spacing_mm=SPACING, settings=settings)


def test_one_voxel_has_a_shape_and_no_pairs():
    mask = np.zeros((3, 3, 3), bool)
    mask[1, 1, 1] = True
    found = extract(mask * 7.0, mask, spacing_mm=(1.0, 1.0, 1.0), settings=EVERY)
    assert found["morph_volume"] == pytest.approx(1 / 6)  # an octahedron
    assert found["stat_mean"] == 7
    assert found["szm_sze_3D"] == 1
    assert np.isnan(found["cm_contrast_3D_comb"])
    assert np.isnan(found["morph_moran_i"])


def test_one_grey_level_is_perfectly_uniform(ball):
    _, mask = ball
    found = extract(np.full(mask.shape, 5.0), mask, spacing_mm=SPACING, settings=EVERY)
    assert found["ih_uniformity"] == 1
    assert found["stat_skew"] == 0
    assert found["cm_contrast_3D_comb"] == 0
    assert found["cm_corr_3D_comb"] == 1
    assert found["ngt_coarseness_3D"] == 1e6


def test_a_hole_adds_surface_and_takes_volume(ball):
    image, mask = ball
    hollow = mask.copy()
    hollow[6, 7, 8] = False
    one = extract(image, mask, spacing_mm=SPACING, settings=EVERY)
    two = extract(image, hollow, spacing_mm=SPACING, settings=EVERY)
    # What marching cubes give for one voxel: an octahedron of a sixth of its box.
    lost = np.prod(SPACING) / 6
    assert one["morph_volume"] - two["morph_volume"] == pytest.approx(lost)
    assert two["morph_area_mesh"] > one["morph_area_mesh"]


def test_two_components_add_their_volumes():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:3, 1:3, 1:3] = True
    one = extract(mask * 1.0, mask, spacing_mm=SPACING, settings=EVERY)
    mask[5:7, 5:7, 5:7] = True
    two = extract(mask * 1.0, mask, spacing_mm=SPACING, settings=EVERY)
    assert two["morph_volume"] == pytest.approx(2 * one["morph_volume"])
    assert two["szm_z_perc_3D"] == 2 / 16


def test_a_mask_at_the_border_has_a_closed_surface():
    mask = np.ones((4, 4, 4), bool)
    settings = Settings(families=("morphology",))
    inner = extract(
        np.pad(mask, 3) * 1.0, np.pad(mask, 3), spacing_mm=SPACING, settings=settings
    )
    outer = extract(mask * 1.0, mask, spacing_mm=SPACING, settings=settings)
    assert outer["morph_volume"] == pytest.approx(inner["morph_volume"])


def test_an_empty_mask_is_refused(ball):
    image, mask = ball
    with pytest.raises(InputError, match="mask is empty"):
        extract(image, mask & False, spacing_mm=SPACING, settings=EVERY)


def test_a_mask_on_another_grid_is_refused(ball):
    image, mask = ball
    with pytest.raises(InputError, match="both must be on one grid"):
        extract(image, mask[1:], spacing_mm=SPACING, settings=EVERY)


def test_a_nan_in_the_image_is_refused(ball):
    image, mask = ball[0].copy(), ball[1]
    image[6, 7, 8] = np.nan
    with pytest.raises(InputError, match="1 NaN or infinite values"):
        extract(image, mask, spacing_mm=SPACING, settings=EVERY)


def test_too_few_voxels_are_refused(ball):
    with pytest.raises(InputError, match="at least 10000 are needed"):
        extract(*ball, spacing_mm=SPACING, settings=Settings(min_voxels=10_000))


def test_fractions_are_no_grey_levels(ball):
    with pytest.raises(InputError, match="whole grey levels"):
        extract(*ball, spacing_mm=SPACING, settings=Settings(bin_number=None))


def test_both_kinds_of_bins_are_refused():
    with pytest.raises(InputError, match="not both"):
        Settings(bin_number=32, bin_width=25)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bin_width": "25"}, "bin_width is '25'; expected a number or null"),
        ({"bin_number": 32.5}, "bin_number is 32.5; expected a whole number or null"),
        ({"min_voxels": True}, "min_voxels is True; expected a whole number"),
        ({"round_intensities": 1}, "round_intensities is 1; expected true or false"),
        (
            {"families": "glcm"},
            "families is 'glcm'; expected a list, each entry a text",
        ),
        ({"new_spacing_mm": [1, 1]}, "expected a list of 3, each a number or null"),
        ({"intensity_range": ["-160", None]}, "intensity_range is .*a list of 2"),
        ({"filter": "log"}, "filter is 'log'; expected a table of its fields or null"),
        ({"filter": {"kind": "log", "sigma_mm": "2"}}, "filter log: sigma_mm is '2'"),
        ({"filter": {"kind": "simoncelli", "level": 1.5}}, "level is 1.5"),
    ],
)
def test_a_setting_of_another_type_is_refused_by_name(values, said):
    with pytest.raises(InputError, match=said):
        make_settings(values, by_slice=False)


def test_spatial_correlation_is_the_sum_over_all_pairs():
    rng = np.random.default_rng(0)
    image, mask = rng.normal(size=(3, 4, 5)), rng.random((3, 4, 5)) < 0.6
    found = extract(image, mask, spacing_mm=SPACING, settings=EVERY)
    points, x = np.argwhere(mask) * np.array(SPACING), image[mask]
    far = np.linalg.norm(points[:, None] - points[None], axis=2)
    weight = np.where(far > 0, 1 / np.where(far > 0, far, 1), 0)
    x = x - x.mean()
    moran = len(x) / weight.sum() * (x @ weight @ x) / (x @ x)
    apart = (weight * (x[:, None] - x[None]) ** 2).sum()
    geary = (len(x) - 1) / (2 * weight.sum()) * apart / (x @ x)
    assert found["morph_moran_i"] == pytest.approx(moran)
    assert found["morph_geary_c"] == pytest.approx(geary)

"""Against the values that PyRadiomics itself keeps as its baselines."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from liverjax.errors import InputError
from liverjax.radiomics import Settings, extract
from liverjax.radiomics.settings import make_settings

sitk = pytest.importorskip("SimpleITK")

FAMILIES = ("statistics", "morphology", "glcm", "glrlm", "glszm", "ngldm", "ngtdm")
WIDE = {"bin_number": None, "bin_width": 25, "preset": "pyradiomics"}
VARIANTS = {
    "": Settings(**WIDE, families=FAMILIES, aggregation=("3D_avg",)),
    "_2d": Settings(**WIDE, families=FAMILIES, aggregation=("2_5D_avg",)),
    "_combined": Settings(**WIDE, families=FAMILIES, aggregation=("3D_comb",)),
    "_FBN": Settings(
        bin_number=64,
        preset="pyradiomics",
        families=FAMILIES,
        aggregation=("3D_avg",),
    ),
    "_flatRegion": Settings(
        bin_number=None,
        bin_width=5000,
        intensity_range=(0, None),
        preset="pyradiomics",
        families=FAMILIES,
        aggregation=("3D_avg",),
    ),
    "_normalization": Settings(
        bin_number=None,
        bin_width=5,
        normalise_scale=100,
        preset="pyradiomics",
        families=FAMILIES,
        aggregation=("3D_avg",),
    ),
    "_resampling": Settings(
        **WIDE,
        new_spacing_mm=(2, 2, 2),
        interpolation="cubic",
        round_intensities=True,  # the images are of an integer type
        families=FAMILIES,
        aggregation=("3D_avg",),
    ),
    "_resegmentation": Settings(
        **WIDE, outlier_sigma=3, families=FAMILIES, aggregation=("3D_avg",)
    ),
}
CLASSES = ("firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm", "shape")


# Written by an earlier version (its header names 2.0.1b1) whose table of triangles
# closed ambiguous cubes otherwise; every later column is met to 1e-6.
OLDER_SURFACE = {
    f"original_shape_{name}": 1e-3
    for name in ("MeshVolume", "SurfaceArea", "Sphericity", "SurfaceVolumeRatio")
}


def baselines(folder, column):
    for family in CLASSES:
        with (folder / f"baseline_{family}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["featureName"].startswith("original_") and row.get(column):
                    yield row["featureName"], float(row[column])


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("case", ["brain1", "breast1"])
def test_features_are_the_package_s_own(case, variant, shared):
    folder = shared / "data" / "pyradiomics-cases"
    image = sitk.ReadImage(str(folder / f"{case}_image.nrrd"), sitk.sitkFloat64)
    label = sitk.ReadImage(str(folder / f"{case}_label.nrrd"))
    array, mask = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(label) == 1
    values = {"spacing_mm": tuple(image.GetSpacing()[::-1])}
    found = extract(array, mask, settings=VARIANTS[variant], **values)
    known = dict(baselines(folder / "baseline", f"{case}{variant}"))
    if variant == "":
        # This column alone was made with a shift of 2000 under the energies.
        shifted = Settings(**WIDE, energy_shift=2000, families=("statistics",))
        found |= extract(array, mask, settings=shifted, **values)
    assert len(known) > 20
    assert set(known) <= set(found)
    loose = OLDER_SURFACE if (case, variant) == ("brain1", "") else {}
    wrong = {
        name: (found[name], value)
        for name, value in known.items()
        if not np.isclose(found[name], value, rtol=loose.get(name, 1e-6), atol=1e-9)
    }
    assert wrong == {}


@pytest.mark.parametrize("asked", [("2D_avg",), ("3D_avg", "3D_comb"), ("2D_comb",)])
def test_a_way_of_merging_that_the_package_has_not_is_refused(asked):
    with pytest.raises(InputError, match="merges matrices in one way: choose one of"):
        Settings(**WIDE, aggregation=asked)


def test_the_default_is_the_package_s_own():
    assert Settings(**WIDE).aggregation == ("3D_avg",)
    assert Settings().aggregation == ("3D_avg", "3D_comb")
    assert make_settings(WIDE, by_slice=True).aggregation == ("2_5D_avg",)


def test_slices_merged_over_directions_are_2_5d_comb():
    """One slice: a direction's matrices of the slices are those of the region."""
    rng = np.random.default_rng(0)
    image, mask = rng.normal(100, 40, (1, 12, 12)), np.ones((1, 12, 12), bool)
    wide = WIDE | {"families": ("glcm",)}
    found = [
        extract(
            image,
            mask,
            spacing_mm=(1.0, 1.0, 1.0),
            settings=Settings(**wide, aggregation=(merged,)),
        )["original_glcm_Contrast"]
        for merged in ("2_5D_comb", "3D_comb", "2_5D_avg")
    ]
    assert found[0] == pytest.approx(found[1])
    assert found[0] != pytest.approx(found[2], rel=1e-6)


# The slice that the package's own single-slice masks hold.
SLICES = {"brain1": 16, "breast1": 9}


@pytest.mark.parametrize("case", sorted(SLICES))
def test_features_of_one_slice_s_shape_are_the_package_s_own(case, shared):
    folder = shared / "data" / "pyradiomics-cases"
    label = sitk.ReadImage(str(folder / f"{case}_label.nrrd"))
    mask = sitk.GetArrayFromImage(label) == 1
    mask[np.arange(len(mask)) != SLICES[case]] = False
    settings = Settings(**WIDE, families=("morphology",))
    spacing = tuple(label.GetSpacing()[::-1])
    found = extract(mask * 1.0, mask, spacing_mm=spacing, settings=settings)
    with (folder / "baseline" / "baseline_shape2D.csv").open(newline="") as file:
        known = {
            row["featureName"]: float(row[f"{case}_shape2D"])
            for row in csv.DictReader(file)
            if row["featureName"].startswith("original_")
        }
    assert len(known) == 9
    assert {name: found[name] for name in known} == pytest.approx(known, rel=1e-6)

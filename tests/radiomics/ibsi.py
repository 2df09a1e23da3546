"""The standard's phantoms, configurations and reference values."""

from __future__ import annotations

import csv
import json
import math
import pathlib

import numpy as np

from liverjax.radiomics.settings import AGGREGATIONS, Settings

PLANAR, VOLUMETRIC = AGGREGATIONS[:4], AGGREGATIONS[4:]
CUBE = (2.0, 2.0, 2.0)
DIGITAL = Settings(bin_number=None, aggregation=AGGREGATIONS)
# Reference manual, section 4.5: the CT phantom's five configurations.
CONFIGURATIONS = {
    "a": Settings(
        intensity_range=(-500, 400), bin_number=None, bin_width=25, aggregation=PLANAR
    ),
    "b": Settings(
        new_spacing_mm=(None, 2, 2),
        round_intensities=True,
        intensity_range=(-500, 400),
        aggregation=PLANAR,
    ),
    "c": Settings(
        new_spacing_mm=CUBE,
        round_intensities=True,
        intensity_range=(-1000, 400),
        bin_number=None,
        bin_width=25,
        ivh_bin_width=2.5,
        aggregation=VOLUMETRIC,
    ),
    "d": Settings(
        new_spacing_mm=CUBE,
        round_intensities=True,
        outlier_sigma=3,
        aggregation=VOLUMETRIC,
    ),
    "e": Settings(
        new_spacing_mm=CUBE,
        interpolation="cubic",
        round_intensities=True,
        intensity_range=(-1000, 400),
        outlier_sigma=3,
        ivh_bin_number=1000,
        aggregation=VOLUMETRIC,
    ),
}


def digital_phantom():
    path = pathlib.Path(__file__).parent / "data" / "digital_phantom.json"
    known = json.loads(path.read_text())
    image, mask = np.array(known["image"], float), np.array(known["mask"]) > 0
    reference = {tag: tuple(pair) for tag, pair in known["reference"].items()}
    return image, mask, tuple(known["spacing_mm"]), reference


def read_reference(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {
            row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
            for row in csv.DictReader(file, delimiter=";")
            if row["reference value"]
        }


def rounded(value):
    """Three significant digits, as the reference values are printed."""
    if not math.isfinite(value) or value == 0:
        return value
    return round(value, 2 - math.floor(math.log10(abs(value))))


def failing(features, reference):
    """Tags whose value, as it is or as printed, is not within its tolerance."""
    return {
        tag: (features.get(tag), value, tolerance)
        for tag, (value, tolerance) in reference.items()
        if tag not in features
        or not min(abs(features[tag] - value), abs(rounded(features[tag]) - value))
        <= tolerance + 1e-9 * abs(value)
    }

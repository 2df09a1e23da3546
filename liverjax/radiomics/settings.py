"""What an extraction does to an image before and while it counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from liverjax.errors import InputError
from liverjax.radiomics.field_types import check_values
from liverjax.radiomics.filters import Filter, read_filter, write_filter

FAMILIES = (
    "morphology",
    "local",
    "statistics",
    "ivh",
    "histogram",
    "glcm",
    "glrlm",
    "glszm",
    "gldzm",
    "ngtdm",
    "ngldm",
)
AGGREGATIONS = ("2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb")
VOLUMETRIC = ("3D_avg", "3D_comb")
# What PyRadiomics can do, its default first.
PYRADIOMICS_AGGREGATIONS = ("3D_avg", "3D_comb", "2_5D_avg", "2_5D_comb")
Number = int | float
# A smaller region has no texture to speak of; what a file of settings says goes.
MIN_VOXELS = 64
INTERPOLATIONS = {"nearest": 0, "linear": 1, "cubic": 3}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of an extraction; the defaults take the voxels as they are, 32 bins.

    Attributes:
        new_spacing_mm: Voxel size (d, h, w) after interpolation; a None in it keeps
            that axis, None altogether interpolates nothing.
        interpolation: Of the image: ``nearest``, ``linear`` or ``cubic`` (spline; what
            PyRadiomics does by default).
        mask_interpolation: Of the mask, which is then cut at ``mask_threshold``. (With
            ``pyradiomics`` always the nearest voxel.)
        mask_threshold: Partial volume from which a voxel is inside, in (0, 1].
        round_intensities: Round to whole numbers after interpolation, as CT asks. With
            ``pyradiomics``: cut towards zero, as it does to images of an integer type.
        intensity_range: Voxels outside (low, high), both inclusive, leave the intensity
            mask; the morphological mask keeps them. None in it leaves an end open.
        outlier_sigma: Voxels further than so many standard deviations from the mean
            leave the intensity mask.
        bin_number: Fixed number of grey levels over the region's range.
        bin_width: Fixed width of a grey level; the first begins at the low end of
            ``intensity_range``, or at the region's minimum. With both None the image is
            taken as whole grey levels from 1 on.
        ivh_bin_number: Grey levels of the intensity-volume histogram.
        ivh_bin_width: Their width. Both None: the intensities in whole steps.
        aggregation: How texture matrices are merged; see `AGGREGATIONS`. Families
            without directions have one value for each of 2D, 2_5D and 3D. Empty:
            ``3D_avg`` and ``3D_comb``; with ``pyradiomics``, which has names for one
            alone, ``3D_avg``.
        families: Which are computed; see `FAMILIES`.
        dependence_distance: Largest difference of grey levels that counts as dependent.
        preset: ``ibsi``: the standard's tags and formulas; ``pyradiomics``: that
            package's names, bins and conventions, for models published on them.
        normalise_scale: With ``pyradiomics``: the whole image is brought to mean 0 and
            this standard deviation first.
        energy_shift: With ``pyradiomics``: its ``voxelArrayShift``.
        min_voxels: A smaller region is refused.
        filter: Turns the prepared image into a response map, whose features end in the
            filter's ``suffix``. Masks are those of the image. The shape stays what it
            was: ``morphology`` is left out.

    Raises:
        InputError: For values that exclude each other or are out of range.
    """

    new_spacing_mm: tuple[Number | None, Number | None, Number | None] | None = None
    interpolation: str = "linear"
    mask_interpolation: str = "linear"
    mask_threshold: Number = 0.5
    round_intensities: bool = False
    intensity_range: tuple[Number | None, Number | None] | None = None
    outlier_sigma: Number | None = None
    bin_number: int | None = 32
    bin_width: Number | None = None
    ivh_bin_number: int | None = None
    ivh_bin_width: Number | None = None
    aggregation: tuple[str, ...] = ()
    families: tuple[str, ...] = FAMILIES
    dependence_distance: int = 0
    preset: str = "ibsi"
    normalise_scale: Number | None = None
    energy_shift: Number = 0
    min_voxels: int = 1
    filter: Filter | None = None

    def __post_init__(self) -> None:
        if not self.aggregation:
            default = PYRADIOMICS_AGGREGATIONS[:1]
            default = default if self.preset == "pyradiomics" else VOLUMETRIC
            object.__setattr__(self, "aggregation", default)
        _names("aggregation", self.aggregation, AGGREGATIONS)
        _names("families", self.families, FAMILIES)
        _names("preset", (self.preset,), ("ibsi", "pyradiomics"))
        _names("interpolation", (self.interpolation,), tuple(INTERPOLATIONS))
        _names("mask_interpolation", (self.mask_interpolation,), tuple(INTERPOLATIONS))
        if self.bin_number is not None and self.bin_width is not None:
            raise InputError("settings: give bin_number or bin_width, not both")
        if self.ivh_bin_number is not None and self.ivh_bin_width is not None:
            raise InputError("settings: give ivh_bin_number or ivh_bin_width, not both")
        for name in ("bin_number", "bin_width", "ivh_bin_number", "ivh_bin_width"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"settings: {name} is {value}; it must be above 0")
        if not 0 < self.mask_threshold <= 1:
            raise InputError(
                f"settings: mask_threshold is {self.mask_threshold}; expected (0, 1]"
            )
        if self.filter is not None and self.preset == "pyradiomics":
            raise InputError(
                "settings: filter gives the standard's response maps, under the "
                "standard's tags; preset must be ibsi"
            )
        package = self.preset == "pyradiomics"
        honoured = [(one,) for one in PYRADIOMICS_AGGREGATIONS]
        if package and self.aggregation not in honoured:
            raise InputError(
                f"settings: aggregation is {list(self.aggregation)}; PyRadiomics "
                "merges matrices in one way: choose one of "
                f"{list(PYRADIOMICS_AGGREGATIONS)} "
                "(2_5D is its force2D, comb its no_weighting)"
            )
        for value in self.new_spacing_mm or ():
            if value is not None and value <= 0:
                raise InputError(
                    f"settings: new_spacing_mm is {self.new_spacing_mm}; each entry "
                    "must be above 0 mm, or None to keep the axis"
                )

    @property
    def dimensions(self) -> tuple[str, ...]:
        """``2D``, ``2_5D``, ``3D``, as far as ``aggregation`` asks for them."""
        return tuple(
            dict.fromkeys(name.rpartition("_")[0] for name in self.aggregation)
        )


def make_settings(
    values: Mapping[str, Any], *, by_slice: bool, title: str = "settings"
) -> Settings:
    """Returns settings of an examination from some of their fields.

    Slices are measured with the planar aggregations, and regions of fewer than
    `MIN_VOXELS` are refused, unless the values say otherwise.

    Args:
        values: Fields of `Settings` by name; a list stands for a tuple, and ``filter``
            is a table of its ``kind`` and fields (`liverjax.radiomics.filters`).
        by_slice: Whether slices are measured one by one.
        title: Where the values come from, for messages.

    Raises:
        InputError: For a field that `Settings` does not have, a value of another type
            than the field's, or one that it refuses.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(f"{title}: unknown {unknown}; known: {sorted(known)}")
    base: dict[str, Any] = {"min_voxels": MIN_VOXELS}
    if by_slice:
        # Of one slice 2_5D is 2D, for which PyRadiomics has no other name.
        package = values.get("preset") == "pyradiomics"
        base["aggregation"] = ("2_5D_avg",) if package else ("2D_avg", "2D_comb")
    given: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list) else v for n, v in values.items()
    }
    if isinstance(given.get("filter"), Mapping):
        given["filter"] = read_filter(given["filter"])
        if by_slice and not given["filter"].planar:
            raise InputError(
                f"{title}: a slice has no depth to filter; set planar to true"
            )
    check_values(Settings, given, title=title)
    return Settings(**base | given)


def to_values(settings: Settings) -> dict[str, Any]:
    """Returns every field as JSON has it; `make_settings` reads it again."""
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(settings).items()
    }
    if settings.filter is not None:
        values["filter"] = write_filter(settings.filter)
    return values


def _names(field: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown:
        raise InputError(f"settings: {field} {unknown} unknown; known are {known}")

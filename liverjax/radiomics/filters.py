"""Which filter turns an image into a response map, before features are counted."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from liverjax.errors import InputError
from liverjax.radiomics.field_types import check_values

BOUNDARIES = ("zero", "nearest", "periodic", "mirror")
POOLINGS = ("max", "average")
LAWS = ("L3", "E3", "S3", "L5", "E5", "S5", "W5", "R5")
WAVELETS = ("haar", *(f"db{n}" for n in range(1, 11)), "coif1")
Number = int | float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """What all filters share.

    Attributes:
        planar: Slice by slice, not in the volume.
        boundary: What lies beyond the image: ``zero``, the ``nearest`` voxel, the image
            again (``periodic``) or its ``mirror`` image (the edge voxel twice).

    Reference:
        Image Biomarker Standardisation Initiative, manual of part 2 (Depeursinge et
        al., arXiv:2006.05470), section 2.3.
    """

    kind: ClassVar[str] = ""
    planar: bool = False
    boundary: str = "mirror"

    def __post_init__(self) -> None:
        _known("boundary", self.boundary, BOUNDARIES)

    @property
    def suffix(self) -> str:
        """Ends the names of a response map's features."""
        end = "" if self.boundary == "mirror" else f"_{self.boundary}"
        return f"{self.kind}_{self._values()}_{'2D' if self.planar else '3D'}{end}"

    def _values(self) -> str:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean(Filter):
    """The mean of a square or cube.

    Attributes:
        support_px: Its side, odd.
    """

    kind: ClassVar[str] = "mean"
    support_px: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.support_px < 1 or self.support_px % 2 == 0:
            raise InputError(
                f"filter mean: support_px is {self.support_px}; it must be odd"
            )

    def _values(self) -> str:
        return f"n{self.support_px}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaplacianOfGaussian(Filter):
    """Laplacian of a Gaussian, in voxel units as the standard has it.

    Attributes:
        sigma_mm: Of the Gaussian.
        truncate: The kernel ends at so many sigma.
    """

    kind: ClassVar[str] = "log"
    sigma_mm: Number
    truncate: Number = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "sigma_mm", "truncate")

    def _values(self) -> str:
        return f"s{self.sigma_mm:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laws(Filter):
    """Laws' kernels, one an axis.

    Attributes:
        kernels: Along x, y and (in a volume) z, such as ``E5L5S5``.
        pooling: Over the right-angled rotations: ``max``, ``average``, or None for one
            orientation.
        energy_px: Chebyshev radius over which absolute responses are averaged; None
            gives the response itself.
    """

    kind: ClassVar[str] = "laws"
    kernels: str
    pooling: str | None = "max"
    energy_px: int | None = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        _pooling(self.pooling)
        axes = 2 if self.planar else 3
        parts = self.parts
        if len(parts) != axes or len(self.kernels) != 2 * axes:
            raise InputError(
                f"filter laws: kernels {self.kernels!r}; {axes} are needed, one an axis"
            )
        for part in parts:
            _known("kernels", part, LAWS)
        if self.energy_px is not None and self.energy_px < 1:
            raise InputError("filter laws: energy_px must be 1 or more, or null")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the kernels along x, y, z."""
        return tuple(self.kernels[k : k + 2] for k in range(0, len(self.kernels), 2))

    def _values(self) -> str:
        energy = "" if self.energy_px is None else f"_energy{self.energy_px}"
        return f"{self.kernels.lower()}{energy}{_pooled(self.pooling)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gabor(Filter):
    """The modulus of a complex Gabor filter in the slice's plane.

    In a volume with pooling, the planes of the two other axes are pooled as well.

    Attributes:
        sigma_mm: Of the envelope.
        wavelength_mm: Of the wave.
        gamma: Envelope's width along the wave over its width across it.
        theta_deg: Angle of the wave, or, with pooling, the step from 0 on.
        pooling: As of `Laws`.
    """

    kind: ClassVar[str] = "gabor"
    sigma_mm: Number
    wavelength_mm: Number
    gamma: Number = 1
    theta_deg: Number = 45
    pooling: str | None = "average"

    def __post_init__(self) -> None:
        super().__post_init__()
        _pooling(self.pooling)
        _positive(self, "sigma_mm", "wavelength_mm", "gamma")
        if self.pooling and (self.theta_deg <= 0 or 180 % self.theta_deg):
            raise InputError(
                f"filter gabor: theta_deg is {self.theta_deg}; as the step of a "
                "pooling it must divide 180"
            )

    @property
    def angles_rad(self) -> tuple[float, ...]:
        """Half a turn is enough: the modulus is the same at the opposite angle."""
        if self.pooling is None:
            return (math.radians(self.theta_deg),)
        count = round(180 / self.theta_deg)
        return tuple(math.radians(k * self.theta_deg) for k in range(count))

    def _values(self) -> str:
        wave = f"s{self.sigma_mm:g}_l{self.wavelength_mm:g}_g{self.gamma:g}"
        return f"{wave}_t{self.theta_deg:g}{_pooled(self.pooling)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeparableWavelet(Filter):
    """An undecimated separable wavelet.

    Attributes:
        wavelet: See `WAVELETS`.
        bands: ``L`` or ``H`` along x, y and (in a volume) z, at the last level; the
            levels before it are low-pass.
        level: Of the decomposition, from 1 on.
        pooling: As of `Laws`.
    """

    kind: ClassVar[str] = "wavelet"
    wavelet: str
    bands: str
    level: int = 1
    pooling: str | None = "average"

    def __post_init__(self) -> None:
        super().__post_init__()
        _pooling(self.pooling)
        _known("wavelet", self.wavelet, WAVELETS)
        axes = 2 if self.planar else 3
        if len(self.bands) != axes or set(self.bands) - set("LH"):
            raise InputError(
                f"filter wavelet: bands {self.bands!r}; {axes} letters, L or H, are "
                "needed"
            )
        _level(self.level)

    def _values(self) -> str:
        bands = f"{self.wavelet}_{self.bands.lower()}_{self.level}"
        return f"{bands}{_pooled(self.pooling)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Simoncelli(Filter):
    """The isotropic non-separable wavelet of Simoncelli, in the Fourier domain.

    Attributes:
        level: Of the decomposition, from 1 on: each halves the frequency.
        boundary: Periodic, as a product in the Fourier domain is.
    """

    kind: ClassVar[str] = "simoncelli"
    level: int = 1
    boundary: str = "periodic"

    def __post_init__(self) -> None:
        _known("boundary", self.boundary, ("periodic",))
        _level(self.level)

    @property
    def suffix(self) -> str:
        """Ends the names of a response map's features."""
        return super().suffix.removesuffix("_periodic")

    def _values(self) -> str:
        return f"{self.level}"


FILTERS: dict[str, type[Filter]] = {
    one.kind: one
    for one in (Mean, LaplacianOfGaussian, Laws, Gabor, SeparableWavelet, Simoncelli)
}


def read_filter(values: dict[str, Any]) -> Filter:
    """Returns the filter that a table of its ``kind`` and its fields describes.

    Raises:
        InputError: For an unknown kind or field, a missing field or a refused value.
    """
    rest = dict(values)
    kind = rest.pop("kind", None)
    if kind not in FILTERS:
        raise InputError(f"filter: kind {kind!r} unknown; known are {tuple(FILTERS)}")
    fields = {field.name: field for field in dataclasses.fields(FILTERS[kind])}
    unknown = sorted(set(rest) - set(fields))
    needed = {n for n, f in fields.items() if f.default is dataclasses.MISSING}
    missing = sorted(needed - set(rest))
    if unknown or missing:
        raise InputError(
            f"filter {kind}: unknown {unknown}, missing {missing}; its fields are "
            f"{sorted(fields)}"
        )
    check_values(FILTERS[kind], rest, title=f"filter {kind}")
    return FILTERS[kind](**rest)


def write_filter(filter: Filter) -> dict[str, Any]:
    """Returns the table of kind and fields that `read_filter` takes."""
    return {"kind": filter.kind, **dataclasses.asdict(filter)}


def _pooled(pooling: str | None) -> str:
    return "" if pooling is None else f"_{pooling}"


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"filter: {name} {value!r} unknown; known are {known}")


def _pooling(pooling: str | None) -> None:
    if pooling is not None:
        _known("pooling", pooling, POOLINGS)


def _level(level: int) -> None:
    if level < 1:
        raise InputError(f"filter: level is {level}; the first level is 1")


def _positive(given: Filter, *names: str) -> None:
    for name, value in dataclasses.asdict(given).items():
        if name in names and value <= 0:
            raise InputError(
                f"filter {given.kind}: {name} is {value}; it must be above 0"
            )

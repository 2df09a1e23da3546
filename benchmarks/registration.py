"""How exactly phases are registered, and whether breathing is noticed at the liver.

    python -m benchmarks.registration [--seeds 10] [--chaos FOLDER]

Phantoms whose liver breathes by 0 to 20 mm against a still spine while the whole body
moves (up to 10 degrees and 20 mm), registered by the whole image and by the liver's
margin: the true error at the liver, the one measured from the images alone, and the
share of warnings. With ``--chaos`` (the folder of CHAOS' CT set 3, zipped as in the
repository's README) also the error of planted whole-body motions at the corners of a
real liver.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from benchmarks import results
from liverjax.cohort.manifest import MaskSource
from liverjax.imaging.alignment import Alignment, align
from liverjax.imaging.geometry import ijk_to_lps, index_points, map_points
from liverjax.imaging.masks import read_mask
from liverjax.imaging.volumes import read_volume
from liverjax.phantom.grid import Grid
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.options import PhantomOptions, size_options
from liverjax.phantom.real_scan import apply_motion, imitate_phase
from liverjax.phantom.subject import PhaseImage, make_subject

BREATHING_MM = (0.0, 5.0, 10.0, 20.0)
REGIONS = ("whole_image", "liver_margin")
PHASES = ("native", "arterial")
MAX_ROTATION_DEG, MAX_TRANSLATION_MM = 10.0, 20.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One registered pair: what was planted, and what came of it.

    Attributes:
        breathing_mm: Planted shift of the liver along the spine.
        region: ``whole_image`` or ``liver_margin``.
        error_mm: True mean error over the liver.
        residual_mm: The error as measured from the images alone.
        warned: Whether the examination would be ``warning``.
        seconds: For registration and measurement.
    """

    breathing_mm: float
    region: str
    error_mm: float
    residual_mm: float
    warned: bool
    seconds: float


def breathing_cases(
    *,
    seeds: Sequence[int],
    size: str = "demo",
    breathing_mm: Sequence[float] = BREATHING_MM,
    regions: Sequence[str] = REGIONS,
    phases: Sequence[str] = PHASES,
) -> list[Case]:
    """Returns a case for each seed, breathing, phase and region.

    Args:
        seeds: A patient and its motions each.
        size: Of the phantom, see `liverjax.phantom.options.SIZES`.
        breathing_mm: Planted shifts; their sign is drawn.
        regions: Of the registration.
        phases: Registered to the venous one.
    """
    options = PhantomOptions(**size_options(size), cut_share=0.0)
    cases = []
    for seed, amount in itertools.product(seeds, breathing_mm):
        rng = np.random.default_rng([seed, round(amount)])
        motions = {phase: draw_motion(rng, breathing_mm=amount) for phase in PHASES}
        subject = make_subject(options, seed=0, index=seed, motion=motions)
        fixed = subject.phases["venous"]
        points = index_points(to_image(fixed), np.argwhere(fixed.liver))
        liver = sitk.GetImageFromArray(fixed.liver.astype(np.uint8))
        liver.CopyInformation(to_image(fixed))
        for phase, region in itertools.product(phases, regions):
            started = time.monotonic()
            found = run(
                to_image(fixed),
                to_image(subject.phases[phase]),
                liver=liver,
                region=region,
            )
            seconds = time.monotonic() - started
            truth = motions[phase].move_liver(points.astype(np.float32))
            error = np.linalg.norm(map_points(found.matrix, points) - truth, axis=1)
            cases.append(
                Case(
                    breathing_mm=amount,
                    region=region,
                    error_mm=float(error.mean()),
                    residual_mm=found.liver.residual_mm,
                    warned=bool(found.findings(channel=phase)),
                    seconds=seconds,
                )
            )
    return cases


def draw_motion(
    rng: np.random.Generator,
    *,
    breathing_mm: float = 0.0,
    centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> PhaseMotion:
    """Returns a drawn motion of the body and a planted one of the liver.

    Args:
        rng: Source of axis, angle, direction and length.
        breathing_mm: The liver's shift along the spine, up or down; it slides forward
            a little and bends by half a millimetre while it does.
        centre_mm: Of the body's rotation.
    """
    axis, way = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
    angle = axis * rng.uniform(0, MAX_ROTATION_DEG)
    shift = way * rng.uniform(0, MAX_TRANSLATION_MM)
    breath = breathing_mm * rng.choice((-1.0, 1.0))
    phases = rng.uniform(0, 2 * np.pi, 3)
    return PhaseMotion(
        matrix=rigid_matrix(
            rotation_deg=(float(angle[0]), float(angle[1]), float(angle[2])),
            translation_mm=(float(shift[0]), float(shift[1]), float(shift[2])),
            center_mm=(centre_mm[0], centre_mm[1], centre_mm[2]),
        ),
        liver_shift_mm=(0.0, 0.15 * breath, breath),
        bend_mm=0.5 if breathing_mm else 0.0,
        bend_phase=(float(phases[0]), float(phases[1]), float(phases[2])),
    )


def corner_errors(
    scan: sitk.Image, liver: sitk.Image, *, seeds: Sequence[int]
) -> list[float]:
    """Returns the largest error at the liver's corners for planted body motions.

    Args:
        scan: A portal venous CT.
        liver: Its mask.
        seeds: A motion each; even ones become the native phase, odd ones the arterial.
    """
    volume, inside = (sitk.GetArrayFromImage(image) for image in (scan, liver))
    grid = grid_of(scan)
    voxels = np.argwhere(inside)
    ends = zip(voxels.min(0), voxels.max(0), strict=True)
    corners = index_points(scan, np.array(list(itertools.product(*ends))))
    errors = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        centre = corners.mean(0).tolist()
        motion = draw_motion(rng, centre_mm=centre)
        other = imitate_phase(
            rng, volume=volume, liver=inside > 0, phase=PHASES[seed % 2]
        )
        moved = apply_motion(other, grid=grid, motion=motion)
        image = sitk.GetImageFromArray(moved)
        image.CopyInformation(scan)
        found = run(scan, image, liver=liver, region="whole_image")
        error = map_points(found.matrix, corners) - motion.move_body(corners)
        errors.append(float(np.linalg.norm(error, axis=1).max()))
    return errors


def run(
    fixed: sitk.Image, moving: sitk.Image, *, liver: sitk.Image, region: str
) -> Alignment:
    """Returns the alignment by the defaults of `liverjax.cohort.schema.Recipe`."""
    return align(
        fixed,
        moving,
        liver=liver,
        method="rigid",
        region=region,
        margin_mm=10.0,
        seed=0,
        spacing_mm=1.5,
    )


def to_image(phase: PhaseImage) -> sitk.Image:
    """Returns a phantom's phase as SimpleITK has it."""
    image = sitk.GetImageFromArray(phase.volume)
    image.SetSpacing([float(v) for v in phase.grid.spacing_mm[::-1]])
    image.SetOrigin([float(v) for v in phase.grid.origin])
    image.SetDirection(phase.grid.direction.ravel().tolist())
    return image


def grid_of(image: sitk.Image) -> Grid:
    """Returns an image's grid as the phantom has it."""
    depth, height, width = image.GetSize()[::-1]
    x, y, z = image.GetSpacing()
    origin = ijk_to_lps(image)[:3, 3]
    return Grid(
        shape=(depth, height, width),
        spacing_mm=(z, y, x),
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=np.array(image.GetDirection()).reshape(3, 3),
    )


def read_chaos(folder: pathlib.Path) -> tuple[sitk.Image, sitk.Image]:
    """Returns CHAOS' CT set 3 and its liver from the folder with its zip files."""
    with tempfile.TemporaryDirectory() as temporary:
        parts = {}
        for name in ("DICOM_anon", "Ground"):
            parts[name] = pathlib.Path(temporary) / name
            with zipfile.ZipFile(folder / f"{name}.zip") as archive:
                archive.extractall(parts[name])
        scan, _ = read_volume(parts["DICOM_anon"])
        source = MaskSource(parts["Ground"], order="file_order")
        liver, _ = read_mask(source, image=scan, image_path=parts["DICOM_anon"])
    return scan, liver


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """Returns the figures of the cases by region and breathing."""
    found: dict[str, Any] = {}
    groups = sorted({(case.region, case.breathing_mm) for case in cases})
    for region, amount in groups:
        some = [c for c in cases if (c.region, c.breathing_mm) == (region, amount)]
        errors = np.array([case.error_mm for case in some])
        missed = [abs(case.error_mm - case.residual_mm) for case in some]
        found[f"{region}, breathing {amount:g} mm"] = {
            "pairs": len(some),
            "median_error_mm": round(float(np.median(errors)), 3),
            "largest_error_mm": round(float(errors.max()), 3),
            "largest_difference_of_measured_and_true_mm": round(max(missed), 3),
            "warned": sum(case.warned for case in some),
            "above_3_mm_not_warned": sum(
                case.error_mm > 3 and not case.warned for case in some
            ),
            "median_seconds": round(float(np.median([c.seconds for c in some])), 2),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes ``benchmarks/results/registration-*.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--size", default="demo")
    parser.add_argument("--chaos", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=results.RESULTS)
    options = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    cases = breathing_cases(seeds=range(options.seeds), size=options.size)
    measures: Mapping[str, Any] = summary(cases)
    if options.chaos:
        scan, liver = read_chaos(options.chaos)
        errors = corner_errors(scan, liver, seeds=range(options.seeds))
        measures = {
            **measures,
            "CHAOS, planted body motions, largest error at the liver's corners (mm)": [
                round(error, 3) for error in errors
            ],
        }
    for name, value in measures.items():
        print(f"{name}: {value}")
    path = results.write(
        "registration",
        command=f"python -m benchmarks.registration --seeds {options.seeds}"
        f" --size {options.size}{' --chaos FOLDER' if options.chaos else ''}",
        ratios={},
        measures=measures,
        out_dir=options.out,
        packages=("SimpleITK", "itk-elastix"),
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()

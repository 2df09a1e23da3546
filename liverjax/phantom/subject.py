"""One synthetic examination as a pure function of options, seed and number."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from liverjax.phantom.acquisition import Scan, acquire, draw_scan
from liverjax.phantom.body import Signs, make_body, make_signs
from liverjax.phantom.grid import Grid
from liverjax.phantom.motion import PhaseMotion, draw_motion
from liverjax.phantom.options import PHASES, PhantomOptions, random_stream
from liverjax.phantom.patient import Patient, draw_patient
from liverjax.phantom.render import render
from liverjax.phantom.severity import Severity, recorded_items, subject_severity

# External subjects are numbered far away from the others.
EXTERNAL_FROM = 1_000_000


@dataclasses.dataclass(frozen=True)
class PhaseImage:
    """One phase: whole-number HU, true masks, and where its voxels lie.

    `motion` says where the body and the liver have gone against the venous phase.
    """

    volume: Float[np.ndarray, "d h w"]
    liver: Bool[np.ndarray, "d h w"]
    spleen: Bool[np.ndarray, "d h w"]
    grid: Grid
    motion: PhaseMotion


@dataclasses.dataclass(frozen=True)
class SubjectTruth:
    """All that is true of one examination, without its images.

    `items` are as the table records them; `severity.items` are the true ones.
    """

    index: int
    external: bool
    severity: Severity
    items: Int[np.ndarray, " 5"]
    signs: Signs
    patient: Patient
    scan: Scan
    motions: dict[str, PhaseMotion]

    @property
    def child_pugh(self) -> int:
        """The recorded score, 5 to 15."""
        return int(self.items.sum())


@dataclasses.dataclass(frozen=True)
class Subject:
    """One examination: its truth and the phases that were scanned."""

    truth: SubjectTruth
    phases: dict[str, PhaseImage]


def draw_truth(
    options: PhantomOptions,
    *,
    seed: int,
    index: int,
    motion: dict[str, PhaseMotion] | None = None,
    scan: int = 0,
) -> SubjectTruth:
    """Everything about one examination but its images; quick.

    Args:
        options: Knobs.
        seed: The cohort's seed.
        index: The subject's number; from `EXTERNAL_FROM` the external set's.
        motion: Motion by phase, in place of a drawn one; phases left out stand still.
        scan: Number of the patient's scan: same body and score, another acquisition.
    """
    external = index >= EXTERNAL_FROM
    severity = subject_severity(options, seed=seed, index=index)
    items = recorded_items(severity, options=options, seed=seed, index=index)
    if motion is None:
        motion = draw_motion(options, seed=seed, index=index, scan=scan)
    unknown = set(motion) - set(PHASES)
    if unknown:
        raise ValueError(
            f"motion is given for {', '.join(sorted(unknown))}, expected phases of "
            f"{', '.join(PHASES)}"
        )
    return SubjectTruth(
        index=index,
        external=external,
        severity=severity,
        items=items[0],
        signs=make_signs(severity, options=options),
        patient=draw_patient(options, seed=seed, index=index),
        scan=draw_scan(
            options,
            seed=seed,
            index=index,
            external=external,
            is_class_c=int(severity.score[0]) >= 10,
            scan=scan,
        ),
        motions={phase: motion.get(phase, PhaseMotion()) for phase in PHASES},
    )


def make_subject(
    options: PhantomOptions,
    *,
    seed: int,
    index: int,
    motion: dict[str, PhaseMotion] | None = None,
    scan: int = 0,
    only: tuple[str, ...] = PHASES,
) -> Subject:
    """One examination with its images; nothing else of the cohort enters.

    Args:
        options: Knobs.
        seed: The cohort's seed, at least 0.
        index: The subject's number, at least 0; from `EXTERNAL_FROM` the external
            set's.
        motion: Motion by phase (`native`, `arterial`, `venous`), in place of a drawn
            one; phases left out stand still.
        scan: Number of the patient's scan: same body and score, another acquisition.
        only: Phases to make; the others are left out, and these are as ever.

    Raises:
        ValueError: For a negative seed or index, or a motion of an unknown phase.
    """
    truth = draw_truth(options, seed=seed, index=index, motion=motion, scan=scan)
    body = make_body(truth.patient, signs=truth.signs)
    phases = {}
    for phase in PHASES:
        if phase == truth.scan.missing or phase not in only:
            continue
        grid, moved = truth.scan.grids[phase], truth.motions[phase]
        picture = render(body, phase=phase, grid=grid, motion=moved)
        rng = random_stream(seed=seed, index=index, name=f"noise/{phase}/{scan}")
        phases[phase] = PhaseImage(
            volume=acquire(rng, picture_hu=picture.hu, grid=grid, scan=truth.scan),
            liver=picture.liver,
            spleen=picture.spleen,
            grid=grid,
            motion=moved,
        )
    return Subject(truth=truth, phases=phases)

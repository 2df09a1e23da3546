"""What differs between patients and has nothing to do with the score."""

from __future__ import annotations

import dataclasses

import numpy as np

from liverjax.phantom.options import PhantomOptions, random_stream


@dataclasses.dataclass(frozen=True)
class Patient:
    """One body; millimetres and HU. None of these knows the severity.

    Sizes called `_scale` multiply the textbook organ's lengths. `phase_*` shift what
    repeats along the spine. `lattice_seed` is the seed of the patient's random fields.
    """

    sex: str
    age_years: int
    weight_kg: float
    half_width_mm: float
    half_depth_mm: float
    squareness: float
    fat_mm: float
    muscle_mm: float
    visceral_fat: float
    liver_scale: tuple[float, float, float]
    liver_shift_mm: tuple[float, float, float]
    left_lobe_scale: float
    caudate_scale: float
    spleen_scale: float
    kidney_scale: float
    steatosis_hu: float
    blood_hu: float
    contrast_dose: float
    arterial_timing: float
    portal_timing: float
    bone_hu: float
    aorta_mm: float
    stomach_scale: float
    gas_level: float
    gallbladder_scale: float
    phase_spine: float
    phase_ribs: float
    arms_down: bool
    table_gap_mm: float
    texture_knot_mm: float
    texture_hu: float
    lattice_seed: int


def draw_patient(options: PhantomOptions, *, seed: int, index: int) -> Patient:
    """The body of one subject, from a random stream that knows no severity.

    Args:
        options: Knobs; `patients`, `texture` and `arms_share` are used.
        seed: The cohort's seed.
        index: The subject's number.
    """
    rng = random_stream(seed=seed, index=index, name="patient")

    def vary(mean: float, sd: float) -> float:
        # Cut at two standard deviations: nobody is outside the scan or without a liver.
        z = float(np.clip(rng.standard_normal(), -2, 2))
        return mean + options.patients * sd * z

    female = bool(rng.random() < 0.4)
    fat = vary(17.0, 5.0)
    half_width = vary(144.0 if female else 149.0, 6.0) + 0.3 * (fat - 17.0)
    half_depth = vary(101.0 if female else 105.0, 5.0) + 0.4 * (fat - 17.0)
    size = vary(1.0, 0.06)
    volume = (half_width / 148) * (half_depth / 104)
    return Patient(
        sex="f" if female else "m",
        age_years=int(np.clip(round(57 + 11 * rng.standard_normal()), 22, 88)),
        weight_kg=round(78 * volume * float(np.exp(0.06 * rng.standard_normal())), 1),
        half_width_mm=half_width,
        half_depth_mm=half_depth,
        squareness=vary(2.35, 0.12),
        fat_mm=fat,
        muscle_mm=vary(15.0, 1.5),
        visceral_fat=vary(0.0, 1.0),
        liver_scale=(
            size * vary(1.0, 0.04),
            size * vary(1.0, 0.04),
            size * vary(1.0, 0.04),
        ),
        liver_shift_mm=(vary(0.0, 4.0), vary(0.0, 4.0), vary(0.0, 4.0)),
        left_lobe_scale=vary(1.0, 0.12),
        caudate_scale=vary(1.0, 0.1),
        spleen_scale=vary(1.0, 0.08),
        kidney_scale=vary(1.0, 0.06),
        # Most livers hold little fat, some much.
        steatosis_hu=-options.patients * min(float(rng.exponential(7.0)), 30.0),
        blood_hu=vary(42.0, 3.0),
        contrast_dose=vary(1.0, 0.1),
        arterial_timing=vary(1.0, 0.12),
        portal_timing=vary(1.0, 0.06),
        bone_hu=vary(190.0, 30.0),
        aorta_mm=vary(10.5, 1.2),
        stomach_scale=vary(1.0, 0.12),
        gas_level=vary(0.15, 0.25),
        gallbladder_scale=vary(1.0, 0.2),
        phase_spine=float(rng.random()),
        phase_ribs=float(rng.random()),
        arms_down=bool(rng.random() < options.arms_share),
        table_gap_mm=vary(8.0, 2.0),
        texture_knot_mm=vary(4.5, 1.0),
        texture_hu=options.texture * vary(6.0, 1.0),
        lattice_seed=int(rng.integers(2**31)),
    )

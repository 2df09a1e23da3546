"""Hounsfield units of every tissue in every phase of one examination."""

from __future__ import annotations

from liverjax.phantom.patient import Patient

# Unenhanced HU, then what contrast adds in the arterial and in the venous phase.
_BLOOD_GAIN = {
    "aorta": (270.0, 105.0),
    "heart": (200.0, 95.0),
    "cava": (45.0, 85.0),
    "hepatic_veins": (5.0, 105.0),
    "portal_vein": (35.0, 125.0),
}
_TISSUE_GAIN: dict[str, tuple[float, float, float]] = {
    "spleen": (48.0, 62.0, 68.0),
    "kidney_cortex": (34.0, 140.0, 135.0),
    "kidney_medulla": (34.0, 25.0, 110.0),
    "pancreas": (40.0, 58.0, 45.0),
    "stomach_wall": (40.0, 30.0, 38.0),
    "muscle": (54.0, 4.0, 10.0),
    "bowel_wall": (38.0, 22.0, 32.0),
}
_PLAIN = {
    "fat": -104.0,
    "visceral_fat": -98.0,
    "stomach_content": 18.0,
    "bowel_content": 22.0,
    "gas": -950.0,
    "lung": -850.0,
    "gallbladder": 9.0,
    "ascites": 8.0,
    "canal": 25.0,
    "disc": 85.0,
    "cortical_bone": 420.0,
    "air": -1000.0,
    "table": -150.0,
    "table_shell": 60.0,
}
LIVER_HU = 60.0
LIVER_GAIN = (10.0, 58.0)
PORTAL_LOSS = 0.62
PORTAL_VEIN_LOSS = 0.35


def tissue_hu(phase: str, *, patient: Patient, portal_loss: float) -> dict[str, float]:
    """HU of every tissue in one phase.

    Args:
        phase: `native`, `arterial` or `venous`.
        patient: Contrast dose, timing, steatosis, blood and bone of this patient.
        portal_loss: Size of the portal sign, 0 for a healthy portal supply; at 1 the
            liver takes up 62 % less in the venous phase and the portal vein 35 % less,
            while the hepatic artery makes up for a little in the arterial phase.
    """
    dose = patient.contrast_dose
    arterial = dose * patient.arterial_timing
    venous = dose * patient.portal_timing
    gains = {"native": (0.0, 0.0), "arterial": (arterial, 0.0), "venous": (0.0, venous)}
    first, second = gains[phase]
    hu = dict(_PLAIN)
    for name, (in_arterial, in_venous) in _BLOOD_GAIN.items():
        loss = 1 - PORTAL_VEIN_LOSS * portal_loss * (name == "portal_vein")
        gain = first * in_arterial + second * in_venous * loss
        hu[name] = patient.blood_hu + gain
    for name, (plain, in_arterial, in_venous) in _TISSUE_GAIN.items():
        hu[name] = plain + first * in_arterial + second * in_venous
    hu["liver"] = (
        LIVER_HU
        + patient.steatosis_hu
        + first * LIVER_GAIN[0] * (1 + 0.8 * portal_loss)
        + second * LIVER_GAIN[1] * (1 - PORTAL_LOSS * portal_loss)
    )
    hu["marrow"] = patient.bone_hu + 0.1 * (first + second) * 60.0
    return hu

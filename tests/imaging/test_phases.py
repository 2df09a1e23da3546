from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks.registration import to_image
from liverjax.imaging import phases
from liverjax.imaging.phases import Brightness
from liverjax.phantom.motion import PhaseMotion
from liverjax.phantom.options import PhantomOptions
from liverjax.phantom.subject import make_subject

USUAL = {
    "native": Brightness(40.0, 55.0),
    "arterial": Brightness(280.0, 65.0),
    "venous": Brightness(140.0, 95.0),
}


def codes(brightness) -> list[str]:
    return [finding.code for finding in phases.check_order(brightness)]


def test_the_usual_order_raises_nothing():
    assert codes(USUAL) == []


def test_every_other_order_of_the_columns_is_called_swapped():
    for names in itertools.permutations(USUAL):
        renamed = dict(zip(names, USUAL.values(), strict=True))
        expected = [] if renamed == USUAL else ["phases-swapped"]
        assert codes(renamed) == expected, names


def test_the_swapped_phases_are_named_and_the_others_not():
    swapped = USUAL | {"arterial": USUAL["venous"], "venous": USUAL["arterial"]}
    (finding,) = phases.check_order(swapped)
    assert finding.level == "failed"
    assert finding.text.startswith("venous and arterial look swapped")


def test_two_phases_are_judged_as_well():
    swapped = {"native": USUAL["venous"], "venous": USUAL["native"]}
    assert codes(swapped) == ["phases-swapped"]


def test_phases_that_look_alike_are_unclear_and_kept():
    alike = {name: Brightness(60.0 + n, 55.0) for n, name in enumerate(USUAL)}
    (finding,) = phases.check_order(alike)
    assert (finding.code, finding.level) == ("phases-unclear", "warning")


def test_a_phase_without_a_vessel_in_sight_is_unclear():
    dark = USUAL | {"arterial": Brightness(float("nan"), float("nan"))}
    assert codes(dark) == ["phases-unclear"]


def test_a_single_phase_and_other_names_are_not_judged():
    assert codes({"venous": USUAL["venous"]}) == []
    assert codes({"t1": Brightness(300.0, 50.0), "t2": Brightness(20.0, 90.0)}) == []


@pytest.mark.parametrize("subject", [0, 1, 2])
def test_vessels_and_liver_of_a_phantom_are_found_without_a_mask(subject):
    still = {name: PhaseMotion() for name in USUAL}
    made = make_subject(
        PhantomOptions(cut_share=0.0), seed=4, index=subject, motion=still
    )
    images = {name: to_image(phase) for name, phase in made.phases.items()}
    venous = made.phases["venous"]
    liver = sitk.GetImageFromArray(venous.liver.astype(np.uint8))
    liver.CopyInformation(images["venous"])
    found = phases.phase_brightness(
        images, matrices=dict.fromkeys(images, np.eye(4)), liver=liver
    )
    assert found["arterial"].vessels_hu > 180 > found["native"].vessels_hu
    assert found["venous"].liver_hu > found["native"].liver_hu
    assert codes(found) == []
    # Where a phase's scan ends, the air beyond it is no change of contrast.
    middle = images["arterial"].GetSize()[2] // 2
    cut = images | {"arterial": images["arterial"][:, :, :middle]}
    seen = phases.phase_brightness(
        cut, matrices=dict.fromkeys(images, np.eye(4)), liver=liver
    )
    assert codes(seen) == []
    for name, brightness in seen.items():
        assert brightness.vessels_hu == pytest.approx(found[name].vessels_hu, abs=5)
        assert brightness.liver_hu == pytest.approx(found[name].liver_hu, abs=5)

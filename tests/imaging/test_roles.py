from __future__ import annotations

import dataclasses

import pytest

from liverjax.errors import InputError
from liverjax.imaging.enhancement import Enhancement
from liverjax.imaging.role_rules import RoleRules, read_rules
from liverjax.imaging.roles import (
    Clues,
    assign_roles,
    phase_of_voxels,
    phases_of_words,
)

NATIVE, ARTERIAL, VENOUS = (
    Enhancement(55.0, 52.0),
    Enhancement(310.0, 60.0),
    Enhancement(155.0, 105.0),
)


def clues(description: str = "", **values) -> Clues:
    return Clues(
        **({"description": description, "slices": 50, "slice_mm": 1.0} | values)
    )


@pytest.mark.parametrize(
    ("text", "phases"),
    [
        ("Leber nativ 1.0 B30f", {"native"}),
        ("ABD W/O CONTRAST", {"native"}),
        ("ohne KM", {"native"}),
        ("sans injection", {"native"}),
        ("fase arteriosa", {"arterial"}),
        ("Abdomen ART 3mm", {"arterial"}),
        ("artérielle", {"arterial"}),
        ("late arterial", {"arterial"}),
        ("Spätarteriell", {"arterial"}),
        ("portal-venös", {"venous"}),
        ("Abd_PV_1.0", {"venous"}),
        ("porto-veineux", {"venous"}),
        ("fase venosa", {"venous"}),
        ("Delayed 5 min", {"delayed"}),
        ("tardif", {"delayed"}),
        ("nativ/art/pv", {"native", "arterial", "venous"}),
        ("CT CH/AB/PEL", set()),
        ("T2SPIR", set()),
        ("Portable", set()),
        ("Partial", set()),
    ],
)
def test_words_of_several_languages_name_phases(text, phases):
    assert phases_of_words(text) == phases


@pytest.mark.parametrize(
    ("vessel_hu", "liver_hu", "phase"),
    [
        (53.7, 44.5, "native"),  # TotalSegmentator's example
        (165.4, 143.7, "venous"),  # CHAOS
        (141.1, 118.6, "venous"),  # CRLM
        (310.0, 57.0, "arterial"),
        (95.0, 70.0, ""),
        (float("nan"), 60.0, ""),
        (300.0, float("nan"), "arterial"),
        (150.0, float("nan"), ""),
    ],
)
def test_brightness_speaks_for_a_phase_or_for_none(vessel_hu, liver_hu, phase):
    assert phase_of_voxels(Enhancement(vessel_hu, liver_hu)) == phase


def test_words_and_voxels_that_agree_give_high_confidence():
    study = [
        clues("native", enhancement=NATIVE, seconds=0.0),
        clues("arterial", enhancement=ARTERIAL, seconds=90.0, agent="iopromide"),
        clues("venous", enhancement=VENOUS, seconds=125.0, agent="iopromide"),
    ]
    found = assign_roles(study)
    assert found.chosen == {"native": 0, "arterial": 1, "venous": 2}
    assert {one.confidence for one in found.suggestions} == {"high"}
    assert "its place in time fits arterial" in found.suggestions[1].evidence


def test_voxels_alone_give_medium_confidence():
    found = assign_roles([clues(enhancement=VENOUS)])
    assert found.chosen == {"venous": 0}
    assert found.suggestions[0].confidence == "medium"


def test_words_against_voxels_leave_the_role_empty():
    (one,) = assign_roles([clues("arterial", enhancement=NATIVE)]).suggestions
    assert (one.role, one.confidence) == ("", "unclear")


def test_time_and_contrast_alone_are_no_role():
    study = [clues(seconds=t, agent="x" if t else "") for t in (0.0, 90.0, 125.0)]
    assert assign_roles(study).chosen == {}


def test_a_contrast_agent_speaks_against_native():
    assert assign_roles([clues("native", agent="iohexol")]).chosen == {}


def test_two_series_of_one_phase_leave_it_open_and_are_named():
    study = [clues("venous 1.0"), clues("venous 5.0", slice_mm=5.0)]
    found = assign_roles(study)
    assert found.chosen == {}
    assert found.candidates == {"venous": (0, 1)}


@pytest.mark.parametrize(("prefer", "index"), [("thin", 0), ("thick", 1)])
def test_a_site_may_prefer_thin_or_thick_slices(prefer, index):
    study = [clues("venous 1.0"), clues("venous 5.0", slice_mm=5.0)]
    found = assign_roles(study, rules=RoleRules(prefer=prefer))
    assert found.chosen == {"venous": index}


@pytest.mark.parametrize(
    "change",
    [{"kernel": "B60f"}, {"kernel": "LUNG"}, {"axial": False}, {"slices": 5}],
)
def test_what_cannot_be_a_phase_has_no_role(change):
    unfit = dataclasses.replace(clues("venous"), **change)
    assert assign_roles([unfit]).chosen == {}


def test_a_delayed_series_is_no_venous_one():
    found = assign_roles([clues("delayed 3 min", enhancement=VENOUS)])
    assert "venous" not in found.chosen


def test_evidence_quotes_no_word_of_the_header():
    (one,) = assign_roles(
        [clues("portalmueller venous", protocol="Mueller")]
    ).suggestions
    assert "mueller" not in " ".join(one.evidence).lower()


def write(tmp_path, text: str):
    (tmp_path / "roles.toml").write_text(text)
    return tmp_path / "roles.toml"


def test_rules_confirm_and_override(tmp_path):
    rules = read_rules(
        write(
            tmp_path,
            "[venous]\ndescription = 'ABD 70s'\nkernel = '^B30'\n"
            "[leave_out]\nnumber = [9]\n",
        )
    )
    study = [
        clues("abd 70S", kernel="B30f", enhancement=ARTERIAL, number="4"),
        clues("portal venous", kernel="B30f", number="5"),
        clues("arterial", number="9"),
        clues("native", number="2"),
    ]
    found = assign_roles(study, rules=rules)
    assert found.chosen == {"venous": 0, "native": 3}
    assert found.suggestions[0].confidence == "confirmed"
    assert (
        found.suggestions[1].evidence[-1] == "roles.toml describes venous, and not so"
    )
    assert found.suggestions[2].evidence == ("roles.toml leaves it out",)


def test_a_part_of_a_series_is_named_by_its_number(tmp_path):
    rules = read_rules(write(tmp_path, "[arterial]\nnumber = 3\npart = 1\n"))
    study = [clues(number="3", part=1), clues(number="3", part=2)]
    assert assign_roles(study, rules=rules).chosen == {"arterial": 0}


def test_rules_give_roles_to_other_channels_and_to_mri(tmp_path):
    rules = read_rules(write(tmp_path, "[t2]\ndescription = 'haste'\n"))
    study = [clues("T2 HASTE", modality="MR"), clues("T1 VIBE", modality="MR")]
    found = assign_roles(study, rules=rules)
    assert found.chosen == {"t2": 0}
    assert "roles.toml must say" in found.suggestions[1].evidence[0]


def test_a_series_that_fits_two_rules_is_unclear(tmp_path):
    rules = read_rules(write(tmp_path, "[a]\nnumber = 1\n[b]\nkernel = 'B'\n"))
    (one,) = assign_roles([clues(number="1", kernel="B30f")], rules=rules).suggestions
    assert one.evidence == ("roles.toml gives it several roles: a, b",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[native\n", "not valid TOML"),
        ("[native]\ndescripton = 'x'\n", "native.descripton is unknown"),
        ("[native]\ndescription = '('\n", "no regular expression"),
        ("[native]\nnumber = 'four'\n", "expected an integer or a list"),
        ("[native]\npart = 0\n", "native.part: expected an integer from 1"),
        ("native = 4\n", "native: expected a table"),
        ("prefer = 'best'\n", "prefer='best': expected one of"),
    ],
)
def test_faults_of_the_rules_are_named(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        read_rules(write(tmp_path, text))
    assert words in str(caught.value)

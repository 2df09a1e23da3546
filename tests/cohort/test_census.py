from __future__ import annotations

import pathlib

import pytest

from liverjax.cohort import census, cost
from liverjax.cohort.examination import Examination, Exclusion, FlowStep, Manifest
from liverjax.cohort.schema import Recipe

CLASSES = ("A", "B", "C")
FOLDS = {
    "classes": CLASSES,
    "folds": 5,
    "select_fraction": 0.3,
    "seed": 0,
    "stratify": True,
    "batch_size": 8,
}


def row(line: int, *, subject: str = "", set_name: str = "train", site: str = ""):
    name = subject or f"p{line}"
    return Examination(name, 1, set_name, site, {}, {}, {}, {}, line)


def test_subjects_and_examinations_are_counted_by_set_and_class():
    rows = [
        row(2, subject="p", site="north"),
        row(3, subject="p"),
        row(4, set_name="external"),
    ]
    table = census.count_by(
        rows, column="set", classes=CLASSES, class_of={2: 0, 3: 2, 4: 2}
    )
    assert table[1:] == [
        ["train", "1", "2", "1", "0", "1"],
        ["external", "1", "1", "0", "0", "1"],
    ]
    sites = census.count_by(
        rows, column="site", classes=CLASSES, class_of={2: 0, 3: 2, 4: 2}
    )
    assert [line[0] for line in sites] == ["site", "(none)", "north"]


def test_the_flow_adds_up():
    excluded = Exclusion(row(3), "no-label", "child_pugh is empty")
    manifest = Manifest(
        path=pathlib.Path("m.csv"),
        columns=(),
        examinations=(row(2), row(4)),
        excluded=(excluded,),
        before=(FlowStep("screening", "no CT", 12),),
    )
    assert census.flow(manifest) == [
        "before the manifest: screening: no CT: 12",
        "in the manifest: 3 examinations",
        "excluded, no-label (child_pugh is empty): 1: p3 (visit 1)",
        "to prepare: 2 examinations",
    ]


def test_enough_subjects_of_each_class_give_no_warning():
    class_of = {f"p{n}": n % 3 for n in range(60)}
    assert (
        census.foretell_folds(class_of, records_of=dict.fromkeys(class_of, 10), **FOLDS)
        == census.FoldFindings()
    )


def test_fewer_subjects_than_folds_are_foretold():
    found = census.foretell_folds({"p": 0}, records_of={"p": 10}, **FOLDS)
    (stop,) = found.stops
    assert stop.startswith("training will stop: 1 subjects cannot be divided")


def test_a_rare_class_is_foretold_to_be_absent():
    class_of = {f"p{n}": 0 if n else 1 for n in range(20)}
    found = census.foretell_folds(
        class_of, records_of=dict.fromkeys(class_of, 10), **FOLDS
    )
    assert "class B is absent from held_out in 4 of 5 folds" in found.warnings
    assert "class C is absent from train in 5 of 5 folds" in found.warnings
    assert found.stops == ()


def test_too_few_records_for_a_batch_are_foretold():
    class_of = {f"p{n}": n % 3 for n in range(15)}
    (stop,) = census.foretell_folds(
        class_of, records_of=dict.fromkeys(class_of, 1), **(FOLDS | {"batch_size": 32})
    ).stops
    assert "fewer than train.batch_size=32; lower it or add subjects" in stop


def test_the_papers_cohort_has_its_number_of_records():
    scans = [cost.Scan(0.7, 400.0, 3 * 512 * 512 * 570)] * 259
    found = cost.preparation_cost(scans, recipe=Recipe())
    assert found.records == pytest.approx(12_492, rel=0.01)
    assert found.cohort_bytes == found.records * 256 * 256 * 3


def test_a_measured_extent_and_a_coarse_scan_change_the_records():
    recipe = Recipe(slice_spacing_mm=2.0, slice_range=(0.25, 0.75))
    assert cost.expected_records(cost.Scan(1.0, 400.0, 1, 100.0), recipe=recipe) == 25
    assert cost.expected_records(cost.Scan(5.0, 400.0, 1, 100.0), recipe=recipe) == 10


def test_registration_costs_what_was_measured():
    voxels = 512 * 512 * 78
    recipe = Recipe(channels=("native", "venous"), reference="venous")
    found = cost.preparation_cost([cost.Scan(2.0, 156.0, 2 * voxels)], recipe=recipe)
    assert found.prepare_core_hours * 3600 == pytest.approx(16.7 + 2 * 1.2, rel=0.1)


@pytest.mark.parametrize(
    ("patch_px", "width", "per_second"), [(224, 64, 10.3), (80, 64, 83), (80, 16, 693)]
)
def test_training_costs_what_was_measured(patch_px, width, per_second):
    hours = cost.training_hours(
        train_records=3600,
        select_records=0,
        folds=1,
        seeds=1,
        epochs=1,
        patch_px=patch_px,
        width=width,
        cores=2,
    )
    assert hours == pytest.approx(1 / per_second, rel=0.1)

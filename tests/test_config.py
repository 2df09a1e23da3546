from __future__ import annotations

import json
import pathlib

import pytest

from configs.cp_ct import get_config
from liverjax import config
from liverjax.cohort.files import to_json
from liverjax.errors import InputError

GOLDEN = pathlib.Path(__file__).parent / "golden"
VARIANTS = ("", "demo", "one_channel")


@pytest.mark.parametrize("variant", VARIANTS)
def test_expanded_config_is_the_golden_one(variant):
    """Regenerate with ``python -m tests.test_config`` when a change is meant."""
    study = config.from_config_dict(get_config(variant))
    golden = GOLDEN / f"cp_ct{variant and '_' + variant}.json"
    assert to_json(config.to_dict(study)) + "\n" == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_study_survives_its_json(variant):
    study = config.from_config_dict(get_config(variant))
    again = config.from_config_dict(json.loads(to_json(config.to_dict(study))))
    assert again == study
    assert config.identity(again) == config.identity(study)


def test_the_study_of_a_run_folder_is_read_as_it_was_started(tmp_path):
    study = config.from_config_dict(get_config("demo"))
    (tmp_path / "config.json").write_text(to_json(config.to_dict(study)))
    assert config.read_study(tmp_path) == study


def test_a_folder_without_a_config_is_no_run_folder(tmp_path):
    with pytest.raises(InputError, match=r"no run folder \(config.json is missing\)"):
        config.read_study(tmp_path)


def test_the_papers_numbers_stand_in_the_default():
    study = config.from_config_dict(get_config())
    assert (study.prepare.window_centre_hu, study.prepare.window_width_hu) == (40, 400)
    assert (study.prepare.patch_px, study.prepare.slice_range) == (224, (0.2, 0.8))
    assert (study.split.folds, study.train.epochs) == (10, 20)
    assert (study.train.learning_rate, study.train.l2) == (5e-4, 1e-3)
    assert (study.model.name, study.model.options["width"]) == ("resnet18", None)


def change(path: str, value: object) -> dict:
    values = get_config("demo").to_dict()
    place = values
    *parents, last = path.split(".")
    for name in parents:
        place = place[name]
    place[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.epochz", 3, r"train\.epochz is unknown; known here: epochs"),
        ("train.epochs", "5", r"train\.epochs='5': expected int"),
        ("train.epochs", 2.5, r"train\.epochs=2\.5: expected int"),
        ("train.epochs", True, r"train\.epochs=True: expected int"),
        ("train.epochs", 0, r"train\.epochs: too small"),
        ("train.schedule", "step", r"train\.schedule='step': expected one of"),
        ("train.betas", (0.9,), r"train\.betas=\(0\.9,\): expected"),
        ("train.betas", (0.9, 1.0), r"train\.betas"),
        ("train.l2", -1.0, r"train\.l2"),
        ("split.folds", 1, r"split\.folds: too small; expected at least 2"),
        ("split.select_fraction", 1.0, r"split\.select_fraction=1\.0"),
        ("model.compute_dtype", "half", r"model\.compute_dtype='half'"),
        ("prepare.slice_range", (0.8, 0.2), r"prepare: slice_range"),
        ("augment.scale", (2.0, 1.0), r"augment: scale"),
        ("task.name", "child_pew", r"task 'child_pew': expected one of"),
        ("cohort.manifest", "m.csv", r"expected only one of them"),
        ("cohort", 3, r"cohort=3: expected CohortConfig"),
    ],
)
def test_an_impossible_value_is_named_with_what_was_expected(path, value, message):
    with pytest.raises(InputError, match=message):
        config.from_config_dict(change(path, value))


def test_a_missing_value_is_named():
    values = get_config().to_dict()
    del values["train"]["l2"]
    with pytest.raises(InputError, match=r"train\.l2 is missing: expected float"):
        config.from_config_dict(values)


def test_all_problems_are_told_at_once():
    values = change("train.epochs", "5") | {"colour": "red"}
    with pytest.raises(InputError, match="2 problems"):
        config.from_config_dict(values)


def test_identity_ignores_where_things_lie():
    study = config.from_config_dict(get_config("demo"))
    for path, value in [("workdir", "elsewhere"), ("train.save_every_s", 1.0)]:
        assert config.identity(config.from_config_dict(change(path, value))) == (
            config.identity(study)
        )
    other = config.from_config_dict(change("train.seed", 1))
    assert config.identity(other) != config.identity(study)


def test_paths_are_made_absolute_and_are_no_part_of_the_identity(tmp_path, monkeypatch):
    values = change("cohort.path", "cohort")
    values["model"]["pretrained"] = "converted/resnet18.safetensors"
    study = config.from_config_dict(values)
    monkeypatch.chdir(tmp_path)
    found = config.with_absolute_paths(study)
    assert found.cohort.path == str(tmp_path / "cohort")
    assert found.cohort.manifest is None
    assert found.model.weights_dir == str(tmp_path / study.model.weights_dir)
    assert found.model.pretrained == f"{tmp_path}/converted/resnet18.safetensors"
    assert config.with_absolute_paths(found) == found
    assert config.identity(found) == config.identity(study)


def test_named_weights_are_no_path():
    study = config.from_config_dict(change("model.pretrained", "imagenet"))
    assert config.with_absolute_paths(study).model.pretrained == "imagenet"


def test_an_unknown_variant_lists_the_known():
    with pytest.raises(ValueError, match="expected 'demo' or 'one_channel'"):
        get_config("dmeo")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in VARIANTS:
        expanded = config.to_dict(config.from_config_dict(get_config(name)))
        path = GOLDEN / f"cp_ct{name and '_' + name}.json"
        path.write_text(to_json(expanded) + "\n", encoding="utf-8")

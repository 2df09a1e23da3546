from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax import members, models, weights
from liverjax.cohort import files, schema
from liverjax.config import read_study
from liverjax.errors import InputError
from liverjax.members.run_folder import read_examinations
from liverjax.tasks import ChildPugh
from liverjax.train import create_state, member_key
from tests.members.small_run import SLICES, write_run


@pytest.fixture
def run(tmp_path):
    return members.open_run(write_run(tmp_path))


def with_model(folder, **model):
    path = folder / "config.json"
    values = files.read_json(path)
    values["model"] |= model
    files.write_json(path, values)


def test_examinations_know_their_records_and_truths(run):
    examinations = run.examinations
    assert examinations.subject[:2] == ("p00", "p01")
    assert examinations.spans[2].tolist() == [2 * SLICES, SLICES]
    assert examinations.truth[:3].tolist() == [5, 6, 7]
    assert np.isnan(examinations.truth[-1])
    assert examinations.of_other_sets().tolist() == [16, 17]
    assert examinations.of_subjects(["p03", "e0"]).tolist() == [3]


def test_targets_are_those_of_each_records_examination(run):
    assert run.targets.shape == (18 * SLICES,)
    assert run.targets[4 * SLICES : 5 * SLICES].tolist() == [9] * SLICES
    assert run.targets[-1] == 0  # nobody knows, nobody asks


def test_the_table_has_room_for_the_longest_epoch_of_any_fold(run):
    lengths = [len(run.train_spans(fold)) * SLICES for fold in range(3)]
    assert run.table_shape == (max(lengths), 1)
    assert len(set(lengths)) > 1


def test_unlabelled_examinations_do_not_train(run):
    truth = run.examinations.truth.copy()
    first = run.examinations.of_subjects(run.folds[0].train)[0]
    truth[first] = np.nan
    changed = dataclasses.replace(
        run, examinations=dataclasses.replace(run.examinations, truth=truth)
    )
    assert len(changed.train_spans(0)) == len(run.train_spans(0)) - 1


def changed(cohort, place, **cells):
    rows = list(cohort.examinations)
    rows[place] = {k: v for k, v in (rows[place] | cells).items() if v is not None}
    return dataclasses.replace(cohort, examinations=tuple(rows))


def test_a_truth_that_is_none_names_its_subject(run):
    with pytest.raises(InputError, match=r"subject p03, visit 1: child_pugh='twelve'"):
        read_examinations(changed(run.cohort, 3, child_pugh="twelve"), task=ChildPugh())


def test_a_missing_column_is_named(run):
    with pytest.raises(InputError, match=r"examinations.csv: no column child_pugh"):
        read_examinations(changed(run.cohort, 0, child_pugh=None), task=ChildPugh())


def test_records_that_stand_apart_are_refused(run):
    index = list(run.cohort.index)
    index[0], index[-1] = index[-1], index[0]
    cohort = dataclasses.replace(run.cohort, index=tuple(index))
    with pytest.raises(InputError, match=r"subject p00, visit 1: its records"):
        read_examinations(cohort, task=ChildPugh())


def published(path, *, width=4):
    """Weights as `python -m liverjax.weights` writes them, with 1000 outputs."""
    model = models.make("resnet18", num_outputs=1000, width=width)
    image = jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.random(leaf.shape).astype(np.float32), shapes
    )
    meta = weights.Meta("resnet18", (0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    weights.save(variables, path, meta=meta)
    return variables


def test_pretrained_weights_bring_all_but_the_head_and_their_normalisation(tmp_path):
    folder, path = write_run(tmp_path / "run"), tmp_path / "resnet18.safetensors"
    variables = published(path)
    with_model(folder, name="resnet18", pretrained=str(path))
    run = members.open_run(folder)
    # One channel: the mean of three.
    np.testing.assert_allclose(run.input_mean, [0.5])
    np.testing.assert_allclose(run.input_std, [0.2])
    state = jax.eval_shape(
        lambda: create_state(
            member_key(0, fold=0),
            model=run.learner.model,
            tx=run.learner.tx,
            image=jnp.zeros((1, 16, 16, 1)),
            variables=run.variables,
        )
    )
    assert state.params["fc"]["kernel"].shape == (32, 1)
    assert "fc" not in run.variables["params"]
    np.testing.assert_array_equal(
        run.variables["params"]["layer1_0"]["conv1"]["kernel"],
        variables["params"]["layer1_0"]["conv1"]["kernel"],
    )
    np.testing.assert_allclose(
        run.variables["params"]["conv1"]["kernel"],
        variables["params"]["conv1"]["kernel"].sum(2, keepdims=True),
        rtol=1e-6,
    )


def test_weights_of_another_width_name_the_layer(tmp_path):
    folder, path = write_run(tmp_path / "run"), tmp_path / "resnet18.safetensors"
    published(path, width=8)
    with_model(folder, name="resnet18", pretrained=str(path))
    run = members.open_run(folder)
    with pytest.raises(InputError, match=r"params/conv1/kernel: .* 8\) given.* 4\)"):
        members.train_member(run, members.Member(0))


def test_a_config_that_is_not_one_is_refused(tmp_path):
    folder = write_run(tmp_path)
    assert schema.TRAIN == "train"
    values = files.read_json(folder / "config.json")
    files.write_json(folder / "config.json", values | {"surplus": 1})
    with pytest.raises(InputError, match="surplus is unknown"):
        members.open_run(folder)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "vgg16"}, r"vgg16 on images of \d+ x \d+ px \(prepare.patch_px\)"),
        ({"name": "vgg17"}, "unknown model 'vgg17'"),
    ],
)
def test_a_network_that_does_not_fit_its_images_is_told_by_shapes(
    tmp_path, model, message
):
    folder = write_run(tmp_path)
    with_model(folder, **model)
    study = read_study(folder)
    small = dataclasses.replace(study.prepare, patch_px=16, store_px=16)
    with pytest.raises(InputError, match=message):
        members.check_network(dataclasses.replace(study, prepare=small))


def test_weights_of_another_network_or_width_are_told_by_shapes(tmp_path):
    folder, path = write_run(tmp_path), tmp_path / "resnet18.safetensors"
    wide = models.make("resnet18", num_outputs=3, width=8)
    variables = jax.jit(functools.partial(wide.init, train=False))(
        jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)
    )
    meta = weights.Meta("resnet18", (0.5,) * 3, (0.2,) * 3)
    weights.save(variables, path, meta=meta)
    options = {"width": 4}
    with_model(folder, name="resnet18", pretrained=str(path), options=options)
    with pytest.raises(InputError, match=r"set model\.options\.width=None"):
        members.check_network(read_study(folder))
    with_model(folder, name="resnet34")
    with pytest.raises(InputError, match="these are weights of resnet18"):
        members.check_network(read_study(folder))

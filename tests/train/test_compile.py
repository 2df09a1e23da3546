from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from liverjax.data.resident import Resident, place
from liverjax.train import member_key
from liverjax.train.compile import group_sharding
from liverjax.train.evaluate import predict_rows
from liverjax.train.optimizer import with_learning_rate
from liverjax.train.step import gather_batch, train_step
from tests.train import toy

CAREER = toy.Career()


def newborn(built, *, fold=0):
    state = built.create(member_key(0, fold=fold), None, np.full(1, 8, np.float32))
    return state.replace(opt_state=with_learning_rate(state.opt_state, 1e-2))


def run(built, cuts, *, fold=0):
    """State and losses after six steps of the compiled epoch, cut in pieces."""
    arrays = place(CAREER.arrays, built.sharding)
    state = newborn(built, fold=fold)
    losses = np.zeros(built.losses.shape, built.losses.dtype)
    for start, stop in zip((0, *cuts), (*cuts, toy.STEPS), strict=True):
        state, losses = built.advance(
            state, losses, toy.TABLE, arrays, np.int32(start), np.int32(stop)
        )
    return toy.host((state, losses))


@pytest.mark.parametrize("cuts", [(1,), (3,), (2, 5), (1, 2, 3, 4, 5)])
def test_the_epoch_has_the_same_bits_wherever_it_is_cut(built, cuts):
    toy.assert_same_bits(run(built, ()), run(built, cuts))


def test_the_epoch_has_the_same_bits_as_its_steps_one_by_one(built):
    study = toy.learner()
    step = jax.jit(
        functools.partial(
            train_step,
            apply_fn=study.model.apply,
            tx=study.tx,
            loss_fn=study.loss_fn,
            augment_fn=study.augment_fn,
        )
    )
    gather = jax.jit(functools.partial(gather_batch, fetch=study.kind.fetch))
    state, losses = newborn(built), []
    for first in range(0, 24, 4):
        part = {name: column[first : first + 4] for name, column in toy.TABLE.items()}
        state, metrics = step(state, gather(CAREER.arrays, part))
        losses.append(np.asarray(metrics["loss"]))
    epoch_state, epoch_losses = run(built, ())
    toy.assert_same_bits(epoch_state, toy.host(state))
    np.testing.assert_array_equal(epoch_losses[: toy.STEPS], losses)


def test_the_epoch_has_the_same_bits_on_another_device(built, built_elsewhere):
    toy.assert_same_bits(run(built, (2,)), run(built_elsewhere, (2,)))


def test_every_fold_and_piece_runs_the_same_programs(built):
    run(built, ())
    with toy.compilations() as compiled:
        for fold in range(1, 5):
            run(built, (fold,), fold=fold)
    assert compiled == []


def test_keeping_the_best_copies_only_the_better(built):
    def variables(value):
        return jax.tree.map(
            lambda leaf: np.full(leaf.shape, value, leaf.dtype), built.state.variables
        )

    kept = built.keep_best(variables(1), variables(2), np.asarray(False))
    assert {float(leaf.max()) for leaf in jax.tree.leaves(kept)} == {1.0}
    kept = built.keep_best(variables(1), variables(2), np.asarray(True))
    assert {float(leaf.max()) for leaf in jax.tree.leaves(kept)} == {2.0}


def test_predictions_do_not_depend_on_what_fills_the_last_batch(built):
    arrays = place(CAREER.arrays, built.sharding)
    variables = newborn(built).variables
    rows = np.arange(10)[:, None]
    predict = functools.partial(
        predict_rows, variables, source=Resident(arrays), predictor=built.predictor
    )
    logits, losses = predict(rows, target=CAREER.targets[:10])
    assert logits.shape == (10, 1)
    np.testing.assert_allclose(
        losses, (logits[:, 0] - CAREER.targets[:10]) ** 2, rtol=1e-5
    )
    np.testing.assert_array_equal(predict(rows[:9])[0], logits[:9])


def test_a_batch_that_cannot_be_divided_is_refused():
    arrays = place(CAREER.arrays, group_sharding(jax.devices()[:2]))
    with pytest.raises(ValueError, match="batch_size=3 must be a multiple of 2"):
        toy.programs(arrays, devices=jax.devices()[:2], batch_size=3)


@pytest.mark.slow
def test_one_two_and_four_devices_agree_in_float64():
    one, *others = [toy.final_in_float64(jax.devices()[:n]) for n in (1, 2, 4)]
    assert one[1].dtype == np.float64
    for other in others:
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

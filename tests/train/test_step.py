from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from liverjax import losses
from liverjax.train import (
    TrainState,
    create_state,
    member_key,
    predict_step,
    train_step,
)
from liverjax.train.optimizer import adam, with_learning_rate
from tests.conftest import ROOT
from tests.train import toy

STUDY = toy.learner()
STEP = functools.partial(
    train_step,
    apply_fn=STUDY.model.apply,
    tx=STUDY.tx,
    loss_fn=STUDY.loss_fn,
    augment_fn=STUDY.augment_fn,
)


@functools.cache
def born():
    image = jnp.zeros((2, toy.SIDE, toy.SIDE, 3))
    create = functools.partial(
        create_state, model=STUDY.model, tx=STUDY.tx, image=image
    )
    state = jax.jit(create)(member_key(0, fold=0))
    return state.replace(opt_state=with_learning_rate(state.opt_state, 1e-2))


def state(**options):
    return born().replace(**options)


def batch(records, **more):
    image = jnp.asarray(toy.records(40)["image"])[np.array(records)]
    return {
        "record": jnp.array(records),
        "arrays": {"image": image},
        "target": jnp.arange(len(records), dtype=jnp.float32),
    } | more


@jax.jit
def given_to_the_network(key, epoch, batch):
    """What `train_step` gives the network: a step whose gradient is the images."""
    images = batch["arrays"]["image"]
    tx = optax.scale(len(images))  # undoes the mean over the batch
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        epoch=epoch,
        key=key,
        params=jnp.zeros(images.shape),
        batch_stats={},
        opt_state=tx.init(None),
    )

    def apply_fn(variables, images, **_):
        return (variables["params"] * images).sum((1, 2, 3))[:, None], {}

    state, _ = train_step(
        state,
        batch,
        apply_fn=apply_fn,
        tx=tx,
        loss_fn=lambda logits, target: logits[:, 0],
        augment_fn=STUDY.augment_fn,
    )
    return state.params


def seen_by(records, *, key=None, epoch=0, **more):
    key = member_key(0, fold=0) if key is None else key
    images = given_to_the_network(key, jnp.array(epoch), batch(records, **more))
    return dict(zip(records, np.asarray(images), strict=True))


def test_an_example_is_augmented_alike_in_any_batch():
    alone, beside = seen_by([7, 3]), seen_by([30, 7, 11, 3])
    np.testing.assert_array_equal(alone[7], beside[7])
    np.testing.assert_array_equal(alone[3], beside[3])


def test_augmentation_changes_with_epoch_occurrence_seed_and_fold():
    images = [
        seen_by([7, 3])[7],
        seen_by([7, 3], epoch=1)[7],
        seen_by([7, 3], occurrence=jnp.array([1, 0]))[7],
        seen_by([7, 3], key=member_key(1, fold=0))[7],
        seen_by([7, 3], key=member_key(0, fold=1))[7],
    ]
    assert len({image.tobytes() for image in images}) == 5


def test_an_absent_occurrence_is_the_first():
    first = seen_by([7, 3], occurrence=jnp.zeros(2, int))
    np.testing.assert_array_equal(seen_by([7, 3])[7], first[7])


def test_jitted_equals_unjitted():
    tx = adam(l2=1e-3)

    def apply_fn(variables, images, *, train, mutable, rngs):
        flat = images.reshape((len(images), -1))
        return flat @ variables["params"]["w"], {"batch_stats": {"mean": flat.mean(0)}}

    step = functools.partial(STEP, apply_fn=apply_fn, tx=tx)
    params = {"w": jnp.ones((toy.SIDE**2 * 3, 1))}
    opt_state = with_learning_rate(tx.init(params), 1e-2)
    start = state(params=params, batch_stats={}, opt_state=opt_state)
    plain, jitted = step(start, batch([1, 2])), jax.jit(step)(start, batch([1, 2]))
    for one, two in zip(
        jax.tree.leaves(toy.host(plain)), jax.tree.leaves(toy.host(jitted)), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_a_step_counts_itself_and_changes_all_but_key_and_epoch():
    before = state()
    after, metrics = jax.jit(STEP)(before, batch([1, 2, 3]))
    assert int(after.step) == 1
    assert int(after.epoch) == 0
    assert jax.random.key_data(after.key).tolist() == [
        *jax.random.key_data(before.key).tolist()
    ]
    for name in ("params", "batch_stats"):
        for old, new in zip(
            jax.tree.leaves(getattr(before, name)),
            jax.tree.leaves(getattr(after, name)),
            strict=True,
        ):
            assert not np.array_equal(old, new)
    assert float(metrics["grad_norm"]) > 0


def test_dropout_is_a_function_of_the_step():
    jitted = jax.jit(STEP)
    losses_of = [
        float(jitted(state(step=jnp.array(step)), batch([1, 2, 3]))[1]["loss"])
        for step in (0, 0, 1)
    ]
    assert losses_of[0] == losses_of[1] != losses_of[2]


def test_prediction_uses_running_statistics_and_no_randomness():
    images = {"arrays": toy.plain(batch([1, 2, 3])["arrays"])}
    together = predict_step(state(), images, apply_fn=STUDY.model.apply)
    alone = predict_step(
        state(),
        {"arrays": {"image": images["arrays"]["image"][1:2]}},
        apply_fn=STUDY.model.apply,
    )
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)


def test_bfloat16_computes_in_it_and_keeps_everything_else_in_float32():
    study = toy.learner(dtype="bfloat16")
    step = functools.partial(
        train_step,
        apply_fn=study.model.apply,
        tx=study.tx,
        loss_fn=study.loss_fn,
        augment_fn=study.augment_fn,
    )
    low, metrics = jax.jit(step)(state(), batch([1, 2, 3]))
    _, exact = jax.jit(STEP)(state(), batch([1, 2, 3]))
    numbers = (low.params, low.batch_stats, low.opt_state, metrics)
    types = {leaf.dtype for leaf in jax.tree.leaves(numbers)}
    assert types <= {np.dtype("float32"), np.dtype("int32")}
    assert float(metrics["loss"]) != float(exact["loss"])
    assert float(metrics["loss"]) == pytest.approx(float(exact["loss"]), rel=0.05)


@pytest.mark.slow
def test_the_script_of_the_readme_runs(capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## The step, in anyone's script") :]
    script = section.split("```python\n")[1].split("```")[0]
    exec(compile(script, "README.md", "exec"), {})
    told = [float(line) for line in capsys.readouterr().out.split()]
    assert len(told) == 4
    assert np.isfinite(told).all()


def test_ten_lines_train_on_anyones_arrays():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 16, 16, 2)).astype(np.float32)
    target = images.mean((1, 2, 3)) * 100

    model, tx = toy.Net(width=8, dropout=0.0), adam()
    key = member_key(0, fold=0)
    state = create_state(key, model=model, tx=tx, image=images[:1])
    state = state.replace(opt_state=with_learning_rate(state.opt_state, 1e-2))
    step = jax.jit(
        functools.partial(
            train_step,
            apply_fn=model.apply,
            tx=tx,
            loss_fn=losses.mse,
            augment_fn=lambda key, arrays: arrays,
        )
    )
    seen = []
    for _ in range(60):
        record = rng.choice(64, 32, replace=False)
        batch = {"record": record, "arrays": {"image": images[record]}}
        state, metrics = step(state, batch | {"target": target[record]})
        seen.append(float(metrics["loss"]))
    assert np.mean(seen[-5:]) < 0.5 * np.mean(seen[:5])

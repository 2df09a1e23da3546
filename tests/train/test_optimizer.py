from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from liverjax.train.optimizer import adam, with_learning_rate

# Five steps of torch 2.13 in float64 from (1, -2, 0.5), betas (0.8, 0.95), eps 1e-6,
# gradient (0.3, -0.1, 0.2) * step + p / 2, learning rate 0.1, after three steps 0.05.
TORCH_ADAM_01 = [0.5967018408519849, -1.598400686412385, 0.0968297348164229]
TORCH_ADAMW_05 = [0.5799918686580051, -1.5618981089975092, 0.09005195909595443]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [({"l2": 0.01}, TORCH_ADAM_01), ({"weight_decay": 0.05}, TORCH_ADAMW_05)],
)
def test_five_steps_are_those_of_torch(decay, expected):
    tx = adam(betas=(0.8, 0.95), eps=1e-6, **decay)
    with jax.enable_x64(True):
        params = {"p": jnp.array([1.0, -2.0, 0.5])}
        state = tx.init(params)
        for step in range(1, 6):
            state = with_learning_rate(state, 0.1 if step < 4 else 0.05)
            slope = jnp.array([0.3, -0.1, 0.2]) * step
            grads = {"p": slope + 0.5 * params["p"]}
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
    # Hyperparameters are leaves of the parameters' type, so nothing is lost on the way.
    np.testing.assert_allclose(params["p"], expected, rtol=1e-12)


def test_l2_and_decoupled_decay_are_different_things():
    params, grads = {"p": jnp.ones(2)}, {"p": jnp.array([1.0, 100.0])}
    moved = []
    for tx in (adam(l2=0.1), adam(weight_decay=0.1)):
        state = with_learning_rate(tx.init(params), 1e-2)
        updates, _ = tx.update(grads, state, params)
        moved.append(np.asarray(updates["p"]))
    # Adam's first step is the gradient's sign: L2 vanishes in it, decay does not.
    np.testing.assert_allclose(moved[0], -1e-2, rtol=1e-5)
    np.testing.assert_allclose(moved[1], -1e-2 * 1.1, rtol=1e-5)


def test_a_new_learning_rate_keeps_the_type_of_its_leaf():
    state = with_learning_rate(adam().init({"p": jnp.ones(2)}), 1e-3)
    leaf = state.hyperparams["learning_rate"]
    assert isinstance(leaf, np.ndarray)
    assert leaf.dtype == np.float32
    assert leaf.shape == ()

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax.train import create_state, member_key
from liverjax.train.state import with_bias
from tests.train import toy

IMAGE = jnp.zeros((2, toy.SIDE, toy.SIDE, 3))


@jax.jit
def born(key, variables=None):
    study = toy.learner()
    return create_state(
        key, model=study.model, tx=study.tx, image=IMAGE, variables=variables
    )


def test_the_start_is_a_function_of_seed_and_fold():
    kernels = {
        (seed, fold): np.asarray(
            born(member_key(seed, fold=fold)).params["conv1"]["kernel"]
        )
        for seed in (0, 1)
        for fold in (0, 1)
    }
    again = born(member_key(0, fold=1)).params["conv1"]["kernel"]
    np.testing.assert_array_equal(kernels[0, 1], again)
    assert len({kernel.tobytes() for kernel in kernels.values()}) == 4


def test_pretrained_variables_replace_what_they_name():
    key = member_key(0, fold=0)
    mean = np.full(4, 3.0, np.float32)
    scale = np.full(4, 2.0, np.float32)
    given = {
        "params": {"bn1": {"scale": scale}},
        "batch_stats": {"bn1": {"mean": mean}},
    }
    state, fresh = born(key, variables=given), born(key)
    np.testing.assert_array_equal(state.params["bn1"]["scale"], scale)
    np.testing.assert_array_equal(state.batch_stats["bn1"]["mean"], mean)
    np.testing.assert_array_equal(
        state.params["fc"]["kernel"], fresh.params["fc"]["kernel"]
    )


def test_pretrained_variables_that_do_not_fit_are_named():
    key = member_key(0, fold=0)
    with pytest.raises(ValueError, match=r"params: \['head'\] given.*'fc'"):
        born(key, variables={"params": {"head": {"bias": np.zeros(1)}}})
    with pytest.raises(ValueError, match=r"params/fc/bias: \(7,\) given.*\(1,\)"):
        born(key, variables={"params": {"fc": {"bias": np.zeros(7)}}})


def test_the_head_can_start_at_the_training_mean():
    state = born(member_key(0, fold=0))
    params = with_bias(state.params, jnp.array([8.25]), layer="fc")
    assert params["fc"]["bias"].tolist() == [8.25]
    assert params["fc"]["kernel"] is state.params["fc"]["kernel"]


def test_nothing_in_a_state_can_be_called():
    leaves = jax.tree.leaves(born(member_key(0, fold=0)))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)

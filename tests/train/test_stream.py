"""A member fed from shards: the same numbers as with its records on the device."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from liverjax.cohort.schema import Recipe
from liverjax.data import stream
from liverjax.data.resident import Resident, place
from liverjax.data.rows import ROWS
from liverjax.train.compile import compile_programs, group_sharding
from tests.cohort.small import write_cohort
from tests.train import toy
from tests.train.test_loop import StopAfter, no_birth, standing

CAREER = toy.Career(epochs=2)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    images = CAREER.arrays["image"]
    folder = tmp_path_factory.mktemp("cohort")
    names = [f"p{i // 10}" for i in range(len(images))]
    recipe = Recipe(
        channels=("a", "b", "c"),
        reference="c",
        registration="none",
        store_px=toy.SIDE,
        patch_px=toy.SIDE,
    )
    return write_cohort(folder, images, subjects=names, recipe=recipe, per_shard=9)


def open_stream(cohort, *devices, steps, keep=7):
    nbytes = toy.SIDE**2 * 3
    layout = stream.Layout(steps, 4 * steps, 4 * steps * nbytes, keep)
    return stream.Stream(
        records=stream.Records(cohort, keep=keep),
        layout=layout,
        kind=ROWS["slice"],
        sharding=group_sharding(devices),
    )


def shapes(source, cohort):
    return stream.block_shapes(
        cohort, source.layout, sharding=source.sharding, kind=source.kind
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_stream_and_the_device_agree_in_float64(cohort, tmp_path, count):
    """Two epochs of five steps, in blocks of one step and of two that cut them."""
    devices = jax.devices()[:count]
    study = dataclasses.replace(toy.learner(), model=toy.WideNet())
    career = toy.Career(epochs=2)
    career.targets = career.targets.astype(np.float64)

    def final(name, source, arrays):
        built = compile_programs(
            study,
            arrays=arrays,
            row_length=1,
            target_dtype=np.float64,
            batch_size=4,
            capacity=24,
            devices=devices,
        )
        career.run(tmp_path / name, built, source=source)
        return standing(tmp_path / name)

    with jax.enable_x64(True):
        placed = place(career.arrays, group_sharding(devices))
        expected = final("resident", Resident(placed), placed)
        assert expected["losses"].dtype == np.float64
        for steps in (1, 2):
            source = open_stream(cohort, *devices, steps=steps)
            found = final(str(steps), source, shapes(source, cohort))
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
                found,
                expected,
            )


@pytest.fixture(scope="module")
def streamed(cohort):
    """Programs and a stream of blocks of two steps, and where five steps lead."""
    source = open_stream(cohort, jax.devices()[0], steps=2)
    return source, toy.programs(shapes(source, cohort))


@pytest.fixture(scope="module")
def undisturbed(streamed, tmp_path_factory):
    source, built = streamed
    folder = tmp_path_factory.mktemp("undisturbed")
    CAREER.run(folder, built, source=source)
    return standing(folder)


# Five steps an epoch: in the middle of a block, between two, in the next epoch.
@pytest.mark.parametrize("looks", [1, 2, 7])
def test_a_stream_goes_on_where_it_was_cut(streamed, undisturbed, tmp_path, looks):
    source, built = streamed
    stopped = CAREER.run(tmp_path, built, source=source, stop=StopAfter(looks))
    assert stopped.status == "stopped"
    assert standing(tmp_path)["position"] in (1, 2)
    CAREER.run(tmp_path, built, source=source, birth=no_birth)
    toy.assert_same_bits(standing(tmp_path), undisturbed)


def test_a_stream_has_the_bits_of_the_device(built, undisturbed, tmp_path):
    CAREER.run(tmp_path, built)
    toy.assert_same_bits(standing(tmp_path), undisturbed)

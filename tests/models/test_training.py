"""Every family trains: by the trainer's step, and by the command that a user gives."""

from __future__ import annotations

import csv
import functools
import json
import math
import pathlib

import jax
import numpy as np
import optax
import pytest

from liverjax import losses, train
from liverjax.weights.naming import flatten
from tests.models.families import SMALLEST, small
from tests.whole_path import SMALLEST as SMALLEST_STUDY
from tests.whole_path import run

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_script_of_the_docs_runs(capsys):
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    script = text.split("```python\n")[1].split("```")[0]
    exec(compile(script, "networks.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\n(1, 7, 7)\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*SMALLEST} - {"resnet"}))
def test_steps_move_every_layer_and_lower_the_loss(name):
    model, tx = small(name, dropout=0.0), optax.adam(1e-3)
    target = np.array([-1, 1], np.float32)
    # Large enough that the last stage has more than one place: a scan's rates and an
    # attention's queries have no gradient where there is one.
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 64, 96, 3)).astype(np.float32)
    arrays = {"image": images}
    batch = {"arrays": arrays, "target": target, "record": np.arange(2)}
    create = functools.partial(train.create_state, model=model, tx=tx, image=images)
    born = state = jax.jit(create)(train.member_key(0, fold=0))
    step = jax.jit(
        functools.partial(
            train.train_step,
            apply_fn=model.apply,
            tx=tx,
            loss_fn=losses.mse,
            augment_fn=lambda key, arrays: arrays,
        ),
        # Compiling takes longer than running.
        compiler_options={"xla_backend_optimization_level": 0},
    )
    found = []
    for _ in range(8):
        state, metrics = step(state, batch)
        found.append(float(metrics["loss"]))
    assert found[-1] < found[0]
    moved = jax.tree_util.tree_map(
        lambda a, b: bool((a != b).any()), born.params, state.params
    )
    still = [
        path
        for path, has_moved in flatten(moved).items()
        # A bias in front of batch statistics has no gradient.
        if not has_moved and not path.endswith("/bias")
    ]
    assert still == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lfs", "vgg16_bn"])
def test_the_demo_trains_with_another_network(finished, tmp_path, name):
    ended = run(
        "liverjax.main",
        *SMALLEST_STUDY,
        f"--config.model.name={name}",
        f"--config.cohort.path={finished / 'cohort'}",
        "--config.train.epochs=1",
        f"--workdir={tmp_path / name}",
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    members = sorted((tmp_path / name / "members").glob("*/metrics.jsonl"))
    assert len(members) == 2
    for path in members:
        (epoch,) = map(json.loads, path.read_text().splitlines())
        assert 0 < epoch["loss"] < 1e3
    with (tmp_path / name / "predictions.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert scores
    assert all(map(math.isfinite, scores))

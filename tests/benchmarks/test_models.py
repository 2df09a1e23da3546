from __future__ import annotations

import json

import pytest

from benchmarks import models as bench
from liverjax.models import MODELS


@pytest.mark.slow
def test_a_network_that_trains_and_drops_passes_the_check():
    found = bench.check_size("lfs", (21, 27), width=2)
    assert bench.failures({"lfs": {"21 x 27 px": found}}) == []
    assert found["gradients finite"]
    assert found["gradients not zero"]
    assert found["can drop"] == ["dropout"]
    assert found["drops something"]
    assert 0 < found["bfloat16 from float32"] < 0.05 * found["largest logit"]


def test_the_check_goes_on_where_it_stopped(tmp_path, monkeypatch):
    asked = []

    def size(name, size):
        if asked and size == bench.CHECK_SIZES[1]:
            raise KeyboardInterrupt
        asked.append((name, size))
        return {"fine": True}

    def demo(name, cohort):
        asked.append((name, "demo"))
        return {"status": 0}

    monkeypatch.setattr(bench, "check_size", size)
    monkeypatch.setattr(bench, "check_demo", demo)
    with pytest.raises(KeyboardInterrupt):
        bench.check(["lfs"], out_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == {"lfs": {"224 x 224 px": {"fine": True}}}
    first = asked.copy()
    asked.clear()
    assert bench.check(["lfs"], out_dir=tmp_path) == path
    assert first == [("lfs", (224, 224))]
    assert asked == [("lfs", (161, 193)), ("lfs", "demo")]
    assert len(json.loads(path.read_text())["lfs"]) == 3


@pytest.mark.parametrize(
    ("part", "result"),
    [
        ("demo", {"status": 1, "epochs": 2}),
        ("demo", {"status": 0, "epochs": 0}),
        ("21 x 27 px", {"gradients finite": False}),
        ("21 x 27 px", {"gradients not zero": False}),
        ("21 x 27 px", {"drops something": False}),
        ("21 x 27 px", {"can drop": []}),
    ],
)
def test_a_check_names_what_fails(part, result):
    fine = {"gradients finite": True, "gradients not zero": True}
    fine |= {"can drop": ["dropout"], "drops something": True}
    assert bench.failures({"lfs": {"161 x 193 px": fine}}) == []
    (line,) = bench.failures({"lfs": {part: fine | result}})
    assert line.startswith(f"lfs, {part}: ")


@pytest.mark.slow
def test_steps_of_training_and_inference_can_be_raced():
    steps = bench.our_steps("lfs", batch=1, size_px=16, bfloat16=False)
    found = bench.race(steps, batch=1, seconds=0.01)
    assert set(found) == {"training", "inference"}
    assert min(found.values()) > 0


def test_rivals_are_known_networks_and_others_have_none():
    assert {"lfs", "mobilenet_v3_small_xiaolai"} <= {*MODELS} - {*bench.RIVALS}
    assert bench.rival_steps("lfs", batch=1, size_px=16, bfloat16=False) == {}

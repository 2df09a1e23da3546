from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import selective_scan as benchmark
from liverjax.models.layers.selective_scan import selective_scan


def test_the_rival_computes_the_same():
    torch = pytest.importorskip("torch")
    arrays = benchmark.drawn(benchmark.SMALL["small"])
    theirs = benchmark.torch_scan({k: torch.tensor(x) for k, x in arrays.items()})
    ours = selective_scan(**{k: jnp.asarray(x) for k, x in arrays.items()})[0]
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_small_run_writes_times_and_memory_of_each_form(tmp_path, capsys):
    benchmark.main(["--small", "--rounds=1", f"--out={tmp_path}"])
    (path,) = tmp_path.iterdir()
    assert str(path) in capsys.readouterr().out
    measures = json.loads(path.read_text())["measures"]
    for form in ("sequential", "associative", "chunked_steps", "default"):
        assert measures[f"small, {form}, gradient, ms"] > 0
        assert measures[f"small, {form}, gradient, temporary_mib"] > 0

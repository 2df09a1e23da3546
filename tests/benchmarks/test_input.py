from __future__ import annotations

import json

import pytest

from benchmarks import input as benchmark
from benchmarks import results


@pytest.mark.slow
def test_every_way_to_feed_a_network_is_measured(tmp_path):
    sizes = ["--sizes", "16", "--width", "4", "--records", "128", "--batch", "4"]
    benchmark.main([*sizes, "--seconds", "0.1", "--out", str(tmp_path)])
    path = tmp_path / f"input-{results.device_name()}.json"
    measures = json.loads(path.read_text())["measures"]
    case = "16 px, width 4, batch 4, float32"
    assert measures[f"{case}: records"] == 128
    for name in ("resident", "stream, cap of 1/8", "stream, all kept"):
        assert measures[f"{case}: {name}, images_per_s"] > 0
        assert measures[f"{case}: {name}, share of time lost"] < 1
    assert f"{case}: stream, cap of 1/8, share of the resident speed" in measures

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SMALL = """
import sys
from benchmarks import augment
augment.SIZES = augment.SIZES[:1]
augment.main(sys.argv[1:])
"""
WITHOUT_RIVAL = 'import sys; sys.modules["batchgenerators"] = None' + SMALL


def run(program: str, *, out_dir) -> str:
    """What the benchmark prints; a child, since the rival forks before jax starts."""
    done = subprocess.run(
        [sys.executable, "-c", program, "--seconds", "0.1", "--out", str(out_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_warp_is_measured_beside_its_rival(tmp_path):
    pytest.importorskip("batchgenerators")
    printed = run(SMALL, out_dir=tmp_path)
    (path,) = tmp_path.glob("augment-*.json")
    assert str(path) in printed
    content = json.loads(path.read_text())
    assert len(content["ratios"]) == 3
    for label, row in content["ratios"].items():
        assert row["ratio"] > 1, label
        assert row["unit"] == "images/s"


@pytest.mark.slow
def test_without_the_rival_ours_is_measured_alone(tmp_path):
    printed = run(WITHOUT_RIVAL, out_dir=tmp_path)
    assert "`pip install -r requirements-bench.txt` brings it" in printed
    (path,) = tmp_path.glob("augment-*.json")
    content = json.loads(path.read_text())
    assert content["ratios"] == {}
    assert content["measures"]["80 px, ours, images_per_s"] > 0

from __future__ import annotations

import os

import pytest

from benchmarks import scale
from liverjax.cohort import files


def test_idle_is_counted_while_every_place_could_work(tmp_path):
    """Two places: one begins late, and pauses for 2 of the 10 s in which both could."""
    for number, (began, ended) in enumerate([(0, 10), (2, 6), (8, 14), (10, 12)]):
        path = tmp_path / "members" / f"f{number}" / "done.json"
        files.write_json(path, {"seconds": ended - began})
        os.utime(path, (1e9 + ended, 1e9 + ended))
    whole, idle = scale.timed(tmp_path, at_once=2)
    assert whole == pytest.approx(14)
    assert idle == pytest.approx(2 / (2 * 10))

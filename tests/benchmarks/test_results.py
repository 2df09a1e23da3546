from __future__ import annotations

import json
import platform
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import results


def test_a_ratio_above_one_means_that_ours_is_faster():
    assert results.ratio(ours=300.0, rival=100.0, unit="images/s")["ratio"] == 3
    times = results.ratio(ours=2.0, rival=5.0, unit="s", more_is_better=False)
    assert times == {"ours": 2.0, "rival": 5.0, "unit": "s", "ratio": 2.5}


def test_the_file_holds_what_was_measured_where_and_with_what(tmp_path):
    row = results.ratio(ours=3.0, rival=1.0, unit="images/s")
    path = results.write(
        "toy",
        command="python -m benchmarks.toy",
        ratios={"80 px": row},
        measures={"compile_s": 1.5},
        out_dir=tmp_path / "made",
        packages=("no-such-package",),
    )
    assert path == tmp_path / "made" / f"toy-cpu-{results.num_cores()}cores.json"
    content = json.loads(path.read_text())
    versions = content.pop("versions")
    assert content == {
        "name": "toy",
        "command": "python -m benchmarks.toy",
        "device": f"cpu-{results.num_cores()}cores",
        "ratios": {"80 px": row},
        "measures": {"compile_s": 1.5},
    }
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert versions["no-such-package"] is None


def test_a_figure_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write(
            "toy",
            command="",
            ratios={},
            measures={"loss": float("nan")},
            out_dir=tmp_path,
        )


def test_a_core_that_other_work_keeps_busy_is_counted():
    program = "import time\nprint(1, flush=True)\nwhile True: pass"
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline()
        assert results.busy_cores(0.5) > 0.5
    finally:
        child.kill()
        child.communicate()

"""Commands of ours as child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from liverjax.children import run_child
from liverjax.errors import InputError
from tests.conftest import ROOT

LONG = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
PARENT = f"""
from liverjax.children import run_child
run_child(["timeit", "-n1", "-r1", {LONG!r}])
"""


def test_a_child_s_failure_is_told_with_its_status():
    with pytest.raises(InputError, match="python -m timeit ended with status 2"):
        run_child(["timeit", "--no-such-flag"])


def test_sigterm_ends_the_child_and_then_its_parent():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    child = int(parent.stderr.readline())
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    assert parent.returncode == -signal.SIGTERM
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"the child {child} lives on")

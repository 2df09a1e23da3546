from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from liverjax.members.claims import Claimed, claim

HOLD = """
import pathlib, sys, time
from liverjax.members.claims import claim
with claim(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_claim_keeps_another_thread_out_while_it_is_held(tmp_path):
    path, errors = tmp_path / "f00" / "claim", []

    def attempt():
        try:
            with claim(path):
                pass
        except Claimed as error:
            errors.append(str(error))

    with claim(path):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    attempt()
    assert errors == [f"{path}: being worked on by another thread of this process"]


def test_a_dead_process_holds_nobody_up(tmp_path):
    path = tmp_path / "claim"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Claimed, match=f'"process": {child.pid}'), claim(path):
            pass
    finally:
        child.kill()
        child.communicate()
    with claim(path):
        pass

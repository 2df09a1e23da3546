from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from liverjax.cohort import claims
from liverjax.cohort.claims import Claimed, claim, claim_in_turn

HOLD = """
import pathlib, sys, time
from liverjax.cohort.claims import claim
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


def test_a_holder_whose_claim_was_taken_over_is_told_before_it_writes(tmp_path):
    path = tmp_path / "claim"
    with claim(path) as held:
        held.check()
        path.write_text('{"host": "other", "process": 1, "token": "ab"}\n')
        with pytest.raises(Claimed, match=r"was taken over by .*other"):
            held.check()


def test_who_waits_its_turn_comes_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LOOK_S", 0.01)
    path, order = tmp_path / "claim", []

    def second():
        with claim_in_turn(path):
            order.append("second")

    with claim(path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]

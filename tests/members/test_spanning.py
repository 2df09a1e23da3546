"""What the processes of one network agree on, by what each would tell the others."""

from __future__ import annotations

import numpy as np
import pytest

from liverjax.members import spanning


@pytest.mark.parametrize(
    ("hosts", "here"), [("aaa", 3), ("abc", 1), ("aab", 2)], ids=str
)
def test_processes_of_the_same_host_are_counted(monkeypatch, hosts, here):
    """The first process, beside others on these hosts."""

    def gather(mine):
        monkeypatch.undo()
        every = np.stack([spanning._digest(host) for host in hosts])
        np.testing.assert_array_equal(mine, every[0])
        return every

    monkeypatch.setattr(spanning.platform, "node", lambda: hosts[0])
    monkeypatch.setattr(spanning.multihost_utils, "process_allgather", gather)
    assert spanning.processes_here() == here


def test_the_process_with_the_least_decides_for_all(monkeypatch):
    monkeypatch.setattr(
        spanning.multihost_utils,
        "process_allgather",
        lambda mine: np.array([mine, 5, 9], np.int32),
    )
    assert spanning.least(7) == 5

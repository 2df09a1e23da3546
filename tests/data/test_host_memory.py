from __future__ import annotations

import psutil
import pytest

from liverjax.data import host_memory
from liverjax.data.host_memory import NO_LIMIT, control_group_free_bytes


def belong(root, *lines):
    """Says which groups this process is in."""
    path = root / "proc" / "self" / "cgroup"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def version_2(root, group, limit, used, *, cache=0):
    folder = root / "sys" / "fs" / "cgroup" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    stat = f"anon 500\ninactive_file {cache}\nactive_file 7\n"
    (folder / "memory.stat").write_text(stat)


def version_1(root, group, limit, used, *, cache=0):
    folder = root / "sys" / "fs" / "cgroup" / "memory" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    stat = f"cache 9\ninactive_file 1\ntotal_inactive_file {cache}\n"
    (folder / "memory.stat").write_text(stat)


def test_a_container_sees_its_limit_at_the_root_and_not_its_place(tmp_path):
    belong(tmp_path, "0::/kubepods/pod7")
    version_2(tmp_path, "", 1000, 700, cache=150)
    assert control_group_free_bytes(tmp_path) == 450


@pytest.mark.parametrize("above", [("max", 90_000), (50_000, 49_000)])
def test_a_job_of_slurm_has_its_limit_in_the_folder_it_is_told(tmp_path, above):
    """The least of what the task, its step, its job and the service still allow."""
    job = "system.slice/slurmstepd.scope/job_5"
    belong(tmp_path, f"0::/{job}/step_0/user/task_0")
    version_2(tmp_path, job, 1000, 800, cache=30)
    version_2(tmp_path, f"{job}/step_0", 900, 500)
    version_2(tmp_path, f"{job}/step_0/user/task_0", "max", 500)
    version_2(tmp_path, "system.slice", *above)
    assert control_group_free_bytes(tmp_path) == 230


def test_the_first_version_has_its_memory_in_a_tree_of_its_own(tmp_path):
    belong(
        tmp_path, "9:cpu,cpuacct:/", "4:hugetlb,memory:/slurm/uid_7/job_5", "0::/init"
    )
    version_1(tmp_path, "", 2**63 - 4096, 10**9)
    version_1(tmp_path, "slurm/uid_7/job_5", 1000, 800, cache=40)
    assert control_group_free_bytes(tmp_path) == 240


def test_a_group_that_is_full_leaves_nothing(tmp_path):
    belong(tmp_path, "0::/a")
    version_2(tmp_path, "a", 1000, 1100)
    assert control_group_free_bytes(tmp_path) == 0


@pytest.mark.parametrize("line", ["0::/", "0::/../elsewhere", "0::/gone"])
def test_without_a_limit_there_is_none(tmp_path, line):
    belong(tmp_path, line)
    version_2(tmp_path, "", "max", 700)
    assert control_group_free_bytes(tmp_path) == NO_LIMIT


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert control_group_free_bytes(tmp_path) == NO_LIMIT


def test_free_is_the_least_of_host_and_group(monkeypatch):
    monkeypatch.setattr(host_memory, "control_group_free_bytes", lambda: 7)
    assert host_memory.free_host_bytes() == 7
    monkeypatch.setattr(host_memory, "control_group_free_bytes", lambda: 2**63)
    assert host_memory.free_host_bytes() <= psutil.virtual_memory().total

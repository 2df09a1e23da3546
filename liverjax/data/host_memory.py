"""The memory of the host that this process may still take.

A limit lies on the control group of the process or on any above it: a container's is
the highest that it sees, SLURM sets one on the group of the job and of its step.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import psutil

ROOT = pathlib.Path("/")
NO_LIMIT = 2**63

# Files of a group: its limit, what is taken, and the part of that which is file cache
# and given back when asked for; of version 2 and, with the groups below it, version 1.
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_host_bytes() -> int:
    """Returns the memory of the host that this process may still take."""
    return min(psutil.virtual_memory().available, control_group_free_bytes())


def control_group_free_bytes(root: pathlib.Path = ROOT) -> int:
    """Returns what this process's control groups still allow, `NO_LIMIT` without any.

    Args:
        root: Where ``proc`` and ``sys`` are.

    Reference:
        Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
    """
    allowed = [
        free
        for folder, names in _groups(root)
        if (free := _free(folder, *names)) is not None
    ]
    return min(allowed, default=NO_LIMIT)


def _groups(
    root: pathlib.Path,
) -> Iterator[tuple[pathlib.Path, tuple[str, str, str]]]:
    """Gives the folders of this process's groups, each with all above it."""
    mount = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    # A container may hide where it lies: the highest group it sees counts anyway.
    for line in (*lines, "0::/", "0:memory:/"):
        number, controllers, path = line.split(":", 2)
        parts = pathlib.PurePosixPath(path).parts[1:]
        parts = () if ".." in parts else parts
        if number == "0" and not controllers:
            places, names = (mount, mount / "unified"), _V2
        elif "memory" in controllers.split(","):
            places, names = (mount / "memory",), _V1
        else:
            continue
        for place in places:
            for depth in range(len(parts), -1, -1):
                yield place.joinpath(*parts[:depth]), names


def _free(folder: pathlib.Path, limit: str, used: str, cache: str) -> int | None:
    """Returns what one group still allows; None if it has no limit."""
    try:
        allowed = (folder / limit).read_text().strip()
        taken = int((folder / used).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        if allowed == "max":
            return None
        found = [int(line.split()[1]) for line in lines if line.split()[0] == cache]
        return max(int(allowed) - taken + sum(found), 0)
    except (OSError, ValueError, IndexError):
        return None

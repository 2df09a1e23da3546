"""Devices, threads and versions: the only place that looks at the machine."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

from liverjax.errors import InputError

_log = logging.getLogger(__name__)

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "SimpleITK",
    "itk-elastix",
    "pydicom",
    "array_record",
)

# How launchers tell a process how many were started together.
RANKS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def cores() -> int:
    """Returns the number of CPU cores this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1)
    )


def refuse_ranks() -> None:
    """Stops one of several processes that were started as if they were one.

    Raises:
        InputError: If SLURM's ``srun`` or an MPI launcher started more than one.
    """
    for name in RANKS:
        if int(os.environ.get(name) or 1) > 1:
            raise InputError(
                f"{os.environ[name]} processes were started together ({name}), each of "
                "which would train the same members; start one, which uses every GPU "
                "it sees, or independent jobs by --config.members "
                "(launch/slurm/array.sbatch, launch/k8s/array.yaml)"
            )


def start(num_members: int, *, group: int = 1) -> list[tuple[Any, ...]]:
    """Returns the groups of devices that members are dealt to.

    Every accelerator that jax sees (``CUDA_VISIBLE_DEVICES`` chooses); without one, a
    host device a core, at most one a member, because XLA leaves cores idle in narrow
    layers. The number depends on the study alone, not on what is already done, so that
    a resumed run has the same bits.

    Args:
        num_members: Members of the study, finished ones included.
        group: Devices to a member.

    Raises:
        InputError: If there are fewer devices than a group.
    """
    import jax

    wanted = max(1, min(cores(), num_members)) * group
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:
        _log.debug("jax has started already; its devices stay as they are")
    devices = jax.local_devices()
    if len(devices) < group:
        raise InputError(
            f"mesh.data={group}: this process sees {len(devices)} devices of kind "
            f"{devices[0].device_kind}; lower it or use a machine with more"
        )
    count = min(len(devices) // group, max(1, num_members))
    _log.info(
        "devices: %d groups of %d x %s for %d members (jax %s, %d cores)",
        count,
        group,
        devices[0].device_kind,
        num_members,
        jax.__version__,
        cores(),
    )
    idle = len(devices) - count * group
    if idle:
        _log.info(
            "%d devices stay idle; train.seeds, split.folds or mesh.data use them", idle
        )
    return [tuple(devices[i * group : (i + 1) * group]) for i in range(count)]


def facts(groups: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Returns what a run's numbers may depend on, for ``environment.json``."""
    devices = [device for group in groups for device in group]
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in PACKAGES},
        "liverjax": _version("liverjax"),
        "commit": _commit(),
        "platform": devices[0].platform,
        "device_kind": devices[0].device_kind,
        "devices": len(devices),
        "devices_a_member": len(groups[0]),
        "cores": cores(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with a plus sign when files were changed after it."""
    folder = pathlib.Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        )
    except OSError:
        return None
    if commit.returncode:
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")

"""Devices, threads and versions: the only place that looks at the machine."""

from __future__ import annotations

import atexit
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

# How launchers tell a process how many were started together, and which it is.
RANKS = {
    "JAX_NUM_PROCESSES": "JAX_PROCESS_ID",
    "SLURM_STEP_NUM_TASKS": "SLURM_PROCID",
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE": "PMI_RANK",
}
COORDINATOR = "JAX_COORDINATOR_ADDRESS"
JOIN_S = 600  # for the slowest process to start
LOST_S = 30  # after which a process that has died ends the others


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
                "which would train the same members. Start one, which uses every GPU "
                "it sees; or deal members to a cluster by --scheduler "
                "(launch/slurm/cluster.sbatch), or to independent jobs by "
                "--config.members (launch/slurm/array.sbatch, launch/k8s/array.yaml); "
                "or train one network over all of them by --config.mesh.span=true "
                "(launch/slurm/span.sbatch, launch/k8s/span.yaml)"
            )


def join() -> int:
    """Joins the processes that train one network together; returns this one's number.

    Who they are is read from what the launcher sets (`RANKS`), where the first one
    listens from ``JAX_COORDINATOR_ADDRESS``, ``host:port``. From here on a process that
    dies ends the others within `LOST_S` seconds.

    Raises:
        InputError: If no launcher says who they are, or they do not come together.
    """
    import jax

    found = next((name for name in RANKS if name in os.environ), None)
    address = os.environ.get(COORDINATOR)
    if found is None or not address:
        raise InputError(
            f"mesh.span: {COORDINATOR if found else 'the number of processes'} is not "
            "set; start by launch/slurm/span.sbatch or launch/k8s/span.yaml, or set "
            f"JAX_NUM_PROCESSES, JAX_PROCESS_ID and {COORDINATOR}=HOST:PORT, where "
            "process 0 is to listen, in each"
        )
    count, rank = int(os.environ[found]), int(os.environ[RANKS[found]])
    # One device a process without an accelerator: they share its cores.
    jax.config.update("jax_num_cpu_devices", 1)
    try:
        jax.distributed.initialize(
            address,
            count,
            rank,
            # Each process uses every device it sees, whatever the launcher.
            cluster_detection_method="deactivate",
            initialization_timeout=JOIN_S,
            heartbeat_timeout_seconds=LOST_S,
            shutdown_timeout_seconds=LOST_S,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"mesh.span: process {rank} of {count} did not meet the others at "
            f"{address} ({str(error).splitlines()[0]})"
        ) from None
    _log.info("process %d of %d joined at %s", rank, count, address)
    return rank


def leave() -> None:
    """Leaves the processes that were joined; waits for all to do so."""
    import jax

    jax.distributed.shutdown()


def leave_at_once() -> None:
    """Makes this process end, when it ends, without waiting for those it joined."""
    atexit.register(os._exit, 1)


def start(
    num_members: int, *, group: int = 1, span: bool = False
) -> list[tuple[Any, ...]]:
    """Returns the groups of devices that members are dealt to.

    Every accelerator that jax sees (``CUDA_VISIBLE_DEVICES`` chooses); without one, a
    host device a core, at most one a member, because XLA leaves cores idle in narrow
    layers. The number depends on the study alone, not on what is already done, so that
    a resumed run has the same bits.

    Args:
        num_members: Members of the study, finished ones included.
        group: Devices to a member.
        span: One group of all devices of all joined processes.

    Raises:
        InputError: If there are fewer devices than a group.
    """
    import jax

    if span:
        _keep_compiled(jax.devices()[0].platform)
        _log.info(
            "devices: one group of %d x %s in %d processes (jax %s)",
            jax.device_count(),
            jax.devices()[0].device_kind,
            jax.process_count(),
            jax.__version__,
        )
        return [tuple(jax.devices())]
    wanted = max(1, min(cores(), num_members)) * group
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:
        _log.debug("jax has started already; its devices stay as they are")
    devices = jax.local_devices()
    _keep_compiled(devices[0].platform)
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


def _keep_compiled(platform: str) -> None:
    """Keeps compiled programs for other devices, processes and starts.

    In ``JAX_COMPILATION_CACHE_DIR``, else in the user's cache folder. Not on CPUs, as
    their programs are of one machine's instructions and may be read on another.
    """
    import jax

    if platform == "cpu" or jax.config.jax_compilation_cache_dir:
        return
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = str(pathlib.Path(cache) / "liverjax" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)


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
        "processes": len({device.process_index for device in devices}),
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

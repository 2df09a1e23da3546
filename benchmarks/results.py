"""Where a benchmark's figures go: one JSON a benchmark and device.

A ratio compares ours with what users would pick instead, measured in the same run, and
is above 1 where ours is faster. Everything else is a measure.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import platform
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
QUIET = 0.2  # cores busy with other work
PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "flax")


def write(
    name: str,
    *,
    command: str,
    ratios: Mapping[str, Mapping[str, Any]],
    measures: Mapping[str, Any],
    out_dir: str | os.PathLike[str] = RESULTS,
    packages: Sequence[str] = (),
) -> pathlib.Path:
    """The path of the written file, ``<out_dir>/<name>-<device>.json``.

    Args:
        name: Of the benchmark, such as ``augment``.
        command: The command line that made the figures.
        ratios: By label, each made by `ratio`.
        measures: Any other figures by name, the unit at the end of the name.
        out_dir: The folder; made if absent.
        packages: Further distributions whose versions are noted, such as rivals.
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    device = device_name()
    content = {
        "name": name,
        "command": command,
        "device": device,
        "versions": versions,
        "ratios": ratios,
        "measures": measures,
    }
    path = pathlib.Path(out_dir) / f"{name}-{device}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    return path


def ratio(
    *, ours: float, rival: float, unit: str, more_is_better: bool = True
) -> dict[str, Any]:
    """One comparison; its ratio is above 1 where ours is faster.

    Args:
        ours: Our figure.
        rival: The rival's, measured in the same run.
        unit: Of both, such as ``images/s``.
        more_is_better: False for times.
    """
    share = ours / rival if more_is_better else rival / ours
    return {
        "ours": _rounded(ours),
        "rival": _rounded(rival),
        "unit": unit,
        "ratio": _rounded(share),
    }


def busy_cores(seconds: float = 2.0) -> float:
    """How many cores other work keeps busy, told where figures would suffer.

    Looks for a while in which this process does nothing. Where the system does not say,
    the load average of the last minute.
    """
    stat = pathlib.Path("/proc/stat")
    if stat.exists():
        idle = []
        for wait_s in (seconds, 0.0):
            fields = stat.read_text().splitlines()[0].split()[1:]
            idle.append((sum(map(int, fields[3:5])), sum(map(int, fields[:8]))))
            time.sleep(wait_s)
        (before, start), (after, end) = idle
        busy = (1 - (after - before) / max(end - start, 1)) * (os.cpu_count() or 1)
    else:
        busy = os.getloadavg()[0]
    if busy > QUIET:
        print(
            f"{busy:.1f} cores are busy with other work: these are no figures to keep"
        )
    return round(busy, 2)


def device_name() -> str:
    """A name for file names: the accelerator's, or ``cpu-<n>cores``."""
    try:
        import jax
    except ImportError:
        return f"cpu-{num_cores()}cores"
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"cpu-{num_cores()}cores"
    return re.sub(r"[^a-z0-9]+", "-", device.device_kind.lower()).strip("-")


def num_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _rounded(value: float) -> float:
    """Four significant digits, more than a timing has."""
    return float(f"{value:.4g}")

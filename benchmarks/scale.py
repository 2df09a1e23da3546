"""What more devices and processes give, and what dealing to them costs.

`python -m benchmarks.scale [--rounds N] [--epochs N] [--out DIR]`: the four members of
a small study trained on 1, 2 and 4 devices of one process, by two workers of a Dask
cluster, and one network after the other over two processes. Seconds are from the first
member's start to the last one's end, with the compiling of later devices in them; the
idle share is what dealing costs, apart from that and from the cores that devices of a
CPU share: the part of the time in which a place trained no member though some were
left. Beside it stands by how much any examination's score differs from one device's.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np

from benchmarks import results
from liverjax.cohort import files

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMBERS = 4
FLAGS = (
    "--config=configs/cp_ct.py:demo",
    "--config.cohort.phantom.subjects=24",
    "--config.cohort.phantom.size=48,24,7,9",
    "--config.prepare.slice_spacing_mm=24.0",
    "--config.prepare.inplane_spacing_mm=7.0",
    "--config.prepare.patch_px=56",
    "--config.prepare.store_px=64",
    f"--config.split.folds={MEMBERS}",
    "--config.train.batch_size=8",
    "--config.train.steps_per_epoch=20",
)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    args = parser.parse_args(argv)
    ways: dict[str, tuple[int, Callable[..., None]]] = {
        f"{count} device" + "s" * (count > 1): (count, on_devices(count))
        for count in (1, 2, 4)
        if count <= num_devices()
    } | {
        "2 workers": (2, two_workers),
        "1 network over 2 processes": (1, two_processes),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    idle: dict[str, list[float]] = {name: [] for name in ways}
    difference = {}
    with tempfile.TemporaryDirectory() as temporary:
        flags = (*FLAGS, f"--config.train.epochs={args.epochs}")
        flags += (f"--config.cohort.path={temporary}/cohort",)
        for number in range(args.rounds):
            for name, (at_once, train) in ways.items():
                run = pathlib.Path(temporary) / f"{name}, {number}"
                study = (*flags, f"--workdir={run}")
                check([*MAIN, *study, "--config.members=()"])
                train(run, study)
                whole, unused = timed(run, at_once=at_once)
                seconds[name].append(whole)
                idle[name].append(unused)
                first = pathlib.Path(temporary) / "1 device, 0"
                difference[name] = float(np.abs(scores(run) - scores(first)).max())
                print(f"{name}: {whole:.2f} s, idle {unused:.1%}", flush=True)
    measures = {}
    for name in ways:
        measures |= {
            f"{name}, s": round(statistics.median(seconds[name]), 3),
            f"{name}, idle share": round(statistics.median(idle[name]), 4),
            f"{name}, times as fast as 1 device": round(
                statistics.median(seconds["1 device"])
                / statistics.median(seconds[name]),
                3,
            ),
            f"{name}, largest difference of a score, points": difference[name],
        }
    command = "python -m benchmarks.scale"
    path = results.write(
        "scale", command=command, ratios={}, measures=measures, out_dir=args.out
    )
    print(path)


MAIN = (sys.executable, "-m", "liverjax.main")


def check(command: list[str], **variables: str) -> None:
    """Runs a command to its end; what it said is the error's text if it failed."""
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{command}: {ended.stderr[-2000:]}")


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | variables


@functools.cache
def num_devices() -> int:
    """Devices that a process of `on_devices` sees."""
    program = (
        "import jax\n"
        f"jax.config.update('jax_num_cpu_devices', {MEMBERS})\n"
        "print(len(jax.devices()))\n"
    )
    said = subprocess.check_output([sys.executable, "-c", program], env=environment())
    return int(said)


def on_devices(count: int) -> Callable[..., None]:
    """Trains a run's members on so many devices of a process that has four."""
    program = (
        "import jax, pathlib, sys\n"
        "from liverjax import members\n"
        f"jax.config.update('jax_num_cpu_devices', {MEMBERS})\n"
        f"groups = [(d,) for d in jax.devices()[:{count}]]\n"
        f"chosen = members.of_study(folds={MEMBERS}, seeds=1)\n"
        "members.train_members(pathlib.Path(sys.argv[1]), chosen, groups=groups)\n"
    )

    def train(run: pathlib.Path, study: tuple[str, ...]) -> None:
        check([sys.executable, "-c", program, str(run)])

    return train


def two_workers(run: pathlib.Path, study: tuple[str, ...]) -> None:
    """By ``launch/local.sh``."""
    local = ROOT / "launch" / "local.sh"
    check(["bash", str(local), "2", *MAIN, *study], LIVERJAX_VENV=sys.prefix)


def two_processes(run: pathlib.Path, study: tuple[str, ...]) -> None:
    """Every network over both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [*MAIN, *study, "--config.mesh.span=true"],
                    cwd=ROOT,
                    env=environment(
                        JAX_COORDINATOR_ADDRESS=address,
                        JAX_NUM_PROCESSES="2",
                        JAX_PROCESS_ID=str(rank),
                    ),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            for rank in range(2)
        ]
        statuses = [child.wait() for child in children]
        if any(statuses):
            raise RuntimeError("one of two processes failed")


def timed(run: pathlib.Path, *, at_once: int) -> tuple[float, float]:
    """Seconds of all members, and the idle share of the places they were trained in.

    Idle between the moments when every place has begun and when one has no member left.
    """
    began, ended = [], []
    for path in (run / "members").glob("*/done.json"):
        ended.append(path.stat().st_mtime)
        began.append(ended[-1] - files.read_json(path)["seconds"])
    first, last = sorted(began)[at_once - 1], sorted(ended)[-at_once]
    busy = sum(
        max(0.0, min(end, last) - max(start, first))
        for start, end in zip(began, ended, strict=True)
    )
    window = max(last - first, 1e-9)
    return max(ended) - min(began), 1 - busy / (at_once * window)


def scores(run: pathlib.Path) -> np.ndarray:
    """What the members say of the examinations they were not trained on."""
    tables = sorted((run / "members").glob("*/predictions.csv"))
    rows = [row for path in tables for row in files.read_csv(path)[1]]
    return np.array([float(row["score"]) for row in rows])


if __name__ == "__main__":
    main()

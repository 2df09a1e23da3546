"""Shared settings of the tests: tiers, devices, and where outside references lie."""

from __future__ import annotations

import os
import pathlib
import signal
import sys

import pytest

from tests.whole_path import SMALLEST, run

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# Four host devices, as few threads as the machine has cores, programs kept between
# runs; set before anything imports jax, which other conftest files do.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("MPLBACKEND", "Agg")

# A suite in the background of a script ignores Ctrl-C, and so would every program that
# it starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the slow tests as well")


_STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # All is reported. What is left is the interpreter's end, at which the native
    # libraries of a whole session (jax, ITK, torch, Arrow) were seen to crash.
    if _STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_STATUS])


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.getoption("--all"):
        return
    slow = pytest.mark.skip(reason="slow: runs with --all")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(slow)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of outside reference data; skips the test where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("reference data (../shared) are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A finished run of the whole path at its smallest."""
    folder = tmp_path_factory.mktemp("run") / "smallest"
    ended = run("liverjax.main", *SMALLEST, f"--workdir={folder}")
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.strip() == f"report: {folder / 'report.html'}"
    return folder

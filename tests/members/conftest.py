"""A small run, trained once; its network is known by name while these tests run."""

from __future__ import annotations

import pathlib

import jax
import pytest

from liverjax import members
from liverjax.members.seats import Seats
from tests.members import small_run


@pytest.fixture(scope="package", autouse=True)
def toy_model():
    with small_run.registered():
        yield


@pytest.fixture(scope="package")
def trained(toy_model, tmp_path_factory) -> pathlib.Path:
    """A run folder, all its members trained beside each other on two devices."""
    folder = small_run.write_run(tmp_path_factory.mktemp("run"))
    small_run.train(folder)
    return folder


@pytest.fixture(scope="package")
def seat(trained) -> members.Seat:
    """A device ready to train members of a run like `trained`."""
    group = (jax.devices()[1],)
    run = members.open_run(trained)
    return Seats(run, groups=[group], available=None).take(group)

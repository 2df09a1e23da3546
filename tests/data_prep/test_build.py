"""The command line of preparation, as a user calls it."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
import SimpleITK as sitk

from tests.imaging.study import write_study
from tests.whole_path import run

STUDY = (
    "--config=configs/cp_ct.py",
    "--config.prepare.registration=none",
    "--config.prepare.inplane_spacing_mm=7.0",
    "--config.prepare.slice_spacing_mm=36.0",
    "--config.prepare.patch_px=32",
    "--config.prepare.store_px=40",
)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pathlib.Path:
    """Four patients, the venous scan of the second spoiled."""
    folder = tmp_path_factory.mktemp("study")
    path = write_study(folder)
    spoiled = folder / "images" / "p0002" / "venous.nii.gz"
    image = sitk.ReadImage(str(spoiled))
    sitk.WriteImage(image * 0, str(spoiled))
    return path


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("data_prep.build", *arguments)


def content(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (STUDY, "--manifest and --out are needed"),
        ((*STUDY, "--manifest=m.csv", "--out=o", "--workers=-1"), "--workers=-1"),
        ((*STUDY, "--config.prepare.patch=32"), "patch"),
        (("--config=configs/none.py",), "expected a file of configs/"),
    ],
)
def test_a_wrong_command_ends_in_one_sentence(tmp_path, flags, words):
    ended = build(*flags)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_spoiled_scan_is_named_and_strict_ends_with_its_status(table, tmp_path):
    flags = (*STUDY, f"--manifest={table}", "--workers=1")
    ended = build(*flags, f"--out={tmp_path / 'one'}")
    assert ended.returncode == 0, ended.stderr
    assert "1 failed" in ended.stdout
    assert "failed: p0002 (visit 1): " in ended.stdout
    again = build(*flags, f"--out={tmp_path / 'one'}", "--strict")
    assert again.returncode == 1
    assert "complete already" in again.stdout
    two = build(*flags, f"--out={tmp_path / 'two'}", "--workers=2")
    assert two.returncode == 0, two.stderr
    assert content(tmp_path / "one") == content(tmp_path / "two")

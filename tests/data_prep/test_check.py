from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from configs import cp_ct
from data_prep.check import check
from liverjax.config import StudyConfig, from_config_dict
from tests.conftest import ROOT
from tests.imaging import scans

HEADER = "subject,site,venous,mask_venous,child_pugh"


def study(**prepare) -> StudyConfig:
    config = cp_ct.get_config("one_channel")
    config.model.pretrained = "none"
    config.split.update({"folds": 3, "select_fraction": 0.5, "stratify": False})
    config.train.batch_size = 1
    config.prepare.update(
        {"patch_px": 40, "store_px": 48, "slice_spacing_mm": 5.0} | prepare
    )
    return from_config_dict(config)


def write(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    (folder / "manifest.csv").write_text("\n".join((HEADER, *lines)) + "\n")
    return folder / "manifest.csv"


def make(folder: pathlib.Path, name: str, *, seed: int = 0, **change) -> None:
    """An image and its liver mask; a change names an array to put in their place."""
    noise = np.random.default_rng(seed).normal(0, 3, scans.body_hu().shape)
    image = change.get("image", (scans.body_hu() + noise).astype(np.float32))
    mask = change.get("mask", scans.liver_mask())
    sitk.WriteImage(scans.volume(image), str(folder / f"{name}.nii.gz"))
    sitk.WriteImage(scans.mask_volume(mask), str(folder / f"{name}_mask.nii.gz"))


def line(name: str, *, site: str = "north", score: str = "7") -> str:
    return f"{name},{site},{name}.nii.gz,{name}_mask.nii.gz,{score}"


def test_a_sound_manifest_is_counted_and_priced(tmp_path):
    for seed, name in enumerate(("a", "b", "c", "d")):
        make(tmp_path, name, seed=seed)
    path = write(
        tmp_path,
        line("a", score="5"),
        line("b", score="12"),
        line("c", site="south"),
        line("d", score=""),
    )
    lines, problems = check(path, study=study())
    text = "\n".join(lines)
    assert problems == []
    assert "excluded, no-label (child_pugh is empty): 1: d (visit 1)" in text
    assert "to prepare: 3 examinations" in text
    assert "train         3             3  1  1  1" in text
    assert "south         1             1  0  1  0" in text
    assert "venous        3 of 3        4.000       5.00      16         80" in text
    # 60 % of the scan's 80 mm at 5 mm are 9 slices a scan.
    assert "records 27: 0 MB in memory" in text


def test_table_and_headers_are_judged_together(tmp_path):
    make(tmp_path, "a")
    make(tmp_path, "b", seed=1, mask=scans.liver_mask((15, 48, 60)))
    path = write(tmp_path, line("a", score="4"), line("b"), line("c"))
    _, problems = check(path, study=study())
    text = "\n".join(problems)
    assert "line 2, subject 'a': child_pugh='4'" in text
    assert "line 3, subject 'b', mask_venous: the mask lies on another grid" in text
    assert "line 4, subject 'c': venous='c.nii.gz'" in text


def test_voxels_are_judged_when_asked(tmp_path):
    make(tmp_path, "a")
    make(tmp_path, "b", seed=1, mask=np.zeros_like(scans.liver_mask()))
    broken = scans.body_hu().astype(np.float32)
    broken[3, 3, 3] = np.nan
    make(tmp_path, "c", image=broken)
    path = write(tmp_path, line("a"), line("b"), line("c"))
    assert check(path, study=study())[1] == []
    lines, problems = check(path, study=study(), deep=True)
    assert [text.split(" (")[-1] for text in problems] == ["mask-empty)", "not-finite)"]
    assert any("liver inside the patches" in one for one in lines)


def test_a_patch_that_cuts_the_liver_is_a_warning(tmp_path):
    for seed, name in enumerate(("a", "b", "c")):
        make(tmp_path, name, seed=seed)
    path = write(tmp_path, line("a"), line("b"), line("c"))
    small = study(patch_px=12, store_px=16)
    lines, problems = check(path, study=small, deep=True)
    assert problems == []
    assert sum("(low-coverage)" in one for one in lines) == 3


def test_what_training_will_stop_at_is_an_error(tmp_path):
    make(tmp_path, "a")
    lines, problems = check(write(tmp_path, line("a")), study=study())
    (problem,) = problems
    assert "will stop: 1 subjects cannot be divided into 3 folds; lower" in problem
    assert not any("will stop" in one for one in lines)


def test_without_any_label_the_images_are_still_looked_at(tmp_path):
    make(tmp_path, "a")
    lines, problems = check(write(tmp_path, line("a", score="")), study=study())
    assert problems == []
    assert any("no examination is left to prepare" in one for one in lines)
    assert any("venous   1 of 1" in one for one in lines)


@pytest.mark.parametrize(
    ("score", "folds", "said"),
    [
        ("7", 3, ()),
        ("99", 4, ("child_pugh='99'", "will stop: 2 subjects cannot be divided")),
    ],
)
def test_the_command_tells_errors_by_its_status_and_writes_nothing(
    tmp_path, score, folds, said
):
    for seed, name in enumerate(("a", "b", "c")):
        make(tmp_path, name, seed=seed)
    path = write(tmp_path, line("a", score=score), line("b"), line("c"))
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "data_prep.check"),
            "--config=configs/cp_ct.py:one_channel",
            *(f"--manifest={path}", "--delimiter=,", f"--config.split.folds={folds}"),
            *("--config.split.stratify=False", "--config.split.select_fraction=0.5"),
            "--config.train.batch_size=1",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if said else 0), done.stderr
    assert ("no errors" in done.stdout) is not bool(said)
    assert all(words in done.stderr for words in said)
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before

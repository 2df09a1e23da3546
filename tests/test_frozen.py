"""A frozen backbone from command to report, and on a study that is new."""

from __future__ import annotations

import pytest

from liverjax.cohort import files
from tests.whole_path import SMALLEST, run

TRIALS = "--config.train.trials.learning_rate=(1e-3,1e-2)"


@pytest.mark.slow
def test_frozen_heads_run_to_a_report_and_predict(tmp_path):
    folder = tmp_path / "run"
    words = (*SMALLEST, f"--workdir={folder}", "--config.model.frozen=true", TRIALS)
    ended = run("liverjax.main", *words, "--config.train.seeds=2")
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert "without pretrained weights: features of a random network" in ended.stderr
    assert "without image augmentation" in (folder / "report.html").read_text()
    assert len(files.read_csv(folder / "members" / "heads" / "heads.csv")[1]) == 8
    assert len(files.read_csv(folder / "trials.csv")[1]) == 2
    assert {
        row["members"] for row in files.read_csv(folder / "predictions.csv")[1]
    } == {"2"}
    study = folder / "phantom" / "manifest.csv"
    again = run("liverjax.predict", f"--run={folder}", f"--study={study}")
    assert again.returncode == 0, again.stderr[-4000:]
    assert "4 networks from" in again.stdout

"""The command line, as someone without jax uses it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import liverjax.report.__main__ as command
from liverjax import report
from liverjax.cohort.files import read_json
from liverjax.errors import InputError
from liverjax.report.__main__ import main
from tests.report import fake_run
from tests.report.test_judgement import TASK, rows

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "jaxlib", "flax", "SimpleITK", "itk"):
            raise ImportError(name + " is not installed here")

sys.meta_path.insert(0, Blocked())
from liverjax.errors import run_command
from liverjax.report.__main__ import main
run_command(main)
"""


def run_without_jax(
    folder: pathlib.Path, *arguments: str
) -> subprocess.CompletedProcess:
    root = pathlib.Path(report.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", BLOCK, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.csv"
    report.write_predictions(path, list(rows())[:30], task=TASK)
    return path


def test_a_table_is_judged_where_jax_is_not_installed(tmp_path, table):
    done = run_without_jax(
        tmp_path, "--predictions", "mine.csv", "--task", "child_pugh", "--out", "out"
    )
    assert done.returncode == 0, done.stderr
    assert "kendall_tau 0." in done.stdout
    assert "Research use only" in done.stdout
    assert done.stderr == ""
    out = tmp_path / "out"
    assert (out / "report.html").stat().st_size > 50_000
    assert read_json(out / "metrics.json")["kendall_tau"]["n"] == 30
    assert (out / "predictions.csv").read_bytes() == table.read_bytes()


def test_mistakes_are_sentences_without_a_traceback(tmp_path):
    (tmp_path / "bad.csv").write_text("subject,target,score\na,16,7\n")
    done = run_without_jax(
        tmp_path, "--predictions", "bad.csv", "--task", "child_pugh", "--out", "out"
    )
    assert done.returncode == 1
    assert "line 2 (subject 'a'): target='16'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_other_models_and_a_ceiling_are_judged_beside_it(tmp_path, table, capsys):
    (tmp_path / "phantom.json").write_text('{"ceiling": {"kendall_tau": 0.5}}')
    other = tmp_path / "volumes.csv"
    other.write_bytes(table.read_bytes())
    status = main(
        [
            f"--predictions={table}",
            f"--compare={other}",
            "--task=child_pugh",
            f"--out={tmp_path / 'out'}",
            f"--ceiling={tmp_path / 'phantom.json'}",
        ]
    )
    assert status == 0
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert metrics["models"]["volumes"]["kendall_tau_difference"]["estimate"] == 0
    assert metrics["kendall_tau_ceiling"]["estimate"] == 0.5
    assert "report:" in capsys.readouterr().out


def visited(folder):
    """Two visits of each patient, the first one farther from the truth."""
    path = folder / "visits.csv"
    lines = [
        f"p{i},{v},{5 + i % 9},{5 + i % 9 + 3 * (v == 1) * (-1) ** i},{i % 2 + i // 4}"
        for i in range(14)
        for v in (1, 2)
    ]
    path.write_text("subject,visit,target,score,grade\n" + "\n".join(lines) + "\n")
    (folder / "phantom.json").write_text('{"ceiling": {"kendall_tau": 0.9}}')
    return path


def test_a_folder_judged_again_gives_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "write_report", lambda folder, *, task: folder)
    path, out = visited(tmp_path), tmp_path / "out"
    words = ["--task=child_pugh", "--visits=first", "--subgroups=grade"]
    words += [f"--ceiling={tmp_path / 'phantom.json'}", "--baselines=grade"]
    main([f"--predictions={path}", f"--out={out}", *words])
    first = read_json(out / "metrics.json")
    assert first["kendall_tau"]["n"] == 14
    assert first["kendall_tau_ceiling"]["estimate"] == 0.9
    main([f"--run={out}"])
    assert read_json(out / "metrics.json") == first


def test_a_ceiling_of_an_earlier_call_is_not_used_unasked(tmp_path):
    words = [f"--predictions={visited(tmp_path)}", "--task=child_pugh"]
    with pytest.raises(InputError, match=r"phantom\.json: stands there from an"):
        main([*words, f"--out={tmp_path}"])


def test_a_file_without_a_ceiling_is_refused(tmp_path):
    words = [f"--predictions={visited(tmp_path)}", "--task=child_pugh"]
    (tmp_path / "phantom.json").write_text("{}")
    words += [f"--out={tmp_path / 'o'}", f"--ceiling={tmp_path / 'phantom.json'}"]
    with pytest.raises(InputError, match="holds no ceiling"):
        main(words)


def test_models_of_an_earlier_call_are_not_judged_unasked(tmp_path, table):
    arguments = [f"--predictions={table}", "--task=child_pugh", f"--out={tmp_path}"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old.csv").write_bytes(table.read_bytes())
    with pytest.raises(InputError, match=r"tables of an earlier call \(old\)"):
        main(arguments)
    with pytest.raises(InputError, match="two tables have one name"):
        main([*arguments, "--compare", "a/x.csv", "b/x.csv"])


@pytest.mark.slow
def test_a_finished_run_is_judged_again_with_its_own_task(tmp_path, capsys):
    folder = fake_run.build(tmp_path / "run")
    assert main([f"--run={folder}"]) == 0
    assert (folder / "report.html").exists()
    assert "set train" in capsys.readouterr().out


def test_semicolons_are_read_when_named(tmp_path, capsys):
    lines = "".join(f"s{i};{5 + i % 9};{6 + i % 7},5\n" for i in range(20))
    path = tmp_path / "german.csv"
    path.write_text("subject;target;score\n" + lines)
    arguments = [
        f"--predictions={path}",
        "--task=child_pugh",
        f"--out={tmp_path / 'o'}",
    ]
    with pytest.raises(InputError, match="--delimiter ';'"):
        main(arguments)
    assert main([*arguments, "--delimiter=;", "--decimal=,"]) == 0
    assert "kendall_tau" in capsys.readouterr().out


def test_another_dialect_is_translated_whole(tmp_path, monkeypatch):
    """Further columns have their decimal comma too; names are left as they are."""
    lines = [
        f"s{i // 2};{i // 2 % 2};0,{i + 2:02d};1,{i};x,{i // 2 % 2}" for i in range(40)
    ]
    path = tmp_path / "german.csv"
    path.write_text("subject;target;score;fat_percent;site\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(command, "write_report", lambda folder, task: folder)
    out = tmp_path / "out"
    given = [f"--predictions={path}", "--task=binary", f"--out={out}"]
    words = ["--delimiter=;", "--decimal=,", "--slices=mean", "--baselines=fat_percent"]
    assert main([*given, *words]) == 0
    first = (out / "predictions.csv").read_text().splitlines()[:2]
    assert first == ["subject,target,score,fat_percent,site", 's0,0,0.02,1.0,"x,0"']
    metrics = read_json(out / "metrics.json")
    assert metrics["models"]["baseline_fat_percent"]["rows"]["matched"] == 20
    assert metrics["input"]["file"] == "german.csv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --predictions"),
        (["--run=a", "--predictions=b"], "give either --predictions"),
        (["--predictions=a.csv"], "--out is missing"),
        (["--run=a"], "--task is missing: one of binary, child_pugh"),
    ],
)
def test_a_missing_option_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        main(arguments)


def test_the_predictions_of_a_run_are_never_replaced(tmp_path, table):
    folder = tmp_path / "run"
    report.write_predictions(folder / "predictions.csv", list(rows())[:5], task=TASK)
    (folder / "config.json").write_text("{}")
    before = (folder / "predictions.csv").read_bytes()
    with pytest.raises(InputError, match="a run folder with predictions of its own"):
        main([f"--predictions={table}", "--task=child_pugh", f"--out={folder}"])
    assert (folder / "predictions.csv").read_bytes() == before

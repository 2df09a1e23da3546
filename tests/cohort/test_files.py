from __future__ import annotations

import math

import numpy as np
import pytest

from liverjax.cohort import files
from liverjax.errors import InputError


def test_a_table_comes_back_as_it_was_written(tmp_path):
    rows = [{"subject": 'a "b", c', "x": 0.1 + 0.2, "y": math.nan, "z": True}]
    files.write_csv(tmp_path / "t.csv", rows, columns=["subject", "x", "y", "z"])
    columns, read = files.read_csv(tmp_path / "t.csv")
    assert columns == ["subject", "x", "y", "z"]
    assert read == [{"subject": 'a "b", c', "x": repr(0.1 + 0.2), "y": "", "z": "1"}]
    assert float(read[0]["x"]) == 0.1 + 0.2


def test_numpy_floats_are_written_as_plain_numbers():
    text = files.to_csv([{"x": np.float64(0.25), "n": np.int64(3)}], columns=["x", "n"])
    assert text == "x,n\n0.25,3\n"


def test_json_has_null_for_what_is_not_a_number():
    assert files.to_json({"a": math.nan, "b": np.float32(0.5)}) == (
        '{\n "a": null,\n "b": 0.5\n}'
    )


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, 1)

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_json(path, 2)
    assert files.read_json(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"a,a\n1,2\n", "columns named twice"),
        (b"a,b\n1\n", "line 2: 1 cells under 2 columns"),
        (b"a\n\xe4\n", "not UTF-8 at byte 2"),
    ],
)
def test_a_broken_table_says_what_and_where(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        files.read_csv(tmp_path / "t.csv")


def test_a_missing_file_is_named(tmp_path):
    for read in (files.read_csv, files.read_json):
        with pytest.raises(InputError, match=r"gone.*: the file is missing"):
            read(tmp_path / "gone")


def test_a_table_saved_again_with_semicolons_is_refused(tmp_path):
    path = tmp_path / "examinations.csv"
    path.write_text("subject;visit\na;1\n")
    with pytest.raises(InputError, match="saved with semicolons, read with commas"):
        files.read_csv(path)


def test_a_semicolon_in_the_name_of_one_of_several_columns_is_no_sign(tmp_path):
    path = tmp_path / "features.csv"
    path.write_text("subject;key,visit,size\na,1,2\n")
    assert files.read_csv(path)[0] == ["subject;key", "visit", "size"]

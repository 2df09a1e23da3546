from __future__ import annotations

import pathlib

import numpy as np
import pytest

from liverjax.cohort import files, records, schema, write
from liverjax.cohort.examination import Examination, Exclusion, FlowStep, Manifest
from liverjax.cohort.write import Part
from liverjax.errors import InputError

RECIPE = schema.Recipe(
    channels=("venous",), registration="none", patch_px=4, store_px=6
)


def examination(subject: str, *, line: int = 2, **cells: str) -> Examination:
    return Examination(
        subject=subject,
        visit=1,
        set="train",
        site="north",
        images={},
        masks={},
        spleen_masks={},
        cells=cells,
        line=line,
    )


def part(
    count: int, *, value: int = 0, findings: tuple[tuple[str, str], ...] = ()
) -> Part:
    pixels = np.full((count, 6, 6, 1), value, np.uint8)
    row = dict.fromkeys(schema.INDEX_COLUMNS[3:], "1")
    return Part(
        "warning" if findings else "ok",
        findings,
        arrays={"image": pixels},
        index=tuple({**row, "source_slice": i} for i in range(count)),
        values={"has_venous": 1, "liver_volume_ml": 1500.5},
        measures={"liver_coverage": np.float64(0.93)},
        picture=b"png",
    )


def build(
    out: pathlib.Path, pairs: list[tuple[Examination, Part]], **manifest
) -> dict[str, int]:
    paths = []
    for number, (_, one) in enumerate(pairs):
        paths.append(out / write.PARTS / f"{number}.npz")
        write.write_part(paths[-1], one)
    table = Manifest(
        path=out.parent / "manifest.csv",
        columns=("subject", "venous", "child_pugh", "age_years"),
        examinations=tuple(one for one, _ in pairs),
        **manifest,
    )
    return write.assemble(
        out,
        recipe=RECIPE,
        manifest=table,
        parts=paths,
        inputs={"manifest": "0"},
        versions={"numpy": "2"},
    )


def labelled(subject: str, score: str = "7") -> Examination:
    return examination(subject, child_pugh=score, age_years="50")


def test_a_part_comes_back_as_it_was_written(tmp_path):
    one = part(3, value=7, findings=(("liver-coverage", "a sentence"),))
    write.write_part(tmp_path / "p.npz", one)
    found = write.read_part(tmp_path / "p.npz", with_arrays=True)
    assert np.array_equal(found.arrays["image"], one.arrays["image"])
    assert found.findings == one.findings
    assert found.measures == {"liver_coverage": 0.93}
    assert found.picture == b"png"
    assert write.read_part(tmp_path / "p.npz").arrays == {}


def test_records_follow_the_manifest_and_the_tables_say_where(tmp_path):
    out = tmp_path / "cohort"
    build(
        out,
        [
            (labelled("b", "9"), part(2, value=1)),
            (labelled("a", "5"), Part("failed", (("mask-empty", "empty"),))),
            (labelled("c"), part(3, value=2)),
        ],
    )
    cohort = schema.open_cohort(out)
    spans = [
        (r["subject"], r["child_pugh"], r["first_record"], r["last_record"])
        for r in cohort.examinations
    ]
    assert spans == [("b", "9", "0", "1"), ("c", "7", "2", "4")]
    pixels = records.read_records(cohort)["image"]
    assert pixels[:, 0, 0, 0].tolist() == [1, 1, 2, 2, 2]
    assert [row["subject"] for row in cohort.index] == ["b", "b", "c", "c", "c"]
    assert [row["record"] for row in cohort.index] == ["0", "1", "2", "3", "4"]


def test_shards_are_cut_by_bytes_wherever_examinations_end(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "SHARD_BYTES", 4 * 36)
    out = tmp_path / "cohort"
    build(out, [(labelled(name), part(3)) for name in "abc"])
    cohort = schema.open_cohort(out)
    assert [shard.records for shard in cohort.shards] == [4, 4, 1]
    assert cohort.shards[1].file == "shards-00001-of-00003.array_record"


def test_every_examination_has_a_status_and_nobody_is_lost(tmp_path):
    out = tmp_path / "cohort"
    counts = build(
        out,
        [
            (labelled("a"), part(1)),
            (labelled("b"), part(1, findings=(("x", "one"), ("x", "two")))),
            (labelled("c"), Part("failed", (("constant", "a constant image"),))),
        ],
        excluded=(Exclusion(labelled("d"), "no-label", "child_pugh is empty"),),
        before=(FlowStep("screening", "no contrast", 12),),
    )
    _, rows = files.read_csv(out / "qc" / "status.csv")
    told = [(row["subject"], row["status"], row["codes"]) for row in rows]
    assert told == [
        ("a", "ok", ""),
        ("b", "warning", "x"),
        ("c", "failed", "constant"),
        ("d", "excluded", "no-label"),
    ]
    assert rows[1]["reasons"] == "one | two"
    assert rows[0]["picture"] == "a-1.png"
    assert (out / "qc" / "a-1.png").read_bytes() == b"png"
    assert counts["failed"] == counts["excluded"] == 1
    assert (counts["examinations"], counts["subjects"], counts["records"]) == (2, 2, 2)
    _, flow = files.read_csv(out / "exclusions.csv")
    assert flow == [{"step": "screening", "reason": "no contrast", "n": "12"}]


def test_what_an_earlier_attempt_left_is_removed(tmp_path):
    out = tmp_path / "cohort"
    (out / "qc").mkdir(parents=True)
    for name in ("shards-00007-of-00009.array_record", ".index.csv.abc", "qc/z-1.png"):
        (out / name).write_text("left over")
    build(out, [(labelled("a"), part(1))])
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert names == [
        ".parts/0.npz",
        "cohort.json",
        "examinations.csv",
        "index.csv",
        "qc/a-1.png",
        "qc/status.csv",
        "shards-00000-of-00001.array_record",
    ]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a cohort"):
        write.check_folder(tmp_path)
    with pytest.raises(InputError, match="is a file; expected a folder"):
        write.check_folder(tmp_path / "thesis.txt")
    write.check_folder(tmp_path / "new")


def test_a_relabelled_cohort_is_the_one_built_from_the_new_table(tmp_path):
    parts = [part(2, value=1), Part("failed", (("x", "y"),)), part(1, value=2)]
    names = ("a", "b", "c")
    old = [(labelled(n, "7"), p) for n, p in zip(names, parts, strict=True)]
    new = [
        (
            examination(n, child_pugh="9", age_years="51", sodium_mmol_per_l="140"),
            p,
        )
        for n, p in zip(names, parts, strict=True)
    ]
    build(tmp_path / "old", old)
    build(tmp_path / "new", new)
    columns = ("subject", "venous", "child_pugh", "age_years", "sodium_mmol_per_l")
    table = Manifest(
        path=tmp_path / "manifest.csv",
        columns=columns,
        examinations=tuple(one for one, _ in new),
    )
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    paths = sorted((tmp_path / "new" / write.PARTS).iterdir())
    write.assemble(
        fresh,
        recipe=RECIPE,
        manifest=table,
        parts=paths,
        inputs={"manifest": "1"},
        versions={"numpy": "2"},
    )
    write.relabel(tmp_path / "old", manifest=table, inputs={"manifest": "1"})
    for path in fresh.rglob("*.*"):
        other = tmp_path / "old" / path.relative_to(fresh)
        if path.is_file():
            assert other.read_bytes() == path.read_bytes(), path.name
    rows = schema.open_cohort(tmp_path / "old").examinations
    assert [row["sodium_mmol_per_l"] for row in rows] == ["140", "140"]


def test_a_column_with_a_name_of_ours_is_refused():
    table = Manifest(
        path=pathlib.Path("manifest.csv"),
        columns=("subject", "liver_volume_ml"),
        examinations=(examination("a", liver_volume_ml="1500"),),
    )
    with pytest.raises(InputError, match="liver_volume_ml have names that the prep"):
        write.check_columns(table, recipe=RECIPE)


@pytest.mark.parametrize(
    ("subject", "name"),
    [("P07", "P07-1.png"), ("a.b_c-d", "a.b_c-d-1.png")],
)
def test_plain_subjects_name_their_picture(subject, name):
    assert write.picture_name(examination(subject)) == name


def test_odd_subjects_have_safe_and_different_picture_names():
    odd = ["../up", "a b", "a_b", "a+b", "ä", ".hidden", "x" * 300, "x" * 301, "CON:"]
    names = [write.picture_name(examination(subject)) for subject in odd]
    assert len(set(names)) == len(odd)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert len(name) < 128
        assert set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )

from __future__ import annotations

import dataclasses
import json

from data_prep.phantom import main, options_from, parse_arguments
from liverjax.phantom.options import PhantomOptions

REQUIRED = ["--out", "somewhere", "--subjects", "2", "--seed", "1"]


def test_the_defaults_of_the_command_line_are_those_of_the_options():
    assert options_from(parse_arguments(REQUIRED)) == PhantomOptions()


def test_every_knob_can_be_set_on_the_command_line():
    words = [
        *("--size", "48,24,7,9", "--effect", "0.5", "--visibility", "0.3"),
        *("--signs", "spleen,ascites", "--class-shares", "1,1,1", "--same-grids"),
        *("--sites", "a,b,c", "--shortcut-sites", "b", "--shortcut-kind", "border"),
        *("--max-breathing-mm", "20", "--texture", "2"),
    ]
    options = options_from(parse_arguments([*REQUIRED, *words]))
    assert options == PhantomOptions(
        effect=0.5,
        visibility=0.3,
        signs=("spleen", "ascites"),
        class_shares=(1.0, 1.0, 1.0),
        texture=2.0,
        in_plane_px=48,
        slices=24,
        in_plane_mm=7.0,
        slice_mm=9.0,
        different_grids=False,
        max_breathing_mm=20.0,
        sites=("a", "b", "c"),
        shortcut_sites=("b",),
        shortcut_kind="border",
    )


def test_every_field_of_the_options_has_a_flag():
    given = vars(parse_arguments(REQUIRED))
    fields = {field.name for field in dataclasses.fields(PhantomOptions)}
    by_size = {"in_plane_px", "slices", "in_plane_mm", "slice_mm"}
    assert fields - set(given) - by_size == {"different_grids"}


def test_a_cohort_is_written_and_the_ceiling_said(tmp_path, capsys):
    out = tmp_path / "cohort"
    words = ["--out", str(out), "--subjects", "1", "--seed", "1", "--size", "tiny"]
    assert main(words) == 0
    ceiling = json.loads((out / "phantom.json").read_text())["ceiling"]
    assert (out / "manifest.csv").is_file()
    assert f"tau {ceiling['kendall_tau']:.2f}" in capsys.readouterr().out


def test_an_impossible_option_is_one_sentence_and_status_1(tmp_path, capsys):
    out = tmp_path / "cohort"
    words = ["--out", str(out), "--subjects", "1", "--seed", "1", "--effect", "-2"]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "error: phantom option effect is -2.0, expected 0.0 to 1.5\n"
    )
    assert not out.exists()

"""The page of a finished run, as a reader and as a browser see it."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib import image

from liverjax import report, tasks
from liverjax.cohort.files import read_csv, read_json, write_csv, write_json
from liverjax.errors import InputError
from liverjax.report.cautions import collect_cautions
from liverjax.report.cohort_sections import read_picture
from liverjax.report.flow import count_flow
from liverjax.report.html import write_report
from liverjax.report.result_sections import cut_offs
from liverjax.report.run import read_run
from tests.report import fake_run

TASK = fake_run.TASK
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Collects text and links, and checks that tags are closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = fake_run.build(tmp_path_factory.mktemp("run"))
    report.judge_run(folder, task=TASK)
    write_report(folder, task=TASK)
    return folder


@pytest.fixture(scope="module")
def page(run):
    return Page((run / "report.html").read_text(encoding="utf-8"))


def test_of_a_file_of_weights_the_page_has_the_name_alone(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    values = read_json(folder / "config.json")
    values["model"]["pretrained"] = "/home/somebody/weights/liver.safetensors"
    write_json(folder / "config.json", values)
    found = read_run(folder, task=TASK).config
    assert found["model"] == values["model"] | {"pretrained": "liver.safetensors"}


def test_the_page_needs_no_network(page):
    for _tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:image/", "#")), value
    assert not any(tag in ("script", "link", "iframe") for tag, _, _ in page.attributes)


def test_every_part_is_there_and_every_link_leads_to_one(page):
    anchors = {
        value for tag, n, value in page.attributes if (tag, n) == ("section", "id")
    }
    links = {
        value[1:] for tag, n, value in page.attributes if (tag, n) == ("a", "href")
    }
    assert links == anchors
    assert anchors == {
        "cautions",
        "results",
        "groups",
        "subgroups",
        "split",
        "cohort",
        "preparation",
        "worst",
        "methods",
        "checklists",
        "training",
        "run",
        "sources",
    }


def test_every_table_scrolls_in_a_box_of_its_own(run):
    content = (run / "report.html").read_text(encoding="utf-8")
    box = "<div class='scroll' tabindex='0'><table>"
    assert content.count("<table") == content.count(box) > 8
    style = content.partition("</style>")[0]
    assert ".scroll { overflow-x: auto; max-width: 100%;" in style
    assert ".panels > *, .cases > *, .tiles > *, .flow > li > * { min-width: 0; }" in (
        style
    )


def test_every_picture_says_what_it_shows(page):
    alts = [
        value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")
    ]
    assert len(alts) == 8 + 10  # figures and worst cases
    assert all(len(alt) > 20 for alt in alts)


def test_headline_numbers_are_those_of_metrics_json(run, page):
    metrics = read_json(run / "metrics.json")
    for name in ("kendall_tau", "kendall_tau_within_folds", "accuracy"):
        one = metrics[name]
        row = f"{one['estimate']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
        assert row in page.text
    assert "Share of the ceiling" in page.text
    assert page.text.count("Research use only, not a medical device") == 2


@pytest.mark.parametrize(
    "caution",
    [
        "Synthetic cohort",
        "16/64 of its published width: a demo, not the paper's network",
        "No pretrained weights",
        "f02-s00-t00 became non-finite at epoch 24, step 11; its state of epoch",
        "Prepared but without a prediction: 1 (P00",
        "Status “failed” after preparation: 1 (P005) of 96",
        "The pooled tau compares rows",
    ],
)
def test_cautions_come_first(page, caution):
    before = page.text.partition("Intervals hold 95 %")[0]
    assert caution in before


def test_findings_are_named_with_their_reason(page):
    assert "P005 failed The mask of phase venous has 512" in page.text


def test_the_flow_adds_up(run):
    flow = count_flow(read_run(run, task=TASK))
    assert flow.gaps == ()
    counts = [step.count for step in flow.steps]
    lost = [sum(n for _, n in step.lost) for step in flow.steps]
    assert counts == [143, 96, 93, 92, 92]
    assert lost == [47, 3, 1, 0, 0]
    assert flow.steps[-1].label == "Judged examinations (69 in train, 23 in external)"
    assert len(flow.missing) == 1


def copy_of(run, folder, *, without: str):
    """The run's tables in a folder of their own, to spoil one of them."""
    for path in [*run.glob("*.csv"), *run.glob("*.json")]:
        if path.name != without:
            shutil.copy(path, folder)
    return folder


def cautions(folder) -> str:
    found = read_run(folder, task=TASK)
    return " ".join(collect_cautions(found, flow=count_flow(found)))


def test_a_flow_that_does_not_add_up_is_said(run, tmp_path):
    columns, rows = read_csv(run / "examinations.csv")
    folder = copy_of(run, tmp_path, without="examinations.csv")
    write_csv(folder / "examinations.csv", rows[1:], columns=columns)
    assert "does not add up: Examinations in the manifest (96 patients) less what" in (
        cautions(folder)
    )


def test_the_worst_case_comes_first_with_its_picture(run, page):
    _, rows = read_csv(run / "predictions.csv")
    worst = max(
        (row for row in rows if row["set"] == "train"),
        key=lambda row: abs(float(row["score"]) - float(row["target"])),
    )
    assert f"1. {worst['subject']}" in page.text
    assert f"qc/{worst['subject']}-1.png" in page.text


def test_figures_lie_beside_the_page(run):
    names = {path.stem for path in (run / "figures").glob("*.svg")}
    assert names == {path.stem for path in (run / "figures").glob("*.pdf")}
    assert {
        "score_against_truth",
        "confusion",
        "learning_curves",
        "registration",
    } <= names


def test_choosing_epochs_on_the_held_out_fold_is_called_optimistic(run, tmp_path):
    folder = copy_of(run, tmp_path, without="splits.json")
    folds = read_json(run / "splits.json")["folds"]
    for fold in folds:
        fold["train"], fold["select"] = fold["train"] + fold["select"], fold["held_out"]
    write_json(folder / "splits.json", {"folds": folds})
    assert "Optimistic: in 5 of 5 folds the subjects that picked the epoch" in (
        cautions(folder)
    )


def test_a_switched_off_leak_check_is_said(run, tmp_path):
    folder = copy_of(run, tmp_path, without="config.json")
    split = fake_run.CONFIG["split"] | {"leak_check": False}
    write_json(folder / "config.json", fake_run.CONFIG | {"split": split})
    assert "subjects may leak between folds" in cautions(folder)


def test_a_table_alone_makes_a_page(tmp_path):
    rows = [
        {
            "subject": f"<b>{i}</b>",
            "set": "test",
            "target": 5.0 + i % 9,
            "score": 6.0 + i % 7,
        }
        for i in range(30)
    ]
    rows = [row | {"class": "ABC"[i % 3]} for i, row in enumerate(rows)]
    report.write_predictions(tmp_path / "predictions.csv", rows, task=TASK)
    report.judge_run(tmp_path, task=TASK)
    content = write_report(tmp_path, task=TASK).read_text(encoding="utf-8")
    assert write_report(tmp_path, task=TASK).read_text(encoding="utf-8") == content
    page = Page(content)
    assert "Not external" in page.text
    assert "<b>0</b>" not in content  # what strangers write is escaped
    assert "1. <b>" in page.text
    assert "Learning" not in page.text


def test_scores_that_only_rank_make_a_page_without_classes(tmp_path):
    rows = [
        {"subject": f"S{i}", "target": 5 + i % 9, "score": i / 90} for i in range(30)
    ]
    path = tmp_path / "predictions.csv"
    write_csv(path, rows, columns=("subject", "target", "score"))
    report.judge_run(tmp_path, task=TASK)
    text = Page(write_report(tmp_path, task=TASK).read_text(encoding="utf-8")).text
    assert "used for ranking alone" in text
    assert "Accuracy" not in text


def test_a_folder_that_is_not_judged_is_named(tmp_path):
    with pytest.raises(InputError, match="judge the folder first"):
        write_report(tmp_path, task=TASK)


def test_cut_offs_are_the_clinical_ones():
    assert cut_offs(TASK) == (6.5, 9.5)
    assert cut_offs(tasks.make("child_pugh", target="class_index")) == (0.5, 1.5)


def test_large_pictures_are_made_smaller(tmp_path):
    noise = np.random.default_rng(0).random((300, 2000, 3))
    image.imsave(tmp_path / "p.png", noise)
    small = read_picture(tmp_path / "p.png")
    assert len(small) < 250_000
    (tmp_path / "small.png").write_bytes(small)
    assert image.imread(tmp_path / "small.png").shape == (100, 666, 4)


BROWSER = next(
    (
        p
        for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        if p
    ),
    None,
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [500, 1100])
def test_a_browser_shows_the_page(run, tmp_path, width):
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},2400",
            f"--screenshot={picture}",
            (run / "report.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = image.imread(picture)[..., :3]
    assert pixels.shape[1] == width
    inked = (pixels < 0.9).any(axis=2)
    assert inked.mean() > 0.02
    assert not inked[:, -4:].any()  # nothing runs over the right edge
    blue = (pixels[..., 2] - pixels[..., 0] > 0.3).mean()
    assert blue > 0.005  # figures are drawn

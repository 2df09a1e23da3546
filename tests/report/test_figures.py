from __future__ import annotations

import numpy as np
from matplotlib import rcParams

from liverjax.report import figures
from liverjax.report.headlines import chance_line

FOREST = [
    figures.Interval("a", 0.4, 0.2, 0.6, 30),
    figures.Interval("b", 0.1, -0.2, 0.3, 9),
]


def panel():
    rng = np.random.default_rng(0)
    target = rng.integers(5, 16, 40).astype(float)
    return figures.score_against_truth(
        target + rng.normal(size=40),
        target=target,
        true_class=np.digitize(target, (6.5, 9.5)),
        classes=("A", "B", "C"),
        score_cuts=(6.5, 9.5),
        target_cuts=(6.5, 9.5),
        identity=True,
        title="tau",
    )


def test_a_figure_has_the_same_bytes_every_time(tmp_path):
    one = figures.save(panel(), tmp_path / "one", name="panel")
    two = figures.save(panel(), tmp_path / "two", name="panel")
    assert one == two == (tmp_path / "one" / "panel.svg").read_bytes()
    pdfs = [(tmp_path / n / "panel.pdf").read_bytes() for n in ("one", "two")]
    assert pdfs[0] == pdfs[1]
    assert pdfs[0].startswith(b"%PDF")


def test_repeated_truths_are_parted_but_stay_near_their_value():
    points = np.concatenate([c.get_offsets() for c in panel().axes[0].collections[:3]])
    place = np.asarray(points[:, 0])
    assert np.abs(place - np.round(place)).max() < 0.32
    assert len(np.unique(place)) > 11


def test_the_confusion_matrix_shows_counts_and_row_shares():
    counts = np.array([[3, 1], [0, 0]])
    axes = figures.confusion(counts, classes=("x", "y"), title="").axes[0]
    assert [t.get_text() for t in axes.texts] == ["3\n75%", "1\n25%", "0\n0%", "0\n0%"]


def test_a_forest_row_is_an_estimate_with_its_interval():
    axes = figures.forest(FOREST, label="tau", lines={"ceiling": 0.56}).axes[0]
    bar, point = axes.lines[0], axes.lines[1]
    assert list(bar.get_xdata()) == [0.2, 0.6]
    assert point.get_xdata()[0] == 0.4
    assert axes.get_xlim()[0] < -0.2


def test_the_line_of_a_forest_says_what_it_is():
    figure = figures.forest(FOREST, label="AUC", lines=chance_line("auc"))
    assert figure.axes[0].lines[-1].get_xdata()[0] == 0.5
    (legend,) = figure.legends
    (words,) = legend.get_texts()
    assert words.get_text() == "0.5: no better than chance"
    assert chance_line("accuracy") == {}


def test_learning_curves_take_members_of_unlike_length():
    lines = [{"epoch": e, "loss": 2.0 - e, "select_score": 0.5} for e in range(3)]
    figure = figures.learning_curves({"a": lines, "b": lines[:1]}, best={"a": 1})
    median = figure.axes[0].lines[-1]
    assert list(median.get_xdata()) == [1, 2, 3]
    assert list(median.get_ydata()) == [2.0, 1.0, 0.0]


def test_the_callers_settings_stay_as_they_are():
    before = dict(rcParams)
    panel()
    assert dict(rcParams) == before

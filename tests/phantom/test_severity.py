from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from liverjax.phantom.options import SIGNS, PhantomOptions
from liverjax.phantom.severity import (
    child_pugh_class,
    draw_severity,
    noisy_items,
    subject_severity,
)
from liverjax.phantom.subject import draw_truth


def _draw(options: PhantomOptions, n: int = 4000):
    rng = np.random.default_rng(1)
    return draw_severity(rng, classes=rng.integers(0, 3, size=n), options=options)


def test_classes_change_between_6_and_7_and_between_9_and_10():
    scores = np.array([5, 6, 7, 9, 10, 15])
    assert child_pugh_class(scores).tolist() == [0, 0, 1, 1, 2, 2]


def test_scores_lie_in_the_classes_asked_for():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, size=500)
    truth = draw_severity(rng, classes=classes, options=PhantomOptions())
    assert (child_pugh_class(truth.score) == classes).all()
    assert set(np.unique(truth.items)) == {1, 2, 3}


def test_259_subjects_have_76_120_and_63_of_the_classes():
    options = PhantomOptions()
    scores = [
        int(subject_severity(options, seed=2, index=i).score[0]) for i in range(259)
    ]
    counts = np.bincount(child_pugh_class(np.array(scores)))
    assert np.abs(counts - (76, 120, 63)).max() <= 2


def test_a_class_without_share_is_never_drawn():
    options = PhantomOptions(class_shares=(1.0, 0.0, 1.0))
    scores = [
        int(subject_severity(options, seed=2, index=i).score[0]) for i in range(60)
    ]
    assert set(child_pugh_class(np.array(scores)).tolist()) == {0, 2}


def test_every_sign_grows_with_the_score():
    truth = _draw(PhantomOptions())
    for column in range(len(SIGNS)):
        assert stats.kendalltau(truth.strengths[:, column], truth.score).statistic > 0.3


def test_signs_but_ascites_are_independent_given_the_latent_severity():
    truth = _draw(PhantomOptions(visibility=0.0))
    correlation = np.corrcoef(truth.strengths[:, :4].T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(4000)


def test_effect_0_leaves_no_sign_and_the_same_scores():
    with_signs, without = _draw(PhantomOptions()), _draw(PhantomOptions(effect=0.0))
    assert (without.strengths == 0).all()
    assert (without.items == with_signs.items).all()


def test_a_sign_switched_off_leaves_the_others_as_they_were():
    some = tuple(sign for sign in SIGNS if sign != "spleen")
    all_on, off = _draw(PhantomOptions()), _draw(PhantomOptions(signs=some))
    column = SIGNS.index("spleen")
    assert (off.strengths[:, column] == 0).all()
    assert (np.delete(off.strengths - all_on.strengths, column, axis=1) == 0).all()


def test_label_noise_replaces_its_share_of_rows():
    options = PhantomOptions(label_noise=0.3)
    items = np.full((4000, 5), 3)
    noisy = noisy_items(np.random.default_rng(3), items=items, options=options)
    assert abs((noisy != items).any(axis=1).mean() - 0.3) < 0.03


def test_without_label_noise_the_recorded_items_are_the_true_ones():
    truth = draw_truth(PhantomOptions(), seed=1, index=7)
    assert truth.items.tolist() == truth.severity.items[0].tolist()


def test_no_property_of_patient_scanner_or_motion_knows_the_score():
    options = PhantomOptions(missing_phase_share=0.3, padding_share=0.5, cut_share=0.5)
    truths = [draw_truth(options, seed=6, index=i) for i in range(500)]
    latent = np.array([t.severity.latent[0] for t in truths])
    rows = []
    for t in truths:
        row = {k: v for k, v in dataclasses.asdict(t.patient).items() if k != "sex"}
        row["female"] = t.patient.sex == "f"
        row |= {
            "offset_hu": t.scan.offset_hu,
            "noise_hu": t.scan.noise_hu,
            "blur": t.scan.blur_px[0],
            "site": t.scan.site == "north",
            "cut": t.scan.is_cut,
            "padded": t.scan.corner_hu is not None,
            "missing": bool(t.scan.missing),
            "slices": t.scan.grids["arterial"].spacing_mm[0],
            "breath": t.motions["native"].liver_shift_mm[2],
            "moved": t.motions["arterial"].matrix[0, 3],
        }
        rows.append(np.concatenate([np.ravel(v).astype(float) for v in row.values()]))
    table = np.stack(rows)
    assert table.shape[1] > 40
    correlation = np.array([np.corrcoef(column, latent)[0, 1] for column in table.T])
    # Of 45 independent columns the greatest |z| stays below 4 in 99.7 % of draws.
    assert np.abs(correlation).max() < 4 / np.sqrt(len(truths))

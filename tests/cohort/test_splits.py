from __future__ import annotations

import numpy as np
import pytest

from liverjax.cohort import splits
from liverjax.errors import InputError

STUDY = {f"s{i:03d}": (0 if i < 76 else 1 if i < 196 else 2) for i in range(259)}


@pytest.fixture(scope="module")
def folds():
    return splits.make_folds(STUDY, folds=10, select_fraction=0.3, seed=0)


def test_every_subject_is_held_out_once(folds):
    held_out = [subject for fold in folds for subject in fold.held_out]
    assert sorted(held_out) == sorted(STUDY)


def test_no_subject_is_in_two_groups(folds):
    splits.check_folds(folds, train=list(STUDY))
    for fold in folds:
        assert set(fold.train) | set(fold.select) | set(fold.held_out) == set(STUDY)


def test_groups_have_the_papers_shares(folds):
    for fold in folds:
        shares = [len(g) / 259 for g in (fold.train, fold.select, fold.held_out)]
        np.testing.assert_allclose(shares, [0.63, 0.27, 0.10], atol=0.004)


def test_class_shares_are_alike_in_all_groups(folds):
    for fold in folds:
        for group in (fold.train, fold.select, fold.held_out):
            classes = np.bincount([STUDY[s] for s in group], minlength=3)
            wanted = np.array([76, 120, 63]) / 259 * len(group)
            assert np.abs(classes - wanted).max() < 1.0 + 0.02 * len(group)


def test_folds_depend_on_the_seed_and_not_on_the_order(folds):
    turned = dict(reversed(list(STUDY.items())))
    assert folds == splits.make_folds(turned, folds=10, select_fraction=0.3, seed=0)
    assert folds != splits.make_folds(STUDY, folds=10, select_fraction=0.3, seed=1)


def test_splits_come_back_as_they_were_written(folds, tmp_path):
    splits.write_splits(tmp_path / "splits.json", folds, seed=0)
    assert splits.read_splits(tmp_path / "splits.json") == folds


def test_fewer_subjects_than_folds_are_refused():
    with pytest.raises(InputError, match="3 subjects cannot be divided into 10 folds"):
        splits.make_folds(
            {"a": 0, "b": 0, "c": 1}, folds=10, select_fraction=0.3, seed=0
        )


def test_a_users_splits_are_checked_whole():
    folds = (
        splits.Fold(("a", "b"), ("b",), ("c",)),
        splits.Fold(("x",), (), ("c",)),
    )
    with pytest.raises(InputError) as error:
        splits.check_folds(folds, train=["a", "b", "c"], others=["c"])
    text = str(error.value)
    for part in (
        "fold 0: ['b'] are in train and in select",
        "fold 1: ['x'] are not subjects of the cohort",
        "fold 1: select is empty",
        "['c'] are held out by more than one fold",
        "['c'] are in the set 'train' and in another set",
    ):
        assert part in text


def test_a_file_that_is_no_split_says_what_was_expected(tmp_path):
    (tmp_path / "splits.json").write_text('{"folds": [{"train": ["a"]}]}')
    with pytest.raises(InputError, match="with lists of subjects"):
        splits.read_splits(tmp_path / "splits.json")

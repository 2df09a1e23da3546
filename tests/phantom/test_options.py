from __future__ import annotations

import pytest

from liverjax.phantom.options import PhantomOptions, random_stream, size_options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"effect": -0.1}, "effect is -0.1, expected 0.0 to 1.5"),
        ({"visibility": float("nan")}, "visibility is nan, expected 0.0 to 1.0"),
        ({"in_plane_px": 8}, "in_plane_px is 8, expected 16 to 1024"),
        ({"max_rotation_deg": 45.0}, "max_rotation_deg is 45.0, expected 0.0 to 30.0"),
        ({"signs": ("nodules",)}, "signs is nodules, expected each of nodularity"),
        ({"signs": ("spleen", "spleen")}, "at most once"),
        ({"class_shares": (0.0, 0.0, 0.0)}, "three numbers of at least 0, not all 0"),
        ({"sites": ()}, "at least one site"),
        ({"sites": ("a", "a")}, "each name once"),
        ({"shortcut_sites": ("nowhere",)}, "shortcut_sites is nowhere, expected each"),
        ({"shortcut_kind": "watermark"}, "expected one of mark, spacing, border"),
    ],
)
def test_impossible_options_are_refused_by_name(values, message):
    with pytest.raises(ValueError, match="phantom option") as caught:
        PhantomOptions(**values)
    assert message in str(caught.value)


def test_a_size_is_a_preset_or_four_numbers():
    assert size_options("demo") == size_options("96,48,3.5,4.5")


def test_an_unknown_size_lists_what_is_possible():
    with pytest.raises(
        ValueError, match=r"neither one of tiny, demo.* nor four numbers"
    ):
        size_options("huge")


def test_streams_of_two_purposes_differ_and_one_repeats():
    first = random_stream(seed=1, index=2, name="patient").random(3)
    again = random_stream(seed=1, index=2, name="patient").random(3)
    other = random_stream(seed=1, index=2, name="severity").random(3)
    assert (first == again).all()
    assert (first != other).all()


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed -1 and subject index 0"):
        random_stream(seed=-1, index=0, name="patient")

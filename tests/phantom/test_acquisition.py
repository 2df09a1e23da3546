from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from liverjax.phantom.acquisition import acquire, draw_scan
from liverjax.phantom.options import PhantomOptions, size_options

TINY = PhantomOptions(**size_options("tiny"))


def _scan(options: PhantomOptions = TINY, *, index: int = 0, is_class_c: bool = False):
    return draw_scan(
        options, seed=3, index=index, external=False, is_class_c=is_class_c
    )


def _acquire(scan, value: float = 50.0):
    grid = scan.grids["venous"]
    picture = np.full(grid.shape, value, np.float32)
    rng = np.random.default_rng(0)
    return acquire(rng, picture_hu=picture, grid=grid, scan=scan)


def test_noise_and_offset_are_those_of_the_scan():
    scan = dataclasses.replace(_scan(), offset_hu=7.0, noise_hu=20.0, corner_hu=None)
    image = _acquire(scan)
    assert image.std() == pytest.approx(20.0, rel=0.02)
    assert image.mean() == pytest.approx(57.0, abs=0.5)
    assert (image == np.rint(image)).all()


def test_nothing_measured_is_below_minus_1024():
    assert _acquire(_scan(), value=-1020.0).min() == -1024


def test_corners_hold_the_padding_value_and_the_middle_does_not():
    scan = dataclasses.replace(_scan(), corner_hu=-3024.0)
    image = _acquire(scan)
    assert (image[:, [0, 0, -1, -1], [0, -1, 0, -1]] == -3024).all()
    assert image[:, 10:38, 10:38].min() > -1025


def test_phases_have_grids_of_their_own_unless_told_otherwise():
    own, shared = _scan(), _scan(dataclasses.replace(TINY, different_grids=False))
    assert own.grids["native"].spacing_mm != own.grids["venous"].spacing_mm
    for phase in ("native", "arterial"):
        assert shared.grids[phase].origin == shared.grids["venous"].origin
        assert shared.grids[phase].shape == shared.grids["venous"].shape


def test_the_share_of_missing_phases_is_as_asked_and_the_venous_one_is_never_missing():
    options = dataclasses.replace(TINY, missing_phase_share=0.4)
    missing = [_scan(options, index=i).missing for i in range(400)]
    assert set(missing) == {"", "native", "arterial"}
    assert np.mean([m != "" for m in missing]) == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("kind", ["mark", "spacing", "border"])
def test_a_shortcut_betrays_class_c_in_its_site_only(kind):
    options = dataclasses.replace(
        TINY, shortcut_sites=("south",), shortcut_kind=kind, shortcut_strength=1.0
    )
    plain = dataclasses.replace(TINY)

    def is_marked(index: int, is_class_c: bool) -> tuple[str, bool]:
        scan = _scan(options, index=index, is_class_c=is_class_c)
        normal = _scan(plain, index=index, is_class_c=is_class_c)
        same = (
            scan.ring_hu == normal.ring_hu
            and scan.circle == normal.circle
            and scan.grids["venous"].spacing_mm == normal.grids["venous"].spacing_mm
        )
        return scan.site, not same

    seen = {(*is_marked(i, c), c) for i in range(30) for c in (False, True)}
    assert seen == {
        ("north", False, False),
        ("north", False, True),
        ("south", False, False),
        ("south", True, True),
    }


def test_a_site_shift_changes_later_sites_only():
    shifted = dataclasses.replace(TINY, site_shift=2.0)
    equal = dataclasses.replace(TINY, site_shift=0.0)
    for index in range(10):
        before, after = _scan(equal, index=index), _scan(shifted, index=index)
        gain = after.offset_hu - before.offset_hu
        assert gain == pytest.approx(16.0 if after.site == "south" else 0.0)


def test_rings_are_as_high_as_the_mark():
    plain = dataclasses.replace(_scan(), noise_hu=1e-6)
    marked = dataclasses.replace(plain, ring_hu=45.0)
    assert set(np.unique(_acquire(marked) - _acquire(plain))) == {0.0, 45.0}

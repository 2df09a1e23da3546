from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from liverjax.phantom.grid import Grid
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.real_scan import apply_motion, find_still, imitate_phase

GRID = Grid((30, 40, 40), (3.0, 2.0, 2.0), (-39.0, -39.0, -45.0))


def _ramp() -> np.ndarray:
    z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    return (2.0 * x + 3.0 * y - 1.0 * z).astype(np.float32)


def _scan() -> tuple[np.ndarray, np.ndarray]:
    """A body in air with a spine behind a brighter liver, and the liver's mask."""
    volume = np.full(GRID.shape, -1000.0, np.float32)
    volume[:, 4:36, 4:36] = 40.0
    volume[:, 28:33, 18:23] = 600.0
    liver = np.zeros(GRID.shape, bool)
    liver[8:20, 8:24, 8:22] = True
    rng = np.random.default_rng(0)
    lumps = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 1.0) * 200
    return (volume + np.where(liver, 70 + lumps, 0)).astype(np.float32), liver


def test_standing_still_changes_nothing():
    volume = _ramp()
    assert (apply_motion(volume, grid=GRID, motion=PhaseMotion()) == volume).all()


def test_a_rigid_motion_carries_a_linear_ramp_along():
    matrix = rigid_matrix(
        rotation_deg=(3.0, -2.0, 5.0), translation_mm=(4.0, 3.0, -5.0)
    )
    moved = apply_motion(_ramp(), grid=GRID, motion=PhaseMotion(matrix=matrix))
    k, j, i = (index.ravel() for index in np.indices(GRID.shape))
    world = GRID.ijk_to_lps @ np.stack([i, j, k, np.ones_like(i)])
    back = np.linalg.inv(matrix @ GRID.ijk_to_lps) @ world
    last = np.array([[39], [39], [29]])
    inside = ((back[:3] >= 0) & (back[:3] <= last)).all(axis=0)
    assert inside.mean() > 0.6
    expected = 2.0 * back[0] + 3.0 * back[1] - back[2]
    np.testing.assert_allclose(moved.ravel()[inside], expected[inside], atol=0.02)


def test_outside_the_scan_there_is_minus_1024():
    motion = PhaseMotion(
        matrix=rigid_matrix(
            rotation_deg=(0.0, 0.0, 0.0), translation_mm=(20.0, 0.0, 0.0)
        )
    )
    assert (apply_motion(_ramp(), grid=GRID, motion=motion)[:, :, :9] == -1024).all()


def test_the_liver_breathes_and_the_spine_stays():
    volume, liver = _scan()
    motion = PhaseMotion(liver_shift_mm=(0.0, 0.0, 9.0))
    moved = apply_motion(volume, grid=GRID, motion=motion, liver=liver)
    # 9 mm are three slices.
    np.testing.assert_allclose(moved[3:][liver[:-3]], volume[liver], atol=1e-3)
    bone = volume > 500
    assert (moved[bone] == volume[bone]).all()


def test_between_liver_and_spine_the_tissue_gives_way_without_holes():
    volume, liver = _scan()
    motion = PhaseMotion(liver_shift_mm=(0.0, 0.0, 9.0))
    moved = apply_motion(volume, grid=GRID, motion=motion, liver=liver)
    body = ndimage.binary_erosion(volume > -500, iterations=2)
    assert moved[body].min() > -100


def test_a_breathing_liver_needs_its_mask():
    volume, _ = _scan()
    motion = PhaseMotion(liver_shift_mm=(0.0, 0.0, 9.0))
    with pytest.raises(ValueError, match="motion moves the liver, so a mask"):
        apply_motion(volume, grid=GRID, motion=motion)


def test_still_is_bone_and_the_air_around_but_not_the_lung():
    volume, _ = _scan()
    volume[2:6, 10:20, 10:20] = -850.0
    still = find_still(volume, grid=GRID)
    assert still[10, 30, 20]
    assert still[10, 1, 1]
    assert not still[4, 15, 15]


def test_another_phase_has_darker_liver_brighter_blood_and_the_same_bone():
    volume = np.full((8, 30, 30), 50.0, np.float32)
    volume[:, :10] = 110.0
    volume[:, 12:18] = 170.0
    volume[:, 22:] = 600.0
    liver = np.zeros(volume.shape, bool)
    liver[:, :10] = True
    rng = np.random.default_rng(0)
    made = {
        phase: imitate_phase(rng, volume=volume, liver=liver, phase=phase, noise_hu=1.0)
        for phase in ("native", "arterial", "venous")
    }
    means = {
        phase: [
            image[:, rows].mean()
            for rows in (slice(3, 7), slice(14, 16), slice(24, 28))
        ]
        for phase, image in made.items()
    }
    assert means["native"] == pytest.approx([65.0, 95.0, 600.0], abs=1)
    assert means["arterial"] == pytest.approx([65.0, 290.0, 600.0], abs=1)
    assert means["venous"] == pytest.approx([110.0, 170.0, 600.0], abs=1)


def test_an_unknown_phase_is_refused():
    volume, liver = _scan()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="phase is 'late', expected native"):
        imitate_phase(rng, volume=volume, liver=liver, phase="late")

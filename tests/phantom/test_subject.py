from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from liverjax.phantom import render as render_module
from liverjax.phantom.body import make_body, make_signs
from liverjax.phantom.motion import PhaseMotion, rigid_matrix
from liverjax.phantom.options import PHASES, SIGNS
from liverjax.phantom.render import render
from liverjax.phantom.severity import Severity
from liverjax.phantom.subject import EXTERNAL_FROM, draw_truth, make_subject
from tests.phantom.conftest import STILL, TINY


def _centroid_mm(mask: np.ndarray, grid) -> np.ndarray:
    z, y, x = np.argwhere(mask).mean(axis=0)
    return (grid.ijk_to_lps @ [x, y, z, 1])[:3]


def _body_with(strengths: dict[str, float], index: int = 1):
    truth = draw_truth(STILL, seed=5, index=index)
    row = np.array([[strengths.get(sign, 0.0) for sign in SIGNS]])
    severity = Severity(latent=np.zeros(1), items=np.ones((1, 5), int), strengths=row)
    body = make_body(truth.patient, signs=make_signs(severity, options=STILL))
    return body, truth.scan.grids["venous"]


def _picture(strengths: dict[str, float], phase: str = "venous"):
    body, grid = _body_with(strengths)
    return render(body, phase=phase, grid=grid, motion=PhaseMotion())


def _at(volume: np.ndarray, grid, place: tuple[float, float, float]) -> float:
    i, j, k = np.rint((np.linalg.inv(grid.ijk_to_lps) @ [*place, 1.0])[:3]).astype(int)
    return float(volume[k, j, i])


def test_the_same_subject_comes_again_whatever_came_before(still_subject):
    make_subject(STILL, seed=5, index=0)
    again = make_subject(STILL, seed=5, index=1)
    for phase in PHASES:
        assert (again.phases[phase].volume == still_subject.phases[phase].volume).all()


def test_one_phase_alone_is_the_same_as_among_the_others(still_subject):
    alone = make_subject(STILL, seed=5, index=1, only=("venous",))
    assert list(alone.phases) == ["venous"]
    both = still_subject.phases["venous"].volume == alone.phases["venous"].volume
    assert both.all()


def test_another_scan_of_a_patient_keeps_body_and_score_but_not_the_noise(
    still_subject,
):
    other = make_subject(STILL, seed=5, index=1, scan=1)
    assert other.truth.patient == still_subject.truth.patient
    assert other.truth.items.tolist() == still_subject.truth.items.tolist()
    assert (other.phases["venous"].liver == still_subject.phases["venous"].liver).all()
    assert (
        other.phases["venous"].volume != still_subject.phases["venous"].volume
    ).any()


def test_the_liver_lies_right_and_the_spleen_left_and_the_spine_behind(still_subject):
    venous = still_subject.phases["venous"]
    liver, spleen = (
        _centroid_mm(m, venous.grid) for m in (venous.liver, venous.spleen)
    )
    bone = _centroid_mm(venous.volume > 300, venous.grid)
    assert liver[0] < -20
    assert spleen[0] > 50
    assert bone[1] > liver[1] + 10
    assert not (venous.liver & venous.spleen).any()


def test_the_liver_is_one_piece_of_plausible_size(still_subject):
    venous = still_subject.phases["venous"]
    labels, count = ndimage.label(venous.liver)
    sizes = np.bincount(labels.ravel())[1:]
    assert count == 1 or sizes.max() > 0.97 * sizes.sum()
    liver_ml = venous.liver.sum() * np.prod(venous.grid.spacing_mm) / 1000
    assert 500 < liver_ml < 2200


def test_contrast_follows_the_physiology(still_subject):
    phases = still_subject.phases
    grid = phases["venous"].grid
    place = (9.0, 27.0, 20.0)
    aorta = {
        p: _at(ndimage.median_filter(phases[p].volume, 3), grid, place) for p in PHASES
    }
    liver = {p: np.median(phases[p].volume[phases[p].liver]) for p in PHASES}
    assert aorta["arterial"] > aorta["venous"] + 60 > aorta["native"] + 120
    assert liver["venous"] > liver["native"] + 15
    assert aorta["arterial"] > liver["venous"]


def test_air_is_around_the_body_and_fat_under_the_skin(still_subject):
    venous = still_subject.phases["venous"]
    assert np.median(venous.volume[:, 0]) < -950
    patient = still_subject.truth.patient
    skin = -(patient.half_depth_mm - 0.5 * patient.fat_mm)
    under_skin = _at(
        ndimage.median_filter(venous.volume, (5, 1, 3)), venous.grid, (0.0, skin, 0.0)
    )
    assert -200 < under_skin < -20


def test_effect_0_gives_the_picture_of_a_liver_without_signs():
    none = dataclasses.replace(STILL, effect=0.0)
    off = dataclasses.replace(STILL, signs=())
    without = make_subject(none, seed=5, index=1).phases["venous"].volume
    assert (without == make_subject(off, seed=5, index=1).phases["venous"].volume).all()
    assert (
        without != make_subject(STILL, seed=5, index=1).phases["venous"].volume
    ).any()


def test_the_portal_sign_darkens_the_venous_liver_alone():
    healthy, sick = _picture({}), _picture({"portal": 1.0})
    loss = healthy.hu[healthy.liver].mean() - sick.hu[sick.liver].mean()
    assert loss > 20
    assert (healthy.liver == sick.liver).all()
    native = [_picture({"portal": p}, "native").hu for p in (0.0, 1.0)]
    assert (native[0] == native[1]).all()


def test_the_spleen_sign_enlarges_the_spleen_and_not_the_liver():
    healthy, sick = _picture({}), _picture({"spleen": 1.0})
    assert sick.spleen.sum() > 2 * healthy.spleen.sum()
    assert abs(sick.liver.sum() / healthy.liver.sum() - 1) < 0.1


def test_the_lobe_sign_moves_the_liver_to_the_middle_and_shrinks_its_right_lobe():
    healthy, sick = _picture({}), _picture({"lobes": 1.0})
    grid = _body_with({})[1]
    assert _centroid_mm(sick.liver, grid)[0] > _centroid_mm(healthy.liver, grid)[0] + 5
    assert sick.liver[:, :, :16].sum() < 0.85 * healthy.liver[:, :, :16].sum()


def test_nodules_roughen_the_surface_without_changing_the_volume():
    healthy, sick = _picture({}), _picture({"nodularity": 1.0})

    def rim(mask):
        return (mask ^ ndimage.binary_erosion(mask)).sum() / mask.sum()

    assert rim(sick.liver) > 1.06 * rim(healthy.liver)
    assert abs(sick.liver.sum() / healthy.liver.sum() - 1) < 0.1


def test_ascites_is_water_around_the_liver():
    healthy, sick = _picture({}), _picture({"ascites": 1.0})

    def water(picture):
        shell = ndimage.binary_dilation(picture.liver, iterations=2) & ~picture.liver
        return np.mean((picture.hu[shell] > -5) & (picture.hu[shell] < 25))

    assert water(sick) > 2 * water(healthy)


def test_slabs_do_not_show(monkeypatch):
    body, grid = _body_with({"ascites": 0.7, "nodularity": 0.5})
    motion = PhaseMotion(
        matrix=rigid_matrix(
            rotation_deg=(5.0, 3.0, 2.0), translation_mm=(3.0, 2.0, 1.0)
        ),
        liver_shift_mm=(0.0, 0.0, 7.0),
        bend_mm=1.0,
    )
    whole = render(body, phase="arterial", grid=grid, motion=motion)
    monkeypatch.setattr(render_module, "SLAB_VOXELS", 48 * 48 * 5)
    parts = render(body, phase="arterial", grid=grid, motion=motion)
    np.testing.assert_allclose(parts.hu, whole.hu, atol=1e-2)
    assert (parts.liver == whole.liver).all()


def test_a_known_motion_moves_liver_and_spine_where_it_says():
    options = dataclasses.replace(
        STILL, in_plane_px=96, slices=48, in_plane_mm=4.0, slice_mm=5.0
    )
    motion = PhaseMotion(
        matrix=rigid_matrix(
            rotation_deg=(4.0, -3.0, 6.0), translation_mm=(8.0, -5.0, 6.0)
        ),
        liver_shift_mm=(0.0, 0.0, -12.0),
    )
    moved = make_subject(options, seed=5, index=1, motion={"native": motion})
    fixed = moved.phases["venous"]
    native = moved.phases["native"]
    liver = _centroid_mm(fixed.liver, fixed.grid)[None]
    found = _centroid_mm(native.liver, native.grid)
    assert np.linalg.norm(motion.move_liver(liver)[0] - found) < 0.7
    still = make_subject(options, seed=5, index=1).phases["native"]
    bone = np.argwhere(still.volume > 350)
    bone = bone[np.abs(bone[:, 0] - 24) < 12]
    places = still.grid.ijk_to_lps @ np.c_[bone[:, ::-1], np.ones(len(bone))].T
    moved_places = motion.move_body(places[:3].T)
    back = (
        np.linalg.inv(native.grid.ijk_to_lps)
        @ np.c_[moved_places, bone[:, 0] * 0 + 1].T
    )
    found_hu = ndimage.map_coordinates(native.volume, back[2::-1], order=1)
    unmoved_hu = native.volume[tuple(bone.T)]
    assert (found_hu > 250).mean() > 0.9 > 0.6 > (unmoved_hu > 250).mean()


def test_a_motion_of_an_unknown_phase_is_refused():
    with pytest.raises(ValueError, match="motion is given for late, expected phases"):
        make_subject(STILL, seed=5, index=1, motion={"late": PhaseMotion()})


def test_only_cut_scans_end_inside_the_liver():
    cut = dataclasses.replace(TINY, cut_share=1.0)
    whole = dataclasses.replace(TINY, cut_share=0.0)
    for index in range(4):
        for options, touches in ((cut, True), (whole, False)):
            truth = draw_truth(options, seed=8, index=index)
            body = make_body(truth.patient, signs=truth.signs)
            grid = truth.scan.grids["venous"]
            picture = render(body, phase="venous", grid=grid, motion=PhaseMotion())
            assert picture.liver[[0, -1]].any() == touches


def test_a_missing_phase_is_not_made():
    options = dataclasses.replace(TINY, missing_phase_share=1.0)
    subject = make_subject(options, seed=1, index=0)
    assert set(PHASES) - set(subject.phases) == {subject.truth.scan.missing}


def test_external_subjects_are_from_the_external_site():
    truth = draw_truth(TINY, seed=1, index=EXTERNAL_FROM)
    assert truth.external
    assert truth.scan.site == TINY.external_site

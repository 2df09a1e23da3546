from __future__ import annotations

import numpy as np
import pytest

from benchmarks import radiomics


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("cm_contrast_d1_3d_v_mrg_fbn_n32", "cm_contrast_3D_comb"),
        ("rlm_sre_2d_s_mrg_fbn_n32", "rlm_sre_2D_comb"),
        ("ngl_lde_d1_a0.0_3d_fbn_n32", "ngl_lde_3D"),
        ("ih_mean_fbn_n32", "ih_mean"),
        ("morph_volume", "morph_volume"),
    ],
)
def test_a_rivals_name_becomes_ours(theirs, ours):
    assert radiomics.our_name(theirs) == ours


def test_slices_come_again_with_other_noise():
    rng = np.random.default_rng(0)
    mask = np.zeros((4, 20, 20), bool)
    mask[1:3, 2:18, 2:18] = True
    image = np.rint(rng.normal(100, 20, mask.shape))
    pieces = radiomics.pieces_of(image, mask, case="slices", slices=5)
    assert [int(inside.sum()) for _, inside in pieces] == [256] * 5
    assert (pieces[0][0] != pieces[2][0]).any()


@pytest.mark.slow
def test_a_contender_is_timed_in_a_process_of_its_own(tmp_path):
    image = np.random.default_rng(0).normal(100, 20, (1, 30, 30)).astype(np.float32)
    data = tmp_path / "pieces.npz"
    np.savez(data, i0=image, m0=np.ones(image.shape, bool))
    found = radiomics.race("ours", data=data, case="slices", cut=1.0)
    assert found["done"] == 1
    assert not found["cut"]
    assert found["seconds"] > 0
    assert found["peak_mb"] > 10

"""Readers and ways of reading, against what two R packages print of one study.

Van Dyke's 114 patients (45 with dissection), two kinds of MRI, five readers. The data
are theirs; here stand only the printed areas and covariances. With the ratings
themselves both packages' output was reproduced digit by digit.
"""

from __future__ import annotations

import numpy as np
import pytest

from liverjax.stats import readers
from liverjax.stats.roc import areas_covariance, jackknife_covariance

AREA = np.array(
    [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
)


def structured(error: float, cov1: float, cov2: float, cov3: float) -> np.ndarray:
    """The covariance of 2 ways x 5 readers with four values."""
    way, reader = np.repeat([0, 1], 5), np.tile(np.arange(5), 2)
    same_way, same_reader = way[:, None] == way, reader[:, None] == reader
    other_way = np.where(same_reader, cov1, cov3)
    return np.where(same_way, np.where(same_reader, error, cov2), other_way)


def test_delong_covariances_give_what_mrmcaov_prints():
    """MRMCaov 0.3.0, mrmc(empirical_auc(...), cov = DeLong)."""
    found = readers.obuchowski_rockette(
        AREA,
        covariance=structured(0.0007921325, 0.0003420090, 0.0003395265, 0.0002358497),
        n=114,
    )
    assert found.mean_square[0] == pytest.approx(0.004796171, rel=1e-6)
    assert found.mean_square[2] == pytest.approx(0.0005510306, rel=1e-6)
    assert found.variance == pytest.approx((0.0015364254, 0.0002045840), rel=1e-5)
    assert found.test.estimate == pytest.approx(4.484854, rel=1e-6)
    assert found.df == (1, pytest.approx(15.06611, rel=1e-6))
    assert found.test.p == pytest.approx(0.05123303, rel=1e-6)
    (difference,) = found.differences
    assert difference.estimate == pytest.approx(-0.04380032, rel=1e-6)
    assert difference.low == pytest.approx(-0.0878671960, rel=1e-6)
    assert difference.high == pytest.approx(0.0002665519, rel=1e-3)
    assert difference.p == found.test.p


@pytest.mark.parametrize(
    ("population", "df2", "f", "p", "low", "high"),
    [
        ("readers and cases", 15.26, 4.46, 0.0517, -0.08796, 0.00036),
        ("cases", np.inf, 5.48, 0.0193, -0.08049, -0.00711),
        ("readers", 4.0, 8.70, 0.0420, -0.08502, -0.00258),
    ],
)
def test_jackknifed_covariances_give_what_rjafroc_prints(
    population, df2, f, p, low, high
):
    """RJafroc 1.2.0, Obuchowski-Rockette-Hillis, its three analyses."""
    found = readers.obuchowski_rockette(
        AREA,
        covariance=structured(0.00080229, 0.00034661, 0.00034407, 0.00023903),
        n=114,
        population=population,
    )
    assert found.df[1] == pytest.approx(df2, abs=0.005)
    assert found.test.estimate == pytest.approx(f, abs=0.005)
    assert found.test.p == pytest.approx(p, abs=5e-5)
    (difference,) = found.differences
    assert (difference.low, difference.high) == (
        pytest.approx(low, abs=6e-6),
        pytest.approx(high, abs=6e-6),
    )


def study(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ratings in six steps: 2 ways, 4 readers, 60 cases."""
    rng = np.random.default_rng(seed)
    positive = np.arange(60) < 25
    case = rng.normal(size=60) + 1.2 * positive
    rating = case + rng.normal(size=(2, 4, 60)) + 0.4 * positive * [[[0]], [[1]]]
    return np.clip(np.round(rating), -2, 3), positive


def test_the_jackknife_leaves_every_case_out_once():
    score, positive = study()
    flat = score.reshape(8, 60)
    area, covariance = jackknife_covariance(flat, positive=positive)
    without = np.array(
        [
            areas_covariance(
                np.delete(flat, i, axis=1), positive=np.delete(positive, i)
            )[0]
            for i in range(60)
        ]
    )
    gap = without - without.mean(axis=0)
    assert covariance == pytest.approx(59 / 60 * gap.T @ gap, rel=1e-10)
    assert area == pytest.approx(areas_covariance(flat, positive=positive)[0])


def test_both_covariances_and_clusters_of_one_agree_closely():
    score, positive = study()
    by_delong = readers.reader_study(score, positive=positive)
    by_jackknife = readers.reader_study(
        score, positive=positive, covariance="jackknife"
    )
    clustered = readers.reader_study(score, positive=positive, subject=np.arange(60))
    assert by_jackknife.test.p == pytest.approx(by_delong.test.p, rel=0.1)
    assert clustered.test.p == pytest.approx(by_delong.test.p, rel=1e-9)
    assert by_delong.differences[0].n == 60


def test_one_way_has_means_and_no_test():
    score, positive = study()
    found = readers.reader_study(score[:1], positive=positive)
    assert found.differences == ()
    assert np.isnan(found.test.p)
    assert found.mean[0].low < found.area.mean() < found.mean[0].high


def test_one_reader_cannot_stand_for_others():
    score, positive = study()
    with pytest.raises(ValueError, match="one reader cannot stand for others"):
        readers.reader_study(score[:, :1], positive=positive)
    found = readers.reader_study(score[:, :1], positive=positive, population="cases")
    assert found.df[1] == np.inf


def test_names_that_are_unknown_are_refused():
    score, positive = study()
    for words in ({"population": "all"}, {"covariance": "bootstrap"}):
        with pytest.raises(ValueError, match="expected one of"):
            readers.reader_study(score, positive=positive, **words)
    with pytest.raises(ValueError, match="delong"):
        readers.reader_study(
            score, positive=positive, covariance="jackknife", subject=np.arange(60)
        )

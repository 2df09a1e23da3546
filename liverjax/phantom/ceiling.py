"""How well the score can be read from an image at best: the phantom's ceiling."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from liverjax.phantom.options import SIGNS, PhantomOptions, random_stream
from liverjax.phantom.severity import (
    ASCITES_ITEM,
    ASCITES_MEAN,
    ASCITES_SEEN,
    ASCITES_SIGN,
    ITEM_CORRELATION,
    ITEM_CUTS,
    Severity,
    ascites_sd,
    child_pugh_class,
    draw_severity,
    noisy_items,
)

METHOD = (
    "Bayes oracle: the posterior of score and class given the true strength of every "
    "sign that is switched on, by integration over the latent severity on a grid; "
    "examinations are ranked by the posterior mean of the score (tau-b against the "
    "recorded score) and classified by the most probable class. Nothing is fitted, so "
    "nothing is cross-validated."
)
_LATENT_GRID = np.linspace(-4.5, 4.5, 121)
_NUM_SCORES = 11  # 5 to 15


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the oracle says of n examinations."""

    score: Float[np.ndarray, " n"]
    predicted_class: Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """Best agreement that any reader of the images can reach, over many draws.

    `kendall_tau` is tau-b of the oracle's score with the recorded score, `accuracy` the
    oracle's share of right classes, `no_information_rate` the commonest class's share.
    """

    kendall_tau: float
    accuracy: float
    no_information_rate: float
    draws: int
    method: str = METHOD


def oracle(strengths: Float[np.ndarray, "n 5"], *, options: PhantomOptions) -> Reading:
    """Posterior mean score and most probable class given the true signs.

    Args:
        strengths: Strengths as `draw_severity` makes them, columns as in `SIGNS`.
        options: The knobs that they were drawn with.
    """
    prior = _prior(options)
    on_latent, on_item = _likelihood(strengths, options=options)
    by_item = (on_latent @ prior.reshape(len(_LATENT_GRID), -1)).reshape(
        -1, 3, _NUM_SCORES
    )
    joint = (on_item[:, :, None] * by_item).sum(axis=1)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    scores = np.arange(5, 5 + _NUM_SCORES)
    of_class = child_pugh_class(scores)[:, None] == np.arange(3)
    return Reading(
        score=posterior @ scores.astype(float),
        predicted_class=(posterior @ of_class).argmax(axis=1),
    )


def judge_reading(
    reading: Reading, *, items: Int[np.ndarray, "n 5"]
) -> tuple[float, float]:
    """Tau-b and accuracy of a reading; tau is 0 where the reading is constant.

    Args:
        reading: The oracle's scores and classes.
        items: Recorded items.
    """
    score = items.sum(axis=1)
    accuracy = float((reading.predicted_class == child_pugh_class(score)).mean())
    if np.ptp(reading.score) == 0 or np.ptp(score) == 0:
        return 0.0, accuracy
    return float(stats.kendalltau(reading.score, score).statistic), accuracy


def compute_ceiling(options: PhantomOptions, *, draws: int = 20_000) -> Ceiling:
    """The ceiling of a cohort with these knobs, on a fixed draw of its own.

    It depends neither on the cohort's seed nor on its size. Signs are taken at their
    true
    strength: what noise, texture and patients hide of them lowers a reader's result,
        not
    the ceiling.

    Args:
        options: Knobs.
        draws: Number of simulated examinations.
    """
    rng = random_stream(seed=0, index=draws, name="ceiling")
    shares = np.asarray(options.class_shares) / np.sum(options.class_shares)
    classes = rng.choice(3, size=draws, p=shares)
    truth: Severity = draw_severity(rng, classes=classes, options=options)
    items = noisy_items(rng, items=truth.items, options=options)
    reading = oracle(truth.strengths, options=options)
    tau, accuracy = judge_reading(reading, items=items)
    recorded = child_pugh_class(items.sum(axis=1))
    return Ceiling(
        kendall_tau=tau,
        accuracy=accuracy,
        no_information_rate=float(np.bincount(recorded, minlength=3).max() / draws),
        draws=draws,
    )


def _prior(options: PhantomOptions) -> Float[np.ndarray, "s 3 11"]:
    """P(latent, ascites item, score), classes weighted to their shares."""
    spread = np.sqrt(1 - ITEM_CORRELATION**2)
    cuts = (ITEM_CUTS[None] - ITEM_CORRELATION * _LATENT_GRID[:, None, None]) / spread
    below = special.ndtr(cuts)  # (s, item, cut)
    points = np.stack([below[..., 0], below[..., 1] - below[..., 0], 1 - below[..., 1]])
    points = np.moveaxis(points, 0, -1)  # (s, item, point)
    rest = np.ones((len(_LATENT_GRID), 1))
    for item in range(5):
        if item != ASCITES_ITEM:
            rest = _add_item(rest, points[:, item])
    joint = np.zeros((len(_LATENT_GRID), 3, _NUM_SCORES))
    for point in range(3):
        joint[:, point, point : point + rest.shape[1]] = (
            points[:, ASCITES_ITEM, point, None] * rest
        )
    joint *= np.exp(-0.5 * _LATENT_GRID**2)[:, None, None]
    classes = child_pugh_class(np.arange(5, 5 + _NUM_SCORES))
    natural = np.array([joint[..., classes == c].sum() for c in range(3)])
    return joint * (np.asarray(options.class_shares) / natural)[classes]


def _add_item(
    sums: Float[np.ndarray, "s m"], points: Float[np.ndarray, "s 3"]
) -> Float[np.ndarray, "s k"]:
    added = np.zeros((sums.shape[0], sums.shape[1] + 2))
    for point in range(3):
        added[:, point : point + sums.shape[1]] += sums * points[:, point, None]
    return added


def _likelihood(
    strengths: Float[np.ndarray, "n 5"], *, options: PhantomOptions
) -> tuple[Float[np.ndarray, "n s"], Float[np.ndarray, "n 3"]]:
    """P(other signs | latent) and P(ascites sign | ascites item), up to factors."""
    n = len(strengths)
    on_latent = np.ones((n, len(_LATENT_GRID)))
    on_item = np.ones((n, 3))
    if options.effect == 0:
        return on_latent, on_item
    v = options.visibility
    columns = [k for k, sign in enumerate(SIGNS) if sign in options.signs]
    latent_columns = [k for k in columns if k != ASCITES_SIGN]
    if latent_columns:
        seen = special.ndtri(np.clip(strengths[:, latent_columns], 1e-9, 1 - 1e-9))
        # v = 1 would be a point mass; the grid's step sets the narrowest peak.
        spread = max(1 - v * v, 4e-3)
        gap = seen[:, :, None] - v * _LATENT_GRID
        log = -0.5 * (gap * gap).sum(axis=1) / spread
        on_latent = np.exp(log - log.max(axis=1, keepdims=True))
    if ASCITES_SIGN in columns:
        sd = ascites_sd(v)
        fluid = strengths[:, ASCITES_SIGN, None]
        z = (fluid - ASCITES_MEAN) / sd
        on_item = np.exp(-0.5 * z * z) / (sd * np.sqrt(2 * np.pi))
        unseen = special.ndtr((ASCITES_SEEN - ASCITES_MEAN) / sd)
        full = special.ndtr(-(1.0 - ASCITES_MEAN) / sd)
        on_item = np.where(fluid <= 0.0, unseen, on_item)
        on_item = np.where(fluid >= 1.0, full, on_item)
    return on_latent, on_item

"""Latent severity, the five Child-Pugh items, and the signs an image may show.

The order of causes is: latent severity -> items -> score; latent severity -> signs.
Only ascites is an item *and* a sign; the other signs know the score through the latent
severity alone, each with noise of its own.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from liverjax.phantom.options import ITEMS, SIGNS, PhantomOptions, random_stream

# Correlation of what an item measures with the latent severity, and where an item goes
# from 1 to 2 and from 2 to 3 points. Without further selection they give classes A, B,
# C in shares of about 0.22, 0.54 and 0.24.
ITEM_CORRELATION = 0.45
ITEM_CUTS = np.array([(-0.1, 1.1), (-0.4, 0.8), (0.2, 1.4), (-0.1, 0.8), (0.6, 1.8)])
ASCITES_ITEM = ITEMS.index("ascites")
ASCITES_SIGN = SIGNS.index("ascites")
ASCITES_MEAN = np.array([-0.1, 0.35, 0.8])
ASCITES_SEEN = 0.1
CLASS_CUTS = (6.5, 9.5)
_GOLDEN = (5**0.5 - 1) / 2


@dataclasses.dataclass(frozen=True)
class Severity:
    """Truth of n examinations; columns follow `ITEMS` and `SIGNS`."""

    latent: Float[np.ndarray, " n"]
    items: Int[np.ndarray, "n 5"]
    strengths: Float[np.ndarray, "n 5"]

    @property
    def score(self) -> Int[np.ndarray, " n"]:
        """Sums of the items, 5 to 15."""
        return self.items.sum(axis=1)


def child_pugh_class(score: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Classes of scores: 0 (A, up to 6), 1 (B, 7 to 9) or 2 (C, from 10)."""
    return np.digitize(score, CLASS_CUTS)


def ascites_sd(visibility: float) -> float:
    """Standard deviation of the ascites sign around its item's mean."""
    return 0.12 + 0.35 * (1.0 - visibility)


def draw_severity(
    rng: np.random.Generator,
    *,
    classes: Int[np.ndarray, " n"],
    options: PhantomOptions,
) -> Severity:
    """Severities whose scores lie in the given classes, by rejection.

    Strengths of signs lie in [0, 1]; a sign that is switched off, and every sign at
    `effect` 0, is 0. Otherwise `effect` does not enter: it scales the picture only.

    Args:
        rng: Source of randomness.
        classes: Class 0, 1 or 2 per examination.
        options: Knobs; `visibility`, `effect` and `signs` are used.
    """
    n = len(classes)
    latent = np.zeros(n)
    items = np.zeros((n, 5), dtype=np.int64)
    open_rows = np.arange(n)
    while open_rows.size:
        some_latent = rng.standard_normal(open_rows.size)
        own = rng.standard_normal((open_rows.size, 5))
        measured = ITEM_CORRELATION * some_latent[:, None]
        measured = measured + np.sqrt(1 - ITEM_CORRELATION**2) * own
        some_items = 1 + (measured[:, :, None] > ITEM_CUTS).sum(axis=2)
        fits = child_pugh_class(some_items.sum(axis=1)) == classes[open_rows]
        latent[open_rows[fits]] = some_latent[fits]
        items[open_rows[fits]] = some_items[fits]
        open_rows = open_rows[~fits]
    strengths = _draw_strengths(rng, latent=latent, items=items, options=options)
    return Severity(latent=latent, items=items, strengths=strengths)


def subject_severity(options: PhantomOptions, *, seed: int, index: int) -> Severity:
    """The severity of one subject (n = 1), the same in whatever cohort it appears.

    Classes follow a golden-ratio sequence over the subject's number, so that even a
    small cohort has shares near `class_shares`.

    Args:
        options: Knobs.
        seed: The cohort's seed.
        index: The subject's number.
    """
    start = random_stream(seed=seed, index=0, name="classes").random()
    edges = np.cumsum(options.class_shares) / np.sum(options.class_shares)
    place = (start + index * _GOLDEN) % 1.0
    classes = np.array([min(int(np.searchsorted(edges, place, side="right")), 2)])
    rng = random_stream(seed=seed, index=index, name="severity")
    return draw_severity(rng, classes=classes, options=options)


def recorded_items(
    severity: Severity, *, options: PhantomOptions, seed: int, index: int
) -> Int[np.ndarray, "n 5"]:
    """The items as the table has them: the true ones, or with label noise others'.

    Args:
        severity: Truth.
        options: Knobs; `label_noise` and `class_shares` are used.
        seed: The cohort's seed.
        index: The subject's number.
    """
    rng = random_stream(seed=seed, index=index, name="label noise")
    return noisy_items(rng, items=severity.items, options=options)


def noisy_items(
    rng: np.random.Generator, *, items: Int[np.ndarray, "n 5"], options: PhantomOptions
) -> Int[np.ndarray, "n 5"]:
    """Items of which a share of `label_noise` rows comes from unrelated draws.

    Args:
        rng: Source of randomness.
        items: True items.
        options: Knobs; `label_noise` and `class_shares` are used.
    """
    wrong = rng.random(len(items)) < options.label_noise
    shares = np.asarray(options.class_shares) / np.sum(options.class_shares)
    classes = rng.choice(3, size=len(items), p=shares)
    other = draw_severity(rng, classes=classes, options=options).items
    return np.where(wrong[:, None], other, items)


def _draw_strengths(
    rng: np.random.Generator,
    *,
    latent: Float[np.ndarray, " n"],
    items: Int[np.ndarray, "n 5"],
    options: PhantomOptions,
) -> Float[np.ndarray, "n 5"]:
    v = options.visibility
    noise = rng.standard_normal((latent.size, len(SIGNS)))
    strengths = special.ndtr(v * latent[:, None] + np.sqrt(1 - v * v) * noise)
    mean = ASCITES_MEAN[items[:, ASCITES_ITEM] - 1]
    fluid = np.clip(mean + ascites_sd(v) * noise[:, ASCITES_SIGN], 0.0, 1.0)
    strengths[:, ASCITES_SIGN] = np.where(fluid < ASCITES_SEEN, 0.0, fluid)
    shown = [sign in options.signs and options.effect > 0 for sign in SIGNS]
    return np.where(shown, strengths, 0.0)

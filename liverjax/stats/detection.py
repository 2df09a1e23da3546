"""Lesions found: matching of detections, sensitivity against false positives (FROC).

A hit is a detection inside a lesion (`match_points`) or a box that overlaps it enough
(`match_boxes`). Several hits on a lesion count once and are no false positives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Num

from liverjax.stats.estimate import Estimate
from liverjax.stats.proportions import proportion


@dataclasses.dataclass(frozen=True)
class Matches:
    """Detections of a case set against its lesions.

    Attributes:
        hit: The best score of each lesion; 0 for a missed or a left out one.
        false_alarm: Scores of detections that hit no lesion.
        lesions: How many lesions count.
    """

    hit: Float[np.ndarray, " l"]
    false_alarm: Float[np.ndarray, " f"]
    lesions: int


@dataclasses.dataclass(frozen=True)
class Froc:
    """Sensitivity against false positives a case, from the lowest threshold up.

    Attributes:
        threshold: Distinct scores, then infinity.
        false_per_case: False positives a case at or above each.
        sensitivity: Share of lesions hit.
        cases: Number of cases.
        lesions: Number of lesions.
    """

    threshold: Float[np.ndarray, " t"]
    false_per_case: Float[np.ndarray, " t"]
    sensitivity: Float[np.ndarray, " t"]
    cases: int
    lesions: int

    def sensitivity_at(
        self, false_per_case: Num[np.ndarray, " q"]
    ) -> Float[np.ndarray, " q"]:
        """Returns sensitivity at rates of false positives, interpolated linearly."""
        return np.interp(
            false_per_case, self.false_per_case[::-1], self.sensitivity[::-1]
        )

    def score(self, false_per_case: Num[np.ndarray, " q"]) -> float:
        """Returns the mean sensitivity at rates of false positives (CPM)."""
        return float(self.sensitivity_at(false_per_case).mean())


def match_points(
    score: Num[np.ndarray, " d"],
    *,
    index: Int[np.ndarray, "d axes"],
    lesions: Int[np.ndarray, "*shape"],
    left_out: Sequence[int] = (),
) -> Matches:
    """Returns which detections lie in which lesion.

    Args:
        score: Of each detection, above 0.
        index: Its voxel.
        lesions: Label map: 0 outside, 1 to l in the lesions.
        left_out: Labels that neither count as lesions nor as false positives.

    Raises:
        ValueError: If a score is NaN or not positive, or a voxel is outside the map.
    """
    _check_scores(score)
    if len(index) and np.any((index < 0) | (index >= lesions.shape)):
        raise ValueError(f"a detection is outside the label map of {lesions.shape}")
    label = lesions[tuple(index.T)]
    best = np.zeros(int(lesions.max(initial=0)) + 1)
    counted = ~np.isin(label, left_out)
    np.maximum.at(best, label[counted], score[counted])
    present = np.unique(lesions)
    number = np.sum((present > 0) & ~np.isin(present, left_out))
    return Matches(best[1:], np.asarray(score, float)[label == 0], int(number))


def match_boxes(
    box: Num[np.ndarray, "d corners"],
    *,
    score: Num[np.ndarray, " d"],
    truth: Num[np.ndarray, "l corners"],
    least_iou: float = 0.1,
) -> Matches:
    """Returns which boxes hit which lesion, each box the one that it overlaps most.

    Args:
        box: Detections, as in `box_iou`.
        score: Of each, above 0.
        truth: Lesions.
        least_iou: Overlap from which a box is a hit.

    Raises:
        ValueError: If a score is NaN or not positive.
    """
    _check_scores(score)
    hit = np.zeros(len(truth))
    if len(truth) == 0 or len(box) == 0:
        return Matches(hit, np.asarray(score, float), len(truth))
    iou = box_iou(box, other=truth)
    nearest = iou.argmax(axis=1)
    enough = iou.max(axis=1) >= least_iou
    np.maximum.at(hit, nearest[enough], score[enough])
    return Matches(hit, np.asarray(score, float)[~enough], len(truth))


def froc(matches: Sequence[Matches]) -> Froc:
    """Returns the FROC curve over cases.

    Raises:
        ValueError: If no case has a lesion.
    """
    hit = np.concatenate([np.zeros(0), *(m.hit for m in matches)])
    alarm = np.concatenate([np.zeros(0), *(m.false_alarm for m in matches)])
    lesions = sum(m.lesions for m in matches)
    if lesions == 0:
        raise ValueError("no case has a lesion: sensitivity is undefined")
    found, alarm = hit[hit > 0], alarm[alarm > 0]
    threshold = np.append(np.unique(np.concatenate([found, alarm])), np.inf)

    def at_least(values: np.ndarray) -> np.ndarray:
        return len(values) - np.searchsorted(np.sort(values), threshold, side="left")

    return Froc(
        threshold=threshold,
        false_per_case=at_least(alarm) / len(matches),
        sensitivity=at_least(found) / lesions,
        cases=len(matches),
        lesions=lesions,
    )


def lesion_sensitivity(
    matches: Sequence[Matches], *, threshold: float, conf: float = 0.95
) -> Estimate:
    """Returns the share of lesions hit at a threshold, with Wilson's interval.

    Lesions of one patient are not independent; where patients have several, take the
    interval from bootstraps of patients instead.
    """
    hits = sum(int(np.sum(m.hit >= threshold)) for m in matches)
    return proportion(hits, n=sum(m.lesions for m in matches), conf=conf)


def box_iou(
    box: Num[np.ndarray, "d corners"], *, other: Num[np.ndarray, "l corners"]
) -> Float[np.ndarray, "d l"]:
    """Returns intersection over union of half-open boxes.

    Args:
        box: Lower corner, then upper corner, in two or three axes.
        other: The same.

    Raises:
        ValueError: If a box has no extent.
    """
    shared, union, _ = _extents(box, other)
    return shared / union


def generalised_box_iou(
    box: Num[np.ndarray, "d corners"], *, other: Num[np.ndarray, "l corners"]
) -> Float[np.ndarray, "d l"]:
    """Returns IoU minus the share of the enclosing box that neither covers.

    Negative for boxes that lie apart.

    Raises:
        ValueError: If a box has no extent.

    Reference:
        Rezatofighi et al., CVPR 2019, 658.
    """
    shared, union, hull = _extents(box, other)
    return shared / union - (hull - union) / hull


def _extents(
    box: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes of intersection, union and enclosing box of each pair."""
    one, two = np.asarray(box, float)[:, None], np.asarray(other, float)[None]
    axes = one.shape[-1] // 2
    size_1 = np.prod(one[..., axes:] - one[..., :axes], axis=-1)
    size_2 = np.prod(two[..., axes:] - two[..., :axes], axis=-1)
    if np.any(one[..., axes:] <= one[..., :axes]) or np.any(
        two[..., axes:] <= two[..., :axes]
    ):
        raise ValueError("a box has no extent: lower corner first, then the upper one")
    low = np.maximum(one[..., :axes], two[..., :axes])
    high = np.minimum(one[..., axes:], two[..., axes:])
    shared = np.prod(np.maximum(0, high - low), axis=-1)
    outer = np.maximum(one[..., axes:], two[..., axes:]) - np.minimum(
        one[..., :axes], two[..., :axes]
    )
    return shared, size_1 + size_2 - shared, np.prod(outer, axis=-1)


def _check_scores(score: np.ndarray) -> None:
    if len(score) and not score.min() > 0:  # NaN too
        raise ValueError("a detection's score is NaN or not above 0")

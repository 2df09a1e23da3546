"""What every clinical question answers: the protocol of a task, and its outcome."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Outcome(NamedTuple):
    """What a link makes of a network's outputs, a row an image or an examination.

    Attributes:
        score: ``(n,)``, higher means sicker.
        probs: ``(n, classes)``, or None for a pure score.
    """

    score: Any
    probs: Any = None


@runtime_checkable
class Question(Protocol):
    """What judgement asks of a task. Frozen dataclasses; no jax, no files.

    Attributes:
        name: Its name on the command line.
        classes: Names in clinical order; empty where there are none.
        judged_by: ``score`` or ``class`` (whether a fold must see every class),
            ``number`` or ``survival``.
    """

    name: str
    classes: tuple[str, ...]
    judged_by: str

    @property
    def score_range(self) -> tuple[float, float]:
        """Lowest and highest score of a perfect network; 0 to classes - 1 is an index.

        A table of other scores is only ranked.
        """
        ...

    def parse(self, cell: str) -> float:
        """Returns the truth in a table's cell; NaN for an empty one.

        Raises:
            InputError: If the cell cannot be a truth; the text says what can.
        """
        ...

    def true_class(self, truth: np.ndarray) -> np.ndarray:
        """Returns the class index ``(n,)`` of truths ``(n,)``."""
        ...

    def classify(self, outcome: Outcome) -> np.ndarray:
        """Returns the class index ``(n,)`` of an outcome."""
        ...


@runtime_checkable
class Task(Question, Protocol):
    """A clinical question that a network is trained for.

    Attributes:
        name: Its key in `liverjax.tasks.TASKS`.
        target_column: The column of the manifest that holds the truth.
        num_outputs: Outputs of the network.
        loss: Name of the loss in `liverjax.losses.LOSSES`.
        label_items: Columns that the label is made of, where it is a sum of others; a
            model of them would predict the label from itself.
    """

    target_column: str
    num_outputs: int
    loss: str
    label_items: tuple[str, ...]

    def train_target(self, truth: np.ndarray) -> np.ndarray:
        """Returns what the loss compares with, ``(n,)``, of truths ``(n,)``."""
        ...

    def initial_bias(self, truth: np.ndarray) -> np.ndarray:
        """Returns the head's first bias ``(num_outputs,)`` from training truths."""
        ...

    def link(self, outputs: Any, *, xp: Any = np) -> Outcome:
        """Returns score and probabilities of outputs ``(n, num_outputs)``.

        Args:
            outputs: What the network says.
            xp: The array namespace, `numpy` or `jax.numpy`.
        """
        ...

    def select(self, outcome: Outcome, *, truth: np.ndarray) -> float:
        """Returns the selection score of examinations, higher is better."""
        ...


def average_rows(outcome: Outcome, *, group: np.ndarray, num_groups: int) -> Outcome:
    """Returns the mean outcome of each group of rows.

    The one order of ensembling: link per row, mean over an examination's rows, mean
    over members, then the class.

    Args:
        outcome: Of ``n`` rows.
        group: ``(n,)``, the group of each row in ``[0, num_groups)``.
        num_groups: How many; an empty group becomes NaN.
    """
    count = np.bincount(group, minlength=num_groups).astype(float)
    weight = np.divide(1.0, count, out=np.full(num_groups, np.nan), where=count > 0)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, weights=values, minlength=num_groups) * weight

    score = mean(np.asarray(outcome.score, float))
    if outcome.probs is None:
        return Outcome(score)
    columns = [mean(column) for column in np.asarray(outcome.probs, float).T]
    return Outcome(score, np.stack(columns, axis=1))

"""Seven classical classifiers, everything that is fitted inside the fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from liverjax.radiomics.reproducibility import MIN_ICC, ReproducibleColumns

# Of two features that go together more than this, the later one is dropped.
CORRELATED = 0.9
# Features kept by the F test; the fold's `select` subjects choose among these.
KEPT = (5, 20)

# Study 002 names the seven and states no setting: these are scikit-learn's, with
# leaves and neighbours that suit some hundred subjects.
CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "decision_tree": lambda seed: DecisionTreeClassifier(
        min_samples_leaf=5, random_state=seed
    ),
    "random_forest": lambda seed: RandomForestClassifier(
        100, min_samples_leaf=2, random_state=seed
    ),
    "k_nearest_neighbours": lambda seed: KNeighborsClassifier(7),
    "support_vector": lambda seed: SVC(random_state=seed),
    "naive_bayes": lambda seed: GaussianNB(),
    "logistic_regression": lambda seed: LogisticRegression(C=0.1, max_iter=2000),
    "gradient_boosting": lambda seed: GradientBoostingClassifier(
        n_estimators=50, max_depth=2, random_state=seed
    ),
}


class UncorrelatedColumns(TransformerMixin, BaseEstimator):
    """Keeps columns that vary and go with no earlier kept one beyond a limit.

    Attributes:
        limit: Absolute Pearson correlation.
    """

    def __init__(self, limit: float = CORRELATED):
        self.limit = limit

    def fit(self, columns: np.ndarray, target: Any = None) -> UncorrelatedColumns:
        """Chooses the columns on these rows."""
        del target
        spread = columns.std(axis=0)
        varies = np.flatnonzero(
            spread > 1e-12 * np.maximum(abs(columns).max(axis=0), 1)
        )
        scaled = (columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]
        together = np.abs(scaled.T @ scaled) / len(columns)
        kept: list[int] = []
        for place in range(len(varies)):
            if not kept or together[place, kept].max() <= self.limit:
                kept.append(place)
        self.kept_ = varies[kept] if kept else np.array([0])
        return self

    def transform(self, columns: np.ndarray) -> np.ndarray:
        """Returns the kept columns."""
        return columns[:, self.kept_]


def make_classifier(name: str, *, keep: int | str, seed: int) -> Pipeline:
    """Returns an unfitted pipeline: imputation, scaling, both selections, classifier.

    Args:
        name: Of `CLASSIFIERS`.
        keep: Features that the F test keeps, or ``all``.
        seed: Of the classifier.
    """
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        UncorrelatedColumns(),
        _AtMost(keep),
        CLASSIFIERS[name](seed),
    )


class _AtMost(SelectKBest):
    """The best features by the F test, all of them where there are fewer."""

    def __init__(self, k: int | str = 10):
        super().__init__(f_classif, k=k)

    def _check_params(self, X: np.ndarray, y: np.ndarray) -> None:
        del y
        if self.k != "all" and self.k > X.shape[1]:
            self.k = "all"


def probabilities(
    model: Any, columns: Float[np.ndarray, "n k"], *, num_classes: int
) -> Float[np.ndarray, "n c"]:
    """Returns a fitted model's class probabilities; a class it never saw has 0.

    A support vector machine has margins: their softmax ranks as they do and is not
    calibrated.
    """
    if hasattr(model[-1], "predict_proba"):
        share = model.predict_proba(columns)
    else:
        margin = model.decision_function(columns)
        if margin.ndim == 1:
            margin = np.stack([-margin / 2, margin / 2], axis=1)
        margin = np.exp(margin - margin.max(axis=1, keepdims=True))
        share = margin / margin.sum(axis=1, keepdims=True)
    made = np.zeros((len(columns), num_classes))
    made[:, model.classes_] = share
    return made


def macro_auc(probs: Float[np.ndarray, "n c"], *, truth: Int[np.ndarray, "n"]) -> float:
    """Returns the mean AUC of each class against the rest; NaN if none can be told."""
    present = [c for c in np.unique(truth) if 0 < (truth == c).sum() < len(truth)]
    areas = [float(roc_auc_score(truth == c, probs[:, c])) for c in present]
    return float(np.mean(areas)) if areas else float("nan")


def fit_in_fold(
    columns: Float[np.ndarray, "n k"],
    *,
    truth: Int[np.ndarray, "n"],
    train: Bool[np.ndarray, "n"],
    select: Bool[np.ndarray, "n"],
    name: str,
    num_classes: int,
    seed: int,
    keep: Sequence[int | str] = KEPT,
) -> Any:
    """Returns a classifier tuned on ``select`` and then fitted on both groups.

    Where no row is left to tune on (a fold that selects on whom it holds out), it is
    the first candidate.

    Args:
        columns: Features; NaN is imputed by the median of the rows fitted on.
        truth: Class index; -1 unknown, never fitted on.
        train: Rows that fit each candidate.
        select: Rows whose macro AUC picks the candidate (ties: the first).
        name: Of `CLASSIFIERS`.
        num_classes: Of the task.
        seed: Of the classifier.
        keep: Candidates: how many features the F test keeps.

    Raises:
        ValueError: If fewer than two classes are known among the rows.
    """
    train, select = train & (truth >= 0), select & (truth >= 0)
    if len(np.unique(truth[train])) < 2:
        raise ValueError(f"{name}: fewer than two classes among the training rows")
    best, area = keep[0], -np.inf
    for candidate in keep if len(keep) > 1 and select.any() else ():
        model = make_classifier(name, keep=candidate, seed=seed)
        model.fit(columns[train], truth[train])
        found = probabilities(model, columns[select], num_classes=num_classes)
        value = macro_auc(found, truth=truth[select])
        if value > area:
            best, area = candidate, value
    both = train | select
    model = make_classifier(name, keep=best, seed=seed)
    return model.fit(columns[both], truth[both])


def predict_fold(
    columns: Float[np.ndarray, "n f"],
    *,
    truth: Int[np.ndarray, "n"],
    train: Bool[np.ndarray, "n"],
    select: Bool[np.ndarray, "n"],
    name: str,
    num_classes: int,
    repeats: Float[np.ndarray, "n k f"] | None = None,
    min_icc: float = MIN_ICC,
    seed: int = 0,
    keep: Sequence[int | str] = KEPT,
) -> Float[np.ndarray, "n c"]:
    """Returns every row's probabilities by a fold's classifier.

    Args:
        columns: Features of every row.
        truth: Class index; -1 unknown.
        train: Rows of the fold's ``train`` subjects.
        select: Rows of its ``select`` subjects.
        name: Of `CLASSIFIERS`.
        num_classes: Of the task.
        repeats: Features under perturbations: the classifier sees those that are
            reproducible among the ``train`` rows.
        min_icc: Lowest intraclass correlation of these.
        seed: Of the classifier.
        keep: As in `fit_in_fold`.

    Raises:
        ValueError: As `fit_in_fold`, or if no feature is reproducible.
    """
    if repeats is not None:
        stable = ReproducibleColumns(repeats, min_icc).fit_subjects(train)
        columns = stable.transform(columns)
    model = fit_in_fold(
        columns,
        truth=truth,
        train=train,
        select=select,
        name=name,
        num_classes=num_classes,
        seed=seed,
        keep=keep,
    )
    return probabilities(model, columns, num_classes=num_classes)

"""How often intervals hold the truth, and how often tests cry wolf, in simulations.

`python -m benchmarks.coverage [--cohorts 4000] [--out DIR] [--only WORD] [--table]`.
For each method and cohort size (28, 115, 266: the test sets of the studies) cohorts are
drawn from a law whose truth is known; nominal are 95 % for intervals and 5 % for tests.
Each figure has its own seed, is written as soon as it is there, and is not computed
again by the next run with as many cohorts. `--table` prints the figures as Markdown.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
import scipy.stats

from benchmarks import bootstraps, exchanges, results
from benchmarks.simulated import (
    AUC,
    LOG_HAZARD,
    PREVALENCE,
    READERS,
    READERS_KAPPA,
    RESAMPLES,
    Interval,
    Rng,
    binormal,
    calibrated,
    child_pugh_like,
    correlated,
    holds,
    lives,
    paired_tests,
    risks,
    stages,
    two_readers,
    two_scores,
    visits,
)
from liverjax.stats import (
    agreement,
    calibration,
    calibration_groups,
    classification,
    correlation,
    cox,
    groups,
    measurement,
    ordinal,
    paired,
    predictive_values,
    proportions,
    rank_correlation,
    regression,
    resampling,
    roc,
    roc_tests,
    survival,
)

SIZES = (28, 115, 266)
COHORTS = 4_000
INTERVAL_BAND = (0.93, 0.97)
TEST_BAND = (0.035, 0.065)

# One cohort's p.
Test = Callable[[Rng, int], float]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohorts", type=int, default=COHORTS)
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--only", default="", help="methods whose name holds this word")
    parser.add_argument("--table", action="store_true", help="print the figures so far")
    args = parser.parse_args(argv)
    path = pathlib.Path(args.out) / f"coverage-{results.device_name()}.json"
    measures = known_measures(path, cohorts=args.cohorts)
    if args.table:
        print(table(measures))
        return
    for kind, methods in (("interval", INTERVALS), ("test", TESTS)):
        for name, method in methods.items():
            for n in SIZES:
                label = f"{kind}, {name}, n {n}"
                if label in measures or args.only not in name:
                    continue
                share, left_out = simulate(
                    method, label=label, n=n, number=args.cohorts
                )
                measures[label] = share
                if left_out:
                    measures[f"{label}, cohorts_without_answer"] = left_out
                results.write(
                    "coverage",
                    command=f"python -m benchmarks.coverage --cohorts {args.cohorts}",
                    ratios={},
                    measures=measures,
                    out_dir=args.out,
                )
                mark = "" if inside(label, share) else " <--"
                print(f"{label}: {share:.4f}{mark}", flush=True)


def known_measures(path: pathlib.Path, *, cohorts: int) -> dict[str, float]:
    """The figures of an earlier run with as many cohorts."""
    if path.exists():
        known = json.loads(path.read_text())["measures"]
        if known.get("cohorts") == cohorts:
            return known
    return {"cohorts": cohorts, "resamples": RESAMPLES}


def simulate(method: Callable, *, label: str, n: int, number: int) -> tuple[float, int]:
    """Share of cohorts that hold the truth or reject, and how many had no answer."""
    rng = np.random.default_rng(zlib.crc32(label.encode()))
    found = [method(rng, n) for _ in range(number)]
    answers = np.array([one for one in found if one is not None], float)
    if label.startswith("test"):
        # A test without an answer (no discordant pair) does not reject.
        answers = answers < 0.05
    return float(np.mean(answers)), number - len(answers)


def inside(label: str, share: float) -> bool:
    low, high = INTERVAL_BAND if label.startswith("interval") else TEST_BAND
    return low <= share <= high


def table(measures: dict[str, float]) -> str:
    """The figures in percent, those outside the band in bold."""
    lines = []
    for kind, methods in (("interval", INTERVALS), ("test", TESTS)):
        sizes = "".join(f" n = {n} |" for n in SIZES)
        lines += [f"| {kind} |{sizes}", "| --- |" + " ---: |" * len(SIZES)]
        for name in methods:
            cells = []
            for n in SIZES:
                label = f"{kind}, {name}, n {n}"
                share = measures.get(label)
                text = "" if share is None else f"{100 * share:.1f}"
                bold = share is not None and not inside(label, share)
                cells.append(f" **{text}** |" if bold else f" {text} |")
            lines.append(f"| {name} |{''.join(cells)}")
        lines.append("")
    return "\n".join(lines)


# Intervals


def share_interval(method: str, truth: float) -> Interval:
    return lambda rng, n: holds(
        proportions.proportion(int(rng.binomial(n, truth)), n=n, method=method), truth
    )


def difference_of_shares(rng: Rng, n: int) -> bool | None:
    half = n // 2
    one, two = rng.binomial(half, 0.8), rng.binomial(half, 0.6)
    found = proportions.proportion_difference(
        int(one), n=half, other_count=int(two), other_n=half
    )
    return holds(found, 0.2)


def paired_shares(rng: Rng, n: int) -> bool | None:
    cells = rng.multinomial(n, [0.6, 0.2, 0.1, 0.1]).reshape(2, 2)
    return holds(paired.mcnemar(cells), 0.1)


def area(method: str) -> Interval:
    def one(rng: Rng, n: int) -> bool | None:
        score, positive = binormal(rng, n)
        weight = None
        if method == "bootstrap":
            weight = resampling.subject_weights(
                rng, subject=np.arange(n), resamples=RESAMPLES
            )
        found = roc.auc(score, positive=positive, method=method, weight=weight)
        return holds(found, AUC)

    return one


def area_of_visits(clustered: bool, method: str = "delong") -> Interval:
    def one(rng: Rng, n: int) -> bool | None:
        score, positive, subject = visits(rng, n)
        found = roc.auc(
            score,
            positive=positive,
            subject=subject if clustered else None,
            method=method,
        )
        return holds(found, AUC)

    return one


def area_of_visits_bootstrap(rng: Rng, n: int) -> bool | None:
    score, positive, subject = visits(rng, n)
    weight = resampling.subject_weights(rng, subject=subject, resamples=RESAMPLES)
    found = roc.auc(score, positive=positive, method="bootstrap", weight=weight)
    return holds(found, AUC)


def area_difference(rng: Rng, n: int) -> bool | None:
    one, two, positive = two_scores(rng, n)
    return holds(roc_tests.compare_paired(one, other=two, positive=positive), 0.0)


def obuchowski(rng: Rng, n: int) -> bool | None:
    score, stage = stages(rng, n)
    shares, penalty = np.full(4, 0.25), ordinal.linear_penalty(4)
    found = ordinal.obuchowski_index(
        score, stage=stage, penalty=penalty, stage_shares=shares
    )
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    miss = [
        penalty[i, j] * scipy.stats.norm.cdf(-0.8 * (j - i) / np.sqrt(2))
        for i, j in pairs
    ]
    return holds(found, 1 - float(np.mean(miss)))


def tau(rng: Rng, n: int) -> bool | None:
    x, y = correlated(rng, n, 0.6)
    weight = resampling.subject_weights(rng, subject=np.arange(n), resamples=RESAMPLES)
    found = rank_correlation.kendall_tau(x, y=y, weight=weight)
    return holds(found, 2 / np.pi * np.arcsin(0.6))


def _tau_of_classes() -> float:
    x, y = child_pugh_like(np.random.default_rng(1), 1_000_000)
    return float(scipy.stats.kendalltau(x, y).statistic)


TAU_OF_CLASSES = _tau_of_classes()


def tau_of_classes(rng: Rng, n: int) -> bool | None:
    x, y = child_pugh_like(rng, n)
    weight = resampling.subject_weights(rng, subject=np.arange(n), resamples=RESAMPLES)
    return holds(rank_correlation.kendall_tau(x, y=y, weight=weight), TAU_OF_CLASSES)


def rho(rng: Rng, n: int) -> bool | None:
    x, y = correlated(rng, n, 0.6)
    return holds(correlation.spearman(x, y=y), 6 / np.pi * np.arcsin(0.3))


def pearson(rng: Rng, n: int) -> bool | None:
    x, y = correlated(rng, n, 0.6)
    return holds(correlation.pearson(x, y=y), 0.6)


def kappa(weights: str) -> Interval:
    return lambda rng, n: holds(
        agreement.cohen_kappa(two_readers(rng, n), weights=weights),
        READERS_KAPPA[weights],
    )


def bias(rng: Rng, n: int) -> bool | None:
    x, y = rng.normal(size=(2, n))
    return holds(measurement.bland_altman(x + 1, second=y).bias, 1.0)


def limit(rng: Rng, n: int) -> bool | None:
    x, y = rng.normal(size=(2, n))
    upper = measurement.bland_altman(x, second=y).upper
    return holds(upper, 1.96 * np.sqrt(2))


def concordance(rng: Rng, n: int) -> bool | None:
    x, y = correlated(rng, n, 0.8)
    return holds(measurement.lin_concordance(x, second=y), 0.8)


def icc(name: str, *, rater_sd: float) -> Interval:
    """Two raters, drawn with each cohort, who differ by so much beside their noise."""

    def one(rng: Rng, n: int) -> bool | None:
        ratings = rng.normal(size=n)[:, None] + 0.5 * rng.normal(size=(n, 2))
        if rater_sd:
            ratings += rater_sd * rng.normal(size=2)
        found = measurement.intraclass_correlations(ratings)[name]
        return holds(found, 1 / (1.25 + rater_sd**2))

    return one


def hazard_ratio(rng: Rng, n: int) -> bool | None:
    risk, time, event = risks(rng, n)
    try:
        fit = cox.cox(time, event=event, columns={"risk": risk})
    except ValueError:
        return None
    return bool(fit.low[0] <= LOG_HAZARD <= fit.high[0])


def slope(rng: Rng, n: int) -> bool | None:
    p, positive = calibrated(rng, n)
    if not 1 < positive.sum() < n - 1:
        return None
    return holds(calibration.calibration_fit(p, positive=positive).slope, 1.0)


def in_the_large(rng: Rng, n: int) -> bool | None:
    p, positive = calibrated(rng, n)
    if not 1 < positive.sum() < n - 1:
        return None
    return holds(calibration.calibration_fit(p, positive=positive).in_the_large, 0.0)


def survival_share(rng: Rng, n: int) -> bool | None:
    time, event, _ = lives(rng, n)
    found = survival.kaplan_meier(time, event=event)
    at = int(found.index_at(np.array([0.7]))[0])
    if at < 0 or np.isnan(found.low[at]):
        return None
    return bool(found.low[at] <= np.exp(-0.7) <= found.high[at])


INTERVALS: dict[str, Interval] = {
    "share 0.8, Wilson": share_interval("wilson", 0.8),
    "share 0.8, Clopper-Pearson": share_interval("clopper_pearson", 0.8),
    "share 0.8, Wald": share_interval("wald", 0.8),
    "share 0.57, Wilson": share_interval("wilson", 0.57),
    "share 0.57, Clopper-Pearson": share_interval("clopper_pearson", 0.57),
    "difference of shares, Newcombe": difference_of_shares,
    "difference of paired shares, Newcombe": paired_shares,
    "AUC 0.86, DeLong": area("delong"),
    "AUC 0.86, DeLong on the logit scale": area("logit"),
    "AUC 0.86, Hanley-McNeil": area("hanley_mcneil"),
    "AUC 0.86, exact binomial": area("exact_binomial"),
    "AUC 0.86, bootstrap percentiles": area("bootstrap"),
    "AUC 0.86, two visits a subject, DeLong as if independent": area_of_visits(False),
    "AUC 0.86, two visits a subject, clustered DeLong": area_of_visits(True),
    "AUC 0.86, two visits a subject, clustered DeLong on the logit scale": (
        area_of_visits(True, "logit")
    ),
    "AUC 0.86, two visits a subject, bootstrap of subjects": area_of_visits_bootstrap,
    "difference of paired AUCs, DeLong": area_difference,
    "Obuchowski index, Wald on the logit scale": obuchowski,
    "Kendall's tau-b, bootstrap percentiles": tau,
    "Kendall's tau-b against three classes, bootstrap percentiles": tau_of_classes,
    "Spearman's rho, Bonett and Wright": rho,
    "Pearson's r, Fisher": pearson,
    "kappa, Wald": kappa("none"),
    "quadratic kappa, Wald": kappa("quadratic"),
    "Bland-Altman bias, t": bias,
    "Bland-Altman limit, t": limit,
    "Lin's concordance, z scale": concordance,
    "ICC(3,1), F": icc("icc3_1", rater_sd=0.0),
    "ICC(2,1) of two raters, F": icc("icc2_1", rater_sd=0.3),
    "hazard ratio, Cox, Wald": hazard_ratio,
    "calibration slope, Wald": slope,
    "calibration in the large, Wald": in_the_large,
    "Kaplan-Meier share, log(-log)": survival_share,
    **bootstraps.INTERVALS,
}


# Tests under their null hypothesis


def delong_paired(rng: Rng, n: int) -> float:
    one, two, positive = two_scores(rng, n)
    return roc_tests.compare_paired(one, other=two, positive=positive).p


def delong_unpaired(law: str) -> Test:
    def one(rng: Rng, n: int) -> float:
        score, positive = binormal(rng, n // 2)
        other, truth = binormal(rng, n - n // 2)
        return roc_tests.compare_unpaired(
            score, positive=positive, other_score=other, other_positive=truth, law=law
        ).p

    return one


def mcnemar(name: str) -> Test:
    def one(rng: Rng, n: int) -> float:
        cells = rng.multinomial(n, [0.55, 0.15, 0.15, 0.15]).reshape(2, 2)
        return getattr(paired.mcnemar(cells), name)

    return one


def predictive(method: str, side: int) -> Test:
    def one(rng: Rng, n: int) -> float:
        first, second, positive = paired_tests(rng, n)
        calls = paired.paired_calls(first, second=second, positive=positive)
        return predictive_values.compare_predictive_values(
            calls[0], nondiseased=calls[1], method=method
        )[side].p

    return one


def guesses(rng: Rng, n: int, *, drawn: bool) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, and answers right as often as the commonest is common."""
    shares = np.array([0.293, 0.463, 0.244])
    ends = np.round(n * np.cumsum([0, *shares])).astype(int)
    truth = np.repeat([0, 1, 2], np.diff(ends))
    if drawn:
        truth = rng.choice(3, size=n, p=shares)
    rate = shares[1] if drawn else np.mean(truth == 1)
    wrong = (truth + rng.integers(1, 3, size=n)) % 3
    return truth, np.where(rng.random(n) < rate, truth, wrong)


def information_rate(*, drawn: bool) -> Test:
    def one(rng: Rng, n: int) -> float:
        truth, called = guesses(rng, n, drawn=drawn)
        confusion = classification.confusion_matrix(
            truth, predicted_class=called, num_classes=3
        )
        return proportions.no_information_rate_test(confusion).p

    return one


def against_the_commonest(rng: Rng, n: int) -> float:
    """The paired test that stands in where class sizes are drawn."""
    truth, called = guesses(rng, n, drawn=True)
    commonest = np.bincount(truth).argmax()
    return paired.mcnemar_rows(
        called == truth, second_right=truth == commonest, method="mid_p"
    ).p


def tau_test(rng: Rng, n: int) -> float:
    x, y = rng.normal(size=n), rng.choice(3, size=n, p=[0.293, 0.463, 0.244])
    return rank_correlation.kendall_tau(x, y=y).p


def spearman_test(rng: Rng, n: int) -> float:
    x, y = rng.normal(size=(2, n))
    return correlation.spearman(x, y=y).p


def mann_whitney(rng: Rng, n: int) -> float:
    x = rng.normal(size=n)
    return groups.mann_whitney(x[: n // 3], y=x[n // 3 :]).p


def welch(rng: Rng, n: int) -> float:
    x = rng.normal(size=n)
    return groups.t_test(x[: n // 3], y=2 * x[n // 3 :]).p


def chi_square(fisher: str) -> Test:
    def one(rng: Rng, n: int) -> float:
        flat = rng.multinomial(n, [0.18, 0.12, 0.42, 0.28]).reshape(2, 2)
        if np.any(flat.sum(axis=0) == 0) or np.any(flat.sum(axis=1) == 0):
            return np.nan
        return groups.contingency(flat, fisher=fisher).p

    return one


def log_rank(rng: Rng, n: int) -> float:
    time, event, group = lives(rng, n)
    return survival.log_rank(time, event=event, group=group).p


def cox_wald(rng: Rng, n: int) -> float:
    time, event, _ = lives(rng, n)
    fit = cox.cox(time, event=event, columns={"x": rng.normal(size=n)})
    return float(fit.p[0])


def logistic_wald(rng: Rng, n: int) -> float:
    positive = rng.permutation(n) < round(PREVALENCE * n)
    columns = {"x": rng.normal(size=n)}
    return float(regression.logistic_regression(positive, columns=columns).p[1])


def kappa_test(rng: Rng, n: int) -> float:
    one, two = rng.choice(3, size=(2, n), p=[0.3, 0.4, 0.3])
    confusion = classification.confusion_matrix(one, predicted_class=two, num_classes=3)
    return agreement.cohen_kappa(confusion, weights="quadratic").p


def symmetry(rng: Rng, n: int) -> float:
    even = (READERS + READERS.T) / 2
    flat = rng.choice(9, size=n, p=even.ravel() / even.sum())
    table = np.bincount(flat, minlength=9).reshape(3, 3)
    try:
        return paired.stuart_maxwell(table).p
    except ValueError:
        return np.nan


def hosmer(rng: Rng, n: int) -> float:
    p, positive = calibrated(rng, n)
    return calibration_groups.hosmer_lemeshow(p, positive=positive, external=True).p


def spiegelhalter(rng: Rng, n: int) -> float:
    p, positive = calibrated(rng, n)
    if not 1 < positive.sum() < n - 1:
        return np.nan
    return calibration.validation_indices(p, positive=positive).spiegelhalter_p


def sign_flip(rng: Rng, n: int) -> float:
    """Two visits a subject, whose differences are alike."""
    subject = np.repeat(np.arange(n // 2), 2)
    gap = rng.normal(size=n // 2)[subject] + rng.normal(size=len(subject))
    return resampling.sign_flip_test(rng, gap, subject=subject, permutations=999)


def clustered_mcnemar(rng: Rng, n: int) -> float:
    subject = np.repeat(np.arange(n // 2), 2)
    easy = rng.normal(size=(2, n // 2))[:, subject]
    first, second = easy + rng.normal(size=(2, len(subject))) > -0.5
    return paired.mcnemar_clustered(first, second_right=second, subject=subject).p


TESTS: dict[str, Test] = {
    "paired DeLong": delong_paired,
    "unpaired DeLong, t": delong_unpaired("t"),
    "unpaired DeLong, normal": delong_unpaired("normal"),
    "McNemar, exact": mcnemar("p_exact"),
    "McNemar, mid-p": mcnemar("p_mid"),
    "McNemar, asymptotic": mcnemar("p_asymptotic"),
    "McNemar, corrected": mcnemar("p_corrected"),
    "McNemar over subjects with two visits": clustered_mcnemar,
    "Kosinski, PPV": predictive("kosinski", 0),
    "Kosinski, NPV": predictive("kosinski", 1),
    "Leisenring, PPV": predictive("leisenring", 0),
    "Leisenring, NPV": predictive("leisenring", 1),
    "no-information rate, class sizes fixed": information_rate(drawn=False),
    "no-information rate, class sizes drawn": information_rate(drawn=True),
    "McNemar against the commonest class, mid-p": against_the_commonest,
    "Kendall's tau against three classes": tau_test,
    "Spearman, t": spearman_test,
    "Mann-Whitney, asymptotic": mann_whitney,
    "Welch": welch,
    "chi-square 2 x 2": chi_square("never"),
    "Fisher 2 x 2": chi_square("always"),
    "log-rank": log_rank,
    "Cox, Wald": cox_wald,
    "logistic regression, Wald": logistic_wald,
    "quadratic kappa of strangers": kappa_test,
    "Stuart-Maxwell": symmetry,
    "Hosmer-Lemeshow, external": hosmer,
    "Spiegelhalter": spiegelhalter,
    "sign flips over subjects with two visits": sign_flip,
    **exchanges.TESTS,
}


if __name__ == "__main__":
    main()

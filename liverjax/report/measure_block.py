"""Statistics of measurements and of times to an event."""

from __future__ import annotations

import dataclasses

import numpy as np

from liverjax.report.judged import CLUSTERED, Block, Judged, by_bootstrap
from liverjax.stats import correlation, cox, measurement, rank_correlation, survival
from liverjax.stats.estimate import Estimate


def number_figures(rows: Judged) -> Block:
    """Returns Bland-Altman's figures, concordance and correlations of a measurement.

    A score that only ranks has correlations alone.
    """
    if len(rows.target) < 3:
        return {}
    found: Block = {
        "pearson": correlation.pearson(rows.score, y=rows.target),
        "spearman": correlation.spearman(rows.score, y=rows.target),
    }
    if rows.ideal is not None:
        agreement = measurement.bland_altman(rows.score, second=rows.target)
        pair = np.stack([rows.score, rows.target], axis=1)
        found |= {
            "bias": agreement.bias,
            "limit_of_agreement_lower": agreement.lower,
            "limit_of_agreement_upper": agreement.upper,
            "bias_slope": agreement.slope,
            "icc_agreement": measurement.intraclass_correlations(pair)["icc2_1"],
            "lin_concordance": measurement.lin_concordance(
                rows.score, second=rows.target
            ),
        }
    if rows.clustered:
        found = {name: _bare(value) for name, value in found.items()}
    tau = rank_correlation.kendall_tau(rows.score, y=rows.target, weight=rows.weight)
    if rows.clustered:
        tau = dataclasses.replace(tau, p=np.nan, method=f"{tau.method}; {CLUSTERED}")
    return found | {"kendall_tau": tau}


def survival_figures(rows: Judged) -> Block:
    """Returns Harrell's C, the hazard ratio of the risk, and the log-rank test.

    Risk groups are the halves below and above the median risk.
    """
    assert rows.event is not None
    event = rows.event.astype(bool)
    found: Block = {"harrell_c": _concordance(rows, event=event)}
    if not event.any() or np.ptp(rows.score) == 0:
        return found
    spread = float(rows.score.std(ddof=1))
    try:
        fit = cox.cox(rows.target, event=event, columns={"risk": rows.score / spread})
    except ValueError as error:
        ratio = Estimate(np.nan, method=str(error), n=len(event))
    else:
        ratio = Estimate(
            *(float(np.exp(v[0])) for v in (fit.coefficient, fit.low, fit.high)),
            float(fit.p[0]),
            f"hazard ratio per standard deviation of the risk; {fit.method}",
            len(event),
        )
    found |= {"hazard_ratio": ratio, "log_rank": _halves(rows, event=event)}
    if rows.clustered:
        found |= {name: _bare(found[name]) for name in ("hazard_ratio", "log_rank")}
    return found


def resampled_c(rows: Judged) -> np.ndarray:
    """Returns Harrell's C in each resample."""
    assert rows.event is not None
    return survival.resampled_harrell_c(
        rows.score,
        time=rows.target,
        event=rows.event.astype(bool),
        weight=rows.weight,
    )


def _concordance(rows: Judged, *, event: np.ndarray) -> Estimate:
    found = survival.harrell_c(rows.score, time=rows.target, event=event)
    interval = by_bootstrap(rows, found.estimate, draws=resampled_c(rows))
    words = f"{found.method}, {event.sum()} events; {interval.method}"
    return dataclasses.replace(interval, method=words)


def _halves(rows: Judged, *, event: np.ndarray) -> Estimate:
    """The log-rank test of the halves of the risk, where ties leave two of them."""
    high = high_risk(rows)
    if high.all() or not high.any():
        words = "no log-rank test: risk ties at its median, so nobody is above it"
        return Estimate(np.nan, method=words, n=len(rows.target))
    test = survival.log_rank(rows.target, event=event, group=high)
    words = f"risk above against up to its median; {test.method}"
    return dataclasses.replace(test, method=words)


def high_risk(rows: Judged) -> np.ndarray:
    """Returns whether each row's risk is above the median; ties may leave nobody."""
    return rows.score > np.median(rows.score)


def _bare(value: Estimate) -> Estimate:
    """An estimate whose interval and test would take rows as independent."""
    words = f"{value.method}; no interval: {CLUSTERED}"
    return Estimate(value.estimate, method=words, n=value.n)

"""What each reference case's statistic is called here, and in which words.

An adapter takes a case's keyword inputs and returns the fields that it expects.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from liverjax.stats import (
    agreement,
    calibration,
    calibration_groups,
    classification,
    correlation,
    cox,
    decision_curve,
    detection,
    diagnostic,
    exact_tables,
    groups,
    lowess,
    measurement,
    multiplicity,
    ordinal,
    paired,
    predictive_values,
    proportions,
    rank_correlation,
    regression,
    resampling,
    roc,
    roc_curve,
    roc_multiclass,
    roc_tests,
    segmentation,
    survival,
)
from liverjax.tabular import meld, scores


def kendall_tau(x, y, *, variant, method, alternative):
    found = rank_correlation.kendall_tau(
        np.asarray(x, float),
        y=np.asarray(y, float),
        variant=variant,
        method=method,
        alternative=alternative.replace(".", "-"),
    )
    return {
        "tau": found.estimate,
        "p": found.p,
        "z": found.z,
        "T": found.concordant,
    }


def concordance_pairs(x, y):
    found = rank_correlation.concordance_pairs(np.asarray(x), y=np.asarray(y))
    names = ("concordant", "discordant", "tied_x", "tied_y", "tied_xy")
    ratios = ("tau_a", "gamma", "somers_d_xy")
    return {name: getattr(found, name) for name in names + ratios}


def somers_d(x, y):
    found = correlation.somers_d(floats(x), y=floats(y))
    return {"d_y_given_x": found.estimate, "p": found.p}


def spearman_rho(x, y, *, method):
    found = correlation.spearman(floats(x), y=floats(y), method=method)
    return {"rho": found.estimate, "p": found.p, "S": found.rank_distance}


def pearson_r(x, y, *, conf):
    found = correlation.pearson(floats(x), y=floats(y), conf=conf)
    return {"r": found.estimate, "p": found.p, "t": found.t} | ends(found)


def proportion_ci(x, n, *, conf):
    found = {
        method: proportions.proportion(x, n=n, method=method, conf=conf)
        for method in proportions.METHODS
    }
    return {method: [one.low, one.high] for method, one in found.items()}


def binomial_test(k, n, *, p0, alternative, conf):
    found = proportions.binomial_test(
        k, n=n, p0=p0, alternative=alternative.replace(".", "-"), conf=conf
    )
    return {"p": found.p, "ci_low": found.low, "ci_high": found.high}


def nir_test(confusion, *, alternative, conf):
    assert alternative == "greater"
    confusion = np.asarray(confusion)
    found = proportions.no_information_rate_test(confusion, conf=conf)
    return {
        "accuracy": found.accuracy,
        "nir": found.estimate,
        "p": found.p,
        "ci_low": found.accuracy_low,
        "ci_high": found.accuracy_high,
        "kappa": classification.kappa(confusion),
    }


def per_class_metrics(confusion):
    confusion = np.asarray(confusion)
    found = classification.class_figures(confusion)
    return {
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
        "ppv": found.precision,
        "npv": found.npv,
        "f1": found.f1,
        "prevalence": found.prevalence,
        "detection_rate": found.detection_rate,
        "detection_prevalence": found.detection_prevalence,
        "balanced_accuracy": found.balanced_accuracy,
        "accuracy": classification.accuracy(confusion),
        "kappa": classification.kappa(confusion),
    }


def multiclass_metrics(y_true, y_pred, *, labels):
    assert list(labels) == list(range(len(labels)))
    confusion = classification.confusion_matrix(
        np.asarray(y_true, int),
        predicted_class=np.asarray(y_pred, int),
        num_classes=len(labels),
    )
    figures = classification.class_figures(confusion, zero_division=0.0)
    named = {
        "precision": figures.precision,
        "recall": figures.sensitivity,
        "f1": figures.f1,
    }
    accuracy = classification.accuracy(confusion)
    macro = {name: values.mean() for name, values in named.items()}
    return {
        "macro": macro | {"specificity": figures.specificity.mean()},
        "weighted": {name: v @ figures.prevalence for name, v in named.items()},
        "micro": dict.fromkeys(named, accuracy),  # one label a row: all are accuracy
        "accuracy": accuracy,
        "balanced_accuracy": figures.sensitivity.mean(),
        "mcc": classification.matthews(confusion),
        "cohen_kappa": classification.kappa(confusion),
        "kappa_linear": classification.kappa(confusion, weights="linear"),
        "kappa_quadratic": classification.kappa(confusion, weights="quadratic"),
        "confusion": confusion,
        "mae": classification.mean_class_error(confusion),
        "within_1": classification.within_one_class(confusion),
    }


def multiclass_from_confusion(confusion):
    confusion = np.asarray(confusion)
    figures = classification.class_figures(confusion)
    named = {
        "precision": figures.precision,
        "sensitivity": figures.sensitivity,
        "specificity": figures.specificity,
        "f1": figures.f1,
    }
    means = {f"macro_{name}": values.mean() for name, values in named.items()}
    return named | means | {"accuracy": classification.accuracy(confusion)}


def proportion_ci_more(x, n, *, conf):
    names = {
        "agresti_coull": "agresti_coull",
        "jeffreys": "jeffreys",
        "beta": "clopper_pearson",
        "wilson": "wilson",
        "normal_truncated": "wald_cut",
    }
    found = {
        name: proportions.proportion(x, n=n, method=method, conf=conf)
        for name, method in names.items()
    }
    return {name: [one.low, one.high] for name, one in found.items()}


def proportion_diff_ci(x1, n1, x2, n2, *, conf):
    out = {}
    for method in ("newcombe", "wald"):
        found = proportions.proportion_difference(
            x1, n=n1, other_count=x2, other_n=n2, method=method, conf=conf
        )
        out[method] = [found.low, found.high]
    return out | {"diff": found.estimate}


def auc_binomial_exact_ci(auc, n, *, conf):
    low, high = roc.exact_binomial_interval(float(auc), n=n, conf=conf)
    return {"ci_low": low, "ci_high": high}


def diagnostic_2x2(tp, fp, fn, tn, *, conf):
    found = diagnostic.diagnostic(tp, fp=fp, fn=fn, tn=tn, conf=conf)
    names = {field.name for field in dataclasses.fields(found)} - {"n"}
    return {name: triple(getattr(found, name)) for name in names}


def auc_delong_ci(y, score, *, conf):
    found = roc.auc(floats(score), positive=positive(y), method="delong", conf=conf)
    return {
        "auc": found.estimate,
        "var": found.se**2,
        "se": found.se,
        "ci_low": found.wald_low,
        "ci_high": found.wald_high,
    }


def auc_hanley_mcneil(y=None, score=None, *, auc=None, n_pos=None, n_neg=None):
    if y is not None:
        found = roc.auc(floats(score), positive=positive(y), method="hanley_mcneil")
        auc, n_pos, n_neg = found.estimate, found.positives, found.negatives
    variance = roc.hanley_mcneil_variance(float(auc), positives=n_pos, negatives=n_neg)
    return {"auc": auc, "se": variance**0.5, "n_pos": n_pos, "n_neg": n_neg}


def delong_paired_test(y, score1, score2, *, alternative="two.sided"):
    found = roc_tests.compare_paired(
        floats(score1),
        other=floats(score2),
        positive=positive(y),
        alternative=alternative.replace(".", "-"),
    )
    return {
        "auc1": found.first,
        "auc2": found.second,
        "z": found.z,
        "p": found.p,
        "cov": found.covariance,
        "diff": found.estimate,
        "diff_ci_low": found.low,
        "diff_ci_high": found.high,
    }


def delong_unpaired_test(y1, score1, y2, score2):
    t, normal = (
        roc_tests.compare_unpaired(
            floats(score1),
            positive=positive(y1),
            other_score=floats(score2),
            other_positive=positive(y2),
            law=law,
        )
        for law in ("t", "normal")
    )
    return {
        "auc1": t.first,
        "auc2": t.second,
        "D": t.z,
        "df": t.df,
        "p_t": t.p,
        "z": normal.z,
        "p_z": normal.p,
    }


def youden_cutoff(y, score):
    found = roc_curve.youden_cutoff(floats(score), positive=positive(y))
    return {
        "n_optima": len(found.midpoints),
        "threshold_midpoint": found.midpoints,
        "threshold_observed": found.observed,
        "sensitivity": found.sensitivity,
        "specificity": found.specificity,
        "youden_j": found.youden_j,
    }


def roc_points(y, score):
    found = roc_curve.roc_curve(floats(score), positive=positive(y))
    return {"fpr": found.fpr, "tpr": found.tpr}


def average_precision(y, score):
    found = roc_curve.average_precision(floats(score), positive=positive(y))
    return {"ap": found.estimate}


def multiclass_auc(y_true, proba):
    p, truth = np.column_stack(proba).astype(float), np.asarray(y_true).astype(int)
    found = roc_multiclass.multiclass_auc(p, true_class=truth)
    grid = roc_multiclass.macro_curve(p, true_class=truth, fpr=np.linspace(0, 1, 101))
    union = roc_multiclass.macro_curve(p, true_class=truth)
    upper = roc_multiclass.upper_stage_scores(p)
    last = p.shape[1] - 1
    cuts = {
        f"cum_auc_F{c}" + ("" if c == last else f"-{last}"): roc.auc(
            upper[:, c], positive=truth >= c
        ).estimate
        for c in range(1, last + 1)
    }
    return cuts | {
        "ovr_per_class": found.one_vs_rest,
        "ovr_macro": found.macro,
        "ovr_weighted": found.weighted,
        "micro": found.micro,
        "hand_till": found.hand_till,
        "ovo_weighted": found.one_vs_one_weighted,
        "macro_curve_auc_grid101": roc_multiclass.area_under(grid),
        "macro_curve_auc_union": roc_multiclass.area_under(union),
    }


def bootstrap_auc_ci(y, score, indices0, *, conf):
    score, truth = floats(score), positive(y)
    weight = resampling.index_weights(np.asarray(indices0, int), n=len(score))
    value = roc.auc(score, positive=truth).estimate
    draws = roc.resampled_auc(score, positive=truth, weight=weight)
    without = 1 - np.eye(len(score), dtype=int)
    jackknife = roc.resampled_auc(score, positive=truth, weight=without)
    below, half = (
        resampling.bca_interval(
            draws, estimate=value, jackknife=jackknife, ties=ties, conf=conf
        )
        for ties in ("below", "half")
    )
    return {
        "auc": value,
        "percentile": resampling.percentile_interval(draws, conf=conf),
        "basic": resampling.basic_interval(draws, estimate=value, conf=conf),
        "se": draws.std(ddof=1),
        "jackknife_acceleration": below.acceleration,
        "z0": below.z0,
        "bca": [below.low, below.high],
        "z0_mid_ties": half.z0,
        "bca_mid_ties": [half.low, half.high],
    }


def mcnemar_test(table):
    found = paired.mcnemar(np.asarray(table, int))
    return {
        "statistic": found.statistic,
        "p": found.p_asymptotic,
        "statistic_cc": found.statistic_corrected,
        "p_cc": found.p_corrected,
        "p_exact": found.p_exact,
        "p_midp": found.p_mid,
    }


def paired_se_sp(diseased, nondiseased):
    d, h = paired.PairedCalls(**diseased), paired.PairedCalls(**nondiseased)
    se, sp = paired.compare_sensitivity_specificity(d, nondiseased=h)
    return {
        "se1": (d.n11 + d.n10) / d.n,
        "se2": (d.n11 + d.n01) / d.n,
        "se_statistic": se.statistic,
        "se_p": se.p_asymptotic,
        "se_p_exact": se.p_exact,
        "sp1": (h.n01 + h.n00) / h.n,
        "sp2": (h.n10 + h.n00) / h.n,
        "sp_statistic": sp.statistic,
        "sp_p": sp.p_asymptotic,
        "sp_p_exact": sp.p_exact,
    }


def predictive(diseased, nondiseased, *, method):
    ppv, npv = predictive_values.compare_predictive_values(
        paired.PairedCalls(**diseased),
        nondiseased=paired.PairedCalls(**nondiseased),
        method=method,
    )
    return {
        "ppv1": ppv.first,
        "ppv2": ppv.second,
        "ppv_statistic": ppv.statistic,
        "ppv_p": ppv.p,
        "npv1": npv.first,
        "npv2": npv.second,
        "npv_statistic": npv.statistic,
        "npv_p": npv.p,
    }


def kosinski_wgs(diseased, nondiseased):
    return predictive(diseased, nondiseased, method="kosinski")


def leisenring_gs(diseased, nondiseased):
    return predictive(diseased, nondiseased, method="leisenring")


def relative_pv_moskowitz_pepe(diseased, nondiseased):
    ppv, npv = predictive_values.relative_predictive_values(
        paired.PairedCalls(**diseased), nondiseased=paired.PairedCalls(**nondiseased)
    )
    out = {}
    for name, found in (("rppv", ppv), ("rnpv", npv)):
        out |= {
            name: found.estimate,
            f"{name}_ci_low": found.low,
            f"{name}_ci_high": found.high,
            f"{name}_z": found.z,
        }
    return out


def bowker_stuart_maxwell(table):
    out = {}
    for name in ("bowker", "stuart_maxwell"):
        found = getattr(paired, name)(np.asarray(table, int))
        out |= {
            f"{name}_statistic": found.estimate,
            f"{name}_df": found.df,
            f"{name}_p": found.p,
        }
    return out


def cochran_q(x):
    return chi_square(paired.cochran_q(np.asarray(x)))


def friedman(x):
    return chi_square(groups.friedman(np.asarray(x, float)))


def kruskal_wallis(**inputs):
    return chi_square(
        groups.kruskal_wallis([floats(group) for group in inputs["groups"]])
    )


def cochran_armitage_trend(events, totals, *, scores):
    found = groups.trend_test(
        np.asarray(events, int), totals=np.asarray(totals, int), scores=floats(scores)
    )
    return chi_square(found)


def mann_whitney(x, y, *, method, continuity, alternative):
    found = groups.mann_whitney(
        floats(x),
        y=floats(y),
        method=method,
        continuity=continuity,
        alternative=alternative.replace(".", "-"),
    )
    return {"U_x": found.u, "p": found.p, "auc": found.estimate}


def wilcoxon_signed_rank(x, y, *, method, continuity, alternative):
    found = groups.wilcoxon_signed_rank(
        floats(x),
        y=floats(y),
        method=method,
        continuity=continuity,
        alternative=alternative.replace(".", "-"),
    )
    return {"V": found.estimate, "p": found.p}


def t_test(x, y):
    welch = groups.t_test(floats(x), y=floats(y))
    student = groups.t_test(floats(x), y=floats(y), equal_variances=True)
    return {
        "welch_t": welch.t,
        "welch_df": welch.df,
        "welch_p": welch.p,
        "welch_ci": [welch.low, welch.high],
        "student_t": student.t,
        "student_p": student.p,
    }


def contingency_tests(table):
    table = np.asarray(table, int)
    found = groups.contingency(table, fisher="always")
    out = {
        "statistic": found.estimate,
        "df": found.df,
        "p": found.p_chi_square,
        "expected": found.expected,
        "statistic_yates": found.statistic_yates,
        "p_yates": found.p_yates,
        "fisher_p": found.p_fisher,
    }
    if table.shape == (2, 2):
        ratio = exact_tables.conditional_odds_ratio(table)
        out |= {
            "fisher_or_conditional": ratio.estimate,
            "fisher_or_ci_low": ratio.low,
            "fisher_or_ci_high": ratio.high,
            "fisher_p_greater": ratio.p_greater,
            "fisher_p_less": ratio.p_less,
        }
    return out


def p_adjust(p):
    return {m: multiplicity.adjust(floats(p), method=m) for m in multiplicity.METHODS}


def brier_score(y, p):
    found = calibration.brier(floats(p), positive=positive(y))
    return {
        "brier": found.estimate,
        "brier_null": found.of_prevalence,
        "scaled_brier": found.scaled,
    }


def calibration_slope_intercept(y, p):
    found = calibration.calibration_fit(floats(p), positive=positive(y))
    return {
        "slope": found.slope.estimate,
        "slope_se": found.slope_se,
        "intercept": found.intercept.estimate,
        "intercept_se": found.intercept_se,
        "citl": found.in_the_large.estimate,
        "citl_se": found.in_the_large_se,
        "eo_ratio": found.expected_observed,
        "oe_ratio": 1 / found.expected_observed,
    }


def val_prob(y, p):
    p, truth = floats(p), positive(y)
    found = calibration.validation_indices(p, positive=truth)
    fit = calibration.calibration_fit(p, positive=truth)
    return {
        "r2_nagelkerke": found.r2_nagelkerke,
        "discrimination_D": found.discrimination,
        "unreliability_U": found.unreliability,
        "U_chisq": found.unreliability_statistic,
        "U_p": found.unreliability_p,
        "quality_Q": found.quality,
        "brier": calibration.brier(p, positive=truth).estimate,
        "intercept": fit.intercept.estimate,
        "slope": fit.slope.estimate,
        "emax": found.largest_error,
        "e90": found.ninetieth_error,
        "eavg": found.mean_error,
        "spiegelhalter_z": found.spiegelhalter_z,
        "spiegelhalter_p": found.spiegelhalter_p,
    }


def hosmer_lemeshow(y, p, **inputs):
    found = calibration_groups.hosmer_lemeshow(
        floats(p), positive=positive(y), groups=inputs["groups"]
    )
    return chi_square(found) | {
        "n_groups": len(found.size),
        "observed_events": found.observed,
        "expected_events": found.expected,
        "group_sizes": found.size,
    }


def lowess_calibration(p, y, *, frac, iterations):
    assert iterations == 0
    x, smoothed = lowess.lowess(floats(p), y=floats(y), frac=frac)
    return {"p_sorted": x, "smoothed": smoothed}


def expected_calibration_error(y, p, *, n_bins):
    found = calibration_groups.expected_calibration_error(
        floats(p), positive=positive(y), bins=n_bins
    )
    return {
        "ece": found.estimate,
        "rmsce": found.root_mean_square,
        "mce": found.largest,
    }


def calibration_curve(y, p, *, n_bins, strategy):
    found = calibration_groups.calibration_bins(
        floats(p), positive=positive(y), bins=n_bins, strategy=strategy
    )
    return {"observed": found.observed, "predicted": found.predicted}


def multiclass_proper_scores(y_true, proba):
    p, truth = np.column_stack(proba).astype(float), np.asarray(y_true).astype(int)
    rps = ordinal.ranked_probability_score(p, stage=truth)
    return {
        "brier_sum": calibration.multiclass_brier(p, true_class=truth).estimate,
        "log_loss": calibration.log_loss(p, true_class=truth).estimate,
        "ranked_probability_score": rps.estimate,
    }


def net_benefit(y, p, *, thresholds, prevalence=None):
    found = decision_curve.decision_curve(
        floats(p),
        positive=positive(y),
        threshold=floats(thresholds),
        prevalence=prevalence,
    )
    return {
        "net_benefit": found.net_benefit,
        "net_benefit_all": found.treat_all,
        "net_benefit_none": found.treat_none,
        "tp_rate": found.true_positive,
        "fp_rate": found.false_positive,
        "net_intervention_avoided_per_100": found.avoided_per_100,
    }


def vif(columns):
    named = {name: floats(values) for name, values in columns.items()}
    return {"vif": regression.variance_inflation(named)}


def logistic_regression(y, columns):
    named = {name: floats(values) for name, values in columns.items()}
    found = regression.logistic_regression(positive(y), columns=named)
    return {
        "names": found.names,
        "coef": found.coefficient,
        "se": found.se,
        "z": found.z,
        "p": found.p,
        "odds_ratio": np.exp(found.coefficient),
        "or_ci_low": np.exp(found.low),
        "or_ci_high": np.exp(found.high),
        "deviance": found.deviance,
        "aic": found.aic,
    }


def cohen_kappa(rater1, rater2, *, levels):
    confusion = classification.confusion_matrix(
        np.searchsorted(levels, rater1),
        predicted_class=np.searchsorted(levels, rater2),
        num_classes=len(levels),
    )
    out = {}
    for weights in agreement.WEIGHTS:
        found = agreement.cohen_kappa(confusion, weights=weights)
        out[weights] = {"kappa": found.estimate, "ase": found.se} | ends(found)
        out[f"z0_{weights}"] = found.z
        if weights == "none":
            out["observed_agreement"] = found.observed
    return out


def fleiss_kappa(ratings):
    found = agreement.fleiss_kappa(np.asarray(ratings, int))
    return {"kappa": found.estimate, "z": found.z, "p": found.p}


def kendall_w(ratings):
    found = agreement.kendall_w(np.asarray(ratings, float))
    raters = len(ratings[0])
    chisq = raters * found.df * found.estimate
    return {"w": found.estimate, "chisq": chisq, "p": found.p}


def icc(ratings, *, conf):
    found = measurement.intraclass_correlations(np.asarray(ratings, float), conf=conf)
    return {
        name: {
            "icc": one.estimate,
            "F": one.f,
            "df1": one.df1,
            "df2": one.df2,
            "p": one.p,
        }
        | ends(one)
        for name, one in found.items()
    }


def bland_altman(x, y, *, conf):
    found = measurement.bland_altman(floats(x), second=floats(y), conf=conf)
    out = {"bias": found.bias.estimate, "sd": found.sd}
    out |= {"loa_low": found.lower.estimate, "loa_high": found.upper.estimate}
    return out | {
        "bias_ci": [found.bias.low, found.bias.high],
        "loa_low_ci": [found.lower.low, found.lower.high],
        "loa_high_ci": [found.upper.low, found.upper.high],
    }


def lin_ccc(x, y, *, conf):
    found = measurement.lin_concordance(floats(x), second=floats(y), conf=conf)
    return ends(found) | {
        "ccc": found.estimate,
        "bias_correction": found.bias_correction,
        "location_shift": found.location_shift,
        "scale_shift": found.scale_shift,
    }


def harrell_c(time, event, risk):
    found = survival.harrell_c(floats(risk), time=floats(time), event=positive(event))
    names = ("concordant", "discordant", "tied_risk", "tied_time", "tied_both")
    return {"c_index": found.estimate} | {name: getattr(found, name) for name in names}


def kaplan_meier(time, event, times, *, conf):
    found = survival.kaplan_meier(floats(time), event=positive(event), conf=conf)
    times = floats(times)
    at = found.index_at(times)
    return {
        "survival": found.survival_at(times),
        "n_at_risk": found.at_risk_at(times),
        "greenwood_se": found.se[at],
        "ci_low_loglog": found.low[at],
        "ci_high_loglog": found.high[at],
        "ci_low_plain": found.low_plain[at],
        "ci_high_plain": found.high_plain[at],
        "median": found.median,
    }


def logrank(time, event, group):
    found = survival.log_rank(
        floats(time), event=positive(event), group=np.asarray(group)
    )
    return {
        "chisq": found.estimate,
        "df": found.df,
        "p": found.p,
        "observed": found.observed,
        "expected": found.expected,
    }


def cox_ph(time, event, columns, *, ties):
    assert ties == "efron"
    named = {name: floats(values) for name, values in columns.items()}
    found = cox.cox(floats(time), event=positive(event), columns=named)
    return {
        "names": found.names,
        "coef": found.coefficient,
        "hazard_ratio": found.hazard_ratio,
        "se": found.se,
        "z": found.z,
        "p": found.p,
        "loglik": found.log_likelihood,
        "concordance": found.concordance,
    }


def obuchowski_index(stage, score, penalty, score2=None):
    codes = np.unique(np.asarray(stage), return_inverse=True)[1]
    penalty = np.asarray(penalty, float)
    found = []
    for one in (score, score2):
        if one is None:
            continue
        index = ordinal.obuchowski_index(floats(one), stage=codes, penalty=penalty)
        # The case reports max(a, 1 - a).
        if index.estimate < 0.5:
            index = ordinal.obuchowski_index(-floats(one), stage=codes, penalty=penalty)
        found.append(index)
    out = {
        "accuracy": [one.estimate for one in found],
        "se": [one.se for one in found],
        "pairwise_auc": [max(a, 1 - a) for a in found[0].pairwise],
    }
    if score2 is not None:
        both = ordinal.compare_obuchowski(found[0], second=found[1], stage=codes)
        out |= {"z": both.z, "p": both.p, "covariance": both.covariance}
    return out


def segmentation_metrics(pred, gt, *, spacing, tolerance_mm):
    shares = segmentation.overlap(pred, truth=gt, spacing_mm=spacing)
    found = segmentation.surface_distances(
        pred, truth=gt, spacing_mm=spacing, tolerance_mm=float(tolerance_mm)
    )
    return {
        "dice": shares.dice,
        "jaccard": shares.jaccard,
        "volume_pred_ml": shares.volume_ml,
        "volume_gt_ml": shares.true_volume_ml,
        "volumetric_similarity": shares.volumetric_similarity,
        "relative_volume_difference": shares.relative_volume_difference,
        "hd": found.hd_mm,
        "hd_pred_to_gt": found.hd_to_truth_mm,
        "hd95_max_of_directed": found.hd95_mm,
        "hd95_pooled": found.hd95_pooled_mm,
        "asd_pred_to_gt": found.asd_to_truth_mm,
        "asd_gt_to_pred": found.asd_from_truth_mm,
        "assd_mean_of_directed": found.assd_of_means_mm,
        "assd_pooled": found.assd_mm,
        "nsd_voxel": found.surface_dice,
    }


def dice(pred, gt):
    pred, gt = np.asarray(pred, bool), np.asarray(gt, bool)
    return {"dice": segmentation.overlap(pred, truth=gt, spacing_mm=(1, 1)).dice}


def froc_hits(probs, coords, label_mask, *, labels_to_exclude):
    found = detection.match_points(
        floats(probs),
        index=np.asarray(coords, int),
        lesions=np.asarray(label_mask, int),
        left_out=labels_to_exclude,
    )
    return {
        "fp_probs": found.false_alarm,
        "tp_probs": found.hit,
        "num_targets": found.lesions,
    }


def froc_curve(fp_probs, tp_probs, num_targets, *, num_images, eval_fps_per_image):
    one = detection.Matches(floats(tp_probs), floats(fp_probs), num_targets)
    empty = detection.Matches(np.zeros(0), np.zeros(0), 0)
    found = detection.froc([one, *[empty] * (num_images - 1)])
    return {
        "fps_per_image": found.false_per_case,
        "sensitivity": found.sensitivity,
        "score": found.score(floats(eval_fps_per_image)),
    }


def box_iou(boxes1, boxes2):
    one, two = floats(boxes1), floats(boxes2)
    return {
        "iou": detection.box_iou(one, other=two),
        "giou": detection.generalised_box_iou(one, other=two),
    }


def fib4(age, ast, alt, platelets):
    value = scores.fib4(
        age_years=age,
        ast_u_per_l=ast,
        alt_u_per_l=alt,
        platelets_10e9_per_l=platelets,
    )
    return {"fib4": value}


def apri(ast, ast_uln, platelets):
    value = scores.apri(
        ast_u_per_l=ast, ast_uln_u_per_l=ast_uln, platelets_10e9_per_l=platelets
    )
    return {"apri": value}


def nfs(age, bmi, diabetes_or_ifg, ast, alt, platelets, albumin_g_dl):
    value = scores.nafld_fibrosis_score(
        age_years=age,
        bmi_kg_per_m2=bmi,
        diabetes_or_impaired_glucose=diabetes_or_ifg,
        ast_u_per_l=ast,
        alt_u_per_l=alt,
        platelets_10e9_per_l=platelets,
        albumin_g_per_dl=albumin_g_dl,
    )
    return {"nfs": value}


def albi(bilirubin_umol_l, albumin_g_l, albumin_coefficient):
    value = scores.albi(
        bilirubin_umol_per_l=bilirubin_umol_l,
        albumin_g_per_l=albumin_g_l,
        albumin_coefficient=albumin_coefficient,
    )
    return {"albi": value, "grade": scores.albi_grade(value)}


def meld_score(creatinine_mg_dl, bilirubin_mg_dl, inr, *, dialysis, rounding):
    value = meld.meld(
        creatinine_mg_per_dl=creatinine_mg_dl,
        bilirubin_mg_per_dl=bilirubin_mg_dl,
        inr=inr,
        dialysis=dialysis,
        rounding=rounding,
    )
    return {"meld": value}


def meld_na(creatinine_mg_dl, bilirubin_mg_dl, inr, sodium, **options):
    value = meld.meld_na(
        creatinine_mg_per_dl=creatinine_mg_dl,
        bilirubin_mg_per_dl=bilirubin_mg_dl,
        inr=inr,
        sodium_mmol_per_l=sodium,
        **options,
    )
    return {"meld_na": value}


def meld3(
    female,
    creatinine_mg_dl,
    bilirubin_mg_dl,
    inr,
    sodium,
    albumin_g_dl,
    *,
    dialysis,
    rounding,
):
    plain, rounded = (
        meld.meld3(
            female=female,
            creatinine_mg_per_dl=creatinine_mg_dl,
            bilirubin_mg_per_dl=bilirubin_mg_dl,
            inr=inr,
            sodium_mmol_per_l=sodium,
            albumin_g_per_dl=albumin_g_dl,
            dialysis=dialysis,
            rounding=how,
        )
        for how in (rounding, "optn")
    )
    return {"meld3": plain, "meld3_rounded": rounded}


def meld3_survival90(meld3):
    return {"survival": meld.meld3_survival_90_days(floats(meld3))}


def child_pugh(bilirubin_mg_dl, albumin_g_dl, inr, ascites, encephalopathy):
    found = scores.child_pugh(
        bilirubin_mg_per_dl=bilirubin_mg_dl,
        albumin_g_per_dl=albumin_g_dl,
        inr=inr,
        ascites_points=scores.ASCITES_POINTS[ascites],
        encephalopathy_points=scores.ENCEPHALOPATHY_POINTS[encephalopathy],
    )
    letter = "ABC"[int(scores.child_pugh_class(found.points))]
    return {"points": found.points, "class": letter}


def floats(values) -> np.ndarray:
    return np.asarray(values, float)


def positive(values) -> np.ndarray:
    return np.asarray(values) > 0.5


def ends(found) -> dict[str, float]:
    return {"ci_low": found.low, "ci_high": found.high}


def triple(found) -> list[float]:
    return [found.estimate, found.low, found.high]


def chi_square(found) -> dict[str, float]:
    return {"statistic": found.estimate, "df": found.df, "p": found.p}

"""Seconds of statistics: ours beside what users would write or install instead.

`python -m benchmarks.stats [--out DIR] [--rounds N] [--mask FILE --label L]`. Each
contender does the same work on the same arrays, and the bench checks that they agree;
rounds of all contenders alternate, a figure is the median round. Rivals that are not
installed are left out and named. The mask is that of a real liver where a file is given
(NIfTI or NRRD), and otherwise a body of its size and unevenness.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy.ndimage

from benchmarks import results
from liverjax.stats import rank_correlation, resampling, roc, roc_tests, segmentation

ROWS = 1_315  # patients of study 001
RESAMPLES = 2_000
MANY = 100_000
QUADRATIC = 5_000  # rows at which all pairs still fit into memory
RIVALS = ("sklearn", "confidenceinterval", "MLstatkit", "monai")

# One call does the work and returns its numbers, which must agree.
Contender = Callable[[], object]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mask", help="label map of a real scan")
    parser.add_argument("--label", type=int, default=5, help="the liver's in it")
    args = parser.parse_args(argv)
    # Rivals warn of their own future; timings must not depend on printing it.
    warnings.simplefilter("ignore")

    absent = [name for name in RIVALS if not importlib.util.find_spec(name)]
    if absent:
        print(
            f"not installed, so not measured: {', '.join(absent)}; "
            "`pip install -r requirements-bench.txt` brings them"
        )
    ratios, measures = {}, {}
    for bench in (
        bootstrap_bench,
        delong_bench,
        delong_many_bench,
        kendall_bench,
    ):
        found, rest = bench(args.rounds)
        ratios |= found
        measures |= rest
    truth, spacing_mm = liver_mask(args.mask, label=args.label)
    found, rest = surface_bench(args.rounds, truth=truth, spacing_mm=spacing_mm)
    ratios |= found
    measures |= rest | {"mask, from_a_real_scan": int(args.mask is not None)}
    path = results.write(
        "stats",
        command="python -m benchmarks.stats" + (" --mask FILE" if args.mask else ""),
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("scikit-learn", "confidenceinterval", "MLstatkit", "monai"),
    )
    for label, row in ratios.items():
        print(
            f"{label}: ours {row['ours']:.4g} s, rival {row['rival']:.4g} s: "
            f"{row['ratio']:.1f} times as fast"
        )
    for label, value in measures.items():
        print(f"{label}: {value:.4g}")
    print(path)


def race(contenders: dict[str, Contender], *, rounds: int) -> dict[str, float]:
    """Median seconds of each contender over alternating rounds, one call a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()  # imports, caches
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compared(
    title: str, contenders: dict[str, Contender], *, rounds: int
) -> tuple[dict[str, dict], dict[str, float]]:
    """Ratios of ours to each rival, and our seconds."""
    seconds = race(contenders, rounds=rounds)
    ratios = {
        f"{title}, {name}": results.ratio(
            ours=seconds["ours"], rival=value, unit="s", more_is_better=False
        )
        for name, value in seconds.items()
        if name != "ours"
    }
    return ratios, {f"{title}, ours_s": seconds["ours"]}


def cohort(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    positive = rng.random(rows) < 0.65
    return rng.normal(size=rows) + 1.5 * positive, positive


def bootstrap_bench(rounds: int) -> tuple[dict, dict]:
    """AUC in 2,000 resamples of 1,315 patients; drawing them counts for both."""
    score, positive = cohort(ROWS)

    def ours() -> np.ndarray:
        rng = np.random.default_rng(0)
        weight = resampling.subject_weights(
            rng, subject=np.arange(ROWS), resamples=RESAMPLES
        )
        return roc.resampled_auc(score, positive=positive, weight=weight)

    contenders: dict[str, Contender] = {"ours": ours}
    if importlib.util.find_spec("sklearn"):
        from sklearn.metrics import roc_auc_score

        def loop() -> list[float]:
            rng = np.random.default_rng(0)
            index = rng.integers(ROWS, size=(RESAMPLES, ROWS))
            return [roc_auc_score(positive[rows], score[rows]) for rows in index]

        contenders["scikit-learn in a loop"] = loop
        agree(np.mean(ours()), np.mean(loop()), atol=2e-3)
    title = f"{RESAMPLES:,} bootstraps of AUC at n = {ROWS:,}"
    return compared(title, contenders, rounds=rounds)


def delong_bench(rounds: int) -> tuple[dict, dict]:
    """AUC with DeLong's interval at a size that a quadratic method can still do."""
    score, positive = cohort(QUADRATIC)

    def ours() -> float:
        return roc.auc(score, positive=positive).se

    def all_pairs() -> float:
        up, down = score[positive], score[~positive]
        wins = (up[:, None] > down) + 0.5 * (up[:, None] == down)
        won, kept = wins.mean(axis=1), wins.mean(axis=0)
        return float(np.sqrt(won.var(ddof=1) / len(won) + kept.var(ddof=1) / len(kept)))

    agree(ours(), all_pairs(), atol=1e-10)
    contenders: dict[str, Contender] = {"ours": ours, "all pairs": all_pairs}
    if importlib.util.find_spec("confidenceinterval"):
        from confidenceinterval import roc_auc_score

        contenders["confidenceinterval"] = lambda: roc_auc_score(positive, score)
        agree(contenders["confidenceinterval"]()[0], value(score, positive), atol=1e-5)
    title = f"AUC with DeLong's interval at n = {QUADRATIC:,}"
    return compared(title, contenders, rounds=rounds)


def value(score: np.ndarray, positive: np.ndarray) -> float:
    return roc.auc(score, positive=positive).estimate


def delong_many_bench(rounds: int) -> tuple[dict, dict]:
    """The paired test of two scores of 100,000 rows."""
    score, positive = cohort(MANY)
    other = score + np.random.default_rng(1).normal(size=MANY)

    def ours() -> float:
        return roc_tests.compare_paired(score, other=other, positive=positive).z

    contenders: dict[str, Contender] = {"ours": ours}
    if importlib.util.find_spec("MLstatkit"):
        from MLstatkit import Delong_test

        def rival() -> float:
            return abs(Delong_test(positive.astype(int), score, other)[0])

        agree(abs(ours()), rival(), rtol=1e-3)
        contenders["MLstatkit"] = rival
    title = f"paired DeLong test at n = {MANY:,}"
    return compared(title, contenders, rounds=rounds)


def kendall_bench(rounds: int) -> tuple[dict, dict]:
    """Tau-b in 500 resamples of study 000's 259 patients."""
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=259)
    score = rng.normal(size=259) + truth
    index = rng.integers(259, size=(500, 259))
    weight = resampling.index_weights(index, n=259)

    def ours() -> np.ndarray:
        return rank_correlation.resampled_tau(score, y=truth, weight=weight)

    def loop() -> list[float]:
        from scipy.stats import kendalltau

        return [kendalltau(score[rows], truth[rows]).statistic for rows in index]

    agree(ours(), loop(), atol=1e-10)
    contenders: dict[str, Contender] = {"ours": ours, "SciPy in a loop": loop}
    return compared("500 bootstraps of tau-b at n = 259", contenders, rounds=rounds)


def surface_bench(
    rounds: int, *, truth: np.ndarray, spacing_mm: tuple[float, ...]
) -> tuple[dict, dict]:
    """HD95 of a liver mask against one with another boundary, and one with holes.

    Holes put surface far from any true surface: the worst case of a search tree.
    """
    rng = np.random.default_rng(0)
    noise = scipy.ndimage.gaussian_filter(rng.normal(size=truth.shape), 4)
    noise /= noise.std()
    soft = scipy.ndimage.gaussian_filter(truth.astype(float), 4)
    edge = (soft > 0.02) & (soft < 0.98)
    masks = {
        "boundary moved": soft + 0.15 * noise * edge > 0.5,
        "moved and full of holes": np.roll(truth, (1, 2, -2), axis=(0, 1, 2))
        & (noise < 2),
    }
    ratios, measures = {}, {}
    for name, predicted in masks.items():
        contenders = surface_contenders(predicted, truth=truth, spacing_mm=spacing_mm)
        found, rest = compared(
            f"HD95 of a liver mask, {name}", contenders, rounds=rounds
        )
        ratios |= found
        measures |= rest
    measures["mask, voxels"] = int(truth.size)
    measures["mask, liver_voxels"] = int(truth.sum())
    return ratios, measures


def surface_contenders(
    predicted: np.ndarray, *, truth: np.ndarray, spacing_mm: tuple[float, ...]
) -> dict[str, Contender]:
    def ours() -> float:
        return segmentation.surface_distances(
            predicted, truth=truth, spacing_mm=spacing_mm
        ).hd95_mm

    if not importlib.util.find_spec("monai"):
        return {"ours": ours}
    import torch
    from monai.metrics import compute_hausdorff_distance

    one, two = (torch.from_numpy(m)[None, None] for m in (predicted, truth))

    def rival() -> float:
        found = compute_hausdorff_distance(
            one, two, include_background=True, percentile=95, spacing=spacing_mm
        )
        return float(found[0, 0])

    agree(ours(), rival(), rtol=1e-5)
    return {"ours": ours, "MONAI": rival}


def liver_mask(path: str | None, *, label: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """A liver's mask and its spacing."""
    if path is not None:
        import SimpleITK

        image = SimpleITK.ReadImage(path)
        mask = SimpleITK.GetArrayFromImage(image) == label
        return mask, tuple(reversed(image.GetSpacing()))
    spacing_mm = (2.0, 0.8, 0.8)
    axes = np.meshgrid(
        *(
            np.linspace(-1.3, 1.3, round(2.6 * half / s))
            for half, s in zip((80.0, 90.0, 110.0), spacing_mm, strict=True)
        ),
        indexing="ij",
        sparse=True,
    )
    noise = np.random.default_rng(0).normal(size=np.broadcast(*axes).shape)
    bumps = scipy.ndimage.gaussian_filter(noise, 6)
    return sum(a**2 for a in axes) + 0.1 * bumps / bumps.std() <= 1, spacing_mm


def agree(ours: object, rival: object, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Refuses to race what does not give the same answer."""
    np.testing.assert_allclose(
        np.asarray(ours, float), np.asarray(rival, float), rtol=rtol, atol=atol
    )


if __name__ == "__main__":
    main()

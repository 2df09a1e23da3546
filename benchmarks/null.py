"""What the protocol says where there is nothing to find.

Cohorts without any sign of disease but with strong patient texture; labels drawn anew
many times; a cheap member (ridge regression or a tiny network on frozen features) in
the network's place, through the same folds, selection and statistics; then a few draws
of the real network.
Also what happens when slices instead of patients are split. The cohorts have the demo's
number of patients and its network, but coarse voxels, so that all of it can be repeated
on two cores in a quarter of an hour.

    python -m benchmarks.null --cohorts 5 --draws 200 --network-draws 20
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float, Int
from ml_collections import ConfigDict
from sklearn.neural_network import MLPRegressor

from benchmarks import results
from configs.cp_ct import get_config
from liverjax import config, experiment, study_flags, tasks
from liverjax.cohort import files, records, schema, splits
from liverjax.stats import rank_correlation, resampling
from liverjax.tasks import Outcome

SHARES = np.array([76, 120, 63]) / 259
POINTS_OF_CLASS = ((5, 6), (7, 8, 9), (10, 11, 12, 13, 14, 15))
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
THUMBNAIL_PX = 16
SELECT_FRACTION = 0.3
TASK = tasks.make("child_pugh")

# Features and centred points of training rows, and features of rows to predict; what
# comes back is a list of predictions, from which the protocol selects.
Member = Callable[..., list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Draw:
    """One label draw, cross-validated.

    Attributes:
        truth: Points drawn for each row.
        score: Its out-of-fold prediction.
        fold: The fold that held it out.
    """

    truth: Float[np.ndarray, "n"]
    score: Float[np.ndarray, "n"]
    fold: Int[np.ndarray, "n"]


def draw_points(rng: np.random.Generator, *, count: int) -> Float[np.ndarray, "n"]:
    """Returns Child-Pugh points with the study's class shares, knowing no image."""
    classes = rng.choice(3, size=count, p=SHARES)
    return np.array([float(rng.choice(POINTS_OF_CLASS[c])) for c in classes])


def features(images: np.ndarray) -> Float[np.ndarray, "n features"]:
    """Returns frozen features of records (n, h, w, c): standardised thumbnails."""
    count, side, _, channels = images.shape
    block = side // THUMBNAIL_PX
    used = images[:, : block * THUMBNAIL_PX, : block * THUMBNAIL_PX].astype(np.float64)
    shape = (count, THUMBNAIL_PX, block, THUMBNAIL_PX, block, channels)
    small = used.reshape(shape).mean(axis=(2, 4)).reshape(count, -1)
    centred = small - small.mean(axis=0)
    return centred / (centred.std(axis=0) + 1e-6)


def similarity(values: Float[np.ndarray, "n features"]) -> Float[np.ndarray, "n n"]:
    """Returns a Gaussian kernel as wide as half the median distance of rows."""
    square = (values**2).sum(axis=1)
    distance = np.maximum(square[:, None] + square[None] - 2 * values @ values.T, 0)
    return np.exp(-distance / (0.5 * np.median(distance[distance > 1e-9])))


def cross_validate(
    rng: np.random.Generator,
    values: Float[np.ndarray, "n features"],
    *,
    truth: Float[np.ndarray, "n"],
    folds: int,
    member: Member | None = None,
) -> Draw:
    """Returns out-of-fold predictions of a cheap member.

    Args:
        rng: Draws the seeds of the folds and of the member.
        values: Features of each row; a row is a subject.
        truth: Its points.
        folds: Number of folds, stratified by class.
        member: `ridge` or `tiny_network`; ridge if None.
    """
    names = [f"{i:05d}" for i in range(len(truth))]
    stratum = dict(zip(names, TASK.true_class(truth).tolist(), strict=True))
    made = splits.make_folds(
        stratum,
        folds=folds,
        select_fraction=SELECT_FRACTION,
        seed=int(rng.integers(2**31)),
    )
    score, number = np.empty(len(truth)), np.empty(len(truth), int)
    for index, fold in enumerate(made):
        train, select, held_out = (
            np.array([int(name) for name in group])
            for group in (fold.train, fold.select, fold.held_out)
        )
        mean = truth[train].mean()
        candidates = (member or ridge)(
            rng,
            values[train],
            truth=truth[train] - mean,
            seen=values[np.concatenate([select, held_out])],
        )
        best = max(
            candidates,
            key=lambda guess: _rank(guess[: len(select)] + mean, truth[select]),
        )
        score[held_out], number[held_out] = best[len(select) :] + mean, index
    return Draw(truth, score, number)


def ridge(
    rng: np.random.Generator,
    values: Float[np.ndarray, "n features"],
    *,
    truth: Float[np.ndarray, "n"],
    seen: Float[np.ndarray, "m features"],
) -> list[Float[np.ndarray, "m"]]:
    """Returns predictions of kernel ridge regression, one a penalty.

    It learns patients by heart: the hardest case for the protocol.
    """
    both = similarity(np.concatenate([values, seen]))
    square, across = both[: len(values), : len(values)], both[len(values) :]
    return [
        across[:, : len(values)]
        @ np.linalg.solve(square + penalty * np.eye(len(values)), truth)
        for penalty in PENALTIES
    ]


def tiny_network(
    rng: np.random.Generator,
    values: Float[np.ndarray, "n features"],
    *,
    truth: Float[np.ndarray, "n"],
    seen: Float[np.ndarray, "m features"],
) -> list[Float[np.ndarray, "m"]]:
    """Returns predictions of a network with one hidden layer, one an epoch kept."""
    network = MLPRegressor(
        hidden_layer_sizes=(16,),
        learning_rate_init=0.01,
        random_state=int(rng.integers(2**31)),
    )
    width = np.sqrt(values.shape[1])
    found = []
    for epoch in range(40):
        network.partial_fit(values / width, truth)
        if epoch % 4 == 3:
            found.append(network.predict(seen / width))
    return found


MEMBERS: dict[str, Member] = {"ridge": ridge, "tiny network": tiny_network}


def _rank(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    return TASK.select(Outcome(guess), truth=truth), -np.mean((guess - truth) ** 2)


def by_examination(cohort: schema.Cohort) -> Float[np.ndarray, "n features"]:
    """Returns the mean features of each examination's slices."""
    values = features(records.read_records(cohort)[schema.IMAGE])
    return np.stack(
        [
            values[int(row["first_record"]) : int(row["last_record"]) + 1].mean(axis=0)
            for row in cohort.examinations
        ]
    )


def null_rates(
    rng: np.random.Generator,
    values: Float[np.ndarray, "n features"],
    *,
    draws: int,
    folds: int,
    member: Member | None = None,
) -> dict[str, Float[np.ndarray, "draws"]]:
    """Returns taus and p values, one a draw of labels that know nothing.

    Args:
        rng: Draws labels, folds and permutations.
        values: Features of each examination.
        draws: Label draws.
        folds: Of the cross-validation.
        member: See `cross_validate`.

    Returns:
        ``within``, ``within_p``, ``within_p_bound`` as a report tells it,
        ``within_p_bound_share`` (that of the training share instead of all pairs),
        ``pooled`` and ``pooled_p`` (two-sided).
    """
    rows = []
    for _ in range(draws):
        truth = draw_points(rng, count=len(values))
        draw = cross_validate(rng, values, truth=truth, folds=folds, member=member)
        within, share = (
            rank_correlation.kendall_tau_within_folds(
                rng, draw.score, target=draw.truth, fold=draw.fold, reciprocity=pairs
            )
            for pairs in (1.0, 1 - SELECT_FRACTION)  # the first as in reports
        )
        pooled = rank_correlation.kendall_tau(draw.score, y=draw.truth)
        bounds = (within.p_bound, share.p_bound)
        rows.append((within.estimate, within.p, *bounds, pooled.estimate, pooled.p))
    names = ("within", "within_p", "within_p_bound", "within_p_bound_share")
    names += ("pooled", "pooled_p")
    return dict(zip(names, np.array(rows).T, strict=True))


def summary(rates: Sequence[dict[str, np.ndarray]]) -> dict[str, float]:
    """Returns how often such labels look significant, and the bias, over cohorts."""
    every = {name: np.concatenate([r[name] for r in rates]) for name in rates[0]}
    return {
        "draws": len(every["within"]),
        "share within folds p < 0.05": float(np.mean(every["within_p"] < 0.05)),
        "share within folds p_bound < 0.05": float(
            np.mean(every["within_p_bound"] < 0.05)
        ),
        "share within folds p_bound of the training share < 0.05": float(
            np.mean(every["within_p_bound_share"] < 0.05)
        ),
        "spread of within-fold z (1: as permuted)": float(
            np.std(scipy.stats.norm.isf(np.clip(every["within_p"], 1e-4, 1 - 1e-4)))
        ),
        "share pooled p < 0.05 (two-sided)": float(np.mean(every["pooled_p"] < 0.05)),
        "mean within-fold tau": float(every["within"].mean()),
        "mean pooled tau": float(every["pooled"].mean()),
    }


def split_by_slices(
    rng: np.random.Generator, cohort: schema.Cohort, *, folds: int
) -> dict[str, list[float]]:
    """Returns tau when slices are split as if each were a patient, and by patient.

    Labels are drawn per patient and know no image. Each tau comes with the interval of
    2,000 bootstraps of what was split.

    Args:
        rng: Draws labels, folds and resamples.
        cohort: Prepared, without any sign of disease.
        folds: Of the cross-validation.
    """
    subject = np.array([int(row["first_record"]) for row in cohort.examinations])
    owner = np.searchsorted(subject, np.arange(cohort.num_records), side="right") - 1
    truth = draw_points(rng, count=len(cohort.examinations))
    slices = features(records.read_records(cohort)[schema.IMAGE])
    leaky = cross_validate(rng, slices, truth=truth[owner], folds=folds)
    honest = cross_validate(rng, by_examination(cohort), truth=truth, folds=folds)
    return {"slices": _tau(rng, leaky), "patients": _tau(rng, honest)}


def _tau(rng: np.random.Generator, draw: Draw) -> list[float]:
    rows = np.arange(len(draw.truth))
    weight = resampling.subject_weights(rng, subject=rows, stratum=draw.fold)
    tau = rank_correlation.kendall_tau(draw.score, y=draw.truth, weight=weight)
    return [tau.estimate, tau.low, tau.high]


def relabel(cohort: schema.Cohort, *, points: np.ndarray, out: pathlib.Path) -> None:
    """Writes a copy of a cohort whose examinations have other Child-Pugh points.

    Args:
        cohort: Its shards are linked, not copied.
        points: One an examination.
        out: The copy's folder.
    """
    out.mkdir(parents=True)
    for name in [*(shard.file for shard in cohort.shards), "index.csv"]:
        (out / name).hardlink_to(cohort.path / name)
    (out / "qc").mkdir()
    (out / "qc" / "status.csv").hardlink_to(cohort.path / "qc" / "status.csv")
    columns, rows = files.read_csv(cohort.path / "examinations.csv")
    changed = [
        row | {"child_pugh": str(int(p))} for row, p in zip(rows, points, strict=True)
    ]
    files.write_csv(out / "examinations.csv", changed, columns=columns)
    header = files.read_json(cohort.path / "cohort.json")
    header["tables"]["examinations.csv"] = files.sha256_file(out / "examinations.csv")
    files.write_json(out / "cohort.json", header)


def network_draws(
    rng: np.random.Generator, cohort: schema.Cohort, *, draws: int, folder: pathlib.Path
) -> list[float]:
    """Returns the within-fold p of the demo's real network for several label draws.

    Args:
        rng: Draws the labels.
        cohort: Prepared by the demo's recipe, without any sign of disease.
        draws: Runs.
        folder: For their run folders.
    """
    found = []
    for number in range(draws):
        points = draw_points(rng, count=len(cohort.examinations))
        relabel(cohort, points=points, out=folder / f"cohort{number}")
        values = coarse_study()
        values.cohort.phantom = None
        values.cohort.path = str(folder / f"cohort{number}")
        values.split.seed = number
        values.workdir = str(folder / f"run{number}")
        experiment.run(config.from_config_dict(values))
        metrics = files.read_json(folder / f"run{number}" / "metrics.json")
        found.append(metrics["kendall_tau_within_folds"]["p"])
    return found


def coarse_study() -> ConfigDict:
    """Returns the demo's study on voxels of 7 mm, with fewer epochs."""
    values = get_config("demo")
    values.cohort.phantom.size = "48,24,7,9"
    values.cohort.phantom.effect = 0.0
    values.prepare.inplane_spacing_mm = 7.0
    values.prepare.slice_spacing_mm = 9.0
    values.prepare.patch_px = 32
    values.prepare.store_px = 40
    values.augment.elastic_px = (0.0, 2.0)
    values.train.epochs = 10
    values.split.leak_check = False  # coarse patients look too much alike for it
    return values


def prepare_null_cohort(folder: pathlib.Path, *, seed: int) -> schema.Cohort:
    """Returns a prepared cohort without any sign of disease."""
    study = config.from_config_dict(coarse_study())
    assert study.cohort.phantom is not None
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "config.json", config.to_dict(study))
    phantom = [f"--out={folder / 'phantom'}", f"--seed={seed}", "--effect=0"]
    phantom += [f"--subjects={study.cohort.phantom.subjects}", "--texture=2"]
    phantom.append(f"--size={study.cohort.phantom.size}")
    build = [f"--manifest={folder / 'phantom' / 'manifest.csv'}"]
    build += [study_flags.saved(folder / "config.json"), f"--out={folder / 'cohort'}"]
    for command in (["data_prep.phantom", *phantom], ["data_prep.build", *build]):
        subprocess.run([sys.executable, "-m", *command], check=True)
    return schema.open_cohort(folder / "cohort")


def main() -> None:
    """Measures and writes ``benchmarks/results/null-*.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=5)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--network-draws", type=int, default=20)
    parser.add_argument(
        "--folder", type=pathlib.Path, help="keep cohorts and runs here"
    )
    parser.add_argument("--out", type=pathlib.Path, default=results.RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or pathlib.Path(temporary)
        cohorts = [
            prepare_null_cohort(folder / f"null{seed}", seed=seed)
            for seed in range(options.cohorts)
        ]
        measures: dict[str, object] = {}
        for name, member in MEMBERS.items():
            rng = np.random.default_rng(259)
            rates = [
                null_rates(
                    rng,
                    by_examination(cohort),
                    draws=options.draws,
                    folds=5,
                    member=member,
                )
                for cohort in cohorts
            ]
            measures[name] = summary(rates)
        rng = np.random.default_rng(259)
        measures["split by slices, by patients (tau, low, high)"] = split_by_slices(
            rng, cohorts[0], folds=5
        )
        _write(measures, options)
        measures["network, within-fold p of each draw"] = network_draws(
            rng, cohorts[0], draws=options.network_draws, folder=folder / "network"
        )
        _write(measures, options)


def _write(measures: dict[str, object], options: argparse.Namespace) -> None:
    for label, value in measures.items():
        print(f"{label}: {value}", flush=True)
    results.write(
        "null",
        command=f"python -m benchmarks.null --cohorts {options.cohorts} "
        f"--draws {options.draws} --network-draws {options.network_draws}",
        ratios={},
        measures=measures,
        out_dir=options.out,
    )


if __name__ == "__main__":
    main()

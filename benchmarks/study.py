"""How long the whole Child-Pugh study takes: 12,492 patches, 10 folds, 20 epochs.

`python -m benchmarks.study [--share S] [--out DIR]`: `configs/cp_ct.py` as it stands
(224 px, three phases, warped in every epoch, a ResNet18 of full width), on patches of
noise of the paper's number; preparation and report apart. With `--share 1`, the default
where there is an accelerator, all of it is run, and its time by the clock is among the
figures. A smaller share (on a CPU 0.02) trains one epoch on that part of the patches, a
member a device; the whole is extrapolated from the images per second of training and of
prediction. The paper took 15 minutes a fold on one GPU of 2017.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np

from benchmarks import results
from liverjax import config, experiment, members, runtime
from liverjax.cohort import files, schema
from tests.cohort.small import write_cohort

PATCHES, SUBJECTS = 12_492, 259
PAPER_S = 15 * 60 * 10


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, help="of the patches, 0 to 1")
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    args = parser.parse_args(argv)
    # Before anything asks which devices there are.
    jax.config.update("jax_num_cpu_devices", results.num_cores())
    share = args.share
    if share is None:
        share = 0.02 if results.device_name().startswith("cpu") else 1.0
    with tempfile.TemporaryDirectory() as folder:
        measures = measure(pathlib.Path(folder), share=share)
    for name, value in measures.items():
        print(f"{name}: {value:,.4g}")
    print(
        results.write(
            "study",
            command="python -m benchmarks.study",
            ratios={},
            measures=measures,
            out_dir=args.out,
        )
    )


def measure(folder: pathlib.Path, *, share: float) -> dict[str, Any]:
    """Returns seconds by name."""
    study = make_study(folder, share=share)
    cohort = schema.open_cohort(pathlib.Path(study.cohort.path))
    run = pathlib.Path(study.workdir)
    experiment.claim_folder(run, study=study)
    folds = experiment.split(run, study=study, cohort=cohort)
    every = members.every_member(study, folds=folds)
    groups = runtime.start(len(every))
    chosen = every if share == 1 else every[: len(groups)]
    began = time.perf_counter()
    members.train_members(run, chosen, groups=groups)
    wall_s = time.perf_counter() - began

    lines = [
        json.loads(line)
        for path in run.glob("members/*/metrics.jsonl")
        for line in path.read_text().splitlines()
    ]
    done = [files.read_json(path) for path in run.glob("members/*/done.json")]
    training_s = sum(line["seconds"] for line in lines)
    rest_s = sum(member["seconds"] for member in done) - training_s
    trained = sum(line["seconds"] * line["images_per_s"] for line in lines)
    spans = members.open_run(run).examinations
    predicted = 0
    for member in chosen:
        fold = folds[member.fold]
        counts = [
            int(spans.spans[spans.of_subjects(part), 1].sum())
            for part in (fold.select, fold.held_out)
        ]
        predicted += counts[0] * study.train.epochs + counts[1]
    rates = trained / training_s, predicted / rest_s
    whole = 20 * 0.63 * PATCHES / rates[0] + (20 * 0.27 + 0.1) * PATCHES / rates[1]
    by_rates = whole * 10 / len(groups)
    measures = {
        "share of the patches": share,
        "members at once": len(groups),
        "training, images_per_s of a member": rates[0],
        "prediction, images_per_s of a member": rates[1],
        "the whole study, extrapolated, s": by_rates,
        "what was run, compiling included, s": wall_s,
        "compile_s": max(line["compile_s"] for line in lines),
        "the paper's, s": PAPER_S,
    }
    return {name: float(f"{value:.4g}") for name, value in measures.items()}


def make_study(folder: pathlib.Path, *, share: float) -> config.StudyConfig:
    """Returns the study on patches of noise, its cohort written."""
    from configs import cp_ct

    values = cp_ct.get_config()
    values.workdir, values.cohort.path = str(folder / "run"), str(folder / "cohort")
    values.model.pretrained = "none"
    values.split.leak_check = False
    if share < 1:
        values.train.epochs = 1
    count = max(2, round(PATCHES * share / SUBJECTS))
    side = values.prepare.store_px
    rng = np.random.default_rng(0)
    # One patch of noise, moved: as large on the disk and the device as real ones.
    noise = rng.integers(0, 256, (2 * side, 2 * side, 3), np.uint8)
    starts = rng.integers(0, side, (count * SUBJECTS, 2))
    study = config.from_config_dict(values)
    write_cohort(
        folder / "cohort",
        [noise[y : y + side, x : x + side] for y, x in starts],
        subjects=[f"p{i:03d}" for i in range(SUBJECTS) for _ in range(count)],
        recipe=study.prepare,
        columns={"child_pugh": [str(5 + i % 11) for i in range(SUBJECTS)]},
        per_shard=256,
    )
    return study


if __name__ == "__main__":
    main()

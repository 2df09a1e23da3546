"""Heads on frozen features: a bundle in one program, and heads one after the other.

`python -m benchmarks.heads [--records N] [--features N] [--folds N] [--seeds N]
[--trials N] [--epochs N] [--alone N]`. Both train the same heads by the same steps on
random features in memory; the second trains a few of them by the loop of a member
alone, compiled once, and is counted a head. Compile time apart.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import results


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and writes ``benchmarks/results/heads-*.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--alone", type=int, default=10, help="heads trained alone")
    parser.add_argument("--out", type=pathlib.Path, default=results.RESULTS)
    options = parser.parse_args(argv)
    problem = Problem(options)
    bundle = problem.together()
    alone = problem.one_by_one(options.alone)
    heads = options.folds * options.seeds * options.trials
    each_s = statistics.median(alone)
    measures = {
        **{name: getattr(options, name) for name in ("records", "features", "epochs")},
        "heads": heads,
        "bundle_s": round(bundle.train_s, 2),
        "bundle_compile_s": round(bundle.compile_s, 1),
        "one head alone_s": round(each_s, 4),
        "one after the other, extrapolated_s": round(each_s * heads, 1),
        "bundle against one after the other": round(each_s * heads / bundle.train_s, 1),
    }
    for name, value in measures.items():
        print(f"{name}: {value}")
    path = results.write(
        "heads",
        command="python -m benchmarks.heads",
        ratios={},
        measures=measures,
        out_dir=options.out,
        packages=("optax",),
    )
    print(path)


class Problem:
    """Random features and points, and the heads that learn them."""

    def __init__(self, options: argparse.Namespace) -> None:
        from liverjax import losses, models
        from liverjax.data.rows import ROWS
        from liverjax.train.compile import Learner
        from liverjax.train.heads import Head
        from liverjax.train.optimizer import adam

        rng = np.random.default_rng(0)
        shape = options.records, options.features
        self.features = rng.random(shape, np.float32)
        weight = rng.normal(0, 1, options.features) / np.sqrt(options.features)
        self.targets = (8 + self.features @ weight).astype(np.float32)
        place, share = np.arange(options.records), options.records // options.folds
        self.select, self.spans = [], []
        for fold in range(options.folds):
            left = np.roll(place, -fold * share)[share:]  # the first share is held out
            self.select.append(np.sort(left[: 3 * share])[:, None].astype(np.int32))
            kept = left[3 * share :]
            self.spans.append(np.stack([kept, np.ones_like(kept)], axis=1))
        # ResNet18 of any width: only its head is used, and its random start.
        network = models.make("resnet18", num_outputs=1, width=options.features // 8)
        self.learner = Learner(
            model=Head(network, layer="fc", image_shape=(1, 32, 32, 3)),
            tx=adam(),
            loss_fn=losses.mse,
            kind=ROWS["slice"],
            augment_fn=lambda key, arrays: arrays,
            crop_fn=lambda arrays: arrays,
            head="fc",
        )
        self.folds, self.epochs = options.folds, options.epochs
        self.seeds = range(options.seeds)
        penalties = np.geomspace(1e-6, 1e-1, options.trials)
        self.trials = [
            {"learning_rate": 1e-3, "l2": float(penalty), "weight_decay": 0.0}
            for penalty in penalties
        ]

    def together(self) -> Any:
        """Returns how the bundle's training ended."""
        import jax

        from liverjax.train.bundle import fit_bundle
        from liverjax.train.grid import Grid

        return fit_bundle(
            Grid(
                bias=np.full((self.folds, 1), 8.0, np.float32),
                seeds=self.seeds,
                trials=self.trials,
                plans=[self._plan() for _ in self.trials],
                draw=self._draw,
                select=self.select,
                score=self._score,
            ),
            learner=self.learner,
            features=self.features,
            targets=self.targets,
            batch_size=32,
            device=jax.devices()[0],
            stop=threading.Event(),
        )

    def one_by_one(self, count: int) -> list[float]:
        """Returns the seconds of so many heads, each trained as a member is."""
        import jax

        from liverjax.data.resident import Resident, place
        from liverjax.train.compile import compile_programs
        from liverjax.train.loop import fit
        from liverjax.train.optimizer import with_hyperparams
        from liverjax.train.state import member_key

        programs = compile_programs(
            self.learner,
            arrays={"image": self.features},
            row_length=1,
            target_dtype=np.float32,
            batch_size=32,
            capacity=len(self._draw(0, 0, 0).rows),
            devices=[jax.devices()[0]],
        )
        arrays = place({"image": self.features}, programs.sharding)

        def birth() -> Any:
            key = member_key(0, fold=0)
            state = programs.create(key, None, np.full(1, 8, np.float32))
            changed = with_hyperparams(state.opt_state, self.trials[0])
            return state.replace(opt_state=changed)

        seconds = []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count + 1):
                own = pathlib.Path(folder) / str(number)
                own.mkdir()
                began = time.perf_counter()
                fit(
                    own,
                    programs=programs,
                    source=Resident(arrays),
                    birth=birth,
                    draw=lambda epoch: self._draw(0, 0, epoch),
                    targets=self.targets,
                    select=self.select[0],
                    score=lambda logits: float(self._score(0, logits[None])[0]),
                    plan=self._plan(),
                    stop=threading.Event(),
                    environment={},
                )
                seconds.append(time.perf_counter() - began)
        return seconds[1:]  # the first one warms up

    def _plan(self) -> Any:
        from liverjax.train.loop import Plan
        from liverjax.train.schedule import constant

        return Plan(epochs=self.epochs, schedule=constant(learning_rate=1e-3))

    def _draw(self, fold: int, seed: int, epoch: int) -> Any:
        from liverjax.data.rows import ROWS, draw_epoch, epoch_rng

        return draw_epoch(
            epoch_rng(seed=seed, fold=fold, epoch=epoch),
            ROWS["slice"],
            spans=self.spans[fold],
            batch_size=32,
        )

    def _score(self, fold: int, logits: np.ndarray) -> np.ndarray:
        truth = self.targets[self.select[fold][:, 0]]
        return -np.abs(logits[..., 0] - truth).mean(-1)


if __name__ == "__main__":
    main()

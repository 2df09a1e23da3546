"""Images trained per second: our step beside the same ResNet18 in PyTorch.

`python -m benchmarks.train [--sizes 64 80 224] [--widths 16 64] [--batches N ...]
[--seconds N] [--out DIR]`. Both train from uint8 images in memory (no augmentation, no
files) with Adam and L2. On a CPU ours is a member a core, each on a host device of its
own; the rivals are one network with all cores, and as many single-thread processes as
cores, channels-last. On a GPU one network each, float32 and bfloat16, the rival eager
and through `torch.compile`. Rounds of all contenders alternate; a figure is the median
round, compile time apart.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import results, rival_resnet
from benchmarks.rival_resnet import Rival

ROUNDS = 5
UNIT = "images/s"

# Trains for so many seconds and says how many images a second.
Contender = Callable[[float], float]


@dataclasses.dataclass(frozen=True)
class Case:
    """What is trained.

    Attributes:
        size_px: Side of the images.
        width: Channels of the first stage.
        batch_size: Images a step.
        dtype: Compute type.
    """

    size_px: int
    width: int
    batch_size: int
    dtype: str = "float32"

    @property
    def label(self) -> str:
        """Its name in the results."""
        return (
            f"{self.size_px} px, width {self.width}, batch {self.batch_size}, "
            f"{self.dtype}"
        )


class Trainer:
    """One network of ours on one device, ready to train."""

    def __init__(self, case: Case, device: Any) -> None:
        import jax

        from liverjax.cohort.schema import RECORD
        from liverjax.data.resident import place
        from liverjax.data.rows import OCCURRENCE, ROW
        from liverjax.train import member_key
        from liverjax.train.compile import compile_programs, group_sharding
        from liverjax.train.optimizer import with_learning_rate

        self.case, self.learner = case, _learner(case)
        rng = np.random.default_rng(0)
        shape = (8 * case.batch_size, case.size_px, case.size_px, 3)
        images = rng.integers(0, 256, shape, np.uint8)
        sharding = group_sharding([device])
        self.arrays = place({"image": images}, sharding)
        self.steps = 256
        rows = self.steps * case.batch_size
        record = rng.integers(0, len(images), rows).astype(np.int32)
        table = {
            ROW: record[:, None],
            RECORD: record,
            OCCURRENCE: np.zeros(rows, np.int32),
            "target": rng.random(rows, np.float32),
        }
        self.table = jax.device_put(table, sharding)
        self.programs = compile_programs(
            self.learner,
            arrays=self.arrays,
            row_length=1,
            target_dtype=np.float32,
            batch_size=case.batch_size,
            capacity=rows,
            devices=[device],
        )
        birth = member_key(0, fold=0), None, np.zeros(1, np.float32)
        state = self.programs.create(*birth)
        state = state.replace(opt_state=with_learning_rate(state.opt_state, 1e-4))
        self.state = jax.device_put(state, sharding)
        self.losses = jax.device_put(np.zeros(self.steps, np.float32), sharding)
        self.epoch(1)
        self.step_s = self.epoch(2) / 2

    def epoch(self, steps: int) -> float:
        """Returns the seconds of so many steps inside the compiled epoch."""
        began = time.perf_counter()
        bounds = np.int32(0), np.int32(steps)
        self.state, self.losses = self.programs.advance(
            self.state, self.losses, self.table, self.arrays, *bounds
        )
        self.losses.block_until_ready()
        return time.perf_counter() - began

    def train(self, seconds: float) -> float:
        """Returns images per second over about so many seconds."""
        count, taken = 0, 0.0
        while taken < seconds:
            wanted = round((seconds - taken) / self.step_s)
            steps = min(self.steps, max(1, wanted))
            elapsed = self.epoch(steps)
            self.step_s = elapsed / steps
            count, taken = count + steps, taken + elapsed
        return count * self.case.batch_size / taken

    def one_by_one(self) -> Contender:
        """Returns a contender that takes the same steps, a program call each."""
        import jax

        from liverjax.train.step import gather_batch, train_step

        learner = self.learner
        step = functools.partial(
            train_step,
            apply_fn=learner.model.apply,
            tx=learner.tx,
            loss_fn=learner.loss_fn,
            augment_fn=learner.augment_fn,
        )
        size = self.case.batch_size

        def take(state: Any, table: Any, arrays: Any, i: Any) -> Any:
            part = {
                name: jax.lax.dynamic_slice_in_dim(column, i * size, size)
                for name, column in table.items()
            }
            batch = gather_batch(arrays, part, fetch=learner.kind.fetch)
            return step(state, batch)

        jitted = jax.jit(take, donate_argnums=0)

        def run(seconds: float) -> float:
            count, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                for _ in range(8):
                    self.state, metrics = jitted(
                        self.state,
                        self.table,
                        self.arrays,
                        np.int32(count % self.steps),
                    )
                    count += 1
                metrics["loss"].block_until_ready()
            return count * size / (time.perf_counter() - began)

        run(0.01)  # compiles
        return run


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--sizes", type=int, nargs="+", help="px (CPU: 64 80 224)")
    parser.add_argument("--widths", type=int, nargs="+", help="channels (CPU: 16 64)")
    parser.add_argument("--batches", type=int, nargs="+", help="images (CPU: 16)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of measuring, for each contender"
    )
    args = parser.parse_args(argv)
    import jax

    jax.config.update("jax_num_cpu_devices", results.num_cores())
    on_cpu = jax.devices()[0].platform == "cpu"
    compare = compare_on_cpu if on_cpu else compare_on_gpu
    if not importlib.util.find_spec("torch"):
        print("torch is not installed, so ours is measured alone")
    ratios: dict[str, Any] = {}
    measures: dict[str, Any] = {"cores busy before": results.busy_cores()}
    for size_px in args.sizes or ([64, 80, 224] if on_cpu else [80, 224]):
        for width in args.widths or ([16, 64] if on_cpu else [64]):
            for batch_size in args.batches or ([16] if on_cpu else [16, 32, 128]):
                for dtype in ["float32"] if on_cpu else ["float32", "bfloat16"]:
                    case = Case(size_px, width, batch_size, dtype)
                    found, rest = compare(case, seconds=args.seconds)
                    ratios |= {f"{case.label}: {k}": v for k, v in found.items()}
                    measures |= {f"{case.label}: {k}": v for k, v in rest.items()}
    path = results.write(
        "train",
        command="python -m benchmarks.train",
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("optax", "torch"),
    )
    print(path)


def compare_on_cpu(case: Case, *, seconds: float) -> tuple[dict, dict]:
    """Members on host devices against one network, and against processes."""
    import jax

    cores = results.num_cores()
    trainers = [Trainer(case, device) for device in jax.devices()]
    pool = concurrent.futures.ThreadPoolExecutor(len(trainers))

    def members(seconds: float) -> float:
        return sum(pool.map(lambda trainer: trainer.train(seconds), trainers))

    shape = (case.size_px, case.width, case.batch_size)
    rivals = {
        f"one network with {cores} threads": Rival(*shape, threads=cores),
        f"{cores} processes with one thread": Rival(*shape, processes=cores),
    }
    ours = {f"{len(trainers)} members": members}
    return _race(case, ours, rivals, trainer=trainers[0], seconds=seconds)


def compare_on_gpu(case: Case, *, seconds: float) -> tuple[dict, dict]:
    """One network of each kind on the first GPU."""
    import jax

    trainer = Trainer(case, jax.devices()[0])
    rival = Rival(
        case.size_px,
        case.width,
        case.batch_size,
        device="cuda",
        bfloat16=case.dtype == "bfloat16",
    )
    rivals = {
        "eager": rival,
        "torch.compile": dataclasses.replace(rival, compiled=True),
    }
    ours = {"one member": trainer.train}
    return _race(case, ours, rivals, trainer=trainer, seconds=seconds)


def _race(
    case: Case,
    ours: dict[str, Contender],
    rivals: dict[str, Rival],
    *,
    trainer: Trainer,
    seconds: float,
) -> tuple[dict, dict]:
    """Returns ratios and measures of contenders that take turns."""
    contenders = ours | {
        "one member alone": trainer.train,
        "its steps one by one": trainer.one_by_one(),
    }
    if not importlib.util.find_spec("torch"):
        rivals = {}
    with contextlib.ExitStack() as stack:
        for name, rival in rivals.items():
            running = stack.enter_context(rival_resnet.workers(rival))
            contenders[name] = functools.partial(_ask, running)
        rounds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, contender in contenders.items():
                rounds[name].append(contender(seconds / ROUNDS))
    speed = {name: statistics.median(values) for name, values in rounds.items()}
    (main_name,) = ours
    ratios = {
        f"{main_name} against torch, {name}": results.ratio(
            ours=speed[main_name], rival=speed[name], unit=UNIT
        )
        for name in rivals
    }
    alone, single = speed["one member alone"], speed["its steps one by one"]
    measures = {f"{name}, images_per_s": round(speed[name], 1) for name in speed}
    measures["compiled epoch against its steps one by one"] = round(alone / single, 3)
    measures["compile_s"] = round(trainer.programs.compile_s, 1)
    print(case.label)
    for name, value in speed.items():
        marks = ", ".join(f"{v:,.0f}" for v in rounds[name])
        print(f"  {name}: {value:,.1f} {UNIT} (rounds: {marks})")
    for name, row in ratios.items():
        print(f"  {name}: {row['ratio']:.2f} times as fast")
    return ratios, measures


def _ask(connections: Sequence[Any], seconds: float) -> float:
    return rival_resnet.images_per_s(connections, seconds=seconds)


def _learner(case: Case) -> Any:
    """Our functions: the same arithmetic as the rival's, no augmentation."""
    import jax.numpy as jnp

    from liverjax import losses, models
    from liverjax.data.rows import ROWS
    from liverjax.train.compile import Learner
    from liverjax.train.optimizer import adam

    def normalised(arrays: Any) -> dict[str, Any]:
        return {"image": (arrays["image"].astype(jnp.float32) / 255 - 0.5) / 0.25}

    dtype = None if case.dtype == "float32" else case.dtype
    return Learner(
        model=models.make("resnet18", num_outputs=1, width=case.width, dtype=dtype),
        tx=adam(l2=1e-3),
        loss_fn=losses.mse,
        kind=ROWS["slice"],
        augment_fn=lambda key, arrays: normalised(arrays),
        crop_fn=normalised,
    )


if __name__ == "__main__":
    main()

"""Ways to train many networks of one study: images per second of all together.

`python -m benchmarks.members [--widths 8 16 64] [--batches 16 32 128] [--size PX]
[--members N] [--seconds N] [--out DIR]`. Ours: one member after the other on one
device, a member on each device, and N members as one program under `vmap`. The rivals:
one PyTorch network after the other with all cores (on a GPU, the GPU), and on a CPU as
many single-thread processes as cores. The network is a ResNet18 of the width, uint8
images in memory, Adam; rounds of all contenders alternate, a figure is the median
round, compile time apart. `vmap` becomes an engine of training where it wins by a fifth
over the best other way of ours; the ratio is among the measures.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
import importlib.util
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import results, rival_resnet
from benchmarks.rival_resnet import Rival
from benchmarks.train import ROUNDS, UNIT, Case, Contender, Trainer


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 128])
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--members", type=int, default=4, help="of the vmap")
    parser.add_argument("--seconds", type=float, default=10.0, help="a contender")
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    args = parser.parse_args(argv)
    import jax

    jax.config.update("jax_num_cpu_devices", results.num_cores())
    ratios: dict[str, Any] = {}
    measures: dict[str, Any] = {"cores busy before": results.busy_cores()}
    for width in args.widths:
        for batch_size in args.batches:
            case = Case(args.size, width, batch_size)
            speed = race(case, members=args.members, seconds=args.seconds)
            print(case.label, {k: round(v, 1) for k, v in speed.items()}, flush=True)
            best = max(speed["one after the other"], speed["a member a device"])
            rivals = [name for name in speed if name.startswith("torch")]
            ratios |= {
                f"{case.label}: ours against {name}": results.ratio(
                    ours=best, rival=speed[name], unit=UNIT
                )
                for name in rivals
            }
            measures |= {
                f"{case.label}: {name}, images_per_s": round(value, 1)
                for name, value in speed.items()
                if name not in rivals
            }
            gain = speed[f"vmap of {args.members}"] / best
            measures[f"{case.label}: vmap against the best of ours"] = round(gain, 3)
    path = results.write(
        "members",
        command="python -m benchmarks.members",
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("optax", "torch"),
    )
    print(path)


def race(case: Case, *, members: int, seconds: float) -> dict[str, float]:
    """Returns each way's images per second, the median of alternating rounds."""
    import jax

    trainers = [Trainer(case, device) for device in jax.devices()]
    pool = concurrent.futures.ThreadPoolExecutor(len(trainers))

    def each_its_own(seconds: float) -> float:
        return sum(pool.map(lambda trainer: trainer.train(seconds), trainers))

    ways: dict[str, Contender] = {
        "one after the other": trainers[0].train,
        "a member a device": each_its_own,
        f"vmap of {members}": bundle(trainers[0], members=members),
    }
    with contextlib.ExitStack() as stack:
        for name, rival in rivals_of(case).items():
            running = stack.enter_context(rival_resnet.workers(rival))
            ways[name] = functools.partial(_ask, running)
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                rounds[name].append(way(seconds / ROUNDS))
    return {name: statistics.median(values) for name, values in rounds.items()}


def rivals_of(case: Case) -> dict[str, Rival]:
    """Returns how PyTorch trains many networks; none where it is not installed."""
    import jax

    if not importlib.util.find_spec("torch"):
        return {}
    shape, cores = (case.size_px, case.width, case.batch_size), results.num_cores()
    if jax.devices()[0].platform != "cpu":
        return {"torch, one after the other": Rival(*shape, device="cuda")}
    return {
        "torch, one after the other with all cores": Rival(*shape, threads=cores),
        f"torch, {cores} single-thread processes": Rival(*shape, processes=cores),
    }


def bundle(trainer: Trainer, *, members: int) -> Contender:
    """Returns a contender that trains members of a trainer's case by one program."""
    import jax
    import jax.numpy as jnp

    from liverjax.train.step import gather_batch, run_steps, train_step

    learner, case = trainer.learner, trainer.case
    step = functools.partial(
        train_step,
        apply_fn=learner.model.apply,
        tx=learner.tx,
        loss_fn=learner.loss_fn,
        augment_fn=learner.augment_fn,
    )
    steps = functools.partial(
        run_steps,
        step=step,
        gather=functools.partial(gather_batch, fetch=learner.kind.fetch),
        batch_size=case.batch_size,
    )
    every = jax.vmap(steps, in_axes=(0, 0, None, None, None, None))
    run = jax.jit(every, donate_argnums=(0, 1))

    def repeat(leaf: Any) -> Any:
        return jnp.repeat(leaf[None], members, axis=0)

    held = {
        "state": jax.tree.map(repeat, trainer.state),
        "losses": repeat(trainer.losses),
    }

    def take(count: int) -> float:
        began = time.perf_counter()
        held["state"], held["losses"] = run(
            held["state"],
            held["losses"],
            trainer.table,
            trainer.arrays,
            np.int32(0),
            np.int32(count),
        )
        held["losses"].block_until_ready()
        return time.perf_counter() - began

    take(1)  # compiles
    step_s = take(1)

    def train(seconds: float) -> float:
        count = min(trainer.steps, max(1, round(seconds / step_s)))
        return members * count * case.batch_size / take(count)

    return train


def _ask(connections: Sequence[Any], seconds: float) -> float:
    return rival_resnet.images_per_s(connections, seconds=seconds)


if __name__ == "__main__":
    main()

"""What reading costs: a network fed from the device, from shards, and by nothing.

`python -m benchmarks.input [--sizes 80] [--records N] [--share 8] [--seconds N]
[--out DIR]`. The same ResNet18 takes the same steps over a cohort written for the
purpose: resident (all records on the device), streamed with a cap of an eighth of the
cohort, streamed with a cap that keeps all of it once it is read, and by a twin that has
one batch and takes it again and again. What is lost against the twin is the price of
the data. The shards were just written, so that a stream reads them from the system's
file cache if there is room: a disk's own speed is not measured. Rounds of all
contenders alternate; a speed is the median round, what is lost the median over rounds
of the loss against the twin's round beside it, compile time apart.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.train import ROUNDS, Case, _learner

PIECE_S = 5.0  # as the trainer's: no call is longer


class Fed:
    """One network on one device, fed by one source."""

    def __init__(
        self, case: Case, *, device: Any, source: Any, arrays: Any, records: int
    ) -> None:
        import jax

        from liverjax.train import member_key
        from liverjax.train.compile import compile_programs
        from liverjax.train.optimizer import with_learning_rate

        self.case, self.source, self.records = case, source, records
        self.steps = records // case.batch_size
        self.rng = np.random.default_rng(0)
        self.programs = compile_programs(
            _learner(case),
            arrays=arrays,
            row_length=1,
            target_dtype=np.float32,
            batch_size=case.batch_size,
            capacity=self.steps * case.batch_size,
            devices=[device],
        )
        birth = member_key(0, fold=0), None, np.zeros(1, np.float32)
        state = self.programs.create(*birth)
        state = state.replace(opt_state=with_learning_rate(state.opt_state, 1e-4))
        self.state = jax.device_put(state, self.programs.sharding)
        losses = np.zeros(self.steps, np.float32)
        self.losses = jax.device_put(losses, self.programs.sharding)
        self.step_s = 1.0
        self.train(0.0)

    def train(self, seconds: float) -> float:
        """Returns images per second over about so many seconds of whole epochs."""
        count, began = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - began < seconds:
            count += self.epoch(began + seconds)
        return count * self.case.batch_size / (time.perf_counter() - began)

    def epoch(self, until: float) -> int:
        """Takes the steps of an epoch, or those until a time; returns how many."""
        import jax

        from liverjax.cohort.schema import RECORD, TARGET
        from liverjax.data.rows import OCCURRENCE, ROW

        count = self.steps * self.case.batch_size
        record = self.rng.permutation(self.records)[:count].astype(np.int32)
        step = 0
        with self.source.walk(record[:, None], batch_size=self.case.batch_size) as walk:
            table = {
                ROW: walk.rows,
                RECORD: record,
                OCCURRENCE: np.zeros(count, np.int32),
                TARGET: np.zeros(count, np.float32),
            }
            table = jax.device_put(table, self.programs.sharding)
            while step < walk.steps and (step == 0 or time.perf_counter() < until):
                began = time.perf_counter()
                left = min(PIECE_S, max(until - began, 0.0))
                stop = min(walk.reach(step), step + max(1, int(left / self.step_s)))
                self.state, self.losses = self.programs.advance(
                    self.state,
                    self.losses,
                    table,
                    walk.arrays(step),
                    np.int32(step),
                    np.int32(stop),
                )
                self.losses.block_until_ready()
                self.step_s = (time.perf_counter() - began) / (stop - step)
                step = stop
        return step


def main(argv: Sequence[str] | None = None) -> None:
    """Measures, prints and writes ``input-<device>.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--sizes", type=int, nargs="+", help="px (CPU: 80; GPU: 224)")
    parser.add_argument("--width", type=int, help="channels (CPU: 16; GPU: 64)")
    parser.add_argument("--batch", type=int, help="images (CPU: 16; GPU: 32)")
    parser.add_argument("--records", type=int, help="(CPU: 4096; GPU: 12492)")
    parser.add_argument(
        "--share", type=int, default=8, help="the cohort is so many caps"
    )
    parser.add_argument(
        "--seconds", type=float, default=40.0, help="of measuring, for each contender"
    )
    args = parser.parse_args(argv)
    import jax

    on_cpu = jax.devices()[0].platform == "cpu"
    measures: dict[str, Any] = {"cores busy before": results.busy_cores()}
    for size_px in args.sizes or ([80] if on_cpu else [224]):
        case = Case(
            size_px,
            args.width or (16 if on_cpu else 64),
            args.batch or (16 if on_cpu else 32),
            "float32" if on_cpu else "bfloat16",
        )
        records = args.records or (4096 if on_cpu else 12492)
        with tempfile.TemporaryDirectory() as folder:
            cohort = write_cohort(pathlib.Path(folder), case, records=records)
            found = compare(cohort, case, share=args.share, seconds=args.seconds)
        measures |= {f"{case.label}: {name}": value for name, value in found.items()}
    path = results.write(
        "input",
        command="python -m benchmarks.input",
        ratios={},
        measures=measures,
        out_dir=args.out,
        packages=("grain", "array_record"),
    )
    print(path)


def write_cohort(folder: pathlib.Path, case: Case, *, records: int) -> Any:
    """Returns a cohort of random images, in shards of 512 records."""
    from liverjax.cohort import records as codec
    from liverjax.cohort.schema import Cohort, Recipe

    recipe = Recipe(store_px=case.size_px, patch_px=case.size_px)
    rng, specs = np.random.default_rng(0), recipe.arrays()
    shards = []
    for first in range(0, records, 512):
        images = rng.integers(
            0, 256, (min(512, records - first), *specs[0].shape), np.uint8
        )
        encoded = (codec.encode({"image": image}, specs=specs) for image in images)
        path = folder / f"shards-{first:06d}.array_record"
        shards.append(codec.write_shard(path, encoded))
    return Cohort(
        path=folder,
        recipe=recipe,
        arrays=specs,
        shards=tuple(shards),
        examinations=(),
        index=(),
        fingerprint="",
    )


def compare(cohort: Any, case: Case, *, share: int, seconds: float) -> dict[str, Any]:
    """Returns the speed of each way to feed a network, and what each loses."""
    import jax

    from liverjax.data import resident, stream
    from liverjax.data.rows import ROWS
    from liverjax.train.compile import group_sharding

    device = jax.devices()[0]
    sharding, kind, count = group_sharding([device]), ROWS["slice"], cohort.num_records

    def streamed(cap_bytes: int) -> Fed:
        layout = stream.divide(
            cap_bytes,
            cohort=cohort,
            rows=case.batch_size,
            row_records=1,
            groups=1,
            longest=count // case.batch_size,
        )
        reading = stream.Stream(
            records=stream.Records(cohort, keep=layout.kept),
            layout=layout,
            kind=kind,
            sharding=sharding,
        )
        shapes = stream.block_shapes(cohort, layout, sharding=sharding, kind=kind)
        return Fed(case, device=device, source=reading, arrays=shapes, records=count)

    host = resident.read_host_arrays(cohort)
    placed = resident.place(host, sharding)
    one = resident.place({k: a[: case.batch_size] for k, a in host.items()}, sharding)
    fed = {
        "no data": Fed(
            case, device=device, source=_Same(one), arrays=one, records=count
        ),
        "resident": Fed(
            case,
            device=device,
            source=resident.Resident(placed),
            arrays=placed,
            records=count,
        ),
        f"stream, cap of 1/{share}": streamed(cohort.nbytes // share),
        "stream, all kept": streamed(2 * cohort.nbytes),
    }
    kept = fed["stream, all kept"].source
    kept.records.read(
        np.arange(count), out={k: np.empty_like(a) for k, a in host.items()}
    )
    rounds: dict[str, list[float]] = {name: [] for name in fed}
    for _ in range(ROUNDS):
        for name, contender in fed.items():
            rounds[name].append(contender.train(seconds / ROUNDS))
    speed = {name: statistics.median(values) for name, values in rounds.items()}
    print(f"{case.label}, {count} records, {cohort.nbytes / 1e6:.0f} MB")
    found: dict[str, Any] = {"records": count, "cohort_mb": round(cohort.nbytes / 1e6)}
    for name, value in speed.items():
        lost = 1 - _beside(rounds[name], rounds["no data"])
        marks = ", ".join(f"{v:,.0f}" for v in rounds[name])
        print(f"  {name}: {value:,.1f} images/s, {lost:.1%} lost (rounds: {marks})")
        found[f"{name}, images_per_s"] = round(value, 1)
        if name != "no data":
            found[f"{name}, share of time lost"] = round(lost, 3)
        if name.startswith("stream"):
            share_of = _beside(rounds[name], rounds["resident"])
            found[f"{name}, share of the resident speed"] = round(share_of, 3)
    return found


def _beside(ours: Sequence[float], others: Sequence[float]) -> float:
    """Returns the median ratio of rounds that stood beside each other."""
    return statistics.median(a / b for a, b in zip(ours, others, strict=True))


class _Same:
    """A source that has one batch and gives it at every step."""

    def __init__(self, arrays: Any) -> None:
        from liverjax.data.resident import Resident

        self.resident = Resident(arrays)

    def walk(self, rows: Any, *, batch_size: int, start: int = 0) -> Any:
        same = np.arange(len(rows), dtype=np.int32)[:, None] % batch_size
        return self.resident.walk(same, batch_size=batch_size, start=start)


if __name__ == "__main__":
    main()

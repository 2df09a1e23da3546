"""Images augmented per second: our warp beside batchgenerators' `SpatialTransform`.

`python -m benchmarks.augment [--out DIR] [--seconds N]`. Both rotate by up to 15
degrees, scale and deform every example about its centre and read the stored slice by
linear interpolation (labels: nearest). Sizes are those of the Child-Pugh study and of
its demo, batches of 16, three channels. The rival starts from float32 slices in [0, 1],
ours from stored uint8, so that its conversion counts. Rounds of all contenders
alternate; a figure is the median round.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks import results

BATCH = 16
ROUNDS = 5
SIZES = ((80, 104), (224, 288))  # crop_px, store_px
RIVAL_WORKERS = 2
RIVAL_READY = 10  # batches that its workers and queues can hold
LOOP = 8  # batches in the compiled loop
UNIT = "images/s"

# One call augments some images, returns when they are done, and says how many.
Contender = Callable[[], int]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of measuring, for each contender"
    )
    args = parser.parse_args(argv)

    # The rival's workers are forked, which must come before jax starts its threads.
    rivals = {}
    if importlib.util.find_spec("batchgenerators"):
        rivals = {size: rival_contenders(*size) for size in SIZES}
    else:
        print(
            "batchgenerators is not installed, so ours is measured alone; "
            "`pip install -r requirements-bench.txt` brings it"
        )
    import jax

    jax.config.update("jax_num_cpu_devices", results.num_cores())
    ratios, measures = {}, {}
    for crop_px, store_px in SIZES:
        ours, compile_s = our_contenders(crop_px, store_px)
        contenders = {**ours, **rivals.get((crop_px, store_px), {})}
        speeds = race(contenders, seconds=args.seconds)
        found, rest = summary(speeds, crop_px=crop_px)
        ratios.update(found)
        measures.update({**rest, f"{crop_px} px, compile_s": compile_s})
    path = results.write(
        "augment",
        command="python -m benchmarks.augment",
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("batchgenerators",),
    )
    for label, row in ratios.items():
        print(
            f"{label}: ours {row['ours']:,.0f} {row['unit']}, "
            f"rival {row['rival']:,.0f}: {row['ratio']:.1f} times as fast"
        )
    for label, value in measures.items():
        print(f"{label}: {value:,.1f}")
    print(path)


def stored_batch(store_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Slices (uint8) and masks; what they show changes no timing."""
    rng = np.random.default_rng(0)
    shape = (BATCH, store_px, store_px)
    images = rng.integers(0, 256, (*shape, 3), np.uint8)
    return images, rng.integers(0, 3, (*shape, 1), np.uint8)


def our_contenders(crop_px: int, store_px: int) -> tuple[dict[str, Contender], float]:
    """Our contenders by name, compiled, and the seconds that one compilation took."""
    import jax
    import jax.numpy as jnp

    from liverjax.cohort.schema import ArraySpec
    from liverjax.data.augment import augment
    from liverjax.data.augment_settings import AugmentSettings

    side = (store_px, store_px)
    specs = (
        ArraySpec("image", (*side, 3), "uint8", "intensity", "linear"),
        ArraySpec("mask", (*side, 1), "uint8", "label", "nearest"),
    )
    one = functools.partial(
        augment, specs=specs, settings=AugmentSettings(), crop_px=crop_px
    )
    images, masks = stored_batch(store_px)

    def batch(keys, arrays):
        return jax.vmap(one)(keys, arrays)

    def epoch(keys, arrays):
        # As in training: one program, keys made inside, each result used by the next.
        def step(index, total):
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, index)
            return total + batch(step_keys, arrays)["image"].mean()

        return jax.lax.fori_loop(0, LOOP, step, jnp.float32(0))

    def contender(function, arrays, *, device, num) -> tuple[Contender, float]:
        arrays = jax.device_put(arrays, device)
        keys = jax.device_put(jax.random.split(jax.random.key(0), BATCH), device)
        start = time.perf_counter()
        step = jax.jit(function).lower(keys, arrays).compile()
        compile_s = time.perf_counter() - start

        def run() -> int:
            jax.block_until_ready(step(keys, arrays))
            return num

        run()
        return run, compile_s

    devices = jax.devices()
    image = {"image": images}
    both = {"image": images, "mask": masks}
    made = functools.partial(contender, device=devices[0], num=BATCH)
    ours, compile_s = made(batch, image)
    contenders = {
        "ours": ours,
        "ours with mask": made(batch, both)[0],
        "ours in a compiled loop": made(epoch, image, num=LOOP * BATCH)[0],
    }
    if devices[0].platform == "cpu" and len(devices) > 1:
        members = [made(batch, image, device=device)[0] for device in devices]
        pool = concurrent.futures.ThreadPoolExecutor(len(members))
        contenders["ours, a device a core"] = lambda: sum(
            pool.map(lambda member: member(), members)
        )
    return contenders, compile_s


def rival_contenders(crop_px: int, store_px: int) -> dict[str, Contender]:
    """The rival's contenders by name; its worker processes are running."""
    from batchgenerators.dataloading.multi_threaded_augmenter import (
        MultiThreadedAugmenter,
    )
    from batchgenerators.transforms.spatial_transforms import SpatialTransform

    images, masks = stored_batch(store_px)
    data = np.ascontiguousarray(np.moveaxis(images, -1, 1), np.float32) / 255
    seg = np.ascontiguousarray(np.moveaxis(masks, -1, 1), np.float32)
    # Its own defaults but for the interpolation, which is ours and the quicker one.
    transform = SpatialTransform(
        (crop_px, crop_px),
        angle_x=(-np.pi / 12, np.pi / 12),
        random_crop=False,
        border_mode_data="constant",
        order_data=1,
    )

    # It polls its queues; its own default of 0.02 s would be longer than a small batch.
    workers = MultiThreadedAugmenter(
        Endless(data), transform, num_processes=RIVAL_WORKERS, wait_time=0.001
    )
    next(workers)

    def alone() -> int:
        transform(data=data)
        return BATCH

    def with_mask() -> int:
        transform(data=data, seg=seg)
        return BATCH

    def in_workers() -> int:
        next(workers)
        return BATCH

    return {
        "rival": alone,
        "rival with mask": with_mask,
        "rival, workers": in_workers,
    }


class Endless:
    """The same batch again and again, as batchgenerators wants its loaders."""

    def __init__(self, data: np.ndarray):
        self.data = data

    def __iter__(self):
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return {"data": self.data}

    def set_thread_id(self, thread_id: int) -> None:
        """Every worker has the same batch."""


def race(contenders: dict[str, Contender], *, seconds: float) -> dict[str, float]:
    """Median images per second of each contender over alternating rounds."""
    round_s = seconds / ROUNDS
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            if name == "rival, workers":
                # What its queues had ready was made while others were measured.
                for _ in range(RIVAL_READY):
                    work()
            images, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < round_s or images == 0:
                images += work()
            speeds[name].append(images / elapsed)
            if name == "rival, workers":
                # Its workers fill their queues again before others are measured.
                time.sleep(RIVAL_READY * BATCH / speeds[name][-1])
    return {name: statistics.median(rounds) for name, rounds in speeds.items()}


def summary(
    speeds: dict[str, float], *, crop_px: int
) -> tuple[dict[str, dict], dict[str, float]]:
    """Ratios of what is comparable, and our own figures."""
    pairs = {
        "rival in one process": ("ours", "rival"),
        "with mask, rival in one process": ("ours with mask", "rival with mask"),
        f"rival with {RIVAL_WORKERS} workers": ("ours", "rival, workers"),
    }
    ratios = {
        f"{crop_px} px, {label}": results.ratio(
            ours=speeds[ours], rival=speeds[rival], unit=UNIT
        )
        for label, (ours, rival) in pairs.items()
        if rival in speeds
    }
    measures = {
        f"{crop_px} px, {name}, images_per_s": speed
        for name, speed in speeds.items()
        if name.startswith("ours")
    }
    return ratios, measures


if __name__ == "__main__":
    main()

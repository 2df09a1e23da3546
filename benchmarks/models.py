"""Images per second of every network, and a check of every network at full size.

`python -m benchmarks.models [--names NAME ...] [--cases BATCHxPX ...] [--seconds N]
[--bfloat16] [--out DIR]`: training steps and inference beside the same architecture in
PyTorch (timm) where timm has it. Rounds of both alternate; a figure is the median
round, compile time apart. Without `--cases`: batches of 1 and 32 at 224 pixels, on a
CPU the 32 at 64 pixels. Figures of other networks that stand in the JSON are kept.

`python -m benchmarks.models --check [--names NAME ...] [--out DIR]`: for every network,
at 224 pixels and at one odd size, in bfloat16 under `jit`: are gradients finite, do
its dropout and stochastic depth act in training, how far is it from float32; and does
the demo study train with it. It goes on where it stopped: what stands in the JSON is
not done again. Ends with status 1 where a network fails, naming it.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import results

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = 5
UNIT = "images/s"
CHECK_SIZES = ((224, 224), (161, 193))
DROPPED = 0.2  # share, of dropout and of stochastic depth alike

# timm's names of the same architectures.
RIVALS = {
    "convnext_base": "convnext_base",
    "convnext_large": "convnext_large",
    "convnext_small": "convnext_small",
    "convnext_tiny": "convnext_tiny",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_large_timm": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_small_timm": "mobilenetv3_small_100",
    **{f"pvt_v2_b{i}": f"pvt_v2_b{i}" for i in range(6)},
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{name: name for name in ("vgg16", "vgg16_bn", "vgg19", "vgg19_bn")},
}

# What the demo study is cut down to, for one epoch of one batch or two.
DEMO = (
    "--config=configs/cp_ct.py:demo",
    "--config.cohort.phantom.subjects=14",
    "--config.cohort.phantom.size=48,24,7,9",
    "--config.prepare.slice_spacing_mm=36.0",
    "--config.prepare.inplane_spacing_mm=7.0",
    "--config.prepare.patch_px=32",
    "--config.prepare.store_px=40",
    "--config.augment.elastic_px=(0.0,2.0)",
    "--config.split.folds=2",
    "--config.train.epochs=1",
    "--config.train.batch_size=4",
)

# Does one step on a batch that is already on the device, and waits for it.
Step = Callable[[], None]


def our_steps(name: str, *, batch: int, size_px: int, bfloat16: bool) -> dict[str, Any]:
    """Returns a step of training and one of inference."""
    import jax
    import jax.numpy as jnp
    import optax

    from liverjax import losses, train
    from liverjax.models import make

    model = make(name, num_outputs=1, dtype="bfloat16" if bfloat16 else None)
    tx = optax.adam(1e-4)
    image = jnp.zeros((batch, size_px, size_px, 3))
    create = functools.partial(train.create_state, model=model, tx=tx, image=image)
    state = jax.jit(create)(train.member_key(0, fold=0))
    step = functools.partial(
        train.train_step,
        apply_fn=model.apply,
        tx=tx,
        loss_fn=losses.mse,
        augment_fn=lambda key, arrays: arrays,
    )
    data = {"arrays": {"image": image}, "target": jnp.zeros(batch)}
    data["record"] = jnp.arange(batch)
    take = jax.jit(step, donate_argnums=0)
    infer = jax.jit(functools.partial(model.apply, train=False))
    held = {"state": state}
    variables = jax.tree.map(jnp.copy, state.variables)

    def training() -> None:
        held["state"], metrics = take(held["state"], data)
        metrics["loss"].block_until_ready()

    def inference() -> None:
        infer(variables, image).block_until_ready()

    return {"training": training, "inference": inference}


def rival_steps(
    name: str, *, batch: int, size_px: int, bfloat16: bool
) -> dict[str, Step]:
    """Returns PyTorch's steps of the same architecture; none where timm has none."""
    if name not in RIVALS or not importlib.util.find_spec("timm"):
        return {}
    import timm
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(results.num_cores())
    network = timm.create_model(RIVALS[name], num_classes=1).to(
        device, memory_format=torch.channels_last
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    image = torch.zeros(batch, 3, size_px, size_px, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    target = torch.zeros(batch, device=device)
    half = functools.partial(
        torch.autocast, device.type, torch.bfloat16, enabled=bfloat16
    )

    def training() -> None:
        network.train()
        with half():
            output = network(image)
        loss = (output.float()[:, 0] - target).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss.item()

    def inference() -> None:
        network.eval()
        with torch.inference_mode(), half():
            network(image).float().cpu()

    return {"training": training, "inference": inference}


def race(
    contenders: dict[str, Step], *, batch: int, seconds: float
) -> dict[str, float]:
    """Returns each contender's images per second, the median of alternating rounds."""
    rounds: dict[str, list[float]] = {label: [] for label in contenders}
    for step in contenders.values():
        step()
    for _ in range(ROUNDS):
        for label, step in contenders.items():
            count, began = 0, time.perf_counter()
            while not count or time.perf_counter() - began < seconds / ROUNDS:
                step()
                count += 1
            rounds[label].append(count * batch / (time.perf_counter() - began))
    return {label: statistics.median(found) for label, found in rounds.items()}


def batch_and_size(text: str) -> tuple[int, int]:
    """Batch and pixels of a case written ``32x224``."""
    batch, size_px = text.split("x")
    return int(batch), int(size_px)


def default_cases() -> list[tuple[int, int]]:
    """Batches and pixels that the device at hand does in reasonable time."""
    import jax

    return [(1, 224), (32, 64 if jax.default_backend() == "cpu" else 224)]


def measure(args: argparse.Namespace, names: Sequence[str]) -> pathlib.Path:
    """Returns the path of the written figures."""
    busy = results.busy_cores()
    path = pathlib.Path(args.out) / f"models-{results.device_name()}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    ratios: dict[str, Any] = earlier.get("ratios", {})
    measures: dict[str, Any] = earlier.get("measures", {})
    for name in names:
        measures[f"{name}: cores busy before"] = busy
        for batch, size_px in args.cases or default_cases():
            case = {"batch": batch, "size_px": size_px, "bfloat16": args.bfloat16}
            ours, rival = our_steps(name, **case), rival_steps(name, **case)
            for kind, step in ours.items():
                label = f"{name}, {kind}, batch {batch}, {size_px} px"
                label += ", bfloat16" if args.bfloat16 else ""
                contenders = {"ours": step}
                if kind in rival:
                    contenders["rival"] = rival[kind]
                try:
                    found = race(contenders, batch=batch, seconds=args.seconds)
                except ValueError as error:
                    # Batch statistics of a single value, in PyTorch alike.
                    print(f"{label}: {error}", flush=True)
                    continue
                shown = {key: f"{value:.4g}" for key, value in found.items()}
                print(label, shown, flush=True)
                if "rival" in found:
                    ratios[label] = results.ratio(**found, unit=UNIT)
                else:
                    measures[f"{label}: {UNIT}"] = float(f"{found['ours']:.4g}")
        results.write(
            "models",
            command="python -m benchmarks.models",
            ratios=ratios,
            measures=measures,
            out_dir=args.out,
            packages=("torch", "timm"),
        )
    return path


def check_size(name: str, size: tuple[int, int], **options: Any) -> dict[str, Any]:
    """What a network does in bfloat16 at one size, with all it can drop turned on.

    Args:
        name: Of the network.
        size: Height and width of its images.
        **options: Of the network, besides the published ones.
    """
    import jax
    import jax.numpy as jnp

    from liverjax.models import make, option_names
    from liverjax.train.compile import QUICKLY_BUILT

    can_drop = [kind for kind in ("dropout", "drop_path") if kind in option_names(name)]
    options |= dict.fromkeys(can_drop, DROPPED)
    half = make(name, num_outputs=3, dtype="bfloat16", **options)
    single = make(name, num_outputs=3, **options)
    on_cpu = jax.default_backend() == "cpu"
    jit = functools.partial(jax.jit, compiler_options=QUICKLY_BUILT if on_cpu else None)
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.standard_normal((2, *size, 3)), jnp.float32)
    init = functools.partial(half.init, train=False)
    variables = jit(init)(jax.random.key(0), image)
    rest = {key: value for key, value in variables.items() if key != "params"}

    def objective(params: Any, key: Any) -> Any:
        given = {"params": params, **rest}
        logits, _ = half.apply(
            given, image, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        return jnp.square(logits - 1).mean(), logits

    step = jit(jax.grad(objective, has_aux=True))
    draws = [step(variables["params"], jax.random.key(seed)) for seed in (0, 1)]
    (first, second), logits = zip(*draws, strict=True)
    # A branch that one draw drops for every image has no gradient there.
    largest = jax.tree.leaves(
        jax.tree.map(lambda a, b: jnp.maximum(abs(a), abs(b)).max(), first, second)
    )
    pairs = (jit(functools.partial(m.apply, train=False)) for m in (half, single))
    low, full = (np.asarray(apply(variables, image)) for apply in pairs)
    return {
        "gradients finite": all(bool(jnp.isfinite(leaf)) for leaf in largest),
        "gradients not zero": all(bool(leaf > 0) for leaf in largest),
        "can drop": can_drop,
        "drops something": bool((logits[0] != logits[1]).any()),
        "bfloat16 from float32": float(f"{np.abs(low - full).max():.2g}"),
        "largest logit": float(f"{np.abs(full).max():.2g}"),
    }


def check_demo(name: str, *, cohort: pathlib.Path) -> dict[str, Any]:
    """Whether the demo study trains with the network, narrow, on tiny images.

    Args:
        name: Of the network.
        cohort: Folder of the prepared cohort, made by the first study that needs it.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "liverjax.main", *DEMO]
        words += [f"--config.model.name={name}", f"--config.cohort.path={cohort}"]
        words += [f"--workdir={folder}/run"]
        ended = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, check=False
        )
        lines = pathlib.Path(folder).glob("run/members/*/metrics.jsonl")
        epochs = [json.loads(line) for path in lines for line in path.open()]
    found: dict[str, Any] = {"status": ended.returncode, "epochs": len(epochs)}
    if ended.returncode:
        found["error"] = (ended.stderr.strip().splitlines() or [""])[-1][:300]
    return found


def check(names: Sequence[str], *, out_dir: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of what was found, written after every network and part."""
    import jax

    path = pathlib.Path(out_dir) / f"models-check-{results.device_name()}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[str], dict[str, Any]]] = {
            f"{size[0]} x {size[1]} px": functools.partial(check_size, size=size)
            for size in CHECK_SIZES
        }
        cohort = pathlib.Path(folder) / "cohort"
        parts["demo"] = functools.partial(check_demo, cohort=cohort)
        for name in names:
            for part, function in parts.items():
                if part in found.get(name, {}):
                    continue
                result = function(name)
                found.setdefault(name, {})[part] = result
                print(f"{name}, {part}: {result}", flush=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished = path.with_suffix(".part")
                text = json.dumps(found, indent=2, sort_keys=True) + "\n"
                unfinished.write_text(text)
                unfinished.replace(path)
            jax.clear_caches()
    return path


def failures(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for every network and part of a check that is not as it should be."""
    lines = []
    for name, parts in found.items():
        for part, result in parts.items():
            if part == "demo":
                fine = result["status"] == 0 and result["epochs"] > 0
            else:
                fine = result["gradients finite"] and result["gradients not zero"]
                fine &= result["drops something"] == bool(result["can drop"])
            if not fine:
                lines.append(f"{name}, {part}: {result}")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    from liverjax.models import MODELS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--check", action="store_true", help="instead of measuring")
    parser.add_argument("--cases", type=batch_and_size, nargs="+", metavar="BATCHxPX")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contender")
    parser.add_argument("--bfloat16", action="store_true", help="compute type of both")
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    args = parser.parse_args(argv)
    if args.check:
        path = check(args.names, out_dir=args.out)
        print(path)
        failed = failures(json.loads(path.read_text()))
        if failed:
            sys.exit("failed:\n" + "\n".join(failed))
    else:
        print(measure(args, args.names))


if __name__ == "__main__":
    main()

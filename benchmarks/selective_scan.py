"""The selective scan's forms: time and memory, beside PyTorch's reference scan.

`python -m benchmarks.selective_scan [--out DIR] [--rounds N] [--small]`. Shapes are
those of one image in the networks that scan, at 224 pixels. The rival is the scan that
state-spaces/mamba gives as its reference for machines without its CUDA kernels, written
here anew: one step after the other, differentiated by PyTorch. A round times every
contender once; a figure is the median round. Temporary memory is what XLA plans
(`memory_analysis`) for ours, and what autograd keeps for the rival. A form whose plan
exceeds `MOST_GIB` is not run.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks import results

MOST_GIB = 6
LONG_S = 5


class Case(NamedTuple):
    """A scan's shape."""

    batch: int
    length: int
    channels: int
    states: int
    groups: int


CASES = {
    "vim_small, batch 1": Case(1, 197, 768, 16, 1),
    "medmamba_s stage 1, batch 1": Case(1, 3136, 384, 16, 4),
    "medmamba_s stage 3, batch 1": Case(1, 196, 1536, 16, 4),
    "mambavision_t stage 3, batch 1": Case(1, 196, 160, 8, 1),
}
SMALL = {"small": Case(1, 50, 8, 4, 2)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default=results.RESULTS, help="folder of the JSON")
    parser.add_argument("--rounds", type=int, default=5, help="of all contenders")
    parser.add_argument("--small", action="store_true", help="one tiny shape")
    args = parser.parse_args(argv)

    ratios: dict[str, Any] = {}
    measures: dict[str, Any] = {}
    for name, case in (SMALL if args.small else CASES).items():
        arrays = drawn(case)
        contenders, memory = ours(arrays)
        if importlib.util.find_spec("torch"):
            theirs, kept = rival(arrays)
            contenders |= theirs
            memory["rival, gradient"] = kept
        times = race(contenders, rounds=args.rounds)
        for label, seconds in times.items():
            measures[f"{name}, {label}, ms"] = 1e3 * seconds
        for label, count in memory.items():
            measures[f"{name}, {label}, temporary_mib"] = count / 2**20
        for part in ("forward", "gradient"):
            if f"rival, {part}" in times:
                ratios[f"{name}, {part}"] = results.ratio(
                    ours=1e3 * times[f"default, {part}"],
                    rival=1e3 * times[f"rival, {part}"],
                    unit="ms",
                    more_is_better=False,
                )
    path = results.write(
        "selective_scan",
        command="python -m benchmarks.selective_scan",
        ratios=ratios,
        measures=measures,
        out_dir=args.out,
        packages=("torch",),
    )
    for label, row in ratios.items():
        print(
            f"{label}: ours {row['ours']:,.1f} ms, rival {row['rival']:,.1f} ms: "
            f"{row['ratio']:.1f} times as fast"
        )
    for label, value in measures.items():
        print(f"{label}: {value:,.1f}")
    print(path)


def drawn(case: Case) -> dict[str, np.ndarray]:
    """Inputs of a scan, float32, channels last, with steps as they are after training.

    Without gate, which costs every contender the same.
    """
    rng = np.random.default_rng(0)
    b, length, channels, states, groups = case

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    rates = np.broadcast_to(np.arange(1, states + 1), (channels, states))
    return {
        "u": normal(b, length, channels),
        "step": normal(b, length, channels) - 4,
        "a": -rates.astype(np.float32),
        "b": normal(b, length, groups, states),
        "c": normal(b, length, groups, states),
        "skip": normal(channels),
    }


def ours(
    arrays: dict[str, np.ndarray],
) -> tuple[dict[str, Callable[[], None]], dict[str, int]]:
    """Every form, forward and with all gradients, compiled; and the memory of each."""
    import jax

    from liverjax.models.layers.selective_scan import FORMS, selective_scan

    def forward(arrays: dict[str, Any], form: str | None) -> Any:
        return selective_scan(**arrays, form=form)[0]

    def gradient(arrays: dict[str, Any], form: str | None) -> Any:
        return jax.grad(lambda arrays: forward(arrays, form).sum())(arrays)

    placed = jax.device_put(arrays)
    contenders, memory = {}, {}
    for form in (*FORMS, None):
        for label, function in (("forward", forward), ("gradient", gradient)):
            name = f"{form or 'default'}, {label}"
            compiled = jax.jit(functools.partial(function, form=form))
            compiled = compiled.lower(placed).compile()
            memory[name] = compiled.memory_analysis().temp_size_in_bytes
            if memory[name] < MOST_GIB * 2**30:
                contenders[name] = functools.partial(_finished, compiled, placed)
    return contenders, memory


def _finished(compiled: Callable[..., Any], arrays: dict[str, Any]) -> None:
    import jax

    jax.block_until_ready(compiled(arrays))


def rival(
    arrays: dict[str, np.ndarray],
) -> tuple[dict[str, Callable[[], None]], int]:
    """PyTorch's reference, forward and with all gradients; and the bytes it keeps."""
    import torch

    tensors = {key: torch.tensor(x) for key, x in arrays.items()}
    learnt = {key: x.clone().requires_grad_() for key, x in tensors.items()}
    kept: dict[int, int] = {}

    def pack(x: Any) -> Any:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    def forward() -> None:
        with torch.no_grad():
            torch_scan(tensors)

    def gradient() -> None:
        y = torch_scan(learnt)
        torch.autograd.grad(y.sum(), list(learnt.values()))

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        y = torch_scan(learnt)
    total = sum(kept.values())
    del y
    return {"rival, forward": forward, "rival, gradient": gradient}, total


def torch_scan(tensors: dict[str, Any]) -> Any:
    """The scan's output (batch, length, channels) by PyTorch, step by step.

    Args:
        tensors: As `drawn` gives them.
    """
    import torch

    u, groups = tensors["u"], tensors["b"].shape[2]
    step = torch.nn.functional.softplus(tensors["step"])
    b, c = (tensors[key].repeat_interleave(u.shape[2] // groups, dim=2) for key in "bc")
    decay = torch.exp(step[..., None] * tensors["a"])
    drive = (step * u)[..., None] * b
    states = torch.zeros_like(decay[:, 0])
    found = []
    # Unbound once: a slice a step would be differentiated in time that grows with the
    # square of the length.
    for fade, push, read in zip(*(x.unbind(1) for x in (decay, drive, c)), strict=True):
        states = fade * states + push
        found.append((states * read).sum(-1))
    return torch.stack(found, dim=1) + tensors["skip"] * u


def race(contenders: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, float]:
    """Median seconds of each contender, after one run that does not count.

    A contender that takes longer than `LONG_S` is run once more and no further.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            if number > 1 and min(seconds[name]) > LONG_S:
                continue
            start = time.perf_counter()
            run()
            taken = time.perf_counter() - start
            if number:
                seconds[name].append(taken)
            else:
                print(f"{name}: {taken:.2f} s at first", flush=True)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()

"""A small network with everything a real one has, and records to train it on."""

from __future__ import annotations

import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from liverjax import losses
from liverjax.data.resident import place
from liverjax.data.rows import ROWS, RowKind, draw_epoch, epoch_rng
from liverjax.train.compile import Learner, Programs, compile_programs
from liverjax.train.loop import Plan, fit
from liverjax.train.optimizer import adam
from liverjax.train.schedule import constant
from liverjax.train.state import member_key

SIDE = 8


class Net(nn.Module):
    """Convolution, batch norm, dropout, head: 2-D, or 3-D averaged over slices."""

    num_outputs: int = 1
    width: int = 4
    dropout: float = 0.1
    dtype: object = None

    @nn.compact
    def __call__(self, x, *, train):
        stack = x.ndim == 5
        if stack:
            depth = x.shape[1]
            x = x.reshape((-1, *x.shape[2:]))
        x = nn.Conv(self.width, (3, 3), (2, 2), dtype=self.dtype)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.relu(x).mean((1, 2))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if stack:
            x = x.reshape((-1, depth, x.shape[-1])).mean(1)
        return nn.Dense(self.num_outputs, name="head", dtype=self.dtype)(x)


def jitter(key, arrays):
    """Noise that depends on the key, so that a wrong key shows."""
    noise = 0.1 * jax.random.normal(key, arrays["image"].shape, jnp.float32)
    return {**arrays, "image": plain(arrays)["image"] + noise}


def plain(arrays):
    return {**arrays, "image": arrays["image"].astype(jnp.float32) / 255}


def learner(
    *, num_outputs: int = 1, kind: RowKind = ROWS["slice"], loss=losses.mse, **options
) -> Learner:
    return Learner(
        model=Net(num_outputs=num_outputs, **options),
        tx=adam(l2=1e-3),
        loss_fn=loss,
        kind=kind,
        augment_fn=jitter,
        crop_fn=plain,
        head="head",
    )


def records(count: int, *, seed: int = 0, channels: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"image": rng.integers(0, 256, (count, SIDE, SIDE, channels), np.uint8)}


def programs(
    arrays, *, study: Learner | None = None, batch_size=4, capacity=24, device=0, **more
) -> Programs:
    return compile_programs(
        study or learner(),
        arrays=arrays,
        row_length=1,
        target_dtype=np.float32,
        batch_size=batch_size,
        capacity=capacity,
        devices=more.pop("devices", [jax.devices()[device]]),
        **more,
    )


class Career:
    """One member's training on toy slices, as `fit` takes it."""

    def __init__(self, *, epochs=3, count=40, schedule=None, **plan):
        rng = np.random.default_rng(1)
        self.arrays = records(count)
        self.targets = rng.normal(8, 2, count).astype(np.float32)
        self.spans = np.array([[0, 10], [10, 10]])
        self.select = np.arange(20, 30, dtype=np.int32)[:, None]
        self.plan = Plan(
            epochs=epochs,
            schedule=schedule or constant(learning_rate=1e-2),
            **{"piece_s": 1e-9, "save_every_s": 1e9} | plan,
        )

    def run(self, folder, built, *, fold=0, stop=None, birth=None, **options):
        folder.mkdir(parents=True, exist_ok=True)
        return fit(
            folder,
            programs=built,
            arrays=place(self.arrays, built.sharding),
            birth=birth
            or (
                lambda: built.create(
                    member_key(0, fold=fold), None, np.full(1, 8, np.float32)
                )
            ),
            draw=lambda epoch: draw_epoch(
                epoch_rng(seed=0, fold=fold, epoch=epoch),
                ROWS["slice"],
                spans=self.spans,
                batch_size=built.batch_size,
            ),
            targets=self.targets,
            select=self.select,
            score=lambda logits: -float(np.abs(logits[:, 0] - 8).mean()),
            plan=self.plan,
            stop=stop or threading.Event(),
            environment={"devices": 1} | options,
        )

"""A small network with everything a real one has, and records to train it on."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from liverjax import losses
from liverjax.data.rows import ROWS, RowKind
from liverjax.train.compile import Learner, Programs, compile_programs
from liverjax.train.optimizer import adam

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
        example_row=np.zeros(1, np.int32),
        target_dtype=np.float32,
        batch_size=batch_size,
        capacity=capacity,
        devices=more.pop("devices", [jax.devices()[device]]),
        **more,
    )

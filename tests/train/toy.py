"""A small network with everything a real one has, and records to train it on."""

from __future__ import annotations

import contextlib
import dataclasses
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from liverjax import losses
from liverjax.cohort.schema import RECORD
from liverjax.data.resident import Resident, place
from liverjax.data.rows import (
    OCCURRENCE,
    ROW,
    ROWS,
    RowKind,
    draw_epoch,
    epoch_rng,
)
from liverjax.models.layers.conv import Conv
from liverjax.models.layers.norm import BatchNorm
from liverjax.models.layers.stage import mark_stage
from liverjax.train.compile import (
    Learner,
    Programs,
    compile_programs,
    group_sharding,
)
from liverjax.train.loop import Plan, fit
from liverjax.train.optimizer import adam, with_learning_rate
from liverjax.train.schedule import constant
from liverjax.train.state import member_key

SIDE = 8
STEPS = 6  # of an epoch of `TABLE`
TABLE = {
    ROW: np.random.default_rng(3).permutation(40)[:24].astype(np.int32)[:, None],
    RECORD: np.random.default_rng(3).permutation(40)[:24].astype(np.int32),
    OCCURRENCE: np.zeros(24, np.int32),
    "target": np.linspace(5, 15, 24, dtype=np.float32),
}


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
        x = x.astype(self.dtype or x.dtype)
        x = Conv(self.width, (3, 3), 2, 1, dtype=x.dtype, name="conv1")(x)
        x = nn.relu(BatchNorm(name="bn1")(x, train=train))
        x = Conv(self.width, (3, 3), 1, 1, dtype=x.dtype, name="conv2")(x)
        x = nn.relu(BatchNorm(name="bn2")(x, train=train)).mean((1, 2))
        x = mark_stage(self, "pooled", x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if stack:
            x = x.reshape((-1, depth, x.shape[-1])).mean(1)
        return nn.Dense(self.num_outputs, name="fc", dtype=self.dtype)(x)


class WideNet:
    """The network with everything in float64."""

    net = Net(dtype="float64")

    def init(self, *args, **options):
        variables = self.net.init(*args, **options)
        return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)

    def apply(self, *args, **options):
        return self.net.apply(*args, **options)


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
        head="fc",
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

    def run(
        self,
        folder,
        built,
        *,
        fold=0,
        stop=None,
        birth=None,
        source=None,
        before_writing=lambda: None,
        **options,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        return fit(
            folder,
            programs=built,
            source=source or Resident(place(self.arrays, built.sharding)),
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
            before_writing=before_writing,
        )


def final_in_float64(devices):
    """State and losses, on the host, after six steps by a group of devices."""
    with jax.enable_x64(True):
        arrays = place(records(40), group_sharding(devices))
        built = compile_programs(
            dataclasses.replace(learner(), model=WideNet()),
            arrays=arrays,
            row_length=1,
            target_dtype=np.float64,
            batch_size=4,
            capacity=24,
            devices=devices,
        )
        table = TABLE | {"target": TABLE["target"].astype(np.float64)}
        state = built.create(member_key(0, fold=0), None, np.full(1, 8, np.float32))
        rated = with_learning_rate(state.opt_state, 1e-2)
        losses = np.zeros(built.losses.shape, built.losses.dtype)
        state, losses = built.advance(
            state.replace(opt_state=rated),
            losses,
            table,
            arrays,
            np.int32(0),
            np.int32(STEPS),
        )
        return host((state, losses))


def host(tree):
    """A tree's leaves as numpy arrays, keys as their numbers."""

    def number(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.array(leaf)

    return jax.tree.map(number, tree)


def assert_same_bits(one, two):
    """Compares every leaf of two trees on the host."""
    ones, twos = (jax.tree_util.tree_leaves_with_path(tree) for tree in (one, two))
    assert [path for path, _ in ones] == [path for path, _ in twos]
    different = [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in zip(ones, twos, strict=True)
        if a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]
    assert different == []


@contextlib.contextmanager
def compilations():
    """Gives a list that gets an entry for everything that is compiled meanwhile."""
    seen = []

    def note(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(note)

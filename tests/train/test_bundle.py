from __future__ import annotations

import functools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from liverjax import losses
from liverjax.data.resident import Resident, place
from liverjax.data.rows import ROWS, draw_epoch, epoch_rng
from liverjax.errors import InputError
from liverjax.train import bundle, bundle_predict, heads
from liverjax.train.bundle import fit_bundle
from liverjax.train.bundle_predict import predict_bundle
from liverjax.train.compile import (
    Learner,
    compile_ahead,
    compile_programs,
    group_sharding,
)
from liverjax.train.grid import Grid
from liverjax.train.heads import Head
from liverjax.train.loop import Plan, fit
from liverjax.train.optimizer import adam, with_hyperparams
from liverjax.train.schedule import halving, plateau
from liverjax.train.state import member_key
from tests.train.toy import Net

BATCH, WIDTH = 4, 6
# Unequal folds: epochs of 3 and 5 steps, 9 and 6 rows to select by.
SPANS = (np.array([[0, 12]]), np.array([[8, 10], [20, 12]]))
SELECT = tuple(np.arange(a, b, dtype=np.int32)[:, None] for a, b in ((20, 29), (0, 6)))
SEEDS = (3, 4)
TRIALS = (
    {"learning_rate": 1e-1, "l2": 0.0, "weight_decay": 0.0},
    {"learning_rate": 1e-2, "l2": 1.0, "weight_decay": 0.0},
    {"learning_rate": 1e-1, "l2": 1e-3, "weight_decay": 0.5},
)
BIAS = np.array([[8.0], [7.5]])


class WideHead(Head):
    """A head whose parameters are float64."""

    def init(self, *args, **options):
        born = super().init(*args, **options)
        return jax.tree.map(lambda leaf: leaf.astype(np.float64), born)


def learner(head=Head):
    return Learner(
        model=head(Net(width=WIDTH), layer="fc", image_shape=(1, 8, 8, 3)),
        tx=adam(l2=1e-3),
        loss_fn=losses.mse,
        kind=ROWS["slice"],
        augment_fn=lambda key, arrays: arrays,
        crop_fn=lambda arrays: arrays,
        head="fc",
    )


def data(dtype=np.float32):
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (32, WIDTH)).astype(dtype)
    targets = 8 + features @ rng.normal(0, 1, WIDTH) + rng.normal(0, 0.5, 32)
    return features, targets.astype(dtype)


def score_of(fold, logits, targets):
    truth = targets[SELECT[fold][:, 0]]
    return -np.abs(logits[..., 0] - truth).mean(-1)


def draw(fold, seed, epoch):
    return draw_epoch(
        epoch_rng(seed=seed, fold=fold, epoch=epoch),
        ROWS["slice"],
        spans=SPANS[fold],
        batch_size=BATCH,
    )


def grid(targets, *, epochs=6, early_stopping=2, trials=TRIALS) -> Grid:
    kinds = (halving, plateau, halving)
    plans = [
        Plan(
            epochs=epochs,
            schedule=kind(
                learning_rate=trial["learning_rate"],
                factor=0.5,
                **({"patience": 0} if kind is plateau else {"every": 2}),
            ),
            early_stopping=early_stopping,
            piece_s=1e-9,
        )
        for kind, trial in zip(kinds, trials, strict=False)
    ]
    return Grid(
        bias=BIAS,
        seeds=SEEDS,
        trials=trials,
        plans=plans,
        draw=draw,
        select=SELECT,
        score=lambda fold, logits: score_of(fold, logits, targets),
    )


def train(made, features, targets, *, head=Head, **options):
    return fit_bundle(
        made,
        learner=learner(head),
        features=features,
        targets=targets,
        batch_size=BATCH,
        device=jax.devices()[0],
        stop=options.pop("stop", threading.Event()),
        **options,
    )


@pytest.mark.slow
def test_a_bundle_of_heads_is_each_head_alone(tmp_path):
    """In float64: unequal folds, early stopping, three schedules, dropout."""
    with jax.enable_x64(True):
        features, targets = data(np.float64)
        made = grid(targets)
        found = train(made, features, targets, head=WideHead)
        programs = compile_programs(
            learner(WideHead),
            arrays={"image": features},
            row_length=1,
            target_dtype=np.float64,
            batch_size=BATCH,
            capacity=20,
            devices=[jax.devices()[0]],
        )
        stopped_at = set()
        for fold, seed, trial in np.ndindex(*made.shape):

            def birth(fold=fold, seed=seed, trial=trial):
                key = member_key(SEEDS[seed], fold=fold)
                bias = BIAS[fold].astype(np.float32)
                state = programs.create(key, None, bias)
                opt_state = with_hyperparams(state.opt_state, TRIALS[trial])
                return state.replace(opt_state=opt_state)

            folder = tmp_path / f"{fold}{seed}{trial}"
            folder.mkdir()
            alone = fit(
                folder,
                programs=programs,
                source=Resident(place({"image": features}, programs.sharding)),
                birth=birth,
                draw=lambda epoch, fold=fold, seed=seed: draw(fold, SEEDS[seed], epoch),
                targets=targets,
                select=SELECT[fold],
                score=lambda logits, fold=fold: float(made.score(fold, logits)),
                plan=made.plans[trial],
                stop=threading.Event(),
                environment={},
            )
            place_ = fold, seed, trial
            epochs = len(alone.control.scores)
            stopped_at.add(epochs)
            assert found.epochs[place_] == epochs
            assert found.best_epoch[place_] == alone.best_epoch
            together = found.scores[place_][:epochs], found.losses[place_][:epochs]
            np.testing.assert_allclose(together[0], alone.control.scores, rtol=1e-9)
            np.testing.assert_allclose(together[1], alone.control.losses, rtol=1e-9)
            for name in ("kernel", "bias"):
                np.testing.assert_allclose(
                    found.best["params"]["fc"][name][place_],
                    alone.best["params"]["fc"][name],
                    rtol=1e-9,
                )
    assert len(stopped_at) > 1


@pytest.fixture(scope="module")
def trained():
    features, targets = data()
    trials = [{"learning_rate": 1e-1}, {"learning_rate": 1e30}]
    made = grid(targets, early_stopping=None, trials=trials)
    return made, train(made, features, targets)


def test_a_head_that_is_not_finite_ends_alone(trained):
    _, found = trained
    assert found.finite[..., 0].all()
    assert not found.finite[..., 1].any()
    assert (found.best_epoch[..., 1] == -1).all()
    assert (found.epochs[..., 0] == 6).all()
    assert np.isfinite(found.best["params"]["fc"]["kernel"]).all()


def test_heads_learn_and_keep_their_best_epoch(trained):
    _, found = trained
    scores = found.scores[..., 0, :]
    assert (scores.max(-1) > scores[..., 0]).all()
    assert (scores.argmax(-1) == found.best_epoch[..., 0]).all()
    features, targets = data()
    logits = predict_bundle(
        found.best,
        SELECT,
        learner=learner(),
        features=features,
        device=jax.devices()[0],
    )
    for fold, own in enumerate(logits):
        assert own.shape == (2, 2, len(SELECT[fold]), 1)
        again = score_of(fold, own[:, 0], targets)
        np.testing.assert_allclose(again, scores[fold].max(-1), rtol=1e-6)


def test_a_head_starts_as_the_network_of_its_fold_and_seed_does():
    key = member_key(3, fold=1)
    net, image = Net(width=WIDTH), jnp.zeros((1, 8, 8, 3))
    own = learner().model.init(key, None, train=False)["params"]["fc"]["kernel"]
    whole = net.init(key, image, train=False)["params"]["fc"]["kernel"]
    np.testing.assert_array_equal(own, whole)


def test_a_stop_leaves_nothing():
    features, targets = data()
    stop = threading.Event()
    stop.set()
    assert train(grid(targets), features, targets, stop=stop) is None


def test_heads_that_do_not_fit_are_refused():
    features, targets = data()
    with pytest.raises(InputError, match=r"12 heads on 6 features.*try fewer"):
        train(grid(targets), features, targets, available_bytes=1000)


def test_nothing_lies_on_the_device_before_it_is_sure_that_all_fits(monkeypatch):
    features, targets = data()
    found = []

    def free_bytes(device):
        del device
        shapes = [array.shape for array in jax.live_arrays()]
        found.extend(shape for shape in shapes if shape == features.shape)
        return 1000

    monkeypatch.setattr(bundle, "free_bytes", free_bytes)
    with pytest.raises(InputError, match="do not fit the memory"):
        train(grid(targets), features, targets)
    assert found == []


def test_rows_are_predicted_some_at_a_time_to_the_same_logits(trained, monkeypatch):
    made, found = trained
    given = {"learner": learner(), "features": data()[0], "device": jax.devices()[0]}
    at_once = predict_bundle(found.best, SELECT, **given)
    calls, original = [], heads.predict_heads

    def predict_heads(variables, rows, *rest, **options):
        calls.append(rows.shape)
        return original(variables, rows, *rest, **options)

    monkeypatch.setattr(heads, "predict_heads", predict_heads)
    # Four of nine rows: of two folds, with four heads and features of six numbers.
    monkeypatch.setattr(bundle_predict, "PREDICT_BYTES", 4 * 2 * (WIDTH + 4) * 4)
    pieces = predict_bundle(found.best, SELECT, **given)
    assert calls == [(2, 4, 1)]
    for one, other in zip(at_once, pieces, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    again = train(made, *data())
    for name in ("scores", "losses", "best_epoch"):
        np.testing.assert_allclose(
            getattr(again, name), getattr(found, name), rtol=1e-6
        )


@pytest.mark.parametrize("num_rows", [9, 5000])
def test_a_call_takes_no_more_than_is_counted(monkeypatch, num_rows):
    monkeypatch.setattr(bundle_predict, "PREDICT_BYTES", 2**20)
    shape, width = (2, 3, 1, 1), 200
    rows = [np.zeros((num_rows, 1), np.int32)] * 2
    size = bundle_predict.rows_a_call(shape, width=width, rows=rows)
    head = {"kernel": (*shape[:3], width, 1), "bias": shape}
    best = {name: jax.ShapeDtypeStruct(s, np.float32) for name, s in head.items()}
    compiled = compile_ahead(
        functools.partial(heads.predict_heads, learner=learner()),
        {"params": {"fc": best}, "batch_stats": {}},
        jax.ShapeDtypeStruct((2, size, 1), np.int32),
        jax.ShapeDtypeStruct((2, size), np.float32),
        {"image": jax.ShapeDtypeStruct((6000, width), np.float32)},
        sharding=group_sharding(jax.devices()[:1]),
    )
    most = bundle_predict.most_bytes(shape, width=width, num_rows=num_rows)
    assert bundle._beside_arguments(compiled) <= most <= 2 * 2**20


@pytest.mark.slow
def test_a_stopped_head_keeps_its_whole_state():
    features, targets = data()
    study = learner()
    keys = jax.random.wrap_key_data(
        np.stack([np.asarray(jax.random.key_data(member_key(0, fold=0)))])[None]
    )
    values = {"learning_rate": jnp.full((1, 1, 2), 0.1)}
    state = heads.create_heads(
        keys, jnp.asarray(BIAS[:1]), values, learner=study, width=WIDTH
    )
    table = {  # rows of one fold and seed
        "row": np.arange(8, dtype=np.int32).reshape(1, 1, 8, 1),
        "record": np.arange(8, dtype=np.int32).reshape(1, 1, 8),
        "occurrence": np.zeros((1, 1, 8), np.int32),
        "target": targets[:8].reshape(1, 1, 8),
    }
    table = jax.tree.map(jnp.asarray, table)
    counts = np.array([[[2, 0]]], np.int32)
    after, failed = heads.run_heads(
        state,
        jnp.full((1, 1, 2), -1, jnp.int32),
        table,
        {"image": jnp.asarray(features)},
        jnp.int32(0),
        jnp.int32(2),
        jnp.asarray(counts),
        learner=study,
        batch_size=BATCH,
    )
    assert failed.tolist() == [[[-1, -1]]]
    assert after.step.tolist() == [[[2, 0]]]
    before, now = (
        jax.tree.leaves(one.replace(key=jax.random.key_data(one.key)))
        for one in (state, after)
    )
    for one, other in zip(before, now, strict=True):
        np.testing.assert_array_equal(one[0, 0, 1], other[0, 0, 1])

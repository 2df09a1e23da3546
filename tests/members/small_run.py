"""A run folder as `liverjax.experiment` leaves it before training, and a small network.

Also a program, for tests that kill it: ``python -m tests.members.small_run FOLDER``
trains the folder's members on two host devices.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator

import jax
import numpy as np

from configs import cp_ct
from liverjax import config, members, models, weights
from liverjax.cohort import files, schema, splits
from tests.cohort.small import write_cohort
from tests.train.toy import Net

SUBJECTS = 16
SLICES = 4
FOLDS = 3


def toy_model(*, num_outputs: int, width: int = 4, dropout: float = 0.1, dtype=None):
    """Takes the options of the real networks."""
    return Net(num_outputs=num_outputs, width=width, dropout=dropout, dtype=dtype)


def write_run(folder: pathlib.Path, *, data=None, images=None, **train) -> pathlib.Path:
    """Writes cohort, config and splits; 16 subjects cross-validated, 2 external.

    Images are drawn, four of 20 px for each, or given: as many for each, of any side.
    """
    rng = np.random.default_rng(0)
    names = [f"p{i:02d}" for i in range(SUBJECTS)] + ["e0", "e1"]
    points = 5 + np.arange(len(names)) % 11
    if images is None:
        noise = rng.normal(0, 20, (len(names), SLICES, 20, 20, 1))
        images = np.clip(noise + 16.0 * points[:, None, None, None, None], 0, 255)
        images = images.reshape(-1, 20, 20, 1).astype(np.uint8)
    recipe = schema.Recipe(
        channels=("venous",),
        registration="none",
        patch_px=16,
        store_px=images.shape[1],
    )
    write_cohort(
        folder / "cohort",
        images,
        subjects=[name for name in names for _ in range(len(images) // len(names))],
        recipe=recipe,
        columns={
            "set": ["train"] * SUBJECTS + ["external"] * 2,
            "child_pugh": [str(p) for p in points[:-1]] + [""],
        },
        per_shard=max(30, len(images) // 8),
    )
    study = cp_ct.get_config("demo")
    study.workdir = str(folder)
    study.cohort.phantom = None
    for name in ("channels", "registration", "patch_px", "store_px"):
        study.prepare[name] = getattr(recipe, name)
    for name in ("inplane_spacing_mm", "slice_spacing_mm"):
        with study.prepare.unlocked():
            study.prepare[name] = getattr(recipe, name)
    study.model.name = "toy"
    study.model.options.width = 4
    study.split.folds = FOLDS
    study.train.epochs = 3
    study.train.batch_size = 4
    study.train.piece_s = 1e-9
    study.train.save_every_s = 1e9
    for name, value in train.items():
        study.train[name] = value
    for name, value in (data or {}).items():
        study.data[name] = value
    values = config.from_config_dict(study)
    files.write_json(folder / "config.json", config.to_dict(values))
    truth = dict(zip(names[:SUBJECTS], (points % 3).tolist(), strict=False))
    folds = splits.make_folds(truth, folds=FOLDS, select_fraction=0.3, seed=0)
    splits.write_splits(folder / "splits.json", folds, seed=0)
    return folder


def read(folder: pathlib.Path, name: str) -> dict[str, bytes]:
    """The bytes of one file of every member that has it."""
    return {
        path.parent.name: path.read_bytes()
        for path in sorted((folder / "members").glob(f"*/{name}"))
    }


def train(folder: pathlib.Path) -> members.Ended:
    """Trains all members of the folder on two host devices."""
    chosen = members.of_study(folds=FOLDS, seeds=1)
    groups = [(device,) for device in jax.devices()[:2]]
    return members.train_members(folder, chosen, groups=groups)


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """The small network is known by the name ``toy`` in here, and nowhere after."""
    models.MODELS["toy"] = toy_model
    weights.FAMILIES["toy"] = weights.FAMILIES["resnet18"]
    try:
        yield
    finally:
        del models.MODELS["toy"], weights.FAMILIES["toy"]


if __name__ == "__main__":
    with registered():
        print("ready", flush=True)
        sys.exit(train(pathlib.Path(sys.argv[1])).status)

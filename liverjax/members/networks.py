"""Finished members as networks: what prediction and explanation need, no cohort."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from liverjax import weights
from liverjax.cohort import files
from liverjax.config import StudyConfig, read_study
from liverjax.data.resident import Device, Resident, place
from liverjax.errors import InputError
from liverjax.members.member import DONE, Member, folder_of
from liverjax.members.run_folder import make_learner
from liverjax.members.trials import HEADS, HEADS_TABLE, read_chosen, read_heads
from liverjax.tasks.question import Outcome, average_rows
from liverjax.train import checkpoint
from liverjax.train.compile import Learner, compile_predictor, group_sharding
from liverjax.train.evaluate import predict_rows

BEST = "best"  # in a member's folder


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network and everything it needs to see an image.

    Attributes:
        study: The config it was trained by.
        learner: Its functions; ``learner.crop_fn`` turns a record's arrays into what
            ``learner.model`` sees.
        variables: ``params`` and ``batch_stats`` of the best epoch.
        input_mean: Subtracted from images in [0, 1], a number a channel.
        input_std: Then divided by.
    """

    study: StudyConfig
    learner: Learner
    variables: Mapping[str, Any]
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]


def status_of(folder: pathlib.Path) -> str | None:
    """Returns a member's status, ``ok`` or ``non-finite``, or None if unfinished."""
    path = folder / DONE
    return files.read_json(path)["status"] if path.exists() else None


def with_best(run_folder: pathlib.Path) -> tuple[Member, ...]:
    """Returns the finished members of a run that have a network, in order.

    Of several trials, those of the chosen one.
    """
    chosen = read_chosen(run_folder)
    if (run_folder / HEADS_TABLE).exists():
        rows = [row for row in read_heads(run_folder) if row["best_epoch"]]
        found = [_member(row) for row in rows]
    else:
        done = [files.read_json(p) for p in (run_folder / "members").glob(f"*/{DONE}")]
        found = [Member(**d["member"]) for d in done if d["best_epoch"] is not None]
    return tuple(sorted(member for member in found if member.trial == chosen))


def save_best(
    folder: pathlib.Path, variables: Mapping[str, Any], *, about: Mapping[str, Any]
) -> None:
    """Writes a member's best variables, and what is to be known about them."""
    checkpoint.remove(folder / BEST)
    checkpoint.save(folder / BEST, variables, about=about)


def load_best(folder: pathlib.Path) -> dict[str, Any]:
    """Returns ``params`` and ``batch_stats`` of a finished member's best epoch.

    Args:
        folder: As `folder_of` gives it.

    Raises:
        InputError: If there are none, or they are damaged.
    """
    variables, _ = _load(folder)
    return variables


def load_network(run_folder: pathlib.Path, member: Member) -> Network:
    """Returns a finished member's network.

    Raises:
        InputError: If there is none, or the run folder cannot be used.
    """
    study = read_study(run_folder)
    if study.model.frozen:
        variables, about = _load_head(run_folder, member)
    else:
        variables, about = _load(folder_of(run_folder, member))
    mean, std = (tuple(about[name]) for name in ("input_mean", "input_std"))
    learner = make_learner(study, mean=mean, std=std)
    return Network(study, learner, variables, input_mean=mean, input_std=std)


def predict_arrays(
    run_folder: pathlib.Path,
    members: Sequence[Member],
    *,
    arrays: Mapping[str, np.ndarray],
    spans: Int[np.ndarray, "e 2"],
    device: Device | None = None,
) -> tuple[Outcome, ...]:
    """Returns each member's outcome of examinations that are in no cohort.

    Args:
        run_folder: Of the finished run.
        members: Of `with_best`, compiled for once.
        arrays: Records by name, ``(n, h, w, c)``, prepared by the run's recipe.
        spans: First record and number of records of each examination.
        device: Where; None is jax's first.

    Returns:
        For each member an entry an examination: the mean over its rows.

    Raises:
        InputError: If a member has no network.
    """
    device = jax.local_devices()[0] if device is None else device
    outcomes, predictor, source = [], None, Resident({})
    for member in members:
        network = load_network(run_folder, member)
        kind, task = network.learner.kind, network.study.task
        rows, whose = kind.cover(spans)
        if predictor is None:
            sharding = group_sharding([device])
            source = Resident(place(arrays, sharding, overlap=kind.records - 1))
            predictor = compile_predictor(
                network.learner,
                arrays=source.arrays,
                row_length=rows.shape[1],
                batch_size=network.study.train.batch_size,
                devices=[device],
                variables=network.variables,
            )
        logits, _ = predict_rows(
            network.variables, rows, source=source, predictor=predictor
        )
        outcome = average_rows(task.link(logits), group=whose, num_groups=len(spans))
        outcomes.append(outcome)
    return tuple(outcomes)


def _load_head(
    run_folder: pathlib.Path, member: Member
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the backbone with one head of a bundle."""
    if not (run_folder / HEADS_TABLE).exists():
        raise InputError(
            f"{run_folder / HEADS}: no trained heads here; train them with "
            "python -m liverjax.main"
        )
    variables, meta = weights.load(run_folder / HEADS / "backbone.safetensors")
    heads, _ = weights.load(run_folder / HEADS / "heads.safetensors")
    place = [_member(row) for row in read_heads(run_folder)].index(member)
    own = jax.tree.map(lambda leaf: leaf[place], heads["params"])
    found = {"batch_stats": {}} | variables
    found["params"] = variables["params"] | own
    return found, {"input_mean": meta.input_mean, "input_std": meta.input_std}


def _member(row: files.Row) -> Member:
    return Member(*(int(row[name]) for name in ("fold", "seed", "trial")))


def _load(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    found = checkpoint.restore(folder / BEST)
    if found is None:
        raise InputError(
            f"{folder}: no trained network here ({BEST}/ is missing); train the member "
            "with python -m liverjax.main"
        )
    variables, about = found
    return {"batch_stats": {}} | variables, about

"""Variables on disk: one safetensors file, flat names, with what must travel along."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverjax.weights.naming import Variables, WeightsError, flatten, nest
from liverjax.weights.read import open_safetensors

_FORMAT = "liverjax variables 1"


@dataclasses.dataclass(frozen=True)
class Meta:
    """What a file of weights says about itself.

    Attributes:
        model: Name of the architecture, a key of ``liverjax.models.MODELS``.
        input_mean: Subtracted from images in [0, 1], a number a channel.
        input_std: Then divided by, a number a channel.
        origin: Where the weights come from, for the report.
        licence: Of the weights, as their publisher names it.
    """

    model: str
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]
    origin: str = ""
    licence: str = ""


def save(
    variables: Mapping[str, Any], path: str | os.PathLike[str], *, meta: Meta
) -> None:
    """Writes all collections to ``path`` at once, folders included; nothing comes back.

    Names are slash-separated paths (``params/conv1/kernel``).
    """
    facts = {"format": _FORMAT, "meta": json.dumps(dataclasses.asdict(meta))}
    write(flatten(variables), path, facts=facts)


def write(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    facts: Mapping[str, str],
) -> None:
    """Writes a safetensors file whole or not at all, folders included.

    Args:
        tensors: By name.
        path: Of the file.
        facts: Its metadata.
    """
    from safetensors.numpy import save_file

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(dict(tensors), unfinished, metadata=dict(facts))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike[str]) -> tuple[Variables, Meta]:
    """The collections saved at ``path``, as numpy arrays, and what travels with them.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it was not written by :func:`save` or is damaged.
    """
    tensors, facts = open_safetensors(path)
    if facts.get("format") != _FORMAT:
        raise WeightsError(
            f"{path} was not written by `python -m liverjax.weights`; convert it with "
            f"`python -m liverjax.weights --model NAME --source {path} --out DIR`"
        )
    meta = json.loads(facts["meta"])
    for field in ("input_mean", "input_std"):
        meta[field] = tuple(meta[field])
    return nest(tensors), Meta(**meta)

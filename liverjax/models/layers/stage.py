"""Marks on a backbone's stages, so that explanation needs no second model."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float


def mark_stage(
    module: nn.Module, name: str, x: Float[Array, "b ..."]
) -> Float[Array, "b ..."]:
    """``x`` itself, shown to who asks for it.

    With ``mutable=["features"]`` the stage is stored there under ``name``. If the
    variables hold ``perturbations[name]`` it is added, so the gradient with respect to
    it is the gradient with respect to the stage; perturbing some stages and not others
    is fine. Otherwise, and while parameters are initialised, nothing is stored.

    Args:
        module: The model, at its top level.
        name: Of the stage, unique in the model.
        x: The stage's output.
    """
    if module.is_initializing():
        return x
    module.sow("features", name, x, reduce_fn=_replace, init_fn=_nothing)
    perturbed = module.has_variable("perturbations", name)
    if perturbed or module.is_mutable_collection("perturbations"):
        x = module.perturb(name, x)
    return x


def _replace(old: Any, new: Array) -> Array:
    del old
    return new


def _nothing() -> None:
    return None

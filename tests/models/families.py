"""One narrow and shallow network a family, for what holds of every architecture."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from liverjax.models.convnext import ConvNeXt
from liverjax.models.lfs import LFS
from liverjax.models.mambavision import MambaVision
from liverjax.models.medmamba import MedMamba
from liverjax.models.mobilenet import MobileNetV3
from liverjax.models.pvt import PvtV2
from liverjax.models.resnet import ResNet
from liverjax.models.vgg import VGG
from liverjax.models.vim import Vim
from liverjax.weights.mobilenet import SMALL

SMALLEST: dict[str, Callable[..., nn.Module]] = {
    "convnext": functools.partial(ConvNeXt, width=8, depths=(1, 1, 1, 1)),
    "lfs": functools.partial(LFS, width=4),
    "mambavision": functools.partial(MambaVision, width=4, depths=(1, 1, 2, 2)),
    "medmamba": functools.partial(MedMamba, width=8, depths=(1, 1, 1, 1)),
    "mobilenet": functools.partial(MobileNetV3, width=8, rows=SMALL[2:5]),
    "mobilenet_shortcuts": functools.partial(
        MobileNetV3, width=8, rows=SMALL[2:5], shortcuts=True
    ),
    "pvt": functools.partial(PvtV2, width=8, depths=(1, 1, 1, 1)),
    "resnet": functools.partial(ResNet, width=4, depths=(1, 1, 1, 1)),
    "vgg": functools.partial(VGG, width=4, depths=(1,) * 5, normalised=True),
    "vim": functools.partial(Vim, width=16, depth=4),
}
SIZE_PX = (40, 56)  # not a multiple of 32


def image(channels: int = 3) -> np.ndarray:
    """Two images of an odd size."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, *SIZE_PX, channels)).astype(np.float32)


def small(name: str, **options: Any) -> Any:
    """The narrow network, with one output."""
    return SMALLEST[name](num_outputs=1, **options)


@functools.cache
def variables(name: str, channels: int = 3) -> Any:
    """Variables without a compiled start, as far from trivial as trained ones."""
    rng, x = np.random.default_rng(1), image(channels)
    init = functools.partial(small(name).init, train=False)
    born = jax.eval_shape(init, jax.random.key(0), jnp.asarray(x))

    def leaf(path: Any, born: Any) -> np.ndarray:
        n = rng.standard_normal(born.shape).astype(np.float32)
        if path[-1].key == "kernel":
            return n / np.float32(np.sqrt(np.prod(born.shape[:-1])))
        if path[-1].key in ("scale", "var"):
            return 1 + np.abs(n) / 10
        return n / 10

    return jax.tree_util.tree_map_with_path(leaf, born)

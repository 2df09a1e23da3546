"""Adam with both kinds of weight decay.

The learning rate and both decays are leaves of the optimiser's state, so that the host
can change them between epochs without compiling again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optax


def adam(
    *,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Returns Adam whose learning rate is set from outside, 0 until then.

    Args:
        l2: Times the parameter, added to the gradient before Adam sees it: what
            PyTorch's ``Adam(weight_decay=...)`` does.
        weight_decay: Times the parameter and the learning rate, taken off beside
            Adam's step: what ``AdamW`` does.
        betas: Decay of the mean gradient and of its mean square.
        eps: Added to the root of the mean square.

    Reference:
        Kingma and Ba, Adam (2015); Loshchilov and Hutter, Decoupled weight decay
        regularization (2019), which tells the two decays apart.
    """

    def chain(learning_rate: Any, l2: Any, weight_decay: Any):
        return optax.chain(
            optax.add_decayed_weights(l2),
            optax.scale_by_adam(b1=betas[0], b2=betas[1], eps=eps),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )

    return optax.inject_hyperparams(chain)(
        learning_rate=0.0, l2=l2, weight_decay=weight_decay
    )


def with_learning_rate(opt_state: Any, learning_rate: float) -> Any:
    """Returns the optimiser's state with another learning rate in its leaf."""
    return with_hyperparams(opt_state, {"learning_rate": learning_rate})


def with_hyperparams(opt_state: Any, values: Mapping[str, Any]) -> Any:
    """Returns the optimiser's state with other numbers in its leaves, by name."""
    leaves = opt_state.hyperparams
    # Numpy arrays of the leaves' types: a Python float would be another program.
    changed = {name: np.asarray(v, leaves[name].dtype) for name, v in values.items()}
    return opt_state._replace(hyperparams=leaves | changed)

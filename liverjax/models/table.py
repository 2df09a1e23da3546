"""What each network costs and where its weights come from, without making one.

Shapes alone are computed (``eval_shape``, ``make_jaxpr``): no memory, no compilation.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from liverjax.models import MODELS, make
from liverjax.weights import SOURCES, Source

OUTPUTS = 3
SIZE_PX = 224
MIB = 2**20

# Millions of parameters that the severity benchmark (CirrMRI600+) prints.
PAPER = {
    "convnext_base": 87.57,
    "mambavision_s": 49.37,
    "mambavision_t": 31.16,
    "medmamba_s": 18.62,
    "mobilenet_v3_small": 1.67,
    "mobilenet_v3_small_xiaolai": 1.67,
    "pvt_v2_b2": 24.85,
    "resnet50": 23.51,
    "vgg19": 139.58,
    "vim_small": 25.44,
}
NOTES = {
    "mobilenet_v3_small": (
        "The benchmark's 1.67 million are not this network's: they fit "
        "mobilenet_v3_small_xiaolai, or this one with 1280 hidden features (1,669,411)."
    ),
    "vim_small": (
        "The benchmark's 25.44 million have the position embedding of 256 pixels; at "
        "224 pixels there are 60 tokens, 23,040 parameters, fewer."
    ),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A network at three outputs and three channels.

    Attributes:
        name: Key of `MODELS`.
        width: Channels of the first stage, as the option ``width`` counts them.
        parameters: Their number.
        multiply_adds: Of convolutions and matrix products for an image of 224 pixels.
        weights_mib: Of parameters and statistics, float32.
        kept_mib: What a training step keeps of one image of 224 pixels for the
            gradient, float32, before the compiler drops or recomputes any of it.
        paper_m: Millions of parameters that the severity benchmark prints.
        weights: Name and address of the published weights; empty without any.
        licence: Of these weights.
    """

    name: str
    width: int
    parameters: int
    multiply_adds: int
    weights_mib: float
    kept_mib: float
    paper_m: float | None
    weights: tuple[str, str]
    licence: str


def row(name: str) -> Row:
    """The table's row of the network ``name``."""
    model: Any = make(name, num_outputs=OUTPUTS)
    image = _images(1)
    init = functools.partial(model.init, train=False)
    born = jax.eval_shape(init, jax.random.key(0), image)
    evaluate = functools.partial(model.apply, train=False)
    source = SOURCES.get(name)
    # What one image more costs: weights and constants fall out of the difference.
    kept = _kept_bytes(model, born, _images(3)) - _kept_bytes(model, born, _images(2))
    return Row(
        name=name,
        width=model.width,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(born["params"])),
        multiply_adds=multiply_adds(jax.make_jaxpr(evaluate)(born, image).jaxpr),
        weights_mib=_bytes(born) / MIB,
        kept_mib=kept / MIB,
        paper_m=PAPER.get(name),
        weights=_place(source) if source else ("", ""),
        licence=source.licence if source else "",
    )


def _place(source: Source) -> tuple[str, str]:
    if "://" in source.repository:
        return source.file, f"{source.repository}/{source.file}"
    return source.repository, f"https://huggingface.co/{source.repository}"


def multiply_adds(jaxpr: Any) -> int:
    """Multiplications with a sum after them, of convolutions and matrix products.

    Scans count as often as they run, and of branches the dearest, so a convolution
    counts as one on whatever device. Element-wise work, such as a selective scan's, is
    not counted.

    Args:
        jaxpr: Of a function, as `jax.make_jaxpr(function)(...).jaxpr`.
    """
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            inner = math.prod(left[axis] for axis in contracted)
            total += equation.outvars[0].aval.size * inner
        elif equation.primitive.name == "conv_general_dilated":
            kernel, labels = equation.invars[1].aval, equation.params
            outputs = kernel.shape[labels["dimension_numbers"].rhs_spec[0]]
            total += equation.outvars[0].aval.size * kernel.size // outputs
        else:
            inside = [multiply_adds(part) for part in _parts(equation)]
            branches = equation.primitive.name == "cond"
            times = equation.params.get("length", 1)
            total += times * (max(inside) if branches else sum(inside))
    return total


def _parts(equation: Any) -> Iterator[Any]:
    """The programs inside an operation."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                yield part


def _images(count: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((count, SIZE_PX, SIZE_PX, 3), jnp.float32)


def _kept_bytes(model: nn.Module, born: Any, images: jax.ShapeDtypeStruct) -> int:
    """Bytes between the forward and the backward half of a training step."""

    def backward(variables: Any, images: Any) -> Any:
        rest = {name: v for name, v in variables.items() if name != "params"}

        def forward(params: Any) -> Any:
            return model.apply(
                {"params": params, **rest},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )[0]

        return jax.vjp(forward, variables["params"])[1]

    return _bytes(jax.eval_shape(backward, born, images))


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


_HEAD = (
    "name",
    "width",
    "parameters",
    "paper (M)",
    "multiply-adds (M)",
    "weights (MiB)",
    "kept per image (MiB)",
    "published weights",
    "their licence",
)
_NUMBERS = 7  # columns before this one, but for the name, are numbers


def as_text(rows: Sequence[Row]) -> str:
    """The table in columns of equal width, for a terminal."""
    cells = [_HEAD, *(_cells(one, linked=False) for one in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        places = zip(line, widths, range(len(line)), strict=True)
        lines.append(
            "  ".join(
                cell.rjust(width) if 0 < place < _NUMBERS else cell.ljust(width)
                for cell, width, place in places
            ).rstrip()
        )
    return "\n".join([*lines, "", *_footnotes(rows)]) + "\n"


def as_markdown(rows: Sequence[Row]) -> str:
    """The table as a Markdown page."""
    rule = ["---:" if 0 < i < _NUMBERS else "---" for i in range(len(_HEAD))]
    lines = [_HEAD, rule, *(_cells(one, linked=True) for one in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"* {note}" for note in _footnotes(rows))
    return (
        "# Models\n\nMade by `python -m liverjax.models --markdown`.\n\n"
        f"{table}\n\n{notes}\n"
    )


def _cells(row: Row, *, linked: bool) -> tuple[str, ...]:
    name, address = row.weights
    weights = f"[{name}]({address})" if linked and name else name or "none"
    mark = "*" if row.name in NOTES else ""
    return (
        row.name,
        str(row.width),
        f"{row.parameters:,}",
        f"{row.paper_m:.2f}{mark}" if row.paper_m else "",
        f"{row.multiply_adds / 1e6:,.0f}",
        f"{row.weights_mib:.1f}",
        f"{row.kept_mib:.1f}",
        weights,
        row.licence,
    )


def _footnotes(rows: Sequence[Row]) -> list[str]:
    """What the columns mean, and where the paper's number is another."""
    names = [one.name for one in rows]
    return [
        f"Parameters: with {OUTPUTS} outputs and 3 input channels.",
        "Paper: millions in the severity benchmark on CirrMRI600+.",
        f"Multiply-adds: one image of {SIZE_PX} pixels, convolutions and matrix "
        "products alone; a selective scan's own work is not in them.",
        "Kept: what a training step holds for the gradient, float32, before the "
        "compiler fuses or drops any of it. With Adam a step holds four times the "
        "weights (and gradients and moments), and the batch times what is kept.",
        "Width: channels of the first stage, changed by the option of that name; "
        "published weights fit this one alone.",
        "Licence: of the published weights; cc-by-nc-sa forbids commercial use.",
        *(f"{name}*: {note}" for name, note in NOTES.items() if name in names),
    ]


def rows(names: Sequence[str] | None = None) -> list[Row]:
    """The rows of all networks, or of ``names``.

    Raises:
        ValueError: If a name is not a network's.
    """
    return [row(name) for name in names or MODELS]

"""Published tensors to Flax variables and back, by the naming table of a family."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

import liverjax.weights.convnext as convnext
import liverjax.weights.lfs as lfs
import liverjax.weights.mambavision as mambavision
import liverjax.weights.medmamba as medmamba
import liverjax.weights.mobilenet as mobilenet
import liverjax.weights.pvt as pvt
import liverjax.weights.resnet as resnet
import liverjax.weights.vgg as vgg
import liverjax.weights.vim as vim
from liverjax.weights.naming import (
    Entry,
    Family,
    Sizes,
    Tensors,
    Variables,
    WeightsError,
    flatten,
    nest,
    some,
)

_LOG = logging.getLogger(__name__)

FAMILIES: dict[str, Family] = {
    **convnext.FAMILIES,
    **lfs.FAMILIES,
    **mambavision.FAMILIES,
    **medmamba.FAMILIES,
    **mobilenet.FAMILIES,
    **pvt.FAMILIES,
    **resnet.FAMILIES,
    **vgg.FAMILIES,
    **vim.FAMILIES,
}
"""The family of each architecture whose weights can be read."""

_ANY = Sizes(width=1, in_channels=1, num_outputs=1)


def convert(name: str, tensors: Tensors) -> Variables:
    """All Flax collections of the architecture ``name``, float32, from its tensors.

    Width, input channels, number of outputs and, where there is a position embedding,
    the image's size are those of the tensors. What training tools put before all names
    (``module.``, ``_orig_mod.``, ``model.``, ...) is taken off. Counters
    (``num_batches_tracked``) have no use here; they are left out, whether they are
    there or not. Weights whose last layer was taken off come back without ``head``,
    which :func:`~liverjax.weights.adapt` then lets start anew.

    Args:
        name: A key of ``FAMILIES``.
        tensors: Published names and arrays, in any scheme of the family.

    Raises:
        WeightsError: If the architecture is unknown, or tensors are missing, surplus,
            of another shape, not floating point, or not finite; all are named.
    """
    family = _family(name)
    known = {
        scheme: {entry.name for entry in table(name, _ANY)}
        for scheme, table in family.tables.items()
    }
    tensors = _without_prefix(tensors, known=set().union(*known.values()))
    scheme = max(known, key=lambda s: len(known[s] & {*tensors}))
    try:
        sizes = _sizes_in(tensors, name=name, scheme=scheme)
        entries = [
            entry
            for entry in family.tables[scheme](name, sizes)
            if sizes.num_outputs or not _is_head(entry, family)
        ]
        _check(name, tensors, entries)
    except WeightsError as error:
        others = [other for other in _called_alike(tensors) if other != name]
        hint = f"; the names are those of {' or '.join(others)}" if others else ""
        raise WeightsError(f"{error}{hint}") from None
    unused = [e.name for e in entries if not e.path and e.name in tensors]
    if unused:
        _LOG.info("%s: %d counters of batches are not needed", name, len(unused))
    used = (e for e in entries if e.path)
    return nest({e.path: e.to_variable(tensors[e.name]) for e in used})


def export(
    name: str, variables: Mapping[str, Any], *, scheme: str | None = None
) -> dict[str, np.ndarray]:
    """The published names and arrays of ``variables``, in published order.

    The inverse of :func:`convert`, bit by bit; counters of batches are zeros.

    Args:
        name: A key of ``FAMILIES``.
        variables: All collections of that architecture.
        scheme: Whose names to use; ``None`` is the family's first.

    Raises:
        WeightsError: If architecture or scheme is unknown, or variables are missing,
            surplus or of another shape; all are named.
    """
    family, flat = _family(name), flatten(variables)
    scheme = scheme or next(iter(family.tables))
    if scheme not in family.tables:
        known = ", ".join(family.tables)
        raise WeightsError(f"{name} has no naming scheme {scheme!r}; known: {known}")
    sizes = sizes_of(name, flat)
    entries = family.tables[scheme](name, sizes)
    problems = []
    missing = [e.path for e in entries if e.path and e.path not in flat]
    surplus = sorted({*flat} - {e.path for e in entries})
    if missing:
        problems.append(f"missing: {some(missing)}")
    if surplus:
        problems.append(f"not known: {some(surplus)}")
    exported = {}
    for entry in entries:
        if not entry.path:
            exported[entry.name] = np.zeros(entry.shape, np.int64)
        elif entry.path in flat:
            shape = flat[entry.path].shape
            if shape == entry.variable_shape:
                exported[entry.name] = entry.to_tensor(flat[entry.path])
            else:
                problems.append(f"{entry.path} has shape {shape}")
    if problems:
        raise WeightsError(f"variables of {name}: {'; '.join(problems)}")
    return exported


def sizes_of(name: str, flat: Mapping[str, np.ndarray]) -> Sizes:
    """Width, input channels and outputs of variables given by path.

    Raises:
        WeightsError: If the first convolution is not there.
    """
    family = _family(name)
    for path in filter(None, (family.first, family.positions)):
        if path not in flat:
            raise WeightsError(f"these are not variables of {name}: {path} is missing")
    in_channels, width = flat[family.first].shape[-2:]
    head = flat.get(f"{family.head}/kernel")
    return Sizes(
        width=width,
        in_channels=in_channels,
        num_outputs=0 if head is None else head.shape[-1],
        tokens=flat[family.positions].shape[1] if family.positions else 0,
    )


def _family(name: str) -> Family:
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise WeightsError(f"no naming table for model {name!r}; known are {known}")
    return FAMILIES[name]


def _called_alike(tensors: Tensors) -> list[str]:
    """The architectures whose published names are just these, counters aside."""
    found = []
    for name, family in FAMILIES.items():
        for table in family.tables.values():
            entries = table(name, _ANY)
            counters = {entry.name for entry in entries if not entry.path}
            if {entry.name for entry in entries} - counters == {*tensors} - counters:
                found.append(name)
                break
    return found


def _is_head(entry: Entry, family: Family) -> bool:
    return entry.path.rpartition("/")[0] == family.head


def _without_prefix(tensors: Tensors, *, known: set[str]) -> Tensors:
    """The tensors by the names inside the network, where all lie under a name."""
    while tensors and not known & {*tensors}:
        prefix = next(iter(tensors)).partition(".")[0] + "."
        if not all(key.startswith(prefix) for key in tensors):
            break
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _sizes_in(tensors: Tensors, *, name: str, scheme: str) -> Sizes:
    """What the architecture leaves open, by the tensors that tell it."""
    family = _family(name)
    entries = {e.path: e for e in family.tables[scheme](name, _ANY)}
    shapes, head = {}, f"{family.head}/kernel"
    headless = not any(
        e.name in tensors for e in entries.values() if _is_head(e, family)
    )
    paths = (family.first, "" if headless else head, family.positions)
    for path in filter(None, paths):
        key, axes = entries[path].name, len(entries[path].shape)
        if key not in tensors:
            raise WeightsError(
                f"these are not weights of {name}: no tensor is called {key!r} (first "
                f"names: {some(list(tensors))})"
            )
        shapes[path] = np.shape(tensors[key])
        if len(shapes[path]) != axes:
            raise WeightsError(
                f"weights of {name}: {key} has shape {shapes[path]}, expected {axes} "
                "axes"
            )
    width, in_channels = shapes[family.first][:2]
    return Sizes(
        width=width,
        in_channels=in_channels,
        num_outputs=0 if headless else shapes[head][0],
        tokens=shapes[family.positions][1] if family.positions else 0,
    )


def _check(name: str, tensors: Tensors, entries: list[Entry]) -> None:
    known = {entry.name: entry for entry in entries}
    missing = [e.name for e in entries if e.path and e.name not in tensors]
    surplus = [key for key in tensors if key not in known]
    problems = []
    if missing:
        problems.append(f"missing: {some(missing)}")
    if surplus:
        problems.append(f"surplus: {some(surplus)}")
    for key, tensor in tensors.items():
        if key not in known or not known[key].path:
            continue
        if np.shape(tensor) != known[key].shape:
            wanted = known[key].shape
            problems.append(f"{key} has shape {np.shape(tensor)}, expected {wanted}")
        elif not np.issubdtype(np.asarray(tensor).dtype, np.floating):
            problems.append(f"{key} is {np.asarray(tensor).dtype}, expected floats")
        elif not np.isfinite(tensor).all():
            problems.append(f"{key} has values that are not finite")
    if problems:
        raise WeightsError(f"weights of {name}: {'; '.join(problems)}")

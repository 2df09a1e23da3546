"""Checkpoints: the only module that knows orbax.

What a member needs to go on exactly where it stood (`liverjax.train.loop.Standing`):

- ``state``: step, epoch, key, params, batch_stats, opt_state (learning rate and decays
  among its leaves),
- ``best``: params and batch_stats of the best epoch so far,
- ``scores``, ``select_losses``: what selection has said, an entry an epoch,
- ``losses``: of the steps of the epoch that is under way,
- ``position``: steps of that epoch that are done.

Everything else follows from config, cohort, splits and these. Beside orbax's files lies
a manifest of our own with path, shape, type and SHA-256 of every leaf, written before
them; a checkpoint that differs from it is refused, because orbax restores partial ones
without a word.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pathlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from liverjax.cohort import files
from liverjax.errors import InputError

SCHEMA = 1

# Around every orbax call: managers in several threads corrupt each other.
_ORBAX = threading.Lock()


def save(folder: pathlib.Path, tree: Any, *, about: Mapping[str, Any]) -> None:
    """Writes a checkpoint and removes the older ones of the folder.

    Killed at any moment, the folder holds the older checkpoint or the new one.

    Args:
        folder: Of this tree's checkpoints alone.
        tree: Arrays on the host or a device; typed keys are allowed.
        about: Plain values that `restore` gives back.
    """
    leaves = _flatten(tree)
    described = {path: _describe(leaf) for path, leaf in leaves.items()}
    with _manager(folder) as manager:
        number = (manager.latest_step() or 0) + 1
        # First, so that no finished checkpoint is ever without its manifest.
        files.write_json(
            _manifest(folder, number),
            {"schema": SCHEMA, "leaves": described, "about": about},
        )
        manager.save(number, args=ocp.args.StandardSave(leaves))
        manager.wait_until_finished()
        kept = {_manifest(folder, step) for step in manager.all_steps()}
    for path in set(folder.glob("manifest-*.json")) - kept:
        path.unlink()


def restore(folder: pathlib.Path, *, like: Any = None) -> tuple[Any, dict] | None:
    """Returns the newest checkpoint of a folder and what was said about it.

    Args:
        folder: That `save` wrote; None comes back if it holds no checkpoint.
        like: A tree of the same structure with arrays or `jax.ShapeDtypeStruct`s;
            without it nested dictionaries come back.

    Returns:
        The tree with numpy leaves (typed keys are keys again) and ``about``; or None.

    Raises:
        InputError: If the checkpoint is partial, altered, or of another network.
    """
    if not folder.is_dir():
        return None
    with _manager(folder) as manager:
        number = manager.latest_step()
        if number is None:
            return None
        manifest = _read_manifest(folder, number)
        described = manifest["leaves"]
        if like is not None:
            _compare(described, like, folder=folder)
        template = {
            path: np.empty(leaf["shape"], leaf["dtype"])
            for path, leaf in described.items()
        }
        try:
            leaves = manager.restore(number, args=ocp.args.StandardRestore(template))
        except Exception as error:  # whatever orbax, tensorstore or zarr may raise
            raise _damaged(folder, f"orbax says {error}") from error
    altered = [
        path
        for path, leaf in described.items()
        if path not in leaves or _hash(np.asarray(leaves[path])) != leaf["sha256"]
    ]
    if altered:
        raise _damaged(folder, f"altered leaves {altered[:5]}")
    tree = _nest(leaves) if like is None else _unflatten(leaves, like=like)
    return tree, manifest["about"]


def newest(folder: pathlib.Path) -> str:
    """Returns the SHA-256 of the newest checkpoint's manifest; empty without one."""
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return files.sha256_file(_manifest(folder, max(numbers))) if numbers else ""


def remove(folder: pathlib.Path) -> None:
    """Removes a folder of checkpoints if it is there."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


@contextlib.contextmanager
def _manager(folder: pathlib.Path) -> Iterator[ocp.CheckpointManager]:
    """Gives orbax's manager of a folder, to one thread at a time."""
    told = logging.getLogger("absl")  # where orbax tells of every step it takes
    with _ORBAX:
        level = told.level
        told.setLevel(logging.ERROR)
        try:
            # Of an attempt that was killed; orbax's own cleaning races with itself.
            for unfinished in folder.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(unfinished)
            folder.mkdir(parents=True, exist_ok=True)
            with ocp.CheckpointManager(
                folder.absolute(),
                options=ocp.CheckpointManagerOptions(
                    preservation_policy=ocp.checkpoint_managers.LatestN(1),
                    enable_async_checkpointing=False,
                    multiprocessing_options=_alone(),
                    create=False,
                ),
                item_handlers=ocp.StandardCheckpointHandler(
                    multiprocessing_options=_alone()
                ),
            ) as manager:
                yield manager
        finally:
            told.setLevel(level)


def _alone() -> ocp.options.MultiprocessingOptions:
    """Each process keeps its own files; orbax is not to wait for the others."""
    process = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=process,
        active_processes={process},
        barrier_sync_key_prefix=f"process-{process}",
    )


def _manifest(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / f"manifest-{number}.json"


def _read_manifest(folder: pathlib.Path, number: int) -> dict[str, Any]:
    try:
        manifest = files.read_json(_manifest(folder, number))
    except InputError as error:
        raise _damaged(folder, str(error)) from None
    if manifest.get("schema") != SCHEMA:
        raise _damaged(folder, f"schema {manifest.get('schema')}, {SCHEMA} expected")
    return manifest


def _compare(described: Mapping[str, Any], like: Any, *, folder: pathlib.Path) -> None:
    """Raises unless the manifest describes exactly the leaves that are expected."""
    expected = {
        path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in _shapes(like).items()
    }
    found = {
        path: f"{leaf['dtype']}{leaf['shape']}" for path, leaf in described.items()
    }
    wrong = sorted(
        path
        for path in expected.keys() | found.keys()
        if expected.get(path) != found.get(path)
    )
    if wrong:
        path = wrong[0]
        raise InputError(
            f"{folder}: the checkpoint is of another network or optimiser: {path} is "
            f"{found.get(path, 'absent')} there, {expected.get(path, 'absent')} "
            f"expected ({len(wrong)} such leaves); use another workdir or remove the "
            "member's folder to train it anew"
        )


def _damaged(folder: pathlib.Path, reason: str) -> InputError:
    return InputError(
        f"{folder}: the checkpoint is damaged ({reason}); remove this folder and run "
        "again to train the member from its start"
    )


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _flatten(tree: Any) -> dict[str, np.ndarray]:
    """Returns a tree's leaves on the host by path; keys as their numbers."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        _name(path): np.asarray(
            jax.device_get(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        )
        for path, leaf in leaves
    }


def _shapes(tree: Any) -> dict[str, Any]:
    return {
        _name(path): jax.eval_shape(jax.random.key_data, leaf)
        if _is_key(leaf)
        else leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _unflatten(leaves: Mapping[str, Any], *, like: Any) -> Any:
    def put(path: Any, expected: Any) -> Any:
        leaf = np.asarray(leaves[_name(path)])
        # Threefry is the only kind of key in this package.
        return (
            jax.random.wrap_key_data(jnp.asarray(leaf)) if _is_key(expected) else leaf
        )

    return jax.tree_util.tree_map_with_path(put, like)


def _nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *groups, last = path.split("/")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = np.asarray(leaf)
    return tree


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _describe(leaf: np.ndarray) -> dict[str, Any]:
    return {
        "shape": list(leaf.shape),
        "dtype": str(leaf.dtype),
        "sha256": _hash(leaf),
    }


def _hash(leaf: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(leaf).data).hexdigest()

"""A finished run's networks for PyTorch: one safetensors file each, published names.

python -m liverjax.export --run runs/cp_ct --out exported

The tensors are those that the architecture's own PyTorch code loads
(`load_state_dict(safetensors.torch.load_file(FILE))`), bit by bit.
"""

from __future__ import annotations

import argparse
import json
import pathlib

from liverjax import weights
from liverjax.errors import InputError, run_command
from liverjax.weights import store


def export(
    run: pathlib.Path, *, out: pathlib.Path, scheme: str | None = None
) -> list[pathlib.Path]:
    """The written files, ``<out>/<member>.safetensors`` each.

    What a file says of itself under ``liverjax``, as JSON: the model and its options,
    channels in order, height and width of the images, mean and deviation that images in
    [0, 1] are normalised by, target and classes.

    Args:
        run: Folder of the run.
        out: Where the files go; made if absent.
        scheme: Whose names to use; None is the architecture's first.

    Raises:
        InputError: If no network is finished, or the architecture has no such scheme.
    """
    from liverjax.members import networks

    members = networks.with_best(run)
    if not members:
        raise InputError(
            f"{run}: no finished network here; train with python -m liverjax.main"
        )
    paths = []
    for member in members:
        network = networks.load_network(run, member)
        study = network.study
        try:
            tensors = weights.export(study.model.name, network.variables, scheme=scheme)
        except weights.WeightsError as error:
            raise InputError(f"{run}: {error}") from None
        about = {
            "model": study.model.name,
            "options": dict(study.model.options),
            "channels": list(study.prepare.channels),
            "patch_px": study.prepare.patch_px,
            "input_mean": list(network.input_mean),
            "input_std": list(network.input_std),
            "target": study.task.target_column,
            "classes": list(study.task.classes),
        }
        paths.append(out / f"{member.id}.safetensors")
        store.write(tensors, paths[-1], facts={"liverjax": json.dumps(about)})
    return paths


def main() -> int:
    """Exports and prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m liverjax.export",
        description="A finished run's networks as safetensors for PyTorch.",
    )
    path = pathlib.Path
    parser.add_argument("--run", required=True, type=path, help="a run folder")
    parser.add_argument("--out", required=True, type=path, help="folder of the files")
    parser.add_argument("--scheme", help="of the names, such as timm or torchvision")
    given = parser.parse_args()
    for written in export(given.run, out=given.out, scheme=given.scheme):
        print(written)
    return 0


if __name__ == "__main__":
    run_command(main)

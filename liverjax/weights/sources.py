"""Where published weights lie, on the network and on this machine."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from liverjax.errors import InputError
from liverjax.weights.naming import WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Source:
    """A published file of weights.

    Attributes:
        repository: On the Hugging Face hub.
        file: In that repository.
        licence: As the repository names it.
        input_mean: Subtracted from images in [0, 1], red, green, blue.
        input_std: Then divided by.
    """

    repository: str
    file: str = "model.safetensors"
    licence: str = "bsd-3-clause"
    input_mean: tuple[float, ...] = IMAGENET_MEAN
    input_std: tuple[float, ...] = IMAGENET_STD


# torchvision's first ImageNet-1k weights, as timm republishes them; their licence is
# torchvision's. timm's names for these networks are torchvision's own.
SOURCES: dict[str, Source] = {
    "resnet18": Source("timm/resnet18.tv_in1k"),
    "resnet34": Source("timm/resnet34.tv_in1k"),
    "resnet50": Source("timm/resnet50.tv_in1k"),
    "resnet101": Source("timm/resnet101.tv_in1k"),
    "resnet152": Source("timm/resnet152.tv_in1k"),
}


def find(name: str, *, weights_dir: str | os.PathLike[str]) -> pathlib.Path:
    """The converted weights of ``name`` in ``weights_dir``.

    Raises:
        FileNotFoundError: If they are not there; the message is the command that
            fetches them.
    """
    path = pathlib.Path(weights_dir) / f"{name}.safetensors"
    if path.is_file():
        return path
    origin = "--download" if name in SOURCES else "--source FILE.safetensors"
    raise FileNotFoundError(
        f"no weights of {name} at {path}; fetch them with "
        f"`python -m liverjax.weights --model {name} {origin} --out {weights_dir}`"
    )


def locate(
    name: str, *, pretrained: str, weights_dir: str | os.PathLike[str]
) -> pathlib.Path:
    """The file that a study's ``model.pretrained`` means.

    Args:
        name: Of the model.
        pretrained: ``imagenet`` or a file that ``python -m liverjax.weights`` wrote.
        weights_dir: Where ``imagenet`` is looked for.

    Raises:
        InputError: If it is not there; the text is the command that fetches it.
    """
    if pretrained == "imagenet":
        try:
            return find(name, weights_dir=weights_dir)
        except FileNotFoundError as error:
            raise InputError(f"model.pretrained=imagenet: {error}") from None
    path = pathlib.Path(pretrained)
    if not path.is_file():
        raise InputError(
            f"model.pretrained={pretrained}: no such file; expected none, imagenet or "
            "a file that python -m liverjax.weights wrote"
        )
    return path


def download(name: str) -> pathlib.Path:
    """The published file of ``name``, fetched into the hub's cache if need be.

    Raises:
        WeightsError: If none is known, huggingface_hub is not installed, or the hub
            cannot be reached.
    """
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        raise WeightsError(f"no published weights known for {name!r}; known: {known}")
    source = SOURCES[name]
    try:
        import huggingface_hub
    except ImportError:
        raise WeightsError(
            "--download needs huggingface_hub: `pip install huggingface_hub`, or fetch "
            f"{source.file} of {source.repository} by hand and give it as --source"
        ) from None
    try:
        fetched = huggingface_hub.hf_hub_download(source.repository, source.file)
    except Exception as error:  # the hub's client raises what its transport raises
        raise WeightsError(
            f"{source.file} of {source.repository} could not be fetched "
            f"({str(error).splitlines()[0]}); on a machine without network give the "
            "file as --source"
        ) from error
    return pathlib.Path(fetched)

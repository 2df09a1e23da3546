"""Where published weights lie, on the network and on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import shutil
import urllib.request

from liverjax.errors import InputError
from liverjax.weights.naming import WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Source:
    """A published file of weights.

    Attributes:
        repository: On the Hugging Face hub, or the https address of a folder.
        file: In that repository.
        licence: As the repository names it.
        sha256: How the file's checksum begins; empty where its publisher gives none.
        input_mean: Subtracted from images in [0, 1], red, green, blue.
        input_std: Then divided by.
    """

    repository: str
    file: str = "model.safetensors"
    licence: str = "bsd-3-clause"
    sha256: str = ""
    input_mean: tuple[float, ...] = IMAGENET_MEAN
    input_std: tuple[float, ...] = IMAGENET_STD


_TORCHVISION = "https://download.pytorch.org/models"
_XIAOLAI = (
    "https://raw.githubusercontent.com/xiaolai-sqlai/mobilenetv3/"
    "1a7088358ec7f27d8917d5c32c9d1182ab79a711"
)
_APACHE = "apache-2.0"
_MAMBAVISION = "cc-by-nc-sa-4.0"  # not for commercial use

# Trained on ImageNet-1k. `tv_in1k`: torchvision's first weights, `fb_in1k`: those of
# ConvNeXt's authors, as timm republishes them under the publisher's licence.
SOURCES: dict[str, Source] = {
    "convnext_base": Source("timm/convnext_base.fb_in1k", licence=_APACHE),
    "convnext_large": Source("timm/convnext_large.fb_in1k", licence=_APACHE),
    "convnext_small": Source("timm/convnext_small.fb_in1k", licence=_APACHE),
    "convnext_tiny": Source("timm/convnext_tiny.fb_in1k", licence=_APACHE),
    "mambavision_b": Source("nvidia/MambaVision-B-1K", licence=_MAMBAVISION),
    "mambavision_s": Source("nvidia/MambaVision-S-1K", licence=_MAMBAVISION),
    "mambavision_t": Source("nvidia/MambaVision-T-1K", licence=_MAMBAVISION),
    "mambavision_t2": Source("nvidia/MambaVision-T2-1K", licence=_MAMBAVISION),
    "mobilenet_v3_large": Source(
        _TORCHVISION, "mobilenet_v3_large-8738ca79.pth", sha256="8738ca79"
    ),
    "mobilenet_v3_large_timm": Source(
        "timm/mobilenetv3_large_100.ra_in1k", licence=_APACHE
    ),
    "mobilenet_v3_large_xiaolai": Source(
        _XIAOLAI, "450_act3_mobilenetv3_large.pth", licence="mit"
    ),
    "mobilenet_v3_small": Source(
        _TORCHVISION, "mobilenet_v3_small-047dcff4.pth", sha256="047dcff4"
    ),
    "mobilenet_v3_small_timm": Source(
        "timm/mobilenetv3_small_100.lamb_in1k", licence=_APACHE
    ),
    "mobilenet_v3_small_xiaolai": Source(
        _XIAOLAI, "450_act3_mobilenetv3_small.pth", licence="mit"
    ),
    **{
        f"pvt_v2_b{number}": Source(f"timm/pvt_v2_b{number}.in1k", licence=_APACHE)
        for number in range(6)
    },
    "resnet18": Source("timm/resnet18.tv_in1k"),
    "resnet34": Source("timm/resnet34.tv_in1k"),
    "resnet50": Source("timm/resnet50.tv_in1k"),
    "resnet101": Source("timm/resnet101.tv_in1k"),
    "resnet152": Source("timm/resnet152.tv_in1k"),
    "vgg16": Source("timm/vgg16.tv_in1k"),
    "vgg16_bn": Source("timm/vgg16_bn.tv_in1k"),
    "vgg19": Source("timm/vgg19.tv_in1k"),
    "vgg19_bn": Source("timm/vgg19_bn.tv_in1k"),
    "vim_base": Source(
        "hustvl/Vim-base-midclstok", "vim_b_midclstok_81p9acc.pth", _APACHE
    ),
    "vim_small": Source(
        "hustvl/Vim-small-midclstok", "vim_s_midclstok_80p5acc.pth", _APACHE
    ),
    "vim_tiny": Source(
        "hustvl/Vim-tiny-midclstok", "vim_t_midclstok_76p1acc.pth", _APACHE
    ),
}
CACHE = pathlib.Path.home() / ".cache" / "liverjax"
"""Where files from outside the hub are kept."""


def find(name: str, *, weights_dir: str | os.PathLike[str]) -> pathlib.Path:
    """The converted weights of ``name`` in ``weights_dir``.

    Raises:
        FileNotFoundError: If they are not there; the message is the command that
            fetches them.
    """
    path = pathlib.Path(weights_dir) / f"{name}.safetensors"
    if path.is_file():
        return path
    command = f"python -m liverjax.weights --model {name}"
    if name in SOURCES:
        source = f"{SOURCES[name].repository}/{SOURCES[name].file}"
        raise FileNotFoundError(
            f"no weights of {name} at {path}; fetch them with `{command} --download "
            f"--out {weights_dir}`, or convert {source}, copied here, with --source "
            "FILE instead of --download"
        )
    raise FileNotFoundError(
        f"no weights of {name} at {path}, and none were published; train from scratch "
        f"(model.pretrained=none), or convert your own with `{command} --source FILE "
        f"--out {weights_dir}`"
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
    """The published file of ``name``, fetched into a cache if need be.

    The hub's own cache, or ``CACHE`` for files from elsewhere.

    Raises:
        WeightsError: If none is known, huggingface_hub is not installed, or the file
            cannot be reached or is not the published one.
    """
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        raise WeightsError(f"no published weights known for {name!r}; known: {known}")
    source = SOURCES[name]
    fetch = _from_address if "://" in source.repository else _from_hub
    try:
        path = fetch(source)
    except WeightsError:
        raise
    except Exception as error:  # the hub's client raises what its transport raises
        raise WeightsError(
            f"{source.file} of {source.repository} could not be fetched "
            f"({str(error).splitlines()[0]}); on a machine without network give the "
            "file as --source"
        ) from error
    return path


def _from_hub(source: Source) -> pathlib.Path:
    try:
        import huggingface_hub
    except ImportError:
        raise WeightsError(
            "--download needs huggingface_hub: `pip install huggingface_hub`, or fetch "
            f"{source.file} of {source.repository} by hand and give it as --source"
        ) from None
    fetched = huggingface_hub.hf_hub_download(source.repository, source.file)
    return pathlib.Path(fetched)


def _from_address(source: Source) -> pathlib.Path:
    """One file by https, whole or not at all."""
    path, address = CACHE / source.file, f"{source.repository}/{source.file}"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with (
            urllib.request.urlopen(address, timeout=60) as reply,
            unfinished.open("wb") as file,
        ):
            shutil.copyfileobj(reply, file)
        with unfinished.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not digest.startswith(source.sha256):
            raise WeightsError(
                f"{address} is not the published file: its sha256 is {digest}, "
                f"expected {source.sha256}..."
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path

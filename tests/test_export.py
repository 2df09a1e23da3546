"""A finished run's networks in files that PyTorch's own code can load."""

from __future__ import annotations

import json

import numpy as np
import pytest

from liverjax.errors import InputError
from liverjax.export import export
from liverjax.weights import convert
from liverjax.weights.naming import flatten
from liverjax.weights.read import open_safetensors


def test_every_network_is_exported_bit_by_bit_with_what_its_images_need(
    finished, tmp_path
):
    from liverjax import members

    paths = export(finished, out=tmp_path / "exported")
    found = members.with_best(finished)
    assert [path.stem for path in paths] == [member.id for member in found]
    for path, member in zip(paths, found, strict=True):
        tensors, facts = open_safetensors(path)
        kept = flatten(members.load_network(finished, member).variables)
        again = flatten(convert("resnet18", tensors))
        assert list(again) == list(kept)
        assert all(np.array_equal(again[name], kept[name]) for name in kept)
        about = json.loads(facts["liverjax"])
        assert about["model"] == "resnet18"
        assert about["options"]["width"] == 4
        assert about["channels"] == ["native", "arterial", "venous"]
        assert about["patch_px"] == 32
        assert len(about["input_mean"]) == len(about["input_std"]) == 3
        assert about["target"] == "child_pugh"


def test_a_scheme_or_a_run_that_is_not_there_is_told(finished, tmp_path):
    with pytest.raises(InputError, match=r"no naming scheme 'keras'; known: timm"):
        export(finished, out=tmp_path, scheme="keras")
    with pytest.raises(InputError, match="no finished network here"):
        export(tmp_path, out=tmp_path)

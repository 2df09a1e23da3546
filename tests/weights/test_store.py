from __future__ import annotations

import pytest
from safetensors.numpy import save_file

from liverjax.weights import Meta, WeightsError, convert, find, load, save
from liverjax.weights.naming import flatten
from tests.weights.published import equal, published

_META = Meta(
    model="resnet18",
    input_mean=(0.485, 0.456, 0.406),
    input_std=(0.229, 0.224, 0.225),
    origin="a test",
    licence="none",
)


def test_what_is_saved_comes_back_with_its_facts(tmp_path):
    variables = convert("resnet18", published())
    path = tmp_path / "new" / "resnet18.safetensors"
    save(variables, path, meta=_META)
    loaded, meta = load(path)
    assert meta == _META
    assert equal(flatten(loaded), flatten(variables))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_published_file_is_not_taken_for_a_converted_one(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(published(), path)
    with pytest.raises(WeightsError, match="convert it with `python -m liverjax"):
        load(path)


def test_a_cut_off_file_is_refused(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    save(convert("resnet18", published()), path, meta=_META)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        load(path)


def test_find_gives_the_path_or_the_command_that_fetches_it(tmp_path):
    wanted = (
        f"`python -m liverjax.weights --model resnet18 --download --out {tmp_path}`"
    )
    with pytest.raises(FileNotFoundError) as caught:
        find("resnet18", weights_dir=tmp_path)
    assert wanted in str(caught.value)
    path = tmp_path / "resnet18.safetensors"
    save(convert("resnet18", published()), path, meta=_META)
    assert find("resnet18", weights_dir=tmp_path) == path

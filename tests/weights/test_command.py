from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from liverjax.weights import (
    FAMILIES,
    SOURCES,
    Source,
    WeightsError,
    convert,
    download,
    load,
    sources,
)
from liverjax.weights.__main__ import main
from liverjax.weights.naming import flatten
from tests.weights.published import equal, published


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(published(), path)
    return path


def _flags(tmp_path, *more):
    return ["--model", "resnet18", "--out", str(tmp_path / "weights"), *more]


def test_a_file_is_converted_with_its_facts(tmp_path, source, capsys):
    assert main(_flags(tmp_path, "--source", str(source))) == 0
    path = tmp_path / "weights" / "resnet18.safetensors"
    variables, meta = load(path)
    assert equal(flatten(variables), flatten(convert("resnet18", published())))
    assert meta.model == "resnet18"
    assert meta.input_mean == (0.485, 0.456, 0.406)
    assert meta.origin.startswith("model.safetensors sha256:")
    assert str(path) in capsys.readouterr().out


def test_input_statistics_can_be_given_and_are_told(tmp_path, source, capsys):
    given = ["--input-mean", "0.5", "0.4", "0.3", "--input-std", "1", "2", "3"]
    assert main(_flags(tmp_path, "--source", str(source), *given)) == 0
    meta = load(tmp_path / "weights" / "resnet18.safetensors")[1]
    assert meta.input_mean == (0.5, 0.4, 0.3)
    assert meta.input_std == (1.0, 2.0, 3.0)
    assert "mean (0.5, 0.4, 0.3), deviation (1.0, 2.0, 3.0)" in capsys.readouterr().out


@pytest.mark.parametrize("std", [["1"], ["1", "0", "1"]])
def test_impossible_input_statistics_are_refused(tmp_path, source, capsys, std):
    flags = _flags(tmp_path, "--source", str(source), "--input-std", *std)
    assert main(flags) == 1
    assert "must be as many, deviations above 0" in capsys.readouterr().err


def test_download_asks_the_hub_for_the_published_file(tmp_path, source, monkeypatch):
    asked = []

    def fetch(repository, file):
        asked.append((repository, file))
        return str(source)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    assert main(_flags(tmp_path, "--download")) == 0
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors")]
    meta = load(tmp_path / "weights" / "resnet18.safetensors")[1]
    assert meta.licence == "bsd-3-clause"


def test_no_network_is_one_sentence(tmp_path, monkeypatch, capsys):
    def fetch(repository, file):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    assert main(_flags(tmp_path, "--download")) == 1
    shown = capsys.readouterr().err
    assert "could not be fetched (no route)" in shown
    assert "Traceback" not in shown


def test_unfit_weights_end_with_status_one_and_write_nothing(tmp_path, source, capsys):
    tensors = published()
    del tensors["fc.bias"]
    save_file(tensors, source)
    assert main(_flags(tmp_path, "--source", str(source))) == 1
    assert "missing: fc.bias" in capsys.readouterr().err
    assert not (tmp_path / "weights").exists()


def test_without_an_origin_the_command_explains_itself(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(_flags(tmp_path))
    assert "--source" in capsys.readouterr().err


def test_an_unknown_model_has_no_download():
    with pytest.raises(ValueError, match=r"known: .*resnet18"):
        download("vgg18")


def _address(tmp_path, monkeypatch, sha256):
    """A published file that is reached by its address, without a network."""
    (tmp_path / "net.pth").write_bytes(b"weights")
    folder = tmp_path.as_uri()
    source = Source(folder, "net.pth", sha256=sha256)
    monkeypatch.setitem(sources.SOURCES, "net", source)
    monkeypatch.setattr(sources, "CACHE", tmp_path / "cache")


def test_a_file_outside_the_hub_is_fetched_once_and_kept(tmp_path, monkeypatch):
    _address(tmp_path, monkeypatch, hashlib.sha256(b"weights").hexdigest()[:8])
    path = download("net")
    assert path == tmp_path / "cache" / "net.pth"
    (tmp_path / "net.pth").unlink()
    assert download("net").read_bytes() == b"weights"


def test_a_file_of_another_checksum_is_refused_and_not_kept(tmp_path, monkeypatch):
    _address(tmp_path, monkeypatch, "0123abcd")
    with pytest.raises(WeightsError, match="not the published file"):
        download("net")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_address_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch):
    _address(tmp_path, monkeypatch, "")
    (tmp_path / "net.pth").unlink()
    with pytest.raises(WeightsError, match=r"net\.pth of file:.*could not be fetched"):
        download("net")


# MambaVision's weights are for non-commercial use; the table says so.
LICENCES = {"apache-2.0", "bsd-3-clause", "mit", "cc-by-nc-sa-4.0"}


def test_every_source_names_a_file_a_licence_and_its_input_statistics():
    assert {*SOURCES} <= {*FAMILIES}
    for source in SOURCES.values():
        hub = re.fullmatch(r"[\w-]+/[\w.-]+", source.repository)
        assert hub or source.repository.startswith("https://")
        assert source.file.endswith((".safetensors", ".pth"))
        assert source.licence in LICENCES
        assert np.shape(source.input_mean) == np.shape(source.input_std) == (3,)


def test_converting_needs_no_jax():
    code = (
        "import sys; import liverjax.weights, liverjax.weights.__main__;"
        "assert not {'jax', 'flax', 'torch'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from liverjax.models import MODELS
from liverjax.models.__main__ import main
from liverjax.models.layers.conv import conv
from liverjax.models.table import as_markdown, as_text, multiply_adds, row, rows

# As imported: other tests of a session add a small network of their own.
NAMES = tuple(MODELS)
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "models.md"


def _counted(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return multiply_adds(jax.make_jaxpr(function)(*arrays).jaxpr)


def test_a_convolution_counts_once_whatever_forms_it_has():
    def plain(x, kernel):
        return conv(x, kernel, strides=2, padding=1)

    # 4 x 4 places, 3 x 3 x 5 inputs, 7 outputs.
    assert _counted(plain, (1, 8, 8, 5), (3, 3, 5, 7)) == 16 * 45 * 7


def test_a_depthwise_convolution_counts_one_input_an_output():
    def depthwise(x, kernel):
        return conv(x, kernel, strides=1, padding=3, groups=6)

    assert _counted(depthwise, (2, 8, 8, 6), (7, 7, 1, 6)) == 2 * 64 * 49 * 6


def test_scans_count_as_often_as_they_run():
    def power(x):
        return lax.scan(lambda c, _: (c @ x, None), x, length=5)[0]

    assert _counted(power, (4, 4)) == 5 * 64


def test_a_row_of_a_small_network_by_hand():
    # lfs: 5 x 5 windows of 3, 32, 64, 128 channels, 32 to 256 outputs, at 224 to 28 px.
    windows = [(224, 3, 32), (112, 32, 64), (56, 64, 128), (28, 128, 256)]
    products = sum(size**2 * 25 * i * o for size, i, o in windows)
    hidden = 16 * 256 * 256
    found = row("lfs")
    assert found.parameters == sum(
        (25 * i + 1) * o for _, i, o in windows
    ) + hidden + 256 + 3 * (256 + 1)
    # Averaging 28 pixels to 4, one axis after the other.
    pools = 256 * (28 * 28 * 4 + 28 * 4 * 4)
    assert found.multiply_adds == products + hidden + 3 * 256 + pools
    assert found.weights_mib == found.parameters * 4 / 2**20
    assert (found.weights, found.licence, found.paper_m) == (("", ""), "", None)


def test_kept_memory_is_at_least_the_stages_that_a_gradient_needs():
    # 16 floats a place of 224 pixels: the image aside, conv1's output and its pool.
    assert row("lfs").kept_mib > 224 * 224 * 32 * 4 / 2**20


def test_papers_numbers_stand_beside_ours_and_differences_are_told():
    found = rows(["mobilenet_v3_small", "vgg19"])
    text = as_text(found)
    assert "64  139,582,531     139.58 " in text
    assert "1,520,931      1.67*" in text
    assert "mobilenet_v3_small*: The benchmark's 1.67 million are not" in text
    for one in found:
        exact = round(one.parameters / 1e6, 2) == one.paper_m
        assert exact or one.name in text.partition("\n\n")[2]


def test_markdown_links_to_the_weights():
    page = as_markdown(rows(["vgg19"]))
    assert "[timm/vgg19.tv_in1k](https://huggingface.co/timm/vgg19.tv_in1k)" in page
    assert page.count("\n| ") == 3


def test_the_command_prints_chosen_networks_and_refuses_unknown_ones(capsys):
    assert main(["lfs"]) == 0
    assert capsys.readouterr().out.count("lfs ") == 1
    assert main(["lsf"]) == 1
    assert "unknown model 'lsf'" in capsys.readouterr().err


def test_the_page_of_the_docs_names_every_network():
    page = DOCS.read_text()
    assert [n for n in NAMES if f"| {n} |" not in page] == []


@pytest.mark.slow
def test_the_page_of_the_docs_is_what_the_command_prints():
    assert DOCS.read_text() == as_markdown(rows(NAMES))

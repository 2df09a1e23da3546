"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast

import pytest

from .imports import sources

FILE_LINES = 400
FUNCTION_LINES = 80


# A config is a list of values; how long it is, is the study's affair.
MODULES = [name for name in sorted(sources()) if not name.startswith("configs")]


@pytest.mark.parametrize("module", MODULES)
def test_no_file_and_no_function_is_too_long(module):
    text = sources()[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


def test_the_main_command_stays_thin():
    text = sources()["liverjax.main"].read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60

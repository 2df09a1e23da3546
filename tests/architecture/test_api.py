"""The public interface keeps its promises: documented, annotated, key first."""

from __future__ import annotations

import ast

import pytest

from .imports import sources


def public_functions(module: str) -> list[ast.FunctionDef]:
    tree = ast.parse(sources()[module].read_text(encoding="utf-8"))
    return [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


@pytest.mark.parametrize("module", sorted(sources()))
def test_public_functions_are_documented_and_annotated(module):
    for function in public_functions(module):
        arguments = function.args.posonlyargs + function.args.args
        arguments += function.args.kwonlyargs
        assert ast.get_docstring(function), function.name
        bare = [a.arg for a in arguments if a.annotation is None]
        assert not bare, f"{function.name}: {bare} have no annotation"


@pytest.mark.parametrize("module", sorted(sources()))
def test_key_and_rng_come_first_and_are_never_optional(module):
    for function in public_functions(module):
        arguments = [a.arg for a in function.args.posonlyargs + function.args.args]
        named = [a.arg for a in function.args.kwonlyargs]
        for random in ("key", "rng"):
            assert random not in named, function.name
            if random in arguments:
                assert arguments.index(random) == 0, function.name


@pytest.mark.parametrize("module", sorted(sources()))
def test_optional_arguments_are_keyword_only(module):
    """A function's only input may be optional, such as a command line's words."""
    for function in public_functions(module):
        positional = function.args.posonlyargs + function.args.args
        assert not function.args.defaults or len(positional) == 1, function.name

"""The tests themselves: what they may reach, and where they lie."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# of other packages, which have no other name for it
THEIRS = {
    "_exit",  # os
    "_fields",  # tuples with names
    "_replace",
    "_asdict",
    "_trial_id",  # Optuna: what its storages call a trial
    "_study_id",
    "_protected_args",  # click: the words that a group has left
    "_MODEL_CONFIGS",  # open_clip: the models there are
    "_PRETRAINED",
    "_C",  # torch: what a device of its own is made of
    "_set_only_lift_cpu_tensors",
    "_make_wrapper_subclass",
    "_disabled_torch_function_impl",
    "_schema",
    "_dynamo",  # and the counter of what its compiler made
    "_cdata",  # which storage a tensor is a view of
    "_unsafe_view",  # an operator
    "_getframe",  # sys
}


def _private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in THEIRS | {"_"}


def _foreign(module: str) -> bool:
    return not module.startswith("tests")


def _reached(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Private names of others that a test module uses, by line."""
    own = {
        name
        for node in ast.walk(tree)
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [node.attr]
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            else []
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _foreign(node.module or ""):
            for alias in node.names:
                if _private(alias.name):
                    yield node.lineno, alias.name
        if isinstance(node, ast.Attribute) and _private(node.attr) and node.attr not in own:
            yield node.lineno, node.attr
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in ("setattr", "delattr"):
            for argument in node.args[:2]:
                text = argument.value if isinstance(argument, ast.Constant) else None
                name = text.rpartition(".")[2] if isinstance(text, str) else ""
                if _private(name):
                    yield node.lineno, name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from discl.core import _secret", ["_secret"]),
        ("bank._rows", ["_rows"]),
        ("monkeypatch.setattr('discl.core.levels._cache', {})", ["_cache"]),
        ("monkeypatch.setattr(levels, '_cache', {})", ["_cache"]),
        ("class Part:\n    def __init__(self): self._rows = 1\n    def rows(self): self._rows", []),
        ("row._replace(id=1).__class__", []),
    ],
)
def test_a_private_name_is_noticed(text: str, names: list[str]) -> None:
    assert [name for _, name in _reached(ast.parse(text))] == names


@pytest.mark.parametrize(
    "path", [str(path.relative_to(TESTS)) for path in sorted(TESTS.rglob("*.py"))]
)
def test_no_test_reaches_into_a_private_name(path: str) -> None:
    reached = sorted(_reached(ast.parse((TESTS / path).read_text("utf-8"))))
    assert not reached, "\n".join(f"tests/{path}:{line}: {name}" for line, name in reached)

"""Reads the comment behind a field as its documentation: that is where shapes, units and reasons
stand in this project.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from typing import Any

import griffe


def comments(source: str) -> dict[int, str]:
    """Line number -> the comment at its end."""
    found = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in found
        if token.type == tokenize.COMMENT and not _alone(token)
    }


def _alone(token: tokenize.TokenInfo) -> bool:
    return not token.line[: token.start[1]].strip()


def of_fields(path: Path, name: str) -> dict[str, str]:
    """Field of a class -> the comment behind it."""
    source = path.read_text("utf-8")
    said = comments(source)
    (home,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    fields = (
        node
        for node in home.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )
    return {field.target.id: said[field.end_lineno] for field in fields if field.end_lineno in said}  # type: ignore[union-attr, index]


class TrailingComments(griffe.Extension):
    """The comment behind an attribute stands for the docstring it has not."""

    def __init__(self) -> None:
        self._said: dict[Path, dict[int, str]] = {}

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        path = attr.filepath
        if attr.docstring is not None or attr.endlineno is None or not isinstance(path, Path):
            return
        if path not in self._said:
            self._said[path] = comments(path.read_text("utf-8"))
        if text := self._said[path].get(attr.endlineno):
            attr.docstring = griffe.Docstring(
                text[0].upper() + text[1:],
                lineno=attr.lineno,
                endlineno=attr.endlineno,
                parent=attr,
            )

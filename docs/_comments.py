"""Reads comments of fields as their documentation: behind the field, or in the lines above."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

import griffe


class Comments(NamedTuple):
    """The comments of a file by line number."""

    behind: dict[int, str]  # code
    alone: dict[int, str]  # in a line

    @classmethod
    def of(cls, source: str) -> Comments:
        behind: dict[int, str] = {}
        alone: dict[int, str] = {}
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                is_alone = not token.line[: token.start[1]].strip()
                (alone if is_alone else behind)[token.start[0]] = token.string.lstrip("# ")
        return cls(behind, alone)

    def field(self, first: int, last: int) -> str:
        """The comment of a field that goes from one line to another; "" where there is none."""
        if last in self.behind:
            return self.behind[last]
        above: list[str] = []
        line = first - 1
        while line in self.alone:
            above.insert(0, self.alone[line])
            line -= 1
        return " ".join(above)


def of_fields(path: Path, name: str) -> dict[str, str]:
    """Field of a class -> its comment."""
    source = path.read_text("utf-8")
    comments = Comments.of(source)
    (class_,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    documented = {}
    for node in class_.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            comment = comments.field(node.lineno, node.end_lineno or node.lineno)
            if comment:
                documented[node.target.id] = comment
    return documented


class FieldComments(griffe.Extension):
    """The comment of an attribute stands for the docstring it has not.

    Files of modules that no page shows are not read: they are ten times as many.
    """

    def __init__(self) -> None:
        self._comments: dict[Path, Comments] = {}
        pages = (Path(__file__).parent / "reference" / "api").glob("*.md")
        shown = [re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.M) for page in pages]
        self._shown = tuple(f"{module}." for modules in shown for module in modules)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Called by griffe for each attribute."""
        path = attr.filepath
        if attr.docstring is not None or not isinstance(path, Path):
            return
        if not attr.path.startswith(self._shown):
            return
        if attr.lineno is None or attr.endlineno is None:
            return
        if path not in self._comments:
            self._comments[path] = Comments.of(path.read_text("utf-8"))
        if text := self._comments[path].field(attr.lineno, attr.endlineno):
            attr.docstring = griffe.Docstring(
                text[0].upper() + text[1:],
                lineno=attr.lineno,
                endlineno=attr.endlineno,
                parent=attr,
            )

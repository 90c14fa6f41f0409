"""Checks what docstrings must say: `python -m tests.docstrings [PATH ...]`, part of `make check`.

A public function that takes or gives arrays states their shapes, one that raises says what, and an
idea from a paper names its source in one module. All is read from the syntax tree; nothing is
imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ARRAYS = {"Photos", "Ints", "Floats", "Fractions", "Mask", "NDArray", "ndarray", "Tensor"}
SHAPE = re.compile(r"\[[^\[\]\n`'\"]*\]|\bscalar\b")  # [n, h, w, 3], [b], [] or a single number
CITATION = re.compile(
    r"\b([A-Z][A-Za-z\-]+)(?: et al\.| and [A-Z][A-Za-z\-]+)?,? \(?((?:19|20)\d\d)\b"
)
IDEAS = {"losses", "strategies", "hard_rules"}  # kinds of parts whose ideas come from papers
OURS = re.compile(r"\bDisCL\b|\b[Bb]aseline\b|\b[Cc]ontrol\b")
# `raise helper(...)` stands for the class that the helper makes
MAKERS = {"unknown": "UserError"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Fault(NamedTuple):
    """A docstring that leaves something out."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Functions of a module and methods of its public classes, with the name they are known by."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if isinstance(member, Function) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


def takes_or_gives_arrays(function: Function) -> bool:
    """Whether an annotation of the function names an array or a tensor."""
    arguments = function.args
    annotations = [
        *(argument.annotation for argument in (*arguments.posonlyargs, *arguments.args)),
        *(argument.annotation for argument in arguments.kwonlyargs),
        function.returns,
    ]
    names = {
        part.id if isinstance(part, ast.Name) else part.attr
        for annotation in annotations
        if annotation is not None
        for part in ast.walk(annotation)
        if isinstance(part, ast.Name | ast.Attribute)
    }
    return bool(names & ARRAYS)


def raised_classes(function: Function) -> set[str]:
    """Names of the exceptions that the function's own body raises; those of inner functions not."""
    raised = set()
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            exception = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = exception.attr if isinstance(exception, ast.Attribute) else ""
            name = exception.id if isinstance(exception, ast.Name) else name
            name = MAKERS.get(name, name)
            if name[:1].isupper():
                raised.add(name)
        waiting.extend(ast.iter_child_nodes(node))
    return raised


def is_command(function: Function) -> bool:
    """Whether the function is a command of the CLI, whose docstring is the help that users read."""
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("command", "group")
        for decorator in function.decorator_list
    )


def faults_of_function(path: Path, name: str, function: Function, overrides: bool) -> list[Fault]:
    """What the docstring of one function leaves out.

    A method without a docstring that implements a promise is documented where the promise stands.
    """
    text = ast.get_docstring(function) or ""
    if is_command(function) or (not text and overrides):
        return []
    faults = []
    if takes_or_gives_arrays(function) and not SHAPE.search(text):
        faults.append(Fault(path, function.lineno, f"{name} has arrays and states no shape"))
    for exception in sorted(raised_classes(function)):
        if exception not in text:
            faults.append(
                Fault(path, function.lineno, f"{name} raises {exception} and does not say so")
            )
    return faults


def promised_names(trees: Iterable[ast.Module]) -> set[str]:
    """Names of the methods that protocols and base classes promise, with a docstring."""
    return {
        member.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for member in node.body
        if isinstance(member, Function) and ast.get_docstring(member)
    }


def citations(tree: ast.Module) -> Counter[str]:
    """How often the docstrings of a module cite each paper, as 'Author year'."""
    documented = ast.Module | ast.ClassDef | Function
    texts = [
        ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)
    ]
    found = CITATION.findall(" ".join(texts))
    return Counter(f"{author} {year}" for author, year in found)


def faults_of_sources(path: Path, tree: ast.Module) -> list[Fault]:
    """Whether a module names the source of its idea, once."""
    cited = citations(tree)
    faults = [
        Fault(path, 1, f"{source} is cited {times} times; once is enough")
        for source, times in cited.items()
        if times > 1
    ]
    is_idea = path.parent.name in IDEAS and not path.name.startswith("_")
    if is_idea and not cited and not OURS.search(ast.get_docstring(tree) or ""):
        faults.append(
            Fault(path, 1, "names no source: (Author et al. YEAR), DisCL, or whose baseline it is")
        )
    return faults


def faults_of(paths: Iterable[Path]) -> list[Fault]:
    """All faults of some modules; every path is a Python file."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in paths}
    promised = promised_names(trees.values())
    faults: list[Fault] = []
    for path, tree in trees.items():
        faults += faults_of_sources(path, tree)
        for name, function in public_functions(tree):
            overrides = "." in name and function.name in promised
            faults += faults_of_function(path, name, function, overrides)
    return faults


def main(words: list[str]) -> int:
    """Print the faults of files and folders, of discl by default; 1 where there are any."""
    files: list[Path] = []
    for path in [Path(word) for word in words] or [Path("discl")]:
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    found = faults_of(files)
    for fault in found:
        print(fault)
    print(f"{len(files)} modules, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Figures of a tree of Python code: `python -m tests.code_figures discl`, or any other folder.

docs/decisions/house.md shows them before and after the rooms were made.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.docstrings import (
    SHAPE,
    Function,
    public_functions,
    raised_classes,
    takes_or_gives_arrays,
)

WORDS = ("found", "said", "place", "each", "one", "mine", "there", "whole")
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class PublicFunction(NamedTuple):
    """A public function and what a reader may ask of its docstring."""

    docstring: str
    arrays: bool
    raised: set[str]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module, inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_parallel(node: ast.AST) -> bool:
    """Whether it assigns several values to several names at once."""
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and any(isinstance(target, ast.Tuple) for target in node.targets)
    )


def is_nested_comprehension(node: ast.AST) -> bool:
    """Whether a comprehension holds another one."""
    if not isinstance(node, COMPREHENSIONS):
        return False
    inner = (part for part in ast.walk(node) if part is not node)
    return any(isinstance(part, COMPREHENSIONS) for part in inner)


def share(part: int, total: int) -> str:
    """'12 of 34 (35 %)'."""
    return f"{part} of {total} ({100 * part / total:.0f} %)" if total else "none"


def figures(folder: Path) -> dict[str, str]:
    """Name -> figure, as text."""
    paths = sorted(folder.rglob("*.py"))
    texts = [path.read_text("utf-8") for path in paths]
    trees = [ast.parse(text) for text in texts]
    lines = [line for text in texts for line in text.splitlines()]
    every = [function for tree in trees for function in functions(tree)]
    lengths = sorted(map(lines_of, every))
    public = [
        PublicFunction(
            ast.get_docstring(function) or "",
            takes_or_gives_arrays(function),
            raised_classes(function),
        )
        for tree in trees
        for _, function in public_functions(tree)
    ]
    arrays = [function for function in public if function.arrays]
    raising = [function for function in public if function.raised]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    docstrings = [
        ast.get_docstring(node) or ""
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | Function)
    ]
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    locals_ = Counter(
        name
        for function in every
        for name in {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    )
    middle = f"{statistics.median(lengths):g} / {lengths[int(0.9 * len(lengths))]}"
    said = sum(all(name in function.docstring for name in function.raised) for function in raising)
    return {
        "files / lines of Python": f"{len(paths)} / {len(lines):,}",
        "function lines, p50 / p90 / max": f"{middle} / {lengths[-1]}",
        "functions over 60 lines": str(sum(length > 60 for length in lengths)),
        "return types annotated": share(sum(f.returns is not None for f in every), len(every)),
        "public functions with a docstring": share(
            sum(bool(f.docstring) for f in public), len(public)
        ),
        "public array functions whose docstring states a shape": share(
            sum(bool(SHAPE.search(f.docstring)) for f in arrays), len(arrays)
        ),
        "public functions that raise and say so": share(said, len(raising)),
        "lines over 100 columns": share(sum(len(line) > 100 for line in lines), len(lines)),
        "parallel tuple assignments": str(sum(map(is_parallel, nodes))),
        "assignment expressions": str(sum(isinstance(node, ast.NamedExpr) for node in nodes)),
        "nested comprehensions": str(sum(map(is_nested_comprehension, nodes))),
        "docstrings that begin with What": str(sum(t.startswith("What ") for t in docstrings)),
        "class names with two meanings": str(sum(count > 1 for count in classes.values())),
        "most modules in a folder": str(max(Counter(path.parent for path in paths).values())),
        "functions with a local of that name": ", ".join(
            f"{word} {locals_[word]}" for word in WORDS
        ),
    }


def main(folders: list[str]) -> None:
    """Print the figures of each folder as lines of a Markdown table."""
    columns = [figures(Path(folder)) for folder in folders or ["discl"]]
    for name in columns[0]:
        print("| " + " | ".join([name, *(column[name] for column in columns)]) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])

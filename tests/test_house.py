"""The tree explains itself: small folders, no import circles, one meaning a class name."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docstrings import faults_of

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "docs" / "explanation" / "glossary.md"
MOST_MODULES = 16
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "discl").rglob("*.py"))
}


Statement = ast.Import | ast.ImportFrom | ast.ClassDef


@cache
def statements() -> dict[str, list[Statement]]:
    """Imports and classes of every module, wherever they stand in its text; read once."""
    return {
        module: [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, Statement)
        ]
        for module, path in MODULES.items()
    }


def imports(module: str) -> Iterator[str]:
    """Modules of ours that a module imports anywhere in its text, for type checking too."""
    for node in statements()[module]:
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                deeper = f"{node.module}.{name.name}"
                target = deeper if deeper in MODULES else node.module
                if target in MODULES:
                    yield target
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan 1972), those of one node left out."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for neighbour in graph[node]:
            if neighbour not in order:
                visit(neighbour)
            if neighbour in stack:
                lowest[node] = min(lowest[node], lowest[neighbour])
        if lowest[node] == order[node]:
            start = stack.index(node)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in graph:
        if node not in order:
            visit(node)
    return groups


def class_homes() -> dict[str, list[str]]:
    """Name of every class of discl, wherever it is defined -> the modules that define it."""
    homes = defaultdict(list)
    for module, found in statements().items():
        for node in found:
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    return homes


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"e"}}
    assert circles(graph) == [["a", "b", "c"]]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles({module: set(imports(module)) - {module} for module in MODULES}) == []


def test_core_and_config_are_light_to_import() -> None:
    light = [name for name in MODULES if name.startswith(("discl.core", "discl.config"))]
    heavy = {"torch", "torchvision", "timm", "diffusers", "open_clip", "transformers", "datasets"}
    heavy |= {"wandb", "scipy"}
    program = f"import sys, {', '.join(light)}\nprint(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    sizes = {
        folder.relative_to(ROOT).as_posix(): len(
            set(folder.glob("*.py")) - {folder / "__init__.py"}
        )
        for folder in {path.parent for path in MODULES.values()}
    }
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_a_folder_says_what_it_holds() -> None:
    packages = [path for path in MODULES.values() if path.name == "__init__.py"]
    silent = [
        path for path in packages if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []
    assert {path.parent for path in MODULES.values()} == {path.parent for path in packages}


def test_a_class_name_means_one_thing() -> None:
    assert {name: homes for name, homes in class_homes().items() if len(homes) > 1} == {}


def test_the_glossary_names_classes_that_are_defined_once() -> None:
    homes = class_homes()
    rows = re.findall(
        r"^\| \*\*([^|*]+)\*\* \|[^|]*\| ([^|]*) \|$", GLOSSARY.read_text("utf-8"), re.M
    )
    assert 18 <= len(rows) <= 26
    assert len({noun for noun, _ in rows}) == len(rows)
    for noun, where in rows:
        for name in re.findall(r"`([A-Z]\w+)`", where):
            assert len(homes.get(name, [])) == 1, f"{noun}: {name} is defined in {homes.get(name)}"
        for path in re.findall(r"`(\w+(?:/\w+)+\.py)`", where):
            assert (ROOT / "discl" / path).is_file(), f"{noun}: there is no discl/{path}"


def test_docstrings_are_checked(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""One."""\n'
        "def scaled(images: Tensor) -> Tensor:\n"
        '    """Images, scaled."""\n'
        "    raise ValueError\n"
        "def shifted(images: Tensor) -> Tensor:\n"
        '    """Images [b, c], shifted. Raises ValueError where there are none."""\n'
        "    raise ValueError\n"
        "def _own(images: Tensor) -> Tensor:\n"
        "    raise ValueError\n",
        "utf-8",
    )
    assert [fault.what for fault in faults_of([module])] == [
        "scaled has arrays and states no shape",
        "scaled raises ValueError and does not say so",
    ]
    losses = tmp_path / "losses"
    losses.mkdir()
    part = losses / "hinge.py"
    part.write_text('"""A hinge."""\n', "utf-8")
    assert [fault.what[:15] for fault in faults_of([part])] == ["names no source"]
    part.write_text('"""A hinge (Vapnik et al. 1995)."""\n', "utf-8")
    assert faults_of([part]) == []

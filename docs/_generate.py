"""Fills pages of the documentation from the code: `<!-- generated: NAME -->` becomes a table.

`GENERATED` names the functions that write them.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from _comments import Comments, of_fields  # noqa: E402

from discl.config import benchmark, sweep  # noqa: E402
from discl.config.setting_paths import Setting, check_path  # noqa: E402
from discl.core.conventions import SHOTS  # noqa: E402
from discl.core.registry import KINDS, names, singular, summary  # noqa: E402

DEFAULTS = ROOT / "benchmarks" / "default.toml"
# file of the repository -> its path in the site; a file that does not exist yet is left out
BESIDE = {
    "discl/assets/gap_spectrum.png": "pictures/gap_spectrum.png",
    "leaderboards/cifar10_lt-bank.png": "pictures/cifar10_lt-bank.png",
    "leaderboards/sweeps/order.png": "pictures/order.png",
    "leaderboards/pictures/cifar10_lt-smoke-differences.svg": "pictures/differences.svg",
    "leaderboards/report.html": "leaderboards/report.html",
}


# ---------------------------------------------------------------- hooks


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Turn the help of commands into Markdown."""
    from discl.cli import main

    _as_markdown(main)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pictures and pages that lie elsewhere in the repository."""
    for source, target in BESIDE.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the generated tables."""
    return re.sub(
        r"^<!-- generated: (\w+) -->$",
        lambda match: "\n".join(GENERATED[match[1]]()),
        markdown,
        flags=re.M,
    )


LONGEST_NAME = 40  # characters in a table that stay in one line


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Mark names in tables, which never break; reword what mkdocs-click writes for "nothing"."""
    if page.file.src_uri == "reference/cli.md":
        for word, replacement in {"None": "", "N/A": "", "_required": "needed"}.items():
            html = html.replace(f"<td>{word}</td>", f"<td>{replacement}</td>")
    return re.sub(r"<td[^>]*>.*?</td>", _with_marked_names, html, flags=re.S)


def _with_marked_names(cell: re.Match[str]) -> str:
    """A cell in which code that is a name is marked as one; longer code may break at blanks."""
    return re.sub(rf"<code>(?=[^<\s]{{1,{LONGEST_NAME}}}</code>)", '<code class="name">', cell[0])


def _as_markdown(command: click.Command) -> None:
    r"""Prepare a command and those below it for mkdocs-click.

    Paragraphs that '\b' keeps click from wrapping are examples and become code blocks; an option
    without a default shows none; --help is left out, because every command has it.
    """
    command.add_help_option = False
    if command.help:
        text = inspect.cleandoc(command.help)
        command.help = re.sub(
            r"\x08\n((?:.+\n?)+)", lambda match: f"```text\n{match[1].rstrip()}\n```\n", text
        )
    for parameter in command.params:
        if "UNSET" in repr(parameter.default):
            parameter.default = None
    for subcommand in getattr(command, "commands", {}).values():
        _as_markdown(subcommand)


# ---------------------------------------------------------------- Markdown


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(header)
    yield f"| {' | '.join(titles)} |"
    yield "| --- " * len(titles) + "|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


def _code(value: Any) -> str:
    return f"`{value}`"


def _unbroken(text: str) -> str:
    """A mean and its interval stay in one line."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _toml(value: Any) -> str:
    from discl.config.toml import to_toml

    return "" if value is None else _code(to_toml(value))


# ---------------------------------------------------------------- benchmark and sweep files


def benchmark_settings() -> Iterator[str]:
    """Every key with a fixed meaning: the values it takes, its default, and its comment."""
    default = tomllib.loads(DEFAULTS.read_text("utf-8"))
    explained = _toml_comments(DEFAULTS)
    tables = {
        name: field.annotation
        for name, field in benchmark.Benchmark.model_fields.items()
        if name in benchmark.FIXED_TABLES
    }
    plain = [
        name
        for name, field in benchmark.Benchmark.model_fields.items()
        if field.annotation not in tables.values()
    ]
    yield "## At the top"
    yield ""
    without_comment = {
        "title": "what the benchmark is called on its page",
        "based_on": "another file this one begins from; one step only",
    }
    at_top = {"title", "levels", "levels_as", "strategies", "seeds", "trackers"}
    top = [name for name in plain if name in at_top]
    rows = [
        [
            _code(name),
            _toml(default.get(name)),
            explained.get(name) or without_comment.get(name, ""),
        ]
        for name in [*top, "based_on"]
    ]
    yield from _table(["key", "default", "what it is"], rows)
    yield "## Parts"
    yield ""
    yield (
        "A table `[dataset]`, `[generator]`, ... names a part; its other keys are the part's own"
        " settings (see [Parts](parts.md))."
    )
    yield ""
    kinds = [singular(kind) for kind in benchmark.PART_KINDS]
    rows = [
        [_code(f"[{kind}]"), _toml(default.get(kind, {}).get("name")), explained.get(kind, "")]
        for kind in [*kinds, "strategy", "metric"]
    ]
    yield from _table(["table", "default", "what it is"], rows)
    for name, model in tables.items():
        yield f"## [{name}]"
        yield ""
        yield from _fields(model, name, default.get(name, {}), _below(explained, name))


def _below(explained: Mapping[str, str], table: str) -> dict[str, str]:
    own = {
        key.partition(".")[2]: text
        for key, text in explained.items()
        if key.startswith(f"{table}.")
    }
    if table == "train":
        own = of_fields(ROOT / "discl" / "engine" / "training" / "config.py", "TrainConfig") | own
    return own


def _fields(
    model: Any, table: str, default: Mapping[str, Any], explained: Mapping[str, str]
) -> Iterator[str]:
    own = of_fields(ROOT / "discl" / "config" / "benchmark.py", model.__name__)
    rows = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue  # a table of its own
        value = default.get(name, None if field.is_required() else field.default)
        comment = " ".join(
            filter(
                None,
                [
                    explained.get(name) or own.get(name, ""),
                    "(changes no answer)" if name in model.not_hashed else "",
                ],
            )
        )
        rows.append([_code(name), _takes(check_path(f"{table}.{name}")), _toml(value), comment])
    yield from _table(["key", "takes", "default", "what it is"], rows)
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield f"### [{table}.{name}]"
            yield ""
            yield own.get(name, "")
            yield ""
            yield from _fields(field.annotation, f"{table}.{name}", default.get(name, {}), {})


def _takes(setting: Setting) -> str:
    """The values that a key takes, in words."""
    words = {
        int: "a whole number",
        float: "a number",
        str: "a word",
        bool: "true or false",
        list: "a list",
        dict: "a table",
    }
    bounds = [
        ("from", setting.least),
        ("above", setting.above),
        ("up to", setting.most),
        ("below", setting.below),
    ]
    limits = ", ".join(f"{word} {_number(value)}" for word, value in bounds if value is not None)
    kinds = [words[kind] for kind in setting.types if kind is not str or not setting.choices]
    choices = [f"one of {', '.join(map(_code, setting.choices))}"] if setting.choices else []
    return " or ".join([*kinds, *choices]) + (f" {limits}" if limits else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _toml_comments(path: Path) -> dict[str, str]:
    """Dotted key -> the comment beside it, with its further lines."""
    comments: dict[str, str] = {}
    table = key = ""
    for line in path.read_text("utf-8").splitlines():
        code, _, comment = line.partition("#")
        if header := re.match(r"\[([\w.]+)\]", code):
            table = key = header[1]
        elif named := re.match(r"(\w+) *=", code):
            key = f"{table}.{named[1]}" if table else named[1]
        elif code.strip() or not code:  # inside a value, or a comment in a line of its own
            continue
        if comment:
            comments[key] = " ".join([*filter(None, [comments.get(key)]), comment.strip()])
    return comments


def sweep_settings() -> Iterator[str]:
    """The tables of a sweep file, in its own order."""
    path = ROOT / "discl" / "config" / "sweep.py"
    titles = {
        sweep.SweepFile: "At the top",
        sweep.Dimension: '[space."PATH"]',
        sweep.TuneTable: "[tune]",
        sweep.Rung: "[[tune.ladder]]",
        sweep.OrderTable: "[order]",
    }
    for model, title in titles.items():
        explained = of_fields(path, model.__name__)
        yield f"## {title}"
        yield ""
        yield " ".join((model.__doc__ or "").split())
        yield ""
        rows = [
            [
                _code(name),
                "needed" if field.is_required() else _default_of(field),
                explained.get(name, ""),
            ]
            for name, field in model.model_fields.items()
        ]
        yield from _table(["key", "default", "what it is"], rows)


def _default_of(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if isinstance(value, BaseModel) else _toml(value)


# ---------------------------------------------------------------- parts and metrics


EXPLAINED_APART = "folder"  # in a table of its own, in reference/parts.md


def parts() -> Iterator[str]:
    """Every part of discl: its summary, and a sentence on each of its settings.

    Sources are parsed, not imported: some would load torch.
    """
    for kind in KINDS:
        yield f"## {kind.capitalize().replace('_', ' ')}"
        yield ""
        ours = {name: home for name, home in sorted(names(kind).items()) if isinstance(home, str)}
        yield from _table(
            ["name", "what it is", "settings"],
            (
                [_code(name), summary(kind, name), ", ".join(map(_code, settings_of(home))) or "-"]
                for name, home in ours.items()
            ),
        )
        for name, home in ours.items():
            explained = settings_of(home)
            if name == EXPLAINED_APART:
                yield f"### The settings of `{name}`"
                yield ""
                yield "Those are [in a table below](#the-settings-of-your-own-photos)."
                yield ""
            elif explained:
                yield f"### The settings of `{name}`"
                yield ""
                rows = [
                    [_code(setting), default and _code(default), sentence]
                    for setting, (default, sentence) in explained.items()
                ]
                yield from _table(["setting", "usually", "what it is"], rows)


def settings_of(module: str) -> dict[str, tuple[str, str]]:
    """Setting of the one public class of a module -> its default as Python writes it, "" where
    there is none, and its sentence in the docstring of the constructor.
    """
    (part,) = [
        node
        for node in _source(module).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    found = _constructor(module, part)
    if found is None:
        return {}
    home, constructor = found
    args = constructor.args
    positional = [*args.posonlyargs, *args.args][1:]
    required = [None] * (len(positional) - len(args.defaults))
    pairs = [
        *zip(positional, [*required, *args.defaults], strict=True),
        *zip(args.kwonlyargs, args.kw_defaults, strict=True),
    ]
    written = ast.get_docstring(constructor) or ""
    handed_on = {}
    if args.kwarg is not None:  # to the class it builds on, whose settings are its own, too
        handed_on = settings_of(_defined_in(module, ast.unparse(part.bases[0])))
    sentences = {
        name: " ".join(text.split())
        for name, text in re.findall(r"^`(\w+)`: (.+?)(?=^`\w+`: |\Z)", written, re.M | re.S)
    }
    own = {
        arg.arg: (
            "" if default is None else _literal(home, default),
            sentences.get(arg.arg, ""),
        )
        for arg, default in pairs
    }
    return own | {name: told for name, told in handed_on.items() if name not in own}


def _source(module: str) -> ast.Module:
    path = (ROOT / Path(*module.split("."))).with_suffix(".py")
    return ast.parse(path.read_text("utf-8"))


def _constructor(module: str, part: ast.ClassDef) -> tuple[str, ast.FunctionDef] | None:
    """`__init__`, its own or inherited, with its module; None without one."""
    for node in part.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return module, node
    for base in part.bases:
        home = _defined_in(module, ast.unparse(base))
        for node in _source(home).body if home.startswith("discl.parts") else []:
            if isinstance(node, ast.ClassDef) and node.name == ast.unparse(base):
                return _constructor(home, node)
    return None


def _defined_in(module: str, name: str) -> str:
    """The module that a name is imported from; the module itself where it is not imported."""
    for node in _source(module).body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return node.module or module
    return module


def _literal(module: str, default: ast.expr) -> str:
    """A default as Python writes it; the value of a constant that stands for it."""
    if isinstance(default, ast.Name):
        home = _defined_in(module, default.id)
        for node in _source(home).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == default.id:
                return ast.unparse(node.value)
    return ast.unparse(default)


def metric_definitions() -> Iterator[str]:
    """The definitions that are hashed into every result."""
    import numpy as np

    from discl.config.metrics import bound, built
    from discl.engine.evaluation.metrics import definitions

    counts = np.array([0, 1, 50, 500])
    ours = [name for name, home in names("metrics").items() if isinstance(home, str)]
    metrics = built(bound(ours, {}, {}))
    common = definitions([], counts + 1, metrics)
    worded = definitions([f"test/{name}" for name in (*ours, "wise_acc")], counts, metrics)
    for title, chosen in (
        ("Of every result", common.keys()),
        ("Where they apply, or `metrics.extra` names them", worded.keys() - common.keys()),
    ):
        yield f"## {title}"
        yield ""
        rows = [
            [_code(name), metrics[name].title if name in metrics else "", worded[name]]
            for name in worded
            if name in chosen
        ]
        yield from _table(["name", "column", "definition"], rows)
    yield "## Many, medium, few"
    yield ""
    yield "By real training photos of a class; `metrics.shots` names the rule."
    yield ""
    comments = _rule_comments()
    rows = [
        [
            _code(name),
            *rule.words().values(),
            "pooled over photos" if rule.pooled else "mean of classes",
            comments.get(name, ""),
        ]
        for name, rule in SHOTS.items()
    ]
    yield from _table(["rule", "many", "medium", "few", "a group's accuracy", "used by"], rows)


def _rule_comments() -> dict[str, str]:
    source = (ROOT / "discl" / "core" / "conventions.py").read_text("utf-8")
    lines = source.splitlines()
    comments = {}
    for number, comment in Comments.of(source).behind.items():
        if rule := re.match(r' *"(\w+)": Shots\(', lines[number - 1]):
            comments[rule[1]] = comment
    return comments


# ---------------------------------------------------------------- leaderboards


def leaderboards() -> Iterator[str]:
    """Every committed page, one below the other."""
    if (ROOT / "leaderboards" / "report.html").exists():
        yield (
            "The [report](report.html) shows the same results with charts: one file that works"
            " offline."
        )
        yield ""
    for page in sorted((ROOT / "leaderboards").glob("*.md")):
        if page.stem != "LOG":
            text = (
                page.read_text("utf-8")
                .replace("# Leaderboard: ", "# ", 1)
                .replace("LOG.md", "the [log](log.md)")
            )
            yield _unbroken(re.sub(r"^#", "##", text, flags=re.M))
            yield ""


def smoke_table() -> Iterator[str]:
    """The published table of the embedded default at the scale that `make bench` runs."""
    page = (ROOT / "leaderboards" / "cifar10_lt.md").read_text("utf-8")
    section = page.partition("scale `smoke`")[2].partition("\n## ")[0]
    rows = re.search(r"(?:^\| .*\n)+", section, re.M)  # the first table: papers' are below it
    yield from map(_unbroken, rows[0].splitlines() if rows else ())


def smallest_p() -> Iterator[str]:
    """The smallest p-value that few seeds can reach."""
    from discl.harness.leaderboard.statistics import smallest_p as smallest

    seeds = (1, 2, 3, 5, 6, 10)
    yield from _table(
        ["seeds", *map(str, seeds)], [["smallest p", *(f"{smallest(n):.4g}" for n in seeds)]]
    )


GENERATED: dict[str, Callable[[], Iterator[str]]] = {
    "benchmark_settings": benchmark_settings,
    "sweep_settings": sweep_settings,
    "parts": parts,
    "metric_definitions": metric_definitions,
    "leaderboards": leaderboards,
    "smoke_table": smoke_table,
    "smallest_p": smallest_p,
}

"""A benchmark file that keeps the settings of a command line by a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from discl.config import toml
from discl.config.benchmark import Benchmark
from discl.config.load import available, load, scales
from discl.config.presets import expand as presets
from discl.core import search_path
from discl.core.errors import UserError, unknown
from discl.core.text import printable, typed
from discl.harness.new_benchmark import new_path, written_new

_OF_FILE = ("name", "scale", "title", "based_on")  # what two files may differ in


def keep_settings(
    source: str, name: str, settings: Sequence[str], into: Path = Path("benchmarks")
) -> Path:
    """Write `into`/`name`.toml: the benchmark `source` with `settings`, as `--set` takes them.

    Its runs are those of `source` with the same settings, so none is made again. Raises UserError
    where there is no such benchmark, a setting is wrong, or the name cannot be had; nothing is
    written then.
    """
    if source not in available():
        raise unknown("benchmark", source, available())
    path = new_path(name, into)
    wanted = {scale: load(source, scale, settings) for scale in scales(source)[:1]}
    for scale in scales(source)[1:]:
        try:
            wanted[scale] = load(source, scale, settings)
        except UserError:  # the settings are for another scale
            continue
    tree = _tree(source, name, settings, next(iter(wanted.values())))
    words = ["discl", "init", "--from", source, name]
    told = typed(*words, *(word for setting in settings for word in ("--set", setting)))
    lines = [f"# Written by `{printable(told)}`; the runs of equal settings are shared.", ""]
    lines += _lines(tree)
    with written_new(path, "\n".join(lines) + "\n"):
        for scale, bench in wanted.items():
            if _compared(load(name, scale)) != _compared(bench):
                raise UserError(
                    f"{source} with these settings cannot be written as a file of its own at scale"
                    f" {scale}; copy {search_path.files('benchmarks')[source]} and edit it"
                )
    return path


def _compared(bench: Benchmark) -> dict[str, Any]:
    return {key: value for key, value in bench.model_dump().items() if key not in _OF_FILE}


def _tree(source: str, name: str, settings: Sequence[str], wanted: Benchmark) -> toml.Tree:
    """The tables of the new file: one that is based on another is copied, as bases have no base."""
    own = toml.read(search_path.files("benchmarks")[source])
    tree: toml.Tree = own if "based_on" in own else {"based_on": source}
    tree = {**tree, "title": name}  # so that its table is told from that of the source
    for table in tree.get("scale", {}).values():
        table.pop("title", None)
    known = wanted.model_dump()
    for setting in settings:
        for path in presets.paths(*toml.parse_setting(setting)):
            value = known[path[0]] if len(path) == 1 else known[path[0]].get(path[1])
            if value is None:  # of a part that a later setting replaced
                continue
            tree = toml.with_value(tree, path, value, setting)
            for table in tree.get("scale", {}).values():
                _forget(table, path)
    return tree


def _forget(table: dict[str, Any], path: Sequence[str]) -> None:
    """What a scale said of a setting: one that is kept holds at every scale."""
    if len(path) == 1:
        table.pop(path[0], None)
    elif isinstance(table.get(path[0]), dict):
        table[path[0]].pop(path[1], None)


def _lines(tree: Mapping[str, Any]) -> Iterator[str]:
    """The tree as TOML: values first, then a table for each part and each scale."""
    yield from toml.lines(
        {key: value for key, value in tree.items() if not isinstance(value, dict)}
    )
    for key, value in tree.items():
        if isinstance(value, dict) and key != "scale":
            yield from ("", f"[{key}]")
            yield from toml.lines(value)
    for scale, table in tree.get("scale", {}).items():
        yield from ("", f"[scale.{scale}]")
        yield from toml.lines(table)

"""Benchmark files: TOML in, a checked and complete description out.

A file that loads describes a benchmark that can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from discl.config import renamed, toml
from discl.config.benchmark import FIXED_TABLES, LARGEST_SEED, SCALES, Benchmark, FixedTable
from discl.config.checks import check_benchmark, check_strategies
from discl.config.experiment import Experiment
from discl.config.part_cache import PartCache
from discl.config.presets import expand as presets
from discl.core import search_path
from discl.core.errors import UserError, shown, unknown
from discl.core.text import typed

CHOICES = ("strategy", "seed")  # what makes an experiment of a benchmark
CHOSEN = {
    "name": "it is that of the benchmark's file",
    "scale": "use --scale",
}
UNVARIED = {
    "name": "it is that of the benchmark's file",
    "scale": "it is chosen for all experiments at once",
    "strategies": "each has one 'strategy'",
    "seeds": "each has one 'seed'",
}


def folders() -> list[Path]:
    """Where benchmarks are looked for: `benchmarks/` here, if there is one, then ours.

    The first that has a file's name counts.
    """
    return search_path.folders("benchmarks")


def available() -> list[str]:
    """Names `load` accepts."""
    return search_path.benchmarks()


def scales(name: str) -> list[str]:
    """The scales of a benchmark: those its file, or the one it is based on, has a table for."""
    return _scales_in(_files(name))


def title(name: str) -> str:
    """The title in a benchmark's file."""
    titles = [tree["title"] for tree in _files(name) if "title" in tree]
    return str(titles[-1]) if titles else ""


def load(name: str, scale: str = "smoke", settings: Sequence[str] = ()) -> Benchmark:
    """default.toml <- the file `based_on` names <- <name>.toml <- `settings` ('train.epochs=2').

    Each file's [scale.<scale>] goes on top of that file, so that what a file says beats all that it
    is based on. The result is checked as a whole. Raises UserError where something is wrong.
    """
    return BenchmarkVariants(name, scale, settings).benchmark({})


class BenchmarkVariants:
    """One benchmark under many settings.

    Files are read once. Equal settings are checked once, and give one object.
    """

    def __init__(self, name: str, scale: str = "smoke", settings: Sequence[str] = ()) -> None:
        tree = _tree(name, scale)
        parsed = []
        for setting in settings:
            _check_settable(setting)
            parsed.append(toml.parse_setting(setting))
        tree = presets.laid_over(tree, dict(parsed))
        for (path, value), setting in zip(parsed, settings, strict=True):
            for inner, kept in presets.without_presets([(path, value)]):
                tree = toml.with_value(tree, inner.split("."), kept, f"--set {shown(setting)}")
        self._tree = {**tree, "name": name, "scale": scale}
        self._parts = PartCache()
        self._benchmarks = dict[str, Benchmark]()
        self._tables = dict[tuple[str, str], FixedTable]()

    def benchmark(self, settings: Mapping[str, Any]) -> Benchmark:
        """The benchmark with these values at dotted paths.

        The name of a part counts before its parameters, whatever the order. Raises UserError where
        a value is wrong.
        """
        ordered = sorted(settings.items(), key=_merge_order)
        key = repr(ordered)
        if key not in self._benchmarks:
            self._benchmarks[key] = self._checked(ordered)
        return self._benchmarks[key]

    def experiments(self, variations: Iterable[Mapping[str, Any]]) -> Iterator[Experiment]:
        """An experiment for each variation.

        `strategy` and `seed` of a variation choose it; its other keys are settings as of
        `benchmark`. Raises UserError, with the variation, where one is wrong.
        """
        for variation in variations:
            try:
                experiment = self._experiment(variation)
            except UserError as error:
                values = ", ".join(f"{path} = {value!r}" for path, value in variation.items())
                raise UserError(f"{error} (where {values})") from error
            yield experiment

    def _experiment(self, variation: Mapping[str, Any]) -> Experiment:
        for key in CHOICES:
            if key not in variation:
                raise UserError(f"an experiment needs a {key}; add {key} = ...")
        settings = {key: value for key, value in variation.items() if key not in CHOICES}
        bench = self.benchmark(settings)
        strategy = variation["strategy"]
        seed = variation["seed"]
        if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
            raise UserError(
                f"seed = {shown(seed)}: takes a whole number from 0 up to {LARGEST_SEED}"
            )
        if strategy not in bench.strategies:  # those are checked with the benchmark
            check_strategies(bench, [strategy], self._parts)
        return Experiment(bench, strategy, seed, self._parts)

    def _checked(self, settings: Sequence[tuple[str, Any]]) -> Benchmark:
        tree = presets.laid_over(self._tree, dict(settings))
        for path, value in presets.without_presets(settings):
            if path in UNVARIED:
                raise UserError(f"{path!r} is no setting of an experiment: {UNVARIED[path]}")
            renamed.check_setting(path, value)
            tree = toml.with_value(tree, path.split("."), value, path)
        bench = self._validated(tree)
        check_benchmark(bench, self._parts)
        return bench

    def _validated(self, tree: Mapping[str, Any]) -> Benchmark:
        """The tree as a benchmark; equal tables are one object, with what was computed of it."""
        keys = {name: (name, repr(tree.get(name))) for name in FIXED_TABLES}
        known = {name: self._tables[key] for name, key in keys.items() if key in self._tables}
        try:
            bench = Benchmark(**{**tree, **known})
        except ValidationError as error:
            raise _readable(error) from error
        self._tables |= {key: getattr(bench, name) for name, key in keys.items()}
        return bench


def _check_settable(setting: str) -> None:
    """Raises UserError for `scale=...` and `name=...`, which no setting may change."""
    head = setting.partition("=")[0].strip().partition(".")[0]
    if head in CHOSEN:
        raise UserError(f"--set {shown(setting)}: {head!r} is no setting; {CHOSEN[head]}")


def _merge_order(setting: tuple[str, Any]) -> tuple[int, bool, str]:
    """Sorts settings: a table, the name of a part in it, the parameters of that part."""
    keys = setting[0].split(".")
    return len(keys), keys[-1] != "name", setting[0]


# ---------------------------------------------------------------- files


def _path(name: str) -> Path:
    """The file of a benchmark, or of `default`."""
    candidates = [folder / f"{name}.toml" for folder in folders()]
    return next((path for path in candidates if path.exists()), candidates[-1])


def _read(path: Path) -> toml.Tree:
    tree = toml.read(path)
    renamed.check_tree(tree, str(path))
    _check_scales(tree, path)
    scales = {name: presets.expanded(table) for name, table in tree.get("scale", {}).items()}
    return presets.expanded(tree) | ({"scale": scales} if scales else {})


def _files(name: str) -> list[toml.Tree]:
    """The trees of a benchmark: of the file it is based on, if any, and of its own.

    A base is based on nothing but default.toml.
    """
    own = _read(_path(name))
    if "based_on" not in own:
        return [own]
    base_name = str(own["based_on"])
    if base_name not in available():
        raise unknown(f"benchmark (based_on in {name}.toml)", base_name, available())
    base = _read(_path(base_name))
    if "based_on" in base:
        raise UserError(
            f"{name}.toml is based on {base_name!r}, which is based on {base['based_on']!r}; only"
            " one step is allowed"
        )
    return [base, own]


def _scales_in(files: Sequence[Mapping[str, Any]]) -> list[str]:
    return [scale for scale in SCALES if any(scale in tree.get("scale", {}) for tree in files)]


def _check_scales(tree: Mapping[str, Any], path: Path) -> None:
    """Raises UserError unless [scale.<name>] are tables, each of a scale there is."""
    scales = tree.get("scale", {})
    if not isinstance(scales, dict):
        raise UserError(f"{path}: scale = {shown(scales)} is a value; {_A_SCALE}")
    for name, table in scales.items():
        if name not in SCALES:
            raise unknown(f"scale, in {path},", name, SCALES)
        if not isinstance(table, dict):
            raise UserError(f"{path}: scale.{name} = {shown(table)} is a value; {_A_SCALE}")


_A_SCALE = "write a table for each scale, such as [scale.smoke]"


def _tree(name: str, scale: str) -> toml.Tree:
    """All files of a benchmark at a scale, laid over each other."""
    if name not in available():
        raise _no_benchmark(name)
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    files = _files(name)
    if scale not in _scales_in(files):
        raise UserError(
            f"benchmark {name!r} has no scale {scale!r}; it has {', '.join(_scales_in(files))}"
        )
    tree = _read(_path("default"))
    for own in files:
        plain = {key: value for key, value in own.items() if key not in ("scale", "based_on")}
        tree = toml.merged(tree, plain)
        tree = toml.merged(tree, own.get("scale", {}).get(scale, {}))
    return tree


def _no_benchmark(name: str) -> UserError:
    """The error for a name that is no benchmark's: of a folder or a file, what to write instead."""
    path = Path(name)
    if path.is_dir():
        known = _made_of(path)
        if known:
            return UserError(
                f"{name!r} is a folder, and no benchmark; {known!r} is the benchmark of its photos,"
                f" as in `{typed('discl', 'bench', known)}`"
            )
        return UserError(
            f"{name!r} is a folder, and no benchmark; `{typed('discl', 'init', name)}` writes a"
            " benchmark file for the photos in it"
        )
    if path.suffix == ".toml" and path.stem in available():
        return UserError(
            f"{name!r} is a file, and benchmarks are called by their names; write {path.stem}, as"
            f" in `{typed('discl', 'bench', path.stem)}`"
        )
    return unknown("benchmark", name, available())


def _made_of(folder: Path) -> str:
    """The benchmark whose photos lie in a folder; "" where there is none."""
    for name in available():
        try:
            root = toml.read(_path(name)).get("dataset", {}).get("root", "")
            if root and Path(root).resolve() == folder.resolve():
                return name
        except (UserError, OSError, AttributeError, TypeError, ValueError):  # a file that is broken
            continue
    return ""


def _readable(error: ValidationError) -> UserError:
    """The first of pydantic's complaints as a sentence."""
    first = error.errors()[0]
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        above = first["loc"][:-1]
        model: Any = Benchmark
        for step in above:
            model = model.model_fields[str(step)].annotation
        return unknown(
            "key", path, [".".join([*map(str, above), key]) for key in model.model_fields]
        )
    if first["type"] == "missing":
        return UserError(f"{path} is missing; add it to the benchmark file")
    message = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if first["type"] in ("list_type", "tuple_type"):
        example = typed("--set", f"{path}={_as_list(first['input'])}")
        message = f"it takes a list, e.g. {example}"
    return UserError(f"{path} = {shown(first['input'])}: {message}")


def _as_list(given: Any) -> str:
    """What was perhaps meant, as a list: `0,50` as [0, 50]."""
    words = [word.strip() for word in given.split(",")] if isinstance(given, str) else [given]
    values = [toml.parse_setting(f"v={word}")[1] for word in words if word != ""]
    return toml.to_toml(values)

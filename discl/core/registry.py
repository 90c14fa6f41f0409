"""Finds parts by kind and name: a file in `discl.parts`, or an entry point of another package."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from discl.core.errors import FOREIGN, UserError, reason, shown, unknown
from discl.core.hashing import canonical

KINDS = (
    "datasets",
    "backbones",
    "strategies",
    "generators",
    "scorers",
    "prompts",
    "hard_rules",
    "losses",
    "second_stages",
    "metrics",
    "trackers",
    "executors",
)
_SINGULAR = {"strategies": "strategy", "losses": "loss", "prompts": "prompts"}
RENAMED_ATTRIBUTES = {  # of parts, in 0.1 -> in 0.2
    "unhashed": "not_hashed",
    "saw": "trained_on",
    "unseen": "must_be_held_out",
    "beside_trunk": "head_only",
    "announce": "progress",
}


def singular(kind: str) -> str:
    """'strategy' of 'strategies': the table of a benchmark file that chooses a part of the kind."""
    return _SINGULAR.get(kind, kind.removesuffix("s"))


@cache
def _plugins() -> Any:
    """All entry points, from one look through the packages that are installed."""
    return entry_points()


def look_again() -> None:
    """Forget which plug-ins are installed: some came or went in this process."""
    for known in (_plugins, names, claims):
        known.cache_clear()


@cache
def names(kind: str) -> dict[str, str | EntryPoint]:
    """Every registered name of a kind, with its module in discl or the entry point of a plug-in.

    Plug-ins register in the group `discl.<kind>`. Raises UserError for a kind there is not.
    """
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)
    package = importlib.import_module(f"discl.parts.{kind}")
    ours = {
        module.name: f"{package.__name__}.{module.name}"
        for module in pkgutil.iter_modules(package.__path__)
        if not (module.ispkg or module.name.startswith("_"))
    }
    plugins = {point.name: point for point in _plugins().select(group=f"discl.{kind}")}
    return {**plugins, **ours}


@cache
def claims(kind: str) -> dict[str, list[str]]:
    """Names that more than one part of a kind has, with what claims them."""
    ours = [name for name, source in names(kind).items() if isinstance(source, str)]
    sources = {name: {"discl itself"} for name in ours}
    for point in _plugins().select(group=f"discl.{kind}"):
        sources.setdefault(point.name, set()).add(point.value)
    return {name: sorted(claimed) for name, claimed in sources.items() if len(claimed) > 1}


def find(kind: str, name: str) -> type[Any]:
    """The class of a part: the one public class that its module defines.

    Raises UserError where there is no such part, where two have the name, or where a plug-in cannot
    be imported or was written for discl 0.1.
    """
    known = names(kind)
    if name not in known:
        raise unknown(singular(kind), name, known)
    _check_claims(kind, name)
    source = known[name]
    return _of_plugin(kind, source) if isinstance(source, EntryPoint) else _class_in(source)


def _check_claims(kind: str, name: str) -> None:
    if name in claims(kind):
        sources = " and ".join(claims(kind)[name])
        raise UserError(
            f"{singular(kind)} {name!r} is defined more than once: {sources}; rename the entry"
            " point of a package, or uninstall the package"
        )


def _of_plugin(kind: str, point: EntryPoint) -> type[Any]:
    try:
        part: type[Any] = point.load()
        old_names = [name for name in RENAMED_ATTRIBUTES if hasattr(part, name)]
    except FOREIGN as error:
        raise UserError(
            f"{singular(kind)} {point.name!r} of {point.value} cannot be imported"
            f" ({reason(error)}); fix the package that provides it, or uninstall it"
        ) from error
    if not callable(part):
        raise UserError(
            f"{singular(kind)} {point.name!r} of {point.value} is a {type(part).__name__} and no"
            " class; fix the entry point of the package that provides it, or uninstall it"
        )
    for old, new in RENAMED_ATTRIBUTES.items():
        if old in old_names:
            raise UserError(
                f"{singular(kind)} {point.name!r} of {point.value} has an attribute {old!r}, which"
                f" was renamed in 0.2; call it {new!r}"
            )
    return part


@cache
def _class_in(module: str) -> type[Any]:
    return next(
        value
        for name, value in vars(importlib.import_module(module)).items()
        if inspect.isclass(value) and value.__module__ == module and not name.startswith("_")
    )


def settings(kind: str, name: str) -> Mapping[str, inspect.Parameter]:
    """The parameters of a part's constructor, by name.

    Where it hands on others as `**settings`, those of the class it builds on are among them.
    """
    part: Any = find(kind, name)
    return _signature(part)


@cache
def _signature(part: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    own = inspect.signature(part).parameters
    handed_on = [name for name, each in own.items() if each.kind is each.VAR_KEYWORD]
    if not handed_on or not inspect.isclass(part):
        return own
    parent = next(each for each in part.__mro__[1:] if "__init__" in vars(each))
    named = {name: each for name, each in own.items() if name not in handed_on}
    return {**named, **{n: each for n, each in _signature(parent).items() if n not in named}}


@cache
def _defaults(part: Callable[..., Any]) -> dict[str, Any]:
    """The canonical defaults of a part's settings; one without a default is left out."""
    return {
        name: canonical(_plain(parameter.default))
        for name, parameter in _signature(part).items()
        if parameter.default is not parameter.empty
    }


def summary(kind: str, name: str) -> str:
    """First line of a part's docstring.

    One of ours is read without importing it, since a backbone would import torch. Raises UserError
    where two parts have the name, or where a plug-in cannot be imported.
    """
    _check_claims(kind, name)
    source = names(kind)[name]
    if isinstance(source, EntryPoint):
        return (inspect.getdoc(_of_plugin(kind, source)) or "").partition("\n")[0]
    path = Path(__file__).parent.parent / "parts" / kind / f"{name}.py"
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]


@dataclass(frozen=True)
class Bound:
    """A part chosen by name with its parameters checked; nothing heavy has been built yet."""

    kind: str
    name: str
    parameters: dict[str, Any]

    def build(self) -> Any:
        """The part itself.

        Raises UserError where the part takes none of these parameters: each has the right type, and
        one may still have a value that the part cannot work with.
        """
        part = find(self.kind, self.name)
        if not self.parameters:
            return part()
        try:
            return part(**self.parameters)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            given = ", ".join(f"{key} = {shown(value)}" for key, value in self.parameters.items())
            raise UserError(
                f"{singular(self.kind)} {self.name!r} cannot be made with {given}"
                f" ({type(error).__name__}: {error}); change one of them"
            ) from error

    def identity(self) -> dict[str, Any]:
        """Name, version, and the parameters that differ from their default.

        Those that the part calls `not_hashed` are left out.
        """
        part: Any = find(self.kind, self.name)
        defaults = _defaults(part)
        not_hashed = getattr(part, "not_hashed", ())
        differing = {}
        for name, value in self.parameters.items():
            plain = canonical(value)
            if name not in not_hashed and (name not in defaults or defaults[name] != plain):
                differing[name] = plain
        return {"name": self.name, "version": getattr(part, "version", 1), "parameters": differing}


def bind(kind: str, name: str, parameters: dict[str, Any]) -> Bound:
    """A part with its parameters, checked against its constructor before any work.

    Raises UserError for a part or a parameter there is not, one that is missing, and a value of
    another type than the default.
    """
    accepted = settings(kind, name)
    for key in parameters:
        if key not in accepted:
            raise unknown(f"parameter of {singular(kind)} {name!r}", key, accepted)
    for key, parameter in accepted.items():
        if parameter.default is parameter.empty and key not in parameters:
            raise UserError(
                f"{singular(kind)} {name!r} needs a value for {key!r}; set {singular(kind)}.{key}"
            )
        if key in parameters:
            _check_type(kind, name, key, parameter.default, parameters[key])
    rounded = {
        key: _rounded(f"{singular(kind)} {name!r}: {key}", value)
        for key, value in parameters.items()
    }
    return Bound(kind, name, rounded)


def _check_type(kind: str, name: str, key: str, default: Any, given: Any) -> None:
    """A number stays a number and a word a word, judged by the default."""
    if isinstance(default, bool | str):
        fits = isinstance(given, type(default))
    elif isinstance(default, int):
        fits = isinstance(given, int) and not isinstance(given, bool)
    elif isinstance(default, float):
        fits = isinstance(given, int | float) and not isinstance(given, bool)
    else:
        _check_annotation(kind, name, key, given)
        return
    if not fits:
        wanted = type(default).__name__
        raise UserError(
            f"{singular(kind)} {name!r}: {key} = {shown(given)} is a {type(given).__name__}; it"
            f" takes a {wanted}, e.g. {default!r}"
        )


def _check_annotation(kind: str, name: str, key: str, given: Any) -> None:
    """The same where the default says nothing: by the annotation of the constructor."""
    part = find(kind, name)
    annotation = _annotations(cast(Hashable, part)).get(key, Any)
    if not _fits(given, annotation):
        example = getattr(part, "examples", {}).get(key, "")
        raise UserError(
            f"{singular(kind)} {name!r}: {key} = {shown(given)} does not fit; it takes"
            f" {_in_words(annotation)}{f', e.g. {example}' if example else ''}"
        )


_WORDS = {  # of a type: (one, several)
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a text", "texts"),
    NoneType: ("nothing", "nothing"),
}


def _in_words(annotation: Any, place: int = 0) -> str:
    """A type as people say it: a list of whole numbers; `place` 1 is the plural."""
    origin = get_origin(annotation) or annotation
    inner = [each for each in get_args(annotation) if each is not ...]
    if origin in _WORDS:
        return _WORDS[origin][place]
    if origin in (Union, UnionType):
        return " or ".join(_in_words(option, place) for option in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return ("a table", "tables")[place]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        of = f" of {_in_words(inner[0], 1)}" if inner else ""
        return ("a list", "lists")[place] + of
    return str(annotation)


@cache
def _annotations(part: Any) -> dict[str, Any]:
    classes = reversed(part.__mro__) if inspect.isclass(part) else ()
    constructors = [vars(each)["__init__"] for each in classes if "__init__" in vars(each)]
    try:
        hints = [get_type_hints(each) for each in constructors or [part.__init__]]
        return {name: hint for each in hints for name, hint in each.items()}
    except (NameError, AttributeError, TypeError):  # of names that only a type checker imports
        return {}


def _fits(given: Any, annotation: Any) -> bool:
    """Whether a value of a settings file is one of an annotated type; True where that is unclear.

    Lists stand for sequences and tuples.
    """
    origin = get_origin(annotation) or annotation
    inner = get_args(annotation)
    if origin in (Union, UnionType):
        return any(_fits(given, option) for option in inner)
    if origin is float:
        return isinstance(given, int | float) and not isinstance(given, bool)
    if origin is int:
        return isinstance(given, int) and not isinstance(given, bool)
    if origin in (bool, str, NoneType):
        return isinstance(given, origin)
    if origin is tuple and inner and inner[-1] is not ...:
        return (
            isinstance(given, list | tuple)
            and len(given) == len(inner)
            and all(map(_fits, given, inner))
        )
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(given, Mapping)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(given, list | tuple) and (
            not inner or all(_fits(each, inner[0]) for each in given)
        )
    return True


def _plain(value: Any) -> Any:
    return (
        value
        if isinstance(value, bool | int | str | float | list | tuple | dict | type(None))
        else repr(value)
    )


def _rounded(what: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise UserError(f"{what} = {value} has no identity; it takes a finite number")
    return canonical(value)

"""Finds parts by kind and name: one file each in `discl.parts`, or an entry point of somebody
else's package.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError, unknown
from discl.core.hashing import canonical, canonical_json

KINDS = (
    "datasets",
    "backbones",
    "strategies",
    "generators",
    "scorers",
    "prompts",
    "hard_rules",
    "losses",
    "metrics",
    "trackers",
    "executors",
)
_SINGULAR = {"strategies": "strategy", "losses": "loss", "prompts": "prompts"}


def singular(kind: str) -> str:
    return _SINGULAR.get(kind, kind.removesuffix("s"))


@cache
def names(kind: str) -> dict[str, str | EntryPoint]:
    """Every registered name of `kind` and where it lives: a module of ours, or an entry point in
    group `discl.<kind>`.
    """
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)
    package = importlib.import_module(f"discl.parts.{kind}")
    ours = {
        m.name: f"{package.__name__}.{m.name}"
        for m in pkgutil.iter_modules(package.__path__)
        if not (m.ispkg or m.name.startswith("_"))
    }
    return {**{point.name: point for point in entry_points(group=f"discl.{kind}")}, **ours}


def find(kind: str, name: str) -> type[Any]:
    """The class of a part.

    A module of ours holds exactly one class whose name is public and which is defined there.
    """
    known = names(kind)
    if name not in known:
        raise unknown(singular(kind), name, known)
    home = known[name]
    if isinstance(home, EntryPoint):
        loaded: type[Any] = home.load()
        return loaded
    return _class_in(home)


@cache
def _class_in(home: str) -> type[Any]:
    module = importlib.import_module(home)
    return next(
        v
        for k, v in vars(module).items()
        if inspect.isclass(v) and v.__module__ == home and not k.startswith("_")
    )


def settings(kind: str, name: str) -> Mapping[str, inspect.Parameter]:
    """What the constructor of a part takes, by name."""
    part: Any = find(kind, name)
    return _signature(part)


@cache
def _signature(part: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(part).parameters


@cache
def _defaults(part: Callable[..., Any]) -> dict[str, Any]:
    """The canonical defaults of a part's settings; one without a default is left out."""
    return {
        k: canonical(_plain(p.default))
        for k, p in _signature(part).items()
        if p.default is not p.empty
    }


def summary(kind: str, name: str) -> str:
    """First line of the part's docstring, read without importing it (importing a backbone would
    import torch).
    """
    home = names(kind)[name]
    if isinstance(home, EntryPoint):
        return (inspect.getdoc(home.load()) or "").partition("\n")[0]
    folder = Path(__file__).parent.parent / "parts" / kind
    return (
        ast.get_docstring(ast.parse((folder / f"{name}.py").read_text("utf-8"))) or ""
    ).partition("\n")[0]


@dataclass(frozen=True)
class Bound:
    """A part chosen by name with its parameters checked; nothing heavy has been built yet."""

    kind: str
    name: str
    parameters: dict[str, Any]

    def build(self) -> Any:
        """The part itself."""
        return find(self.kind, self.name)(**self.parameters)

    def identity(self) -> dict[str, Any]:
        """Name, version, and the parameters that differ from the default; what the part calls
        `not_hashed` is left out.
        """
        part: Any = find(self.kind, self.name)
        given = {
            k: canonical(v)
            for k, v in self.parameters.items()
            if k not in getattr(part, "not_hashed", ())
        }
        defaults = _defaults(part)
        differing = {k: v for k, v in given.items() if k not in defaults or defaults[k] != v}
        return {"name": self.name, "version": getattr(part, "version", 1), "parameters": differing}


def bind(kind: str, name: str, parameters: dict[str, Any]) -> Bound:
    """Check `parameters` against the constructor of the part, so that a wrong name fails before any
    work.
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
    return Bound(
        kind,
        name,
        {k: _rounded(f"{singular(kind)} {name!r}: {k}", v) for k, v in parameters.items()},
    )


class PartTraits(NamedTuple):
    """What a built part says of itself, where it says so; see `discl.core.interfaces`."""

    steps: int
    trained_on: frozenset[str]
    must_be_held_out: frozenset[str]


class Known:
    """A bound part, and what it answered when it was built: the part itself may be large, and is
    not kept.
    """

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._uses = dict[tuple[int, ...], tuple[int, ...]]()

    @cached_property
    def chosen(self) -> str:
        """The identity of the choice, as canonical JSON."""
        return canonical_json(self._bound.identity())

    @cached_property
    def identity(self) -> str:
        """The identity of the choice and of the files it reads, as canonical JSON."""
        return canonical_json(self._bound.identity() | self._bound.build().identity())

    @cached_property
    def traits(self) -> PartTraits:
        part = self._bound.build()
        return PartTraits(
            getattr(part, "steps", 0),
            getattr(part, "trained_on", frozenset()),
            getattr(part, "must_be_held_out", frozenset()),
        )

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """A strategy's answer to `Strategy.uses`."""
        if levels not in self._uses:
            self._uses[levels] = self._bound.build().uses(levels)
        return self._uses[levels]


class Parts:
    """Parts of many benchmarks, each bound and asked once.

    A file that a part reads counts as it was when it was first asked for, so one of these is for
    one expansion of one sweep.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Known] = {}

    def known(self, kind: str, name: str, parameters: dict[str, Any]) -> Known:
        """A part by what is said of it. 1, 1.0 and true are three things here, as they are to
        `bind`.
        """
        key = (kind, name, repr(parameters))
        if key not in self._known:
            self._known[key] = Known(bind(kind, name, parameters))
        return self._known[key]


def _check_type(kind: str, name: str, key: str, default: Any, given: Any) -> None:
    """A number stays a number and a word a word, judged by the default."""
    if isinstance(default, bool | str):
        fits = isinstance(given, type(default))
    elif isinstance(default, int):
        fits = isinstance(given, int) and not isinstance(given, bool)
    elif isinstance(default, float):
        fits = isinstance(given, int | float) and not isinstance(given, bool)
    else:
        return
    if not fits:
        wanted = type(default).__name__
        raise UserError(
            f"{singular(kind)} {name!r}: {key} = {given!r} is a {type(given).__name__}; it takes a"
            f" {wanted}, e.g. {default!r}"
        )


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

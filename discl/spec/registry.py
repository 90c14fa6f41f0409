"""Finds parts by kind and name: one file each in `discl.parts`, or an entry point of somebody else's package."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from discl.spec.errors import UserError, unknown
from discl.spec.identity import canonical

KINDS = ("datasets", "backbones", "strategies", "generators", "scorers", "prompts", "losses", "trackers", "executors")
_SINGULAR = {"strategies": "strategy", "losses": "loss", "prompts": "prompts"}


def singular(kind: str) -> str:
    return _SINGULAR.get(kind, kind.removesuffix("s"))


@cache
def names(kind: str) -> dict[str, str | EntryPoint]:
    """Every registered name of `kind` and where it lives: a module of ours, or an entry point in group `discl.<kind>`."""
    if kind not in KINDS:
        raise unknown("kind of part", kind, KINDS)
    package = importlib.import_module(f"discl.parts.{kind}")
    ours = {m.name: f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    return {**{point.name: point for point in entry_points(group=f"discl.{kind}")}, **ours}


def find(kind: str, name: str) -> type[Any]:
    """The class of a part. A module of ours holds exactly one class whose name is public and which is defined there."""
    known = names(kind)
    if name not in known:
        raise unknown(singular(kind), name, known)
    home = known[name]
    if isinstance(home, EntryPoint):
        loaded: type[Any] = home.load()
        return loaded
    module = importlib.import_module(home)
    return next(v for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == home and not k.startswith("_"))


def summary(kind: str, name: str) -> str:
    """First line of the part's docstring, read without importing it (importing a backbone would import torch)."""
    home = names(kind)[name]
    if isinstance(home, EntryPoint):
        return (inspect.getdoc(home.load()) or "").partition("\n")[0]
    folder = Path(__file__).parent.parent / "parts" / kind
    return (ast.get_docstring(ast.parse((folder / f"{name}.py").read_text("utf-8"))) or "").partition("\n")[0]


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
        """Name, version, and the parameters that differ from the default; what the part calls `unhashed` is left out."""
        part = find(self.kind, self.name)
        given = {k: canonical(v) for k, v in self.parameters.items() if k not in getattr(part, "unhashed", ())}
        defaults = {k: p.default for k, p in inspect.signature(part).parameters.items() if p.default is not p.empty}
        differing = {k: v for k, v in given.items() if k not in defaults or canonical(_plain(defaults[k])) != v}
        return {"name": self.name, "version": getattr(part, "version", 1), "parameters": differing}


def bind(kind: str, name: str, parameters: dict[str, Any]) -> Bound:
    """Check `parameters` against the constructor of the part, so that a wrong name fails before any work."""
    part = find(kind, name)
    accepted = inspect.signature(part).parameters
    for key in parameters:
        if key not in accepted:
            raise unknown(f"parameter of {singular(kind)} {name!r}", key, accepted)
    for key, parameter in accepted.items():
        if parameter.default is parameter.empty and key not in parameters:
            raise UserError(f"{singular(kind)} {name!r} needs a value for {key!r}; set {singular(kind)}.{key}")
        if key in parameters:
            _check_type(kind, name, key, parameter.default, parameters[key])
    return Bound(kind, name, {k: _rounded(v) for k, v in parameters.items()})


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
        raise UserError(f"{singular(kind)} {name!r}: {key} = {given!r} is a {type(given).__name__}; it takes a {wanted}, e.g. {default!r}")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str | float | list | tuple | dict | type(None)) else repr(value)


def _rounded(value: Any) -> Any:
    return canonical(value) if isinstance(value, float) else value

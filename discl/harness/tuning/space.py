"""The space of a study as Optuna stores it: distributions, and choices that travel as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from discl.config.sweep import Dimension
from discl.core.hashing import canonical_json
from discl.core.plain_files import parsed_json

Params = Mapping[str, Any]  # path -> value, as Optuna stores it


def distributions(space: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    """The space in Optuna's classes; choices it cannot store travel as JSON, see `settings`."""
    return {path: _DISTRIBUTIONS[dimension.type](dimension) for path, dimension in space.items()}


def _float(dimension: Any) -> BaseDistribution:
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _int(dimension: Any) -> BaseDistribution:
    return IntDistribution(
        int(dimension.low),
        int(dimension.high),
        log=dimension.log,
        step=int(dimension.step or 1),
    )


def _categorical(dimension: Any) -> BaseDistribution:
    return CategoricalDistribution([_storable(choice) for choice in dimension.choices])


_DISTRIBUTIONS: Mapping[str, Callable[[Any], BaseDistribution]] = {
    "float": _float,
    "int": _int,
    "categorical": _categorical,
}
_STORED_AS_THEY_ARE = (bool, int, float, str, type(None))
_JSON = "json:"


def _storable(choice: Any) -> Any:
    reserved = isinstance(choice, str) and choice.startswith(_JSON)
    if isinstance(choice, _STORED_AS_THEY_ARE) and not reserved:
        return choice
    return _JSON + canonical_json(choice)


def settings(params: Params) -> dict[str, Any]:
    """Settings from what Optuna stored."""
    return {path: _loaded(value) for path, value in params.items()}


def _loaded(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_JSON):
        return parsed_json(value.removeprefix(_JSON))
    return value


def stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `settings`: what Optuna stores of settings."""
    return {path: _storable(value) for path, value in values.items()}


def rounded_value(dimension: Dimension, value: Any) -> Any:
    """A proposed value in five digits, within its dimension.

    More digits are not needed, and the last of seventeen differ between processors and versions.
    """
    if not isinstance(value, float) or dimension.step:
        return value
    if dimension.low is None or dimension.high is None:
        return value
    return min(max(float(f"{value:.5g}"), dimension.low), dimension.high)


def settings_at(space: Mapping[str, Dimension], index: int) -> dict[str, Any]:
    """The settings at an index of the list of all settings of a finite space, as stored."""
    params = {}
    for path, dimension in space.items():
        index, index_of_value = divmod(index, int(dimension.count))
        params[path] = dimension.at(index_of_value)
    return stored(params)

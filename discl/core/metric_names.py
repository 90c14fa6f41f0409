"""Facts about a metric by its name: whether higher is better, its unit, its place in lists."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from discl.core.conventions import base_name
from discl.core.errors import UserError
from discl.core.registry import find, names

if TYPE_CHECKING:  # numpy is not needed to look up a name
    from discl.core.interfaces import Metric


@cache
def default_names() -> tuple[str, ...]:
    """Metrics of every run, in the order of lists. Those of other packages are never among them.

    So installing a package changes no definition of a result.
    """
    ours = [name for name, source in names("metrics").items() if not isinstance(source, EntryPoint)]
    return tuple(in_order(name for name in ours if find("metrics", name).always))


def in_order(metrics: Iterable[str]) -> list[str]:
    """Names of metrics as lists show them; one that is not installed comes last."""
    return sorted(set(metrics), key=lambda name: (position(name), name))


def position(name: str) -> int:
    """Where a metric stands in lists, smallest first; one that is not installed comes last."""
    known = described(name)
    return known.position if known else sys.maxsize


def is_share(name: str) -> bool:
    """Whether the values are shares in [0, 1], shown in percent."""
    known = described(name)
    return known is None or known.unit == "share"


def measured_on(name: str, split: str) -> bool:
    """Whether a metric is computed of predictions on a split; True where it is not installed."""
    known = described(name)
    return known is None or (
        not known.labels_only and any(fnmatchcase(split, pattern) for pattern in known.splits)
    )


def described(name: str) -> type[Metric] | None:
    """The class of a metric; None where it is not installed here.

    Raises UserError where it is no subclass of `Metric`.
    """
    from discl.core.interfaces import Metric

    if name not in names("metrics"):
        return None
    metric = find("metrics", name)
    if not (isinstance(metric, type) and issubclass(metric, Metric)):
        raise UserError(
            f"metric {name!r} is no subclass of discl.core.interfaces.Metric; fix the package"
            " that provides it, or take it out of metrics.extra"
        )
    return metric


def higher_is_better(metric: str) -> bool:
    """Whether higher values of '<split>/<metric>' are better, prefixes such as 'adjusted_' aside.

    True for a metric that is not installed.
    """
    known = described(base_name(metric))
    return known is None or known.better == "higher"

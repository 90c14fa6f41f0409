"""The metrics of a benchmark: which are computed, with which parameters, and who made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.conventions import PREFIXES, base_name
from discl.core.errors import UserError, unknown
from discl.core.interfaces import Ints, Metric
from discl.core.metric_names import default_names, in_order
from discl.core.registry import Bound, bind, names, settings
from discl.core.text import echo


def bound(
    extra: Iterable[str],
    conventions: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[str, Bound]:
    """The metrics of a benchmark by name, in the order of lists; nothing is built yet.

    `extra` are metrics beside the default ones, `parameters` the tables `[metric.NAME]`. A metric
    whose constructor takes a convention, such as `min_group_size`, gets that of the benchmark.
    Raises UserError for a metric or a parameter that does not exist.
    """
    known = names("metrics")
    wanted = [*default_names(), *extra]
    for name in [*wanted, *parameters]:
        if name not in known:
            raise unknown("metric", name, known)
        if "/" in name:
            raise UserError(
                f"metric {name!r} cannot have a name with '/', which stands after a split, as in"
                " val/acc; rename the metric"
            )
        if base_name(name) != name:
            raise UserError(
                f"metric {name!r} cannot have a name that begins with {' or '.join(PREFIXES)}:"
                " these mark changed logits; rename the metric"
            )
    for name in parameters:
        if name not in wanted:
            raise UserError(
                f"[metric.{name}] has no effect: {name} is not computed; add it to"
                " metrics.extra, or take the table out"
            )
    return {
        name: bind("metrics", name, _parameters(name, conventions, parameters.get(name, {})))
        for name in in_order(wanted)
    }


def changed(
    extra: Iterable[str], parameters: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Name, version and parameters of the metrics that are not as they were first, for identities.

    The conventions of `[metrics]` stay out: a run's identity holds them once.
    """
    identities = {
        name: bind("metrics", name, dict(parameters.get(name, {}))).identity()
        for name in (*default_names(), *extra)
    }
    return {
        name: identity
        for name, identity in identities.items()
        if identity["parameters"] or identity["version"] != 1
    }


def _parameters(
    name: str, conventions: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    accepted = settings("metrics", name)
    shared = {key: value for key, value in conventions.items() if key in accepted}
    if twice := sorted(shared.keys() & own.keys()):
        raise UserError(
            f"[metric.{name}] {twice[0]} is a convention of all metrics; set metrics.{twice[0]}"
        )
    return {**shared, **own}


def built(bindings: Mapping[str, Bound]) -> dict[str, Metric]:
    """The metrics themselves; those of other packages are tried once and then guarded.

    Raises UserError where a metric of another package does not do what `Metric` promises.
    """
    return {name: _built(name, binding) for name, binding in bindings.items()}


def _built(name: str, binding: Bound) -> Metric:
    source = names("metrics")[name]
    if not isinstance(source, EntryPoint):
        ours: Metric = binding.build()
        return ours
    try:
        metric: Metric = binding.build()
        for attribute in (metric.title, metric.definition):
            if not isinstance(attribute, str) or not attribute:
                raise TypeError("its title and its definition must be words")
        if metric.better not in ("higher", "lower"):
            raise TypeError(f"better = {metric.better!r}: it takes 'higher' or 'lower'")
        _try(metric)
    except UserError:
        raise
    except Exception as error:  # a metric of another package may raise anything
        raise UserError(
            f"metric {name!r} of {source.value} cannot be used"
            f" ({type(error).__name__}: {error}); fix it, or take it out of metrics.extra"
        ) from error
    return GuardedMetric(name, source.value, metric)


def _try(metric: Metric) -> None:
    """Compute it once of few photos [2, 3], so that a mistake shows before any work."""
    photos = ClassCounts(
        *np.array([[[2, 1, 0], [1, 0, 3]], [[3, 2, 1], [2, 2, 4]], [[3, 1, 2]] * 2])
    )
    _computed(metric, photos, np.array([500, 50, 5]))


def _computed(metric: Metric, photos: ClassCounts, training_photos: Ints) -> Fractions:
    """The values of a metric in the shape that it promises; NaN for one that is not finite."""
    values = np.asarray(metric.compute(photos, training_photos))
    shape = () if metric.by_group else photos.actual.shape[:-1]
    if values.shape != shape or values.dtype.kind not in "fiu":
        raise TypeError(
            f"of counts {[*photos.actual.shape]} it gives {values.dtype} {[*values.shape]}, not"
            f" numbers {[*shape]}"
        )
    return np.where(np.isfinite(values), values, np.nan)


class GuardedMetric(Metric):
    """A metric of another package: where it fails, it is not measured, and the run goes on.

    A failing metric must not cost a run of hours; the error is printed once.
    """

    def __init__(
        self, name: str, source: str, metric: Metric, tell: Callable[[str], None] | None = None
    ) -> None:
        self._name = name
        self._source = source
        self._metric = metric
        self._tell = tell or (lambda sentence: echo(sentence, err=True))
        self._failed = False
        self.version = metric.version
        self.better = metric.better
        self.unit = metric.unit
        self.overall = metric.overall
        self.by_group = metric.by_group
        self.labels_only = metric.labels_only
        self.splits = metric.splits
        self.position = metric.position

    @property
    def title(self) -> str:
        """That of the metric."""
        return self._metric.title

    @property
    def definition(self) -> str:
        """That of the metric."""
        return self._metric.definition

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Values [...] of counts [..., c]; NaN, which is left out, where the metric fails."""
        try:
            return _computed(self._metric, photos, training_photos)
        except Exception as error:  # a metric of another package may raise anything
            if not self._failed:
                self._tell(
                    f"metric {self._name!r} of {self._source} failed"
                    f" ({type(error).__name__}: {error}) and is left out; the run goes on. Mend it,"
                    " then run again, or take it out of metrics.extra"
                )
            self._failed = True
            return np.full(() if self.by_group else photos.actual.shape[:-1], np.nan)

"""The `discl bench` that makes a run, in the words a person would type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.config.load import UNVARIED, load
from discl.config.toml import to_toml


def of_run(experiment: Experiment) -> list[str]:
    """The words that make this one run again, whatever was set when it was made."""
    spec = experiment.benchmark
    return bench(spec.name, spec.scale, [experiment.strategy], [experiment.seed], settings_of(spec))


def bench(
    name: str, scale: str, strategies: Iterable[str], seeds: Iterable[int], paths: Mapping[str, Any]
) -> list[str]:
    """The words for some strategies (all it lists, where none is named) and seeds of a benchmark,
    with these values at dotted paths.
    """
    # a table comes before what lies in it, the name of a part before its parameters
    ordered = sorted(paths, key=lambda path: (path.count("."), not path.endswith(".name"), path))
    sets = [word for path in ordered for word in ("--set", f"{path}={to_toml(paths[path])}")]
    listed = ",".join(strategies)
    named = [*(["--strategies", listed] if listed else []), "--seeds", ",".join(map(str, seeds))]
    return ["discl", "bench", name, "--scale", scale, *named, *sets]


def settings_of(spec: Benchmark) -> dict[str, Any]:
    """Dotted path -> value, where a benchmark differs from its file at its scale."""
    base, own = load(spec.name, spec.scale).model_dump(), spec.model_dump()
    found: dict[str, Any] = {}
    for key in sorted(own.keys() - {*UNVARIED, "trackers", "title"}):
        if own[key] == base[key]:
            continue
        if isinstance(own[key], dict) and own[key].keys() >= base[key].keys():
            found |= {
                f"{key}.{below}": value
                for below, value in own[key].items()
                if below not in base[key] or value != base[key][below]
            }
        else:
            found[key] = own[key]
    return found

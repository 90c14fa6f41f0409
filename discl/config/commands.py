"""The `discl bench` command that makes a run, as a person would type it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.config.load import UNVARIED, load
from discl.config.toml import to_toml


def of_run(experiment: Experiment) -> list[str]:
    """The command that makes this one run again, with all settings it was made with."""
    spec = experiment.benchmark
    return bench(spec.name, spec.scale, [experiment.strategy], [experiment.seed], settings_of(spec))


def bench(
    name: str, scale: str, strategies: Iterable[str], seeds: Iterable[int], paths: Mapping[str, Any]
) -> list[str]:
    """The command for strategies and seeds of a benchmark, with values at dotted paths.

    No strategy stands for all of the benchmark.
    """
    command = ["discl", "bench", name, "--scale", scale]
    names = ",".join(strategies)
    if names:
        command += ["--strategies", names]
    command += ["--seeds", ",".join(map(str, seeds))]
    # a table comes before its keys, the name of a part before its parameters
    for path in sorted(paths, key=lambda path: (path.count("."), not path.endswith(".name"), path)):
        command += ["--set", f"{path}={to_toml(paths[path])}"]
    return command


def settings_of(spec: Benchmark) -> dict[str, Any]:
    """Dotted path -> value, where a benchmark differs from its file at its scale."""
    in_file = load(spec.name, spec.scale).model_dump()
    settings: dict[str, Any] = {}
    for key, value in sorted(spec.model_dump().items()):
        if key in (*UNVARIED, "trackers", "title") or value == in_file[key]:
            continue
        if isinstance(value, dict) and value.keys() >= in_file[key].keys():
            for inner, item in value.items():
                if inner not in in_file[key] or item != in_file[key][inner]:
                    settings[f"{key}.{inner}"] = item
        else:
            settings[key] = value
    return settings

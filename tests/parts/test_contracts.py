"""Every registered part keeps its kind's contract: a new part is tested by being there."""

from typing import Any

import pytest

from discl import testing
from discl.spec.registry import bind, names

# a small setting, where the default is large
PARAMETERS: dict[str, dict[str, Any]] = {"img2img": {"steps": 6, "chunk": 4}, "cifar10_lt": {"ood_photos": 100}}


def _part_of(kind: str) -> Any:
    @pytest.fixture(params=sorted(names(kind)))
    def part(self: Any, request: pytest.FixtureRequest) -> Any:
        return bind(kind, request.param, PARAMETERS.get(request.param, {})).build()

    return part


class TestStrategies(testing.StrategyContract):
    part = _part_of("strategies")


class TestGenerators(testing.GeneratorContract):
    part = _part_of("generators")


class TestScorers(testing.ScorerContract):
    part = _part_of("scorers")


class TestDatasets(testing.DatasetContract):
    part = _part_of("datasets")


class TestBackbones(testing.BackboneContract):
    part = _part_of("backbones")


class TestLosses(testing.LossContract):
    part = _part_of("losses")


class TestTrackers(testing.TrackerContract):
    part = _part_of("trackers")

"""Every registered part keeps its kind's contract: a new part is tested by being there."""

import inspect
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from discl import testing
from discl.core.registry import bind, find, names
from tests.make_mini import LAYOUTS, make

# a small setting, where the default is large
PARAMETERS: dict[str, dict[str, Any]] = {
    "img2img": {"steps": 6, "chunk": 4},
    "inpaint": {"steps": 6, "chunk": 4},
    "pipeline": {"steps": 6, "chunk": 2},
    "edit": {"steps": 6, "chunk": 1},
    "cifar10_cams": {"test_photos": 100},
    "cifar10_lt": {"ood_photos": 100},
    "low_confidence": {"fraction": 0.1},
    "ray": {"workers": 1},
    "slurm": {"cluster": "local", "workers": 2, "cpus": 1},
}


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


class TestPrompts(testing.PromptsContract):
    @pytest.fixture(params=sorted(names("prompts")))
    def part(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        file = tmp_path / "texts.json"
        file.write_text('{"cat": ["a cat asleep", "a cat at sea"], "photo7": "a grey cat"}')
        word = {"name": "cat", "token": "<cat>", "file": "cat.safetensors", "sha256": ""}
        (tmp_path / "words.json").write_text(json.dumps({"words": [word], "description": {}}))
        needed = inspect.signature(find("prompts", request.param)).parameters
        given = {"file": str(file), "words": str(tmp_path)}
        parameters = {key: value for key, value in given.items() if key in needed}
        return bind("prompts", request.param, parameters).build()


@pytest.fixture(scope="module")
def mini_root(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the miniature of a dataset's layout lies; made once."""
    return cache(lambda layout: make(layout, tmp_path_factory.mktemp(layout) / "mini", images=60))


class TestDatasets(testing.DatasetContract):
    @pytest.fixture(params=sorted(names("datasets")))
    def part(
        self,
        request: pytest.FixtureRequest,
        mini_root: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Any:
        """A dataset of files has a miniature of its layout."""
        parameters = PARAMETERS.get(request.param, {})
        if request.param in LAYOUTS:
            root = mini_root(request.param)
            parameters = {**parameters, "root": str(root)}
            monkeypatch.setenv("DISCL_DATA", str(root.parent / "data"))
        return bind("datasets", request.param, parameters).build()


class TestMetrics(testing.MetricContract):
    part = _part_of("metrics")


class TestHardRules(testing.HardRuleContract):
    part = _part_of("hard_rules")


class TestBackbones(testing.BackboneContract):
    part = _part_of("backbones")

    def draws(self, part: Any) -> bool:
        return not part.identity().get("weights")


class TestLosses(testing.LossContract):
    part = _part_of("losses")


class TestSecondStages(testing.SecondStageContract):
    part = _part_of("second_stages")


class TestTrackers(testing.TrackerContract):
    part = _part_of("trackers")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    """One for all of Ray's tests: starting it takes most of their time."""
    pytest.importorskip("ray", reason="ray is not installed")
    from discl.parts.executors.ray import cluster

    with cluster():
        yield


class TestExecutors(testing.ExecutorContract):
    @pytest.fixture(params=[*sorted(names("executors")), "local in 2 processes"])
    def part(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
        if (
            request.param in ("ray", "slurm")
            and "kills_three_workers" in request.node.name
            and not request.config.getoption("--slow")
        ):
            pytest.skip("starts three workers to count to three, as the processes here do")
        for executor in ("local", "ray"):
            monkeypatch.setattr(f"discl.parts.executors.{executor}.LOOK_SECONDS", 0.05)
        if request.param == "ray":
            request.getfixturevalue("ray_cluster")
        name, _, several = request.param.partition(" ")
        return bind(
            "executors", name, {"workers": 2} if several else PARAMETERS.get(name, {})
        ).build()

    def stays(self, part: Any) -> bool:
        return not isinstance(part, find("executors", "slurm"))

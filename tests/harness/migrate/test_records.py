"""What 0.1 wrote, in tests/golden/v0_1, against what this version makes of the same settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.result import Result
from discl.harness.migrate.records import (
    convert_config,
    convert_fold_models,
    convert_identity,
    convert_result,
)
from tests.version_0_1 import RECORDS as OLD
from tests.version_0_1 import old_benchmark

CASES = json.loads((OLD / "experiments.json").read_text("utf-8"))


def _now(case: dict[str, Any]) -> Experiment:
    bench = old_benchmark(case["benchmark"], case["renamed"])
    return Experiment(bench, case["strategy"], case["seed"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
@pytest.mark.parametrize("with_config", [True, False])
def test_an_identity_of_0_1_becomes_that_of_the_same_settings(
    case: dict[str, Any], with_config: bool
) -> None:
    assert short(case["identity"]) == case["id"]
    converted = convert_identity(case["identity"], case["config"] if with_config else None)
    assert converted == _now(case).identity()
    assert short(converted) == _now(case).id() != case["id"]
    assert convert_identity(converted) == converted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_configuration_of_0_1_becomes_that_of_the_same_settings(case: dict[str, Any]) -> None:
    config = convert_config(case["config"])
    assert convert_config(config) == config
    strategy, seed = config.pop("strategy"), config.pop("seed")
    assert (strategy, seed) == (case["strategy"], case["seed"])
    again = Benchmark(**config, strategy={})
    assert Experiment(again, strategy, seed).id() == _now(case).id()


@pytest.mark.parametrize("name", ["cifar10_lt", "cifar10_cams"])
def test_a_result_of_0_1_keeps_every_number_and_gets_the_id_of_its_run(
    name: str, tmp_path: Path
) -> None:
    stored = json.loads((OLD / name / "result.json").read_text("utf-8"))
    converted = convert_result(stored)
    experiment = Experiment(old_benchmark(name), stored["strategy"], stored["seed"])
    assert converted["id"] == experiment.id()
    assert converted["comparability"]["comparison"] == short(experiment.comparison())
    for key in ("bank", "definitions", "counts", "splits", "threshold"):
        assert converted["comparability"][key] == stored["passport"][key]
    changed = {"id", "identity", "passport", "outcomes"}
    renamed = json.loads(_with_new_names(json.dumps(stored)))
    assert {key: converted[key] for key in stored.keys() - changed} == {
        key: renamed[key] for key in stored.keys() - changed
    }
    assert converted["confusion_counts"] == renamed["outcomes"]
    assert convert_result(converted) == converted
    (tmp_path / "result.json").write_text(json.dumps(converted))
    assert Result.read(tmp_path / "result.json").id == experiment.id()


def _with_new_names(text: str) -> str:
    names = {
        "gaussian_noise": "sensor_noise",
        "shot_noise": "photon_noise",
        "motion_blur": "smear",
        "fog": "haze",
        "jpeg": "low_quality",
    }
    for old, new in names.items():
        text = text.replace(f"ood/{old}-", f"ood/{new}-")
    return text


def test_an_edited_result_is_not_converted() -> None:
    stored = json.loads((OLD / "cifar10_lt" / "result.json").read_text("utf-8"))
    stored["identity"]["train"]["lr"] = 1.0
    with pytest.raises(UserError, match="are not those of its id"):
        convert_result(stored)


def test_out_of_fold_models_that_cannot_be_told_are_refused() -> None:
    (case,) = (case for case in CASES if case["benchmark"] == "cifar10_cams")
    identity = {**case["identity"], "hard": {**case["identity"]["hard"], "judges": "0" * 16}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("discl.harness.migrate.records.SEEDS", range(1))
        with pytest.raises(UserError, match="run again with this version"):
            convert_identity(identity)


def test_the_description_of_out_of_fold_models_becomes_that_of_the_same_settings() -> None:
    from discl.config.identity import fold_models_identity

    old = json.loads((OLD / "hard" / "judges.json").read_text("utf-8"))
    bench = old_benchmark("cifar10_cams")
    now = fold_models_identity(bench, bench.part("hard_rules").build().models)
    assert convert_fold_models(old) == {**now, "photos": old["photos"]}
    assert convert_fold_models(convert_fold_models(old)) == convert_fold_models(old)

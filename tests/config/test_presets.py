"""Presets: settings that belong together, by one name."""

from pathlib import Path

import pytest

from discl.config.load import BenchmarkVariants, load
from discl.config.presets.expand import presets
from discl.core.errors import UserError
from discl.harness.kept_settings import keep_settings

TURBO = {"checkpoint": "stabilityai/sd-turbo", "steps": 10, "text_guidance": 0.0}


@pytest.mark.parametrize("name", presets()["generator"])
def test_each_preset_is_a_generator_with_settings_of_its_own_checkpoint(name: str) -> None:
    bench = load("iwildcam", "paper", [f"generator.preset={name}"])
    assert bench.part("generators").build().checkpoint == bench.generator["checkpoint"]
    assert set(presets()["generator"][name]) >= {"steps", "text_guidance", "size", "dtype"}
    assert "preset" not in bench.generator


def test_a_swapped_checkpoint_keeps_nothing_of_the_guidance_of_another() -> None:
    before = load("iwildcam", "paper")
    after = load("iwildcam", "paper", ["generator.preset=sd-turbo"])
    assert before.generator["text_guidance"] == 10.0
    assert after.generator | TURBO == after.generator
    assert (before.bank.size, after.bank.size) == ([264, 480], [])


@pytest.mark.parametrize("explicit_first", [True, False])
def test_an_explicit_setting_beats_the_preset_in_either_order(explicit_first: bool) -> None:
    settings = ["generator.steps=20", "generator.preset=sd-turbo"]
    bench = load("iwildcam", "paper", settings if explicit_first else settings[::-1])
    assert bench.generator["steps"] == 20
    assert bench.generator["text_guidance"] == 0.0
    varied = BenchmarkVariants("iwildcam", "paper")
    given = {"generator.preset": "sd-turbo", "generator.steps": 20}
    assert varied.benchmark(given).generator == bench.generator


def test_the_identity_holds_the_values_and_not_the_name_of_the_preset() -> None:
    named = load("cifar10_lt", "smoke", ["generator.preset=sd-turbo"])
    values = presets()["generator"]["sd-turbo"]
    listed = [
        f"generator.{key}={value!r}".replace("'", '"')
        for key, value in values.items()
        if key != "name"
    ]
    written = load("cifar10_lt", "smoke", ["generator.name=img2img", *listed])
    assert named.part("generators").identity() == written.part("generators").identity()


def test_a_size_of_the_bank_that_is_stated_beats_the_size_of_the_preset() -> None:
    bench = load("iwildcam", "paper", ["bank.size=[256,256]", "generator.preset=sd15"])
    assert bench.bank.size == [256, 256]
    assert "size" not in bench.generator


def test_a_benchmark_file_may_name_a_preset_and_beat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mine.toml").write_text(
        'based_on = "iwildcam"\n[scale.paper.generator]\npreset = "sd15"\nsteps = 20\n'
    )
    bench = load("mine", "paper")
    assert (bench.generator["steps"], bench.generator["text_guidance"]) == (20, 7.5)
    assert "checkpoint" not in load("mine", "smoke").generator


def test_a_preset_that_is_kept_by_a_name_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keep_settings("iwildcam", "mine", ["generator.preset=sd-turbo"])
    assert "preset" not in (tmp_path / "benchmarks" / "mine.toml").read_text().split("\n", 1)[1]
    kept = load("mine", "paper").generator
    assert kept == load("iwildcam", "paper", ["generator.preset=sd-turbo"]).generator


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("generator.preset=sd-turboo", "did you mean 'sd-turbo'"),
        ("generator.preset=3", "is no name; take one of sd-turbo"),
        ("scorer.preset=sd15", "no parameter of scorer"),
    ],
)
def test_a_preset_there_is_not_is_refused_by_its_name(setting: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        load("cifar10_lt", "smoke", [setting])

"""`discl bank levels`: what a level means, through the command line and without weights."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from discl.cli import main


def _levels(*words: str) -> Result:
    return CliRunner().invoke(main, ["bank", "levels", *words])


def test_the_papers_levels_are_those_of_its_checkpoint() -> None:
    done = _levels("imagenet_lt", "--scale", "paper", "--format", "json")
    table = json.loads(done.stdout)
    # level, denoising steps, first timestep, share of the photo's contrast: the paper's sampler
    wanted = [(0, 50, 981, 0.076), (10, 45, 881, 0.131), (30, 35, 681, 0.308), (50, 25, 481, 0.55)]
    for row, (level, steps, timestep, amplitude) in zip(table["levels"], wanted, strict=False):
        assert (row["level"], row["steps"], row["timestep"]) == (level, steps, timestep)
        assert row["amplitude"] == pytest.approx(amplitude, abs=0.0006)
        assert row["start"] == 50 - steps
        assert row["signal"] == pytest.approx(1 / (1 + row["sigma"] ** 2))
    photo = table["levels"][-1]
    assert (photo["level"], photo["steps"], photo["start"], photo["signal"]) == (100, 0, None, 1)
    assert (table["scheduler"], table["size"]) == ("EulerDiscreteScheduler", None)


def test_level_0_from_noise_keeps_nothing() -> None:
    done = _levels("cifar10_lt", "--format", "json")
    table = json.loads(done.stdout)
    assert table["noise_at_0"]
    assert table["levels"][0]["signal"] == 0


def test_levels_by_signal_keep_about_what_they_say() -> None:
    settings = ("--set", "levels_as=signal", "--set", "generator.steps=50")
    done = _levels("cifar10_lt", *settings, "--format", "json")
    table = json.loads(done.stdout)
    assert table["levels_as"] == "signal"
    for row in table["levels"]:
        assert row["signal"] == pytest.approx(row["level"] / 100, abs=0.02)


def test_the_size_counts_where_noise_is_shifted_with_it(tmp_path: Path) -> None:
    files = {
        "model_index.json": {"_class_name": "FluxPipeline"},
        "scheduler/scheduler_config.json": {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "use_dynamic_shifting": True,
        },
        "transformer/config.json": {},
        "vae/config.json": {"block_out_channels": [8, 16, 16, 16]},
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    words = ("folder", "--set", f"generator.checkpoint={tmp_path}", "--set", "generator.steps=28")
    words += ("--set", f"dataset.root={tmp_path}", "--set", "levels=[50]", "--format", "json")
    sigmas = {}
    for size in ("512x512", "1024x1024"):
        table = json.loads(_levels(*words, "--size", size).stdout)
        assert table["size"] == [*map(int, size.split("x"))]
        sigmas[size] = table["levels"][0]["sigma"]
    assert sigmas == pytest.approx({"512x512": 0.65249, "1024x1024": 0.75951}, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "generator.name=blend"], "generator 'blend' has no table of levels"),
        (["--size", "12"], "--size '12': give width and height"),
        (["--size", "0x8"], "--size '0x8'"),
        (["--set", "levels_as=power"], "levels_as = 'power': input should be 'steps' or 'signal'"),
        (["--set", "levels_as=signal"], "set generator.steps = 13, the fewest above 12"),
        (["--set", "levels=[50,51]"], "set generator.steps = 13, the fewest above 12"),
        (["--set", "generator.checkpoint=nobody/nothing"], "hf download nobody/nothing"),
    ],
)
def test_bad_input_is_answered_in_a_sentence(words: list[str], says: str) -> None:
    done = _levels("cifar10_lt", *words)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())

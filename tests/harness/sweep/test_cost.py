"""What `plan` says of a bench, and how near it comes to what then happens."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from discl.cli.render.cost import print_by_flops, print_time, source_of_time
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.progress import no_progress
from discl.files.disk import home
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.sweep.cost import OFF_BY, estimate_cost, misjudged
from tests.faults.bench import spec_of
from tests.make_mini import make
from tests.shared import made_once

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "sixty", lambda folder: make("folder", folder, images=60))


def test_work_is_told_by_strategy_with_what_is_hard(photos: Path) -> None:
    spec = spec_of(photos).model_copy(
        update={"strategies": ["static", "real_only"], "seeds": [0, 1]}
    )
    cost = estimate_cost(experiments(spec), Store(), no_progress, timed=False)
    assert set(cost.strategies) == {"static", "real_only"}
    assert [each.runs for each in cost.strategies.values()] == [2, 2]
    assert cost.strategies["real_only"].levels <= {100}
    assert len(cost.strategies["static"].levels) > 1
    steps = sum(each.optimiser_steps for each in cost.strategies.values())
    assert steps == cost.optimiser_steps
    assert cost.hard
    assert 0 < (cost.hard_classes or 0) <= (cost.classes or 0)
    assert cost.run_bytes > 0


def test_without_time_only_what_was_timed_before_is_known_and_the_rest_is_named(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = estimate_cost(experiments(spec_of(photos)), Store(), no_progress, seconds=0)
    assert math.isnan(cost.minutes)
    print_time(cost.minutes, "minutes", 1, "", cost.unmeasured, cost.known_minutes)
    print_time(cost.minutes, "minutes", 1, "", cost.unmeasured[1:], 3.21)
    first, second = " ".join(capsys.readouterr().out.split()).split(" time here ")
    assert first.endswith("a sample of making images and training takes too long here")
    assert second.endswith("training takes too long here; all else takes 3.2 minutes")


def test_time_by_flops_is_said_to_be_rough(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = estimate_cost(experiments(spec_of(photos)), Store(), no_progress, timed=False)
    assert source_of_time(cost, "from a sample") == "from a sample"
    rough = replace(cost, by_flops=("training",))
    assert source_of_time(rough, "from a sample").startswith("rough, by FLOPs")
    print_by_flops(rough)
    assert "rough: twice or half as long" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("expected", "taken", "told"),
    [(10, 14, False), (10, 16, True), (10, 6, True), (0.1, 0.2, False), (math.nan, 9, False)],
)
def test_an_estimate_that_was_far_off_is_told_and_forgotten(
    expected: float, taken: float, told: bool
) -> None:
    home().mkdir(parents=True, exist_ok=True)
    paces = home() / "paces.json"
    paces.write_text("{}")
    assert bool(misjudged(expected, taken)) == told
    assert paces.exists() != told


FEW = ["strategies=['static','real_only']", "bank.variants=1"]
SHORT = ["train.epochs=6", "train.curriculum_epochs=4", "train.evaluate_every=2"]
BLENDED = ["generator.name=blend", "levels=[50,100]"]
CASES = {
    "smoke": ["bench", "cifar10_lt", *FEW, *SHORT, "levels=[20,30,100]"],
    "frozen": ["bench", "cifar10_lt", *FEW, *SHORT, *BLENDED, "backbone.frozen=true"],
    "own folder": ["bench", "folder", *FEW, "levels=[50,100]"],
    "sweep": ["sweep", "few_losses"],
}
SWEEP = """
benchmark = "cifar10_lt"
strategies = ["static", "real_only"]
seeds = [0]

[set]
"generator.name" = "blend"
"levels" = [50, 100]
"bank.variants" = 1
"train.epochs" = 6
"train.curriculum_epochs" = 4
"train.evaluate_every" = 2

[grid]
loss = [{ name = "ce", smoothing = 0.0 }, { name = "balanced_softmax" }]
"""


@pytest.mark.timeout(3600)
@pytest.mark.slow(reason="half a minute of two cores for each of four comparisons")
@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_within_half_as_much_again_of_what_then_happens(
    case: str, tmp_path: Path
) -> None:
    """Side by side, so that what else the machine does slows down both; data are there before."""
    words = list(CASES[case])
    if case == "own folder":
        words.append(f"dataset.root={make('folder', tmp_path / 'photos', images=200)}")
        Bench(load("folder", "smoke", words[2:])).dataset.prepare(no_progress)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "few_losses.toml").write_text(SWEEP)

    def begun(what: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.prices", what, *words],
            env={
                **os.environ,
                "DISCL_HOME": str(tmp_path / what),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            },
            cwd=tmp_path,  # where the sweep lies
            stdout=subprocess.PIPE,
            text=True,
        )

    with begun("plan") as plan, begun("make") as bench:
        expected, taken = (float(each.communicate()[0].split()[-1]) for each in (plan, bench))
    print(f"{case}: {expected:.1f} s expected, {taken:.1f} s taken, {taken / expected:.2f}")
    assert bench.returncode == 0
    assert 1 / OFF_BY <= taken / expected <= OFF_BY

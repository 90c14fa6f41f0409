"""What `plan` says of a bench, and how near it comes to what then happens."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from discl.config.experiment import experiments
from discl.core.progress import no_progress
from discl.files.disk import home
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


def test_without_time_only_what_was_timed_before_is_known(photos: Path) -> None:
    cost = estimate_cost(experiments(spec_of(photos)), Store(), no_progress, seconds=0)
    assert math.isnan(cost.minutes)


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


FEW = ["strategies=['static','real_only']", "seeds=[0]", "bank.variants=2", "train.epochs=6",
       "train.curriculum_epochs=4", "train.evaluate_every=2"]  # fmt: skip
CASES = {
    "smoke": FEW,
    "frozen": [*FEW, "backbone.frozen=true"],
    "text": [*FEW, "strategies=['text_only','adaptive','reverse']"],
}


@pytest.mark.slow(reason="whole benches, each planned and made in a process of its own")
@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_within_half_as_much_again_of_what_then_happens(
    case: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "DISCL_HOME": str(tmp_path / case), "OMP_NUM_THREADS": "1"}

    def seconds(what: str) -> float:
        command = [sys.executable, "-m", "tests.prices", what, "cifar10_lt", *CASES[case]]
        told = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
        return float(told.stdout.split()[-1])

    expected, taken = seconds("plan"), seconds("make")
    print(f"{case}: {expected:.1f} s expected, {taken:.1f} s taken, {taken / expected:.2f}")
    assert 1 / OFF_BY <= taken / expected <= OFF_BY

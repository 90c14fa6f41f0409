"""A package that adds a part of five kinds, a file each: installed, run, shown, in contract."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl import testing
from discl.cli import main
from discl.config.load import load
from discl.core import registry
from discl.core.registry import bind
from discl.core.result import Result
from discl.harness.leaderboard.columns import of
from discl.harness.leaderboard.stored import stored_results
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.verify import verify
from discl.harness.leaderboard.wording import header, lines
from discl.harness.report.comparison import Comparison
from discl.harness.report.histories import load_histories
from discl.harness.run.store import Store
from tests.wandb_server import serving

BENCHMARK = """
title = "Colours"
strategies = ["real_rebalanced", "all_levels", "static", "ends"]
seeds = [0, 1]
levels = [30, 50, 100]
dataset = { name = "colours" }
generator = { name = "blend" }
hard_rule = { name = "every_nth", n = 3 }
loss = { name = "smooth", smoothing = 0.2 }
backbone = { model = "test_resnet", arguments = {}, stem_stride = 4 }
trackers = []

[bank]
variants = 1

[metrics]
extra = ["g_mean", "macro_f1_all"]

[metric.g_mean]
floor = 0.001

[select]
metric = "val/g_mean"

[train]
epochs = 3
curriculum_epochs = 2
evaluate_every = 1
warmup_epochs = 1
batch = 32
random_translate = 1

[scale.smoke]
"""


def forget_parts() -> None:
    """What packages are installed is asked anew."""
    registry.look_again()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in."""
    folder = tmp_path_factory.mktemp("package")
    # built from a copy: setuptools leaves its build folder beside the source
    source = shutil.copytree(Path(__file__).parent / "plugin", folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    target = folder / "installed"
    subprocess.run(
        [*pip, "--target", str(target), str(source)], check=True, capture_output=True, timeout=120
    )
    return target


@pytest.fixture(scope="module")
def installed(package: Path) -> Iterator[None]:
    """The package can be imported, and its parts are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(package))
        forget_parts()
        yield
    for module in [name for name in sys.modules if name.startswith("discl_example")]:
        del sys.modules[module]
    forget_parts()


@pytest.fixture(scope="module")
def folder(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of the package's parts, and its runs."""
    folder = tmp_path_factory.mktemp("colours")
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "colours.toml").write_text(BENCHMARK, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCL_HOME", str(folder / "home"))
        patch.chdir(folder)
        done = CliRunner().invoke(main, ["bench", "colours"])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As if in the folder of the benchmark."""
    monkeypatch.setenv("DISCL_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    return folder


def results() -> list[Result]:
    return stored_results(load("colours"), Store())


# ---------------------------------------------------------------- contracts


@pytest.mark.usefixtures("installed")
class TestEnds(testing.StrategyContract):
    @pytest.fixture
    def part(self) -> Any:
        return bind("strategies", "ends", {}).build()


@pytest.mark.usefixtures("installed")
class TestSmooth(testing.LossContract):
    @pytest.fixture
    def part(self) -> Any:
        return bind("losses", "smooth", {}).build()


@pytest.mark.usefixtures("installed")
class TestGMean(testing.MetricContract):
    @pytest.fixture
    def part(self) -> Any:
        return bind("metrics", "g_mean", {}).build()


@pytest.mark.usefixtures("installed")
class TestEveryNth(testing.HardRuleContract):
    @pytest.fixture
    def part(self) -> Any:
        return bind("hard_rules", "every_nth", {}).build()


@pytest.mark.usefixtures("installed")
class TestColours(testing.DatasetContract):
    @pytest.fixture
    def part(self) -> Any:
        return bind("datasets", "colours", {}).build()


# ---------------------------------------------------------------- where they are shown


def test_each_kind_lists_the_part(installed: None) -> None:
    for kind, name in {
        "strategies": "ends",
        "losses": "smooth",
        "metrics": "g_mean",
        "hard_rules": "every_nth",
        "datasets": "colours",
    }.items():
        listed = CliRunner().invoke(main, ["list", kind])
        assert listed.exit_code == 0, listed.output
        assert name in listed.output


def test_the_metric_chooses_epochs_and_ranks_the_leaderboard(there: Path) -> None:
    made = board(load("colours"), results())
    assert made.first == "test/g_mean"
    assert header(made)[3] == "all"
    assert made.columns["test/macro_f1_all"] == "macro-F1 over all classes of the dataset"
    assert made.columns["ood/g_mean"] == "ood"
    assert made.caption.startswith("`all` is G-mean on test;")
    assert len(lines(made)) == 4
    shown = CliRunner().invoke(main, ["leaderboard", "colours", "--format", "md"])
    assert "`all` is G-mean on test;" in shown.output
    assert "| ends |" in shown.output


def test_numbers_can_be_computed_again_and_carry_their_standard_error(there: Path) -> None:
    store = Store()
    assert all("test/g_mean" in result.errors for result in results())
    paths = []
    for result in results():  # where a published result lies
        path = there / "results" / "colours" / "smoke" / f"{result.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.to_json(), "utf-8")
        paths.append(path)
    verified = verify(paths, store)
    assert verified.faults == []
    assert verified.from_predictions == len(paths) == 8


def test_the_report_credits_no_order_to_a_strategy_without_one(there: Path) -> None:
    made = board(load("colours"), results())
    comparison = Comparison(made, load_histories(made, Store()))
    steps = comparison.gain_steps["test/g_mean"]
    assert ("order", "static") in {(step.step, step.strategy) for step in steps}
    assert "ends" not in {step.strategy for step in steps}
    page = there / "report.html"
    answer = CliRunner().invoke(main, ["report", "colours", "--output", str(page)])
    assert answer.exit_code == 0, answer.output
    text = page.read_text("utf-8")
    assert "geometric mean of recall over classes present in the split, each &gt;= 0.001" in text


def test_wandb_has_the_metric_of_every_run(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [run for run in results() if run.strategy in ("ends", "static") and run.seed == 0]
    assert len(sent) == 2
    for kept in ("banks", *(f"runs/{result.id}" for result in sent)):
        shutil.copytree(there / "home" / kept, tmp_path / "home" / kept)
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    with serving() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        answer = CliRunner().invoke(main, ["wandb", "sync"])
        assert answer.exit_code == 0, answer.output
        import wandb

        wandb.teardown()
        trained = [run for run in server.runs.values() if run.labels.get("jobType") == "train"]
        values = {run.name: run.summary["test/g_mean"] for run in trained}
    assert values == {result.id: result.under("last").metrics["test/g_mean"] for result in sent}
    assert {run.summary["best/g_mean"] >= run.summary["last/g_mean"] for run in trained} == {True}


def test_a_leaderboard_knows_the_parts_where_the_package_is_not_installed(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = results()
    spec = load("cifar10_lt", settings=["seeds=[0,1]"])  # where others publish theirs
    for kind, name in {"metrics": "g_mean", "strategies": "ends"}.items():
        monkeypatch.delitem(registry.names(kind), name)
    shown = of(made)
    assert shown.caption.startswith("`all` is G-mean on test;")
    rows = {row.strategy: row.ordered for row in board(spec, made).rows}
    assert rows == {"real_rebalanced": False, "all_levels": False, "static": True, "ends": False}
    path = there / "results" / "colours" / "smoke" / f"{made[0].id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made[0].to_json(), "utf-8")
    (fault,) = verify([path], Store()).faults
    assert "metric 'g_mean' is not installed here" in fault


def test_results_of_our_own_parts_hold_nothing_more(there: Path) -> None:
    stored = [json.loads(result.to_json()) for result in results()]
    assert {tuple(sorted(result["plugins"])) for result in stored} == {
        ("metrics",),
        ("metrics", "strategy"),
    }
    assert stored[0]["plugins"]["metrics"].keys() == {"g_mean"}

"""`discl sweep` at the door: what it refuses before any work, and what it shows of a sweep that
goes by.
"""

import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from discl.cli import main
from discl.cli.render.progress import Screen
from discl.config.experiment import Experiment, experiments
from discl.config.load import load
from discl.core.progress import TRAINING, work
from discl.core.result import Result
from discl.files.disk import home
from discl.harness.run.store import Failure
from discl.harness.sweep.cost import CostEstimate
from discl.harness.sweep.planned_run import Outcome, PlannedRun

GRID = """
benchmark = "cifar10_lt"
strategies = ["real_only"]
seeds = [0]
[grid]
"train.lr" = [0.001, 0.01]
"""
TUNE = """
benchmark = "cifar10_lt"
strategies = ["real_only"]
[space."train.lr"]
type = "float"
low = 1e-4
high = 1e-1
[tune]
trials = 3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "grid.toml").write_text(GRID)
    (tmp_path / "sweeps" / "tune.toml").write_text(TUNE)
    monkeypatch.chdir(tmp_path)


def _write(text: str) -> None:
    Path("sweeps/mine.toml").write_text(text)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gird"], "no sweep called 'gird'; did you mean 'grid'?"),
        (["grid", "--benchmark", "cifar10_l"], "did you mean 'cifar10_lt'"),
        (["grid", "--scale", "big"], "no scale called 'big'"),
        (["grid", "--strategies", "static,sttic"], "did you mean 'static'"),
        (["grid", "--seeds", "one"], "--seeds 'one'"),
        (["grid", "--seeds", "0,-1"], "-1"),
        (["grid", "--seeds", "0,0"], "repeats itself"),
        (["grid", "--set", "train.epochs"], "--set 'train.epochs' is not of the form key=value"),
        (["grid", "--set", "train.epoch=3"], "did you mean 'train.epochs'"),
        (["grid", "--set", "train.lr=0.1"], "'train.lr' is an axis of the grid"),
        (["grid", "--set", "train.epochs=0"], "train.epochs = 0"),
        (["grid", "--executor", "locl"], "no executor called 'locl'; did you mean 'local'?"),
        (["grid", "--executor-set", "wrkers=2"], "did you mean 'workers'"),
        (["grid", "--executor-set", "workers=0"], "workers = 0"),
        (["grid", "--executor-set", "workers=many"], "workers = 'many'"),
        (["grid", "--executor-set", "workers"], "not of the form key=value"),
        (["grid", "--workers", "0"], "--workers"),
        (["grid", "--address", "auto"], "'address'"),
        (["grid", "--retry", "-1"], "--retry"),
        (["grid", "--trackers", "wandbb"], "did you mean 'wandb'"),
        (
            ["grid", "--retest", "3"],
            "--retest is for tuning sweeps, and sweep 'grid' is none of them",
        ),
        (["tune", "--reseed", "3"], "--reseed was renamed in 0.2; write --retest"),
        (["order", "-o", "o.png"], "-o was renamed in 0.2; write discl order-test NAME -o FILE"),
        (["grid", "--engine", "ray"], "--engine was renamed in 0.2; write --executor"),
        (["grid", "--engine-set", "a=1"], "--engine-set was renamed in 0.2; write --executor-set"),
        (["grid", "--json", "out.json"], "--json was renamed in 0.2; write --format json"),
        (["grid", "--as", "other"], "--as is for tuning sweeps"),
        (["grid", "--storage", "sqlite:///x.db"], "--storage is for tuning sweeps"),
        (["order"], "'order' is an order test; run `discl order-test order`"),
        (["tune", "--seeds", "4,5"], "tune.seeds = [0, 1, 2]"),
        (["tune", "--storage", "mysql://x/y"], "studies cannot be kept in 'mysql'"),
        (["tune", "--storage", "sqlite:////nowhere/studies.db"], "/nowhere is no folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_before_any_work(words: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["sweep", *words])
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 or "Usage" in done.stderr
    assert not (home() / "runs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ordr"], "no benchmark or sweep called 'ordr'; did you mean 'order'?"),
        (["cifar10_l"], "did you mean 'cifar10_lt'"),
        (["grid"], "sweep 'grid' has no table [order]"),
        (["cifar10_lt", "--seeds", "0"], "an order test of seeds [0]"),
        (["cifar10_lt", "-o", "order.gif"], "a picture is a .png or .svg file"),
        (["order", "-o", "sweeps/grid.toml/order.png"], "cannot be written"),
        (["order", "--engine", "ray"], "--engine was renamed in 0.2; write --executor"),
    ],
)
def test_an_order_test_that_cannot_be_is_refused_in_a_line(words: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["order-test", *words])
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert not (home() / "runs").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GRID.replace("train.lr", "train.lrr"), "did you mean 'train.lr'"),
        (GRID.replace("[0.001, 0.01]", "[]"), "the grid is empty"),
        (GRID + "[[exclude]]\nseed = 0\n", "nothing is left of the grid"),
        (GRID + "[[exclude]]\nseed = 0\n[[include]]\nseed = 0\n", "included and excluded"),
        (TUNE.replace("trials = 3", "trials = 0"), "tune.trials = 0"),
        (
            TUNE + 'objective = ["ood/macro_acc"]\n',
            "is read once, at the end; choosing by it would bias it",
        ),
        (TUNE.replace("high = 1e-1", "high = 1e-5"), "is not below"),
        (TUNE.replace("low = 1e-4", "low = -1"), "reaches -1"),
        (TUNE.replace("[tune]\ntrials = 3\n", ""), "no [tune]"),
        ("benchmark = [", "not valid TOML"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_bad_file_is_refused_in_a_line_that_names_it(
    text: str, says: str, more: list[str]
) -> None:
    _write(text)
    done = CliRunner().invoke(main, ["sweep", "mine", *more])
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert says in done.stderr
    assert "mine.toml" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (home() / "runs").exists()


def test_help_teaches_with_examples() -> None:
    said = CliRunner().invoke(main, ["sweep", "--help"]).output
    for example in (
        "discl sweep losses --dry-run",
        "--retest 5",
        "discl order-test",
        "--executor ray --address auto",
    ):
        assert example in said
    said = CliRunner().invoke(main, ["order-test", "--help"]).output
    assert "discl order-test cifar10_lt --workers 2 -o order.png" in said


# ---------------------------------------------------------------- the screen


@pytest.fixture(scope="module")
def four() -> list[Experiment]:
    return experiments(
        load("cifar10_lt", settings=["strategies=['static', 'real_only']", "seeds=[0, 1]"])
    )


def _done(experiment: Experiment, value: float) -> Outcome:
    metrics = {"val/macro_acc": value}
    named = (
        experiment.id(),
        0,
        experiment.name,
        "cifar10_lt",
        "smoke",
        experiment.strategy,
        experiment.seed,
    )
    return Outcome(Result(*named, {}, {}, metrics, [], [], [], 0, {}, {}, {}), seconds=1.0)


STOPPED = Outcome(failure=Failure("stopped", "given up after epoch 9"))
FAILED = Outcome(failure=Failure("error", "RuntimeError: out of memory", peak_bytes=7_250_000_000))


def _gone_by(screen: Screen, four: list[Experiment]) -> None:
    """Two runs that are done, one given up, one that failed and one under way."""
    labels = ["static [0, 50]", "better", "[bold]static[/bold]", "real [/] only"]
    jobs = [
        PlannedRun(experiment, label=label) for experiment, label in zip(four, labels, strict=True)
    ]
    for job, outcome in zip(
        jobs, (_done(four[0], 0.25), _done(four[1], 0.5), STOPPED, FAILED), strict=True
    ):
        screen.started(job)
        screen.ended(job, outcome)
    screen.started(PlannedRun(four[2], label="static, under way [/]"))


def test_without_a_terminal_a_sweep_is_a_log_of_plain_lines(
    four: list[Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    with Screen("Rates", 9, 3, "val/macro_acc") as screen:
        _gone_by(screen, four)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "4/9 static [0, 50]: val/macro_acc 25.0%",
        "5/9 better: val/macro_acc 50.0%",
        "5/9 [bold]static[/bold]: given up after epoch 9",
        "5/9 real [/] only failed: RuntimeError: out of memory, peak memory 7.25 GB",
    ]
    assert all("left)" in line for line in lines)


def test_a_terminal_shows_what_is_done_running_and_failed_and_the_best_so_far(
    four: list[Experiment],
) -> None:
    screen = Screen("Rates [of learning]", 9, 3, "val/macro_acc")
    screen.plain = False
    _gone_by(screen, four)
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(screen.picture())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for said in (
        "Rates [of learning]",
        "5/9 done (3 were stored), 1 running, 1 failed, 1 given up",
        "static, under way [/]",
        "beginning",
        "best val/macro_acc 50.0%: better",
        "left",
        "failed: real [/] only: RuntimeError: out of memory",
    ):
        assert said in shown, shown


def test_the_time_left_is_as_runs_have_come_so_far(
    four: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("discl.cli.render.progress.time.monotonic", lambda: clock[0])
    screen = Screen("Rates", 7, 3, "val/macro_acc")
    screen.plain = False
    assert screen.time_left() == ""
    for experiment in four[:2]:
        clock[0] += 1900.0  # two runs in 3800 s, two to go
        screen.ended(PlannedRun(experiment), _done(experiment, 0.1))
    assert screen.time_left() == "1:03:20"
    for experiment in four[2:]:
        screen.ended(PlannedRun(experiment), _done(experiment, 0.1))
    assert screen.time_left() == ""


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_screen_of_a_sweep_is_whole_at_any_width(four: list[Experiment], width: int) -> None:
    screen = Screen("Learning rates of every strategy there is, tuned alike", 9, 3, "val/macro_acc")
    screen.plain = False
    screen.started(PlannedRun(four[0], label="real_rebalanced, lr 0.0123, seed 12"))
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(screen.picture())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    assert "…" not in shown
    text = " ".join(shown.split())
    for word in ("there is, tuned alike", "3/9 done (3 were stored), 1 running", "seed 12:"):
        assert word in text
    if width >= 60:
        assert "━" in shown


def test_in_this_process_the_time_left_goes_by_the_work_before_a_run_is_done(
    four: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    cost = CostEstimate(
        4, 0, 0, 0, 0, 0, 0, optimiser_steps=100, trained_images=0, starts=0, minutes=0
    )
    with Screen("Rates", 8, 4, "val/macro_acc", cost) as screen:
        screen.started(PlannedRun(four[0]))
        for _ in range(11):
            clock[0] += 6.0
            work().done(TRAINING, 1)
        assert screen.time_left() == "0:08:54"
        assert screen.rows()[0].share == pytest.approx((4 + 4 * 0.11) / 8)
        assert screen.rows()[0].elapsed == "1:06 spent"


def test_a_run_that_failed_and_then_succeeded_is_not_shown_as_failed(
    four: list[Experiment],
) -> None:
    screen = Screen("Rates", 1, 0, "val/macro_acc")
    screen.plain = False
    screen.ended(PlannedRun(four[0]), FAILED)
    assert screen.failed
    screen.ended(PlannedRun(four[0]), _done(four[0], 0.1))
    assert (screen.failed, screen.done) == ({}, 1)

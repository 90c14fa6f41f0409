"""Each run of a list is made once, whatever fails, is busy, is lost or is interrupted."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tomllib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.experiment import Experiment
from discl.config.sweep import SweepFile
from discl.config.sweep_expand import expand
from discl.core.errors import UserError
from discl.core.interfaces import NOT_READY, EpochReport, WorkersDied
from discl.core.result import Result
from discl.files.disk import data_home, home
from discl.harness.run.store import BusyError, Failure, Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.sweep.run_list import RunList
from discl.harness.sweep.run_status import status
from discl.harness.sweep.runner import BENCHES, Runner
from discl.harness.sweep.scheduler import LOST_IN_A_ROW, launch
from discl.harness.tuning.pruning import MedianStopping
from discl.parts.executors.local import LocalProcesses
from tests import results, sweeps
from tests.sweeps import Ready

WRONG = Failure("error", "RuntimeError: out of memory", "Traceback ...", 5_000_000_000)


def _grid(**grid: list[Any]) -> list[Experiment]:
    """Runs on a few photos, which take a moment each."""
    said = tomllib.loads(sweeps.COMMON) | {
        "name": "few",
        "strategies": ["real_rebalanced"],
        "seeds": [0],
        "grid": grid,
    }
    said["set"] = {path: value for path, value in said["set"].items() if path not in grid}
    return [point.experiment for point in expand(SweepFile(**said))]


@pytest.fixture
def few(tiny: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with images and features of the photos that lie where we are; no run."""
    monkeypatch.chdir(tiny.folder)
    return tiny.copy(tmp_path / "home")


class Seen:
    """A watcher that keeps what it sees."""

    def __init__(self, do: Callable[[int], None] = lambda _: None) -> None:
        self.given_out, self.took_in, self.do = list[str](), list[tuple[str, Outcome]](), do

    def started(self, job: PlannedRun) -> None:
        self.given_out.append(job.experiment.id())
        self.do(len(self.given_out))

    def ended(self, job: PlannedRun, outcome: Outcome) -> None:
        self.took_in.append((job.experiment.id(), outcome))


def _runner() -> Runner:
    return Runner(str(home()), str(data_home()), [])


def _made_up(experiment: Experiment) -> Result:
    return results.result(experiment)


def _stored(experiment: Experiment) -> Result:
    number, folder = Store().new_attempt(experiment.id())
    result = dataclasses.replace(_made_up(experiment), attempt=number)
    Store().finish(folder, result)
    return result


# ---------------------------------------------------------------- a list


@pytest.fixture(scope="module")
def three() -> list[Experiment]:
    return [
        point.experiment
        for point in expand(
            SweepFile(name="x", benchmark="cifar10_lt", strategies=["real_only"], seeds=[0, 1, 2])
        )
    ]


def _next(agenda: RunList) -> PlannedRun:
    job = agenda.next()
    assert isinstance(job, PlannedRun)
    return job


def test_what_the_store_has_is_not_given_out_and_equal_runs_are_one(
    three: list[Experiment],
) -> None:
    stored = _stored(three[1])
    agenda = RunList(
        [*three, three[0], three[2]], Store(), group="g", labels={three[0].id(): "the first"}
    )
    first, last = _next(agenda), _next(agenda)
    assert [job.experiment for job in (first, last)] == [three[0], three[2]]
    assert (first.name, first.group, last.name) == ("the first", "g", three[2].name)
    assert agenda.next() is NOT_READY  # one of the two may fail yet
    agenda.take(first, Outcome(_made_up(three[0])))
    agenda.take(last, Outcome(_made_up(three[2])))
    assert agenda.next() is None
    assert agenda.stored == 1
    assert set(agenda.results) == {experiment.id() for experiment in three}
    assert agenda.results[three[1].id()] == stored


def test_a_run_that_fails_is_tried_again_as_often_as_said_and_at_the_next_launch(
    three: list[Experiment],
) -> None:
    agenda = RunList(three[:2], Store(), retry=2)
    given = list[str]()
    while isinstance(job := agenda.next(), PlannedRun):
        given.append(job.experiment.id())
        agenda.take(
            job,
            (
                Outcome(failure=WRONG)
                if job.experiment == three[0]
                else Outcome(_made_up(job.experiment))
            ),
        )
    assert (given.count(three[0].id()), given.count(three[1].id())) == (3, 1)
    assert agenda.failures == {three[0].id(): WRONG}
    assert set(agenda.results) == {three[1].id()}
    assert _next(RunList(three[:1], Store())).experiment == three[0]


def test_a_run_that_succeeds_after_all_has_not_failed(three: list[Experiment]) -> None:
    agenda = RunList(three[:1], Store(), retry=1)
    agenda.take(_next(agenda), Outcome(failure=WRONG))
    agenda.take(_next(agenda), Outcome(_made_up(three[0])))
    assert (agenda.next(), agenda.failures, set(agenda.results)) == (None, {}, {three[0].id()})


def test_a_run_that_somebody_else_makes_is_looked_for_after_the_others(
    three: list[Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = "discl.harness.sweep.run_list.BUSY_PAUSE_SECONDS"
    monkeypatch.setattr(pause, 3600.0)  # however slow the machine is
    agenda = RunList(three[:2], Store())
    busy = _next(agenda)
    agenda.take(busy, Outcome())
    other = _next(agenda)
    assert other.experiment == three[1]
    agenda.take(other, Outcome(_made_up(three[1])))
    assert agenda.next() is NOT_READY
    monkeypatch.setattr(pause, 0.0)
    assert _next(agenda).experiment == busy.experiment
    agenda.take(busy, Outcome(_made_up(three[0])))
    assert agenda.next() is None
    assert (agenda.failures, len(agenda.results)) == ({}, 2)


@pytest.mark.parametrize("where", ["job", "outcome"])
def test_what_travels_to_a_worker_and_back_is_the_same_there(
    where: str, three: list[Experiment]
) -> None:
    stop = MedianStopping("val/macro_acc", 25, 2, (((4, 0.5), (9, 0.6)),))
    travelling = {
        "job": PlannedRun(three[0], "group", "label", stop, ("static", 0, 7)),
        "outcome": Outcome(_made_up(three[0]), WRONG, {"cost/images": 3.0}, ((4, 0.5),), 2.0),
    }[where]
    assert pickle.loads(pickle.dumps(travelling)) == travelling  # noqa: S301 - what we just made


# ---------------------------------------------------------------- claims


def test_a_run_has_one_maker_in_a_store_and_a_dead_one_holds_nothing(
    three: list[Experiment],
) -> None:
    store, id = Store(), three[0].id()
    hold = f"""
import time
from pathlib import Path
from discl.harness.run.store import Store
with Store(Path({str(store.root)!r})).claimed({id!r}):
    print("held", flush=True)
    time.sleep(600)
"""
    with (
        store.claimed(three[1].id()),
        store.claimed(id),
        pytest.raises(BusyError, match=id),
        Store().claimed(id, wait=False),
    ):
        pass
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError), store.claimed(id, wait=False):
            pass
        told: list[int] = []

        def waiting(done: int) -> None:
            told.append(done)
            other.kill()  # only so can the wait end

        with store.claimed(id, waiting=waiting):
            assert told == [0, 1]


# ---------------------------------------------------------------- runs


class Breaking:
    """A tracker in whose presence runs of one seed raise after their first epoch."""

    version = 1

    def __init__(self, error: BaseException, seed: int) -> None:
        self.error, self.seed, self.now = error, seed, -1

    def start(self, run: Any) -> None:
        self.now = run["config"]["seed"]

    def progress(self, what: str, done: int, total: int) -> None: ...
    def finish(self, summary: Any) -> None: ...
    def report(self, report: EpochReport) -> None:
        if self.now == self.seed:
            raise self.error


def test_a_run_that_raises_becomes_a_failure_with_its_traceback_and_peak_and_the_next_ones_go_on(
    few: Path,
) -> None:
    runs, runner = _grid(seed=[0, 1]), _runner()
    runner.tracker = CompositeTracker(
        [*runner.tracker.trackers, Breaking(MemoryError("Unable to allocate 80. TiB"), seed=0)]
    )
    broken, whole = (runner(PlannedRun(experiment)) for experiment in runs)
    assert broken.result is None
    assert broken.failure is not None
    assert (broken.failure.kind, broken.failure.why) == (
        "error",
        "MemoryError: Unable to allocate 80. TiB",
    )
    assert "in report" in broken.failure.details
    assert broken.failure.details.startswith("Traceback")
    assert broken.failure.peak_bytes is not None
    assert 50e6 < broken.failure.peak_bytes < 50e9
    (noted,) = Store().failures(runs[0].id())
    assert dataclasses.replace(noted, date="") == broken.failure
    assert noted.date
    assert Store().find(runs[0].id()) is None
    assert whole.failure is None
    assert whole.result == Store().find(runs[1].id())
    assert whole.seconds > 0
    assert [epoch for epoch, _ in whole.curve] == [1, 3, 5]
    assert (
        max(value for _, value in whole.curve)
        == pytest.approx(whole.result.metrics["val/macro_acc"])
        if whole.result
        else False
    )


def test_what_a_user_can_mend_is_said_without_the_name_of_an_exception(few: Path) -> None:
    (experiment,) = _grid(**{"backbone.arguments": [{"nonsense": 1}]})
    failure = _runner()(PlannedRun(experiment)).failure
    assert failure is not None
    assert failure.why.startswith(
        "timm model 'test_resnet' does not take backbone.arguments {'nonsense': 1}"
    )


def test_a_run_that_somebody_else_is_at_is_neither_made_nor_failed(few: Path) -> None:
    (experiment,) = _grid()
    with Store().claimed(experiment.id()):
        assert _runner()(PlannedRun(experiment)) == Outcome()
    assert Store().failures(experiment.id()) == []


def test_a_run_that_is_stored_is_told_with_its_curve_and_costs_without_being_made(
    few: Path,
) -> None:
    (experiment,) = _grid(strategy=["static"])
    made, again = _runner()(PlannedRun(experiment)), _runner()(PlannedRun(experiment))
    assert made.result is not None
    assert (again.result, again.curve, again.costs) == (made.result, made.curve, made.costs)
    assert made.curve
    hard = made.costs["cost/images"] / 2  # of levels 0 and 50, one image each
    assert hard == int(hard) > 0
    assert made.costs["cost/denoising_steps"] == hard * (
        20 + 10
    )  # of a grid of 20 steps, all and half
    assert len(list((Store().root / experiment.id()).glob("[0-9]*"))) == 1


def test_a_run_may_be_given_up_by_whoever_asked_for_it(few: Path) -> None:
    (experiment,) = _grid()
    given_up = _runner()(PlannedRun(experiment, stop=_third_epoch))
    assert given_up.failure is not None
    assert (given_up.failure.kind, given_up.failure.why) == ("stopped", "given up after epoch 3")
    assert [epoch for epoch, _ in given_up.curve] == [1, 3]
    assert Store().find(experiment.id()) is None
    assert Store().failures(experiment.id()) == []  # nothing went wrong
    assert _runner()(PlannedRun(experiment)).result is not None


def _third_epoch(history: Any) -> bool:
    return bool(history[-1].epoch == 3)


def test_the_parts_of_benchmarks_that_take_turns_are_built_once(few: Path) -> None:
    runs, runner = _grid(seed=[0, 1], **{"train.lr": [0.001, 0.01]}), _runner()
    benches = [runner.bench_of(experiment.benchmark) for experiment in runs]
    assert [experiment.benchmark.train.lr for experiment in runs] == [0.001, 0.01, 0.001, 0.01]
    assert benches[0] is benches[2] is not benches[1]
    assert benches[1] is benches[3]
    parts = [
        weakref.ref(bench.hard_photos) for bench in benches[:1]
    ]  # it refers back to its benchmark
    others = _grid(**{"train.batch": list(range(8, 8 + BENCHES))})
    for experiment in others:
        runner.bench_of(experiment.benchmark)
    assert len(runner.benches) == BENCHES
    assert runner.bench_of(runs[0].benchmark) is not benches[0]  # a worker keeps only so many
    assert [part() for part in parts] == [
        None
    ]  # and lets go of the rest at once, not when Python looks for cycles


def test_how_far_a_run_is_can_be_read_while_it_goes_on_and_not_after(few: Path) -> None:
    (experiment,), told = _grid(), list[Any]()

    class Looking(Breaking):
        def report(self, report: EpochReport) -> None:
            told.append(status(experiment))

    runner = _runner()
    runner.tracker = CompositeTracker([*runner.tracker.trackers, Looking(ValueError(), 0)])
    runner(PlannedRun(experiment))
    assert told[-1] is not None
    what, done, total = told[-1]
    assert 0 <= done <= total
    assert what
    assert status(experiment) is None
    assert status(experiment) is None


# ---------------------------------------------------------------- launches


def test_a_failing_run_stops_no_other_and_is_tried_again_at_the_next_launch(few: Path) -> None:
    runs, seen = _grid(**{"backbone.arguments": [{"nonsense": 1}, {}]}), Seen()
    agenda = RunList(runs, Store(), retry=1)
    launch(agenda, LocalProcesses(), [], seen)
    assert seen.given_out == [runs[0].id(), runs[1].id(), runs[0].id()]
    assert set(agenda.results) == {runs[1].id()}
    assert set(agenda.failures) == {runs[0].id()}
    assert len(Store().failures(runs[0].id())) == 2
    again = Seen()
    launch(RunList(runs, Store()), LocalProcesses(), [], again)
    assert again.given_out == [runs[0].id()]


def test_a_disk_that_takes_nothing_ends_the_launch_and_keeps_what_is_there(few: Path) -> None:
    runs, seen = _grid(seed=[0, 1, 2]), Seen()
    Store().root.mkdir(parents=True)
    (Store().root / runs[1].id()).write_text("in the way")
    with pytest.raises(
        UserError,
        match=r"claiming a run failed.*what was finished is kept, and the same command goes on",
    ):
        launch(RunList(runs, Store()), LocalProcesses(), [], seen)
    assert seen.given_out == [runs[0].id(), runs[1].id()]
    assert Store().find(runs[0].id()) is not None
    (Store().root / runs[1].id()).unlink()
    agenda = RunList(runs, Store())
    launch(agenda, LocalProcesses(), [], Seen())
    assert (agenda.stored, len(agenda.results)) == (1, 3)


class Losing:
    """An executor whose workers die at every item."""

    version = 1

    def run(
        self, prepare: Callable[[], Callable[[Any], Any]], items: Iterator[Any]
    ) -> Iterator[tuple[Any, Any]]:
        for item in items:
            yield item, WorkersDied("SIGKILL", 3, 5_000_000_000)


def test_a_run_whose_workers_die_is_recorded_with_what_they_held(three: list[Experiment]) -> None:
    agenda = RunList(three, Store())
    launch(agenda, Losing(), [], Seen())
    assert set(agenda.failures) == {experiment.id() for experiment in three}
    for experiment in three:
        (noted,) = Store().failures(experiment.id())
        assert (noted.kind, noted.peak_bytes) == ("lost", 5_000_000_000)
        assert "SIGKILL with 5.0 GB in memory" in noted.why


def test_where_no_worker_comes_up_at_all_the_launch_ends() -> None:
    many = expand(
        SweepFile(name="x", benchmark="cifar10_lt", strategies=["real_only"], seeds=list(range(9)))
    )
    agenda = RunList([point.experiment for point in many], Store())
    with pytest.raises(UserError, match="5 runs in a row lost their workers"):
        launch(agenda, Losing(), [], Seen())
    assert len(agenda.failures) == LOST_IN_A_ROW


def _interrupted(times: int) -> Callable[[int], None]:
    """Presses Ctrl-C so often while the second run is under way."""

    def press(given: int) -> None:
        for _ in range(times if given == 2 else 0):
            os.kill(os.getpid(), signal.SIGINT)

    return press


def test_ctrl_c_lets_the_run_under_way_finish_and_gives_out_no_other(
    few: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, seen, before = (
        _grid(seed=[0, 1, 2]),
        Seen(_interrupted(1)),
        signal.getsignal(signal.SIGINT),
    )
    agenda = RunList(runs, Store())
    with pytest.raises(KeyboardInterrupt):
        launch(agenda, LocalProcesses(), [], seen)
    assert seen.given_out == [experiment.id() for experiment in runs[:2]]
    assert set(agenda.results) == set(seen.given_out)
    assert "Ctrl-C again stops now" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once(few: Path) -> None:
    runs, before = _grid(seed=[0, 1, 2]), signal.getsignal(signal.SIGINT)
    agenda = RunList(runs, Store())
    with pytest.raises(KeyboardInterrupt):
        launch(agenda, LocalProcesses(), [], Seen(_interrupted(2)))
    assert set(agenda.results) == {runs[0].id()}
    assert Store().find(runs[1].id()) is None
    assert signal.getsignal(signal.SIGINT) is before


# ---------------------------------------------------------------- by the command

GRID = f"""title = "Rates [/]"
seeds = [0]
{sweeps.COMMON}
[grid]
"train.lr" = [0.001, 0.01]
"""


@pytest.fixture
def rates(few: Path, tiny: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A grid of two strategies and two rates, where the command finds it."""
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "rates.toml").write_text(
        GRID.replace('"photos"', json.dumps(str(tiny.folder / "photos")))
    )
    monkeypatch.chdir(tmp_path)
    return "rates"


def test_a_grid_is_priced_made_shown_and_not_made_again(rates: str, tmp_path: Path) -> None:
    priced = CliRunner().invoke(main, ["sweep", rates, "--dry-run"])
    assert priced.exit_code == 0, priced.output
    assert "runs                          4   of which stored 0" in priced.output
    assert not (home() / "runs").exists()
    made = CliRunner().invoke(main, ["sweep", rates, "--trackers", ""])
    assert made.exit_code == 0, made.output
    assert "4 of 4 runs are complete, 0 were stored before" in made.stdout
    lines = [line for line in made.stderr.splitlines() if "val/macro_acc" in line]
    assert [line.partition(" ")[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert "static 0.001 seed 0: val/macro_acc" in lines[0]
    told = json.loads(
        CliRunner().invoke(main, ["sweep", rates, "--trackers", "", "--format", "json"]).stdout
    )
    places = {(row["at"]["strategy"], row["at"]["train.lr"]) for row in told["rows"]}
    assert places == {
        (strategy, lr) for strategy in ("static", "real_rebalanced") for lr in (0.001, 0.01)
    }
    assert told["failures"] == {}
    first = told["rows"][0]["metrics"]["test/macro_acc"]
    assert first["n"] == 1
    assert f"{100 * first['mean']:.1f}" in made.stdout
    assert "Rates [/], cifar100_lt, scale smoke" in made.stdout

    records = sorted((home() / "runs").glob("*/*/events.jsonl"))
    again = CliRunner().invoke(main, ["sweep", rates, "--trackers", ""])
    assert "4 of 4 runs are complete, 4 were stored before" in again.stdout
    assert made.stdout.partition("\n4 of 4")[0] == again.stdout.partition("\n4 of 4")[0]
    assert sorted((home() / "runs").glob("*/*/events.jsonl")) == records
    assert "of which stored 4" in CliRunner().invoke(main, ["sweep", rates, "--dry-run"]).output


def test_an_order_test_trains_every_order_draws_and_concludes(
    few: Path, tiny: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweeps").mkdir()
    common = sweeps.COMMON.replace('strategies = ["static", "real_rebalanced"]\n', "")
    common = common.replace('"levels" = [0, 50, 100]', '"levels" = [0, 100]')
    common = common.replace('"photos"', json.dumps(str(tiny.folder / "photos")))
    text = f'title = "Orders"\nseeds = [0, 1]\n{common}\n[order]\norders = "all"\n'
    (tmp_path / "sweeps" / "orders.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    words = ["order-test", "orders", "--trackers", ""]
    made = CliRunner().invoke(main, [*words, "-o", "order.svg"])
    assert made.exit_code == 0, made.output
    assert "All 2 orders of the levels 0, 100, with 2 seeds each" in made.stdout
    assert "4 of 4 runs are complete, 0 were stored before" in made.stdout
    assert "the paper's order" in (tmp_path / "order.svg").read_text("utf-8")
    stored = CliRunner().invoke(main, [*words, "--format", "json"])
    assert "4 of 4 runs are complete, 4 were stored before" in stored.stderr
    (reading, *_) = json.loads(stored.stdout)["readings"].values()
    assert (reading["paper"], reading["seeds"], reading["possible"]) == ([0, 100], [0, 1], 2)


def test_a_grid_with_a_failing_place_shows_the_others_and_ends_with_1(rates: str) -> None:
    place = Path("sweeps/rates.toml")
    place.write_text(
        place.read_text()
        + '[[include]]\nstrategy = "real_rebalanced"\n"train.lr" = 0.5\n"backbone.arguments" = {'
        " nonsense = 1 }\n"
    )
    done = CliRunner().invoke(
        main, ["sweep", rates, "--trackers", "", "--strategies", "real_rebalanced"]
    )
    assert done.exit_code == 1
    assert "2 of 3 runs are complete" in done.stdout
    assert "failed: " in done.stderr
    assert "does not take backbone.arguments {'nonsense': 1}" in done.stderr
    assert "the same command tries them again" in done.stderr


def test_tuning_is_priced_by_what_it_makes_at_most(few: Path) -> None:
    priced = CliRunner().invoke(main, ["sweep", "tiny", "--dry-run"])
    assert priced.exit_code == 0, priced.output
    assert re.search(rf"runs +{sweeps.RUNS_IN_ALL}   at most", priced.output)
    steps = int(priced.output.split("optimiser steps")[1].split()[0].replace(",", ""))
    one = _grid()[0]
    photos = 32 * (steps // (sweeps.RUNS_IN_ALL * one.benchmark.train.epochs))
    assert 0 < photos <= 600
    assert steps % (sweeps.RUNS_IN_ALL * one.benchmark.train.epochs) == 0
    assert not (home() / "runs").exists()

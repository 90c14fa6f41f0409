"""Studies worked off by hand-made outcomes: what comes out is the same whoever works, in whatever
order, however often they die.
"""

import itertools
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from hypothesis import example, given
from hypothesis import strategies as some
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from discl.config.experiment import Experiment
from discl.config.sweep import Dimension, SweepFile, TuneTable
from discl.core.errors import UserError
from discl.core.interfaces import NOT_READY
from discl.core.result import OF_AN_EPOCH, Result
from discl.harness.run.store import Failure
from discl.harness.sweep.expand import most_runs
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.tuning.comparison import retests, searches
from discl.harness.tuning.history import DEFINITION
from discl.harness.tuning.proposals import STOPPED
from discl.harness.tuning.slots import SLOT
from discl.harness.tuning.storage.database import FAILURE, close_storage, open_storage
from discl.harness.tuning.study import StrategyStudy
from discl.harness.tuning.tuner import Tuner
from tests.properties import examples

METRIC = "val/macro_acc"
LR = Dimension(type="float", low=1e-4, high=1.0, log=True)
START = Dimension(type="categorical", choices=[0, 30, 50])
Answer = Callable[[PlannedRun], Outcome]


def _sweep(
    space: Mapping[str, Dimension] | None = None,
    strategies: Sequence[str] = ("static", "real_only"),
    **tune: Any,
) -> SweepFile:
    said = {"trials": 7, "seeds": [0, 1], "startup": 2, "round": 3, "sampler": "tpe", **tune}
    space = {"train.lr": LR, "strategy.static.start": START} if space is None else space
    return SweepFile(
        name="mine",
        benchmark="cifar10_lt",
        strategies=list(strategies),
        space=dict(space),
        tune=TuneTable(**said),
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables, which take a moment to make."""
    path = tmp_path_factory.mktemp("empty") / "studies.db"
    close_storage(open_storage(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="module")
def database(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Gives the address of a database of one's own."""
    return lambda: f"sqlite:///{shutil.copy(empty, tmp_path_factory.mktemp('studies'))}"


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def storage(url: str) -> Iterator[RDBStorage]:
    with _opened(url) as opened:
        yield opened


@contextmanager
def _opened(url: str) -> Iterator[RDBStorage]:
    opened = open_storage(url)
    yield opened
    close_storage(opened)


# ---------------------------------------------------------------- who works


def _score(experiment: Experiment) -> float:
    """What stands for training: best at lr = 0.01 and start 30, and each seed has its own luck."""
    spec = experiment.benchmark
    start = spec.strategy.get("static", {}).get("start", 0)
    return (
        0.9
        - 0.1 * abs(math.log10(spec.train.lr) + 2)
        - 0.002 * abs(start - 30)
        + 0.01 * math.sin(experiment.seed + 100 * spec.train.lr)
    )


def _result(experiment: Experiment, metrics: Mapping[str, float]) -> Result:
    said, strategy, seed = experiment.name, experiment.strategy, experiment.seed
    return Result(
        experiment.id(),
        0,
        said,
        "cifar10_lt",
        "smoke",
        strategy,
        seed,
        {},
        {},
        dict(metrics),
        [],
        [],
        [],
        0,
        {},
        {},
        {},
        last={"epoch": 0},
    )


def _trained(job: PlannedRun) -> Outcome:
    score = _score(job.experiment)
    return Outcome(
        _result(job.experiment, {METRIC: score}), curve=((4, score / 2), (9, score)), seconds=36.0
    )


def _work(
    tuning: Tuner,
    answer: Answer = _trained,
    workers: int = 1,
    pick: Callable[[int], int] = lambda _: 0,
) -> list[PlannedRun]:
    """Work a sweep off with so many runs open at once, whose answers come in any order; gives the
    jobs that were answered.
    """
    given, answered = list[PlannedRun](), list[PlannedRun]()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        job = tuning.next()
        if isinstance(job, PlannedRun):
            given.append(job)
        if job is None and not given:
            return answered
        if given and (len(given) == workers or not isinstance(job, PlannedRun)):
            answered.append(given.pop(pick(len(given)) % len(given)))
            tuning.take(answered[-1], answer(answered[-1]))
    raise AssertionError("it never ends")


def _tuned(
    found: SweepFile, storage: RDBStorage, answer: Answer = _trained, retry: int = 0, **how: Any
) -> list[PlannedRun]:
    with Tuner(found, storage, retry) as tuning:
        return _work(tuning, answer, **how)


def _trials(
    storage: RDBStorage, strategy: str, name: str = "mine", rung: str = ""
) -> list[FrozenTrial]:
    study = optuna.load_study(
        study_name=f"{name}/cifar10_lt/smoke/{strategy}{rung}", storage=storage
    )
    return study.get_trials(deepcopy=False)


def _told(storage: RDBStorage, found: SweepFile) -> dict[str, Any]:
    """What a study says in the end, slot by slot; a slot that was scored twice would show."""
    return {
        strategy: sorted(
            (
                trial.user_attrs[SLOT],
                sorted(trial.params.items()),
                trial.state.name,
                trial.values,
                sorted(trial.intermediate_values.items()),
            )
            for trial in _trials(storage, strategy)
            if trial.state != TrialState.FAIL
        )
        for strategy in found.strategies
    }


ONE = _sweep(strategies=["static"], trials=5, round=2)


@pytest.fixture(scope="module")
def undisturbed(database: Callable[[], str]) -> dict[str, Any]:
    """What one worker gets without a kill."""
    with _opened(database()) as storage:
        _tuned(ONE, storage)
        return _told(storage, ONE)


# ---------------------------------------------------------------- the budget


def test_each_strategy_gets_its_budget_and_begins_at_the_benchmarks_own_setting(
    storage: RDBStorage,
) -> None:
    found = _sweep()
    jobs = _tuned(found, storage)
    for strategy, own in (
        ("static", {"train.lr": 0.28, "strategy.static.start": 0}),
        ("real_only", {"train.lr": 0.28}),
    ):
        trials = _trials(storage, strategy)
        assert [trial.user_attrs[SLOT] for trial in trials] == list(range(7))
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert trials[0].params == own
        assert all(len(trial.intermediate_values) == 2 for trial in trials)
    assert len(jobs) == len({job.experiment.id() for job in jobs}) == most_runs(found) == 28
    assert [job.experiment.strategy for job in jobs[:4]] == [
        "static",
        "real_only",
        "static",
        "real_only",
    ]  # they share the workers
    rows = searches(Tuner(found, storage))
    assert [(row.complete, row.given_up, row.failed, row.runs, row.hours) for row in rows] == [
        (7, 0, 0, 14, pytest.approx(0.14))
    ] * 2
    for row in rows:
        assert row.default is not None
        assert row.best is not None
        assert row.best > row.default
        best = max(_trials(storage, row.strategy), key=lambda trial: trial.values[0])
        assert (row.settings, row.best) == (best.params, pytest.approx(best.values[0]))


def _of(trials: int) -> SweepFile:
    return _sweep(strategies=["static"], trials=trials, round=2)


def test_a_finished_study_asks_for_nothing_and_a_larger_budget_goes_on_from_there(
    storage: RDBStorage, undisturbed: dict[str, Any]
) -> None:
    _tuned(_of(2), storage)  # the first round, and half of the second
    assert _tuned(_of(2), storage) == []
    assert _tuned(_of(1), storage) == []
    assert len(_tuned(_of(4), storage)) == 2 * 2
    assert len(_tuned(_of(5), storage)) == 2
    assert _told(storage, ONE) == undisturbed


def test_a_strategy_with_little_to_tune_gets_as_many_trials_as_there_are_settings(
    storage: RDBStorage,
) -> None:
    found = _sweep(
        {
            "strategy.static.start": START,
            "strategy.fixed.level": Dimension(type="categorical", choices=[30, 50]),
        },
        ["static", "fixed", "real_only"],
    )
    jobs = _tuned(found, storage)
    assert len(jobs) == most_runs(found) == 2 * (3 + 2 + 1)
    assert {trial.params["strategy.static.start"] for trial in _trials(storage, "static")} == {
        0,
        30,
        50,
    }
    (only,) = _trials(storage, "real_only")
    assert (only.params, only.state) == ({}, TrialState.COMPLETE)
    assert [row.complete for row in searches(Tuner(found, storage))] == [3, 2, 1]
    _, _, pair = retests(Tuner(found, storage), 2)
    assert [point.experiment.id() for point in pair.default] == [
        point.experiment.id() for point in pair.tuned
    ]
    assert [point.experiment.seed for point in pair.default] == [2, 3]


# ---------------------------------------------------------------- whoever works, whenever they die


@given(workers=some.integers(2, 5), order=some.lists(some.integers(0, 4), min_size=1, max_size=10))
@examples(1)
@example(workers=4, order=[3])
def test_neither_the_number_of_workers_nor_the_order_of_their_answers_changes_a_trial(
    workers: int, order: list[int], database: Callable[[], str], undisturbed: dict[str, Any]
) -> None:
    picks = iter(order * 10)
    with _opened(database()) as storage:
        _tuned(ONE, storage, workers=workers, pick=lambda _: next(picks))
        assert _told(storage, ONE) == undisturbed


def test_who_is_faster_in_a_round_gives_no_other_trial_of_it_up(
    database: Callable[[], str],
) -> None:
    found = _sweep(
        strategies=["real_only"], trials=5, round=4, seeds=list(range(5)), sampler="random", seed=3
    )
    told = []
    for workers, pick in (
        (1, 0),
        (4, -1),
    ):  # one trial after the other, and all side by side, the last one first
        with _opened(database()) as storage:
            _tuned(
                found, storage, _steep, workers=workers, pick=lambda open, pick=pick: pick % open
            )
            told.append(_told(storage, found))
    assert told[0] == told[1]
    trials = told[0]["real_only"]
    beaten = [trial for trial in trials if len(trial[4]) < 5]  # by the first one
    assert 0 < len(beaten) < 4
    whole = [values[0] for slot, _, _, values, scores in trials if slot > 0 and len(scores) == 5]
    assert any(
        one > 1.1 * other for one, other in itertools.combinations(whole, 2)
    )  # the other one would be given up for it


def _steep(job: PlannedRun) -> Outcome:
    spec, seed = job.experiment.benchmark, job.experiment.seed
    return Outcome(
        _result(
            job.experiment,
            {METRIC: 1 / (1 + abs(math.log10(spec.train.lr) + 1.5)) + 0.001 * math.sin(seed)},
        )
    )


class Killed(BaseException):
    """The launcher dies: nothing that it would have done afterwards happens."""


def _until_killed(found: SweepFile, url: str, statements: int, workers: int) -> bool:
    """A launch that dies before its so-manieth statement reaches the database; whether it came so
    far.
    """
    storage, left = open_storage(url), [statements]

    def die(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    tuning = Tuner(found, storage)
    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", die)
    try:
        tuning.__enter__()
        _work(tuning, workers=workers)
    except Killed:
        return True
    finally:
        sqlalchemy.event.remove(storage.engine, "before_cursor_execute", die)
        tuning.heartbeat.__exit__(
            None, None, None
        )  # its heart stands still; `leave` it never reaches
        with storage.engine.begin() as connection:  # and has for long
            connection.execute(
                sqlalchemy.text(
                    "UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"
                )
            )
        close_storage(storage)
    return False


@given(
    kills=some.lists(some.tuples(some.integers(0, 70), some.integers(1, 3)), min_size=2, max_size=4)
)
@examples(2)
def test_a_study_whose_launchers_die_anywhere_ends_as_if_they_had_not(
    kills: list[tuple[int, int]], database: Callable[[], str], undisturbed: dict[str, Any]
) -> None:
    url = database()
    for statements, workers in kills:
        _until_killed(ONE, url, statements, workers)
    with _opened(url) as storage:
        _tuned(ONE, storage, workers=2)
        assert _told(storage, ONE) == undisturbed
        assert not any(FAILURE in trial.user_attrs for trial in _trials(storage, "static"))


def test_a_round_that_is_half_in_the_queue_is_completed_as_it_was_begun(
    url: str, undisturbed: dict[str, Any]
) -> None:
    queued = statements = 0
    while not queued:  # the kill moves on until it falls between the two trials of the first round
        assert _until_killed(ONE, url, statements, 1)
        statements += 1
        with _opened(url) as storage, suppress(KeyError):
            queued = len(_trials(storage, "static"))
    assert queued == 1
    with _opened(url) as storage:
        _tuned(ONE, storage)
        assert _told(storage, ONE) == undisturbed


def _claimed(found: SweepFile, storage: RDBStorage, answered: int) -> tuple[Tuner, PlannedRun]:
    """A launch that has had some answers, and the run that it gave out last."""
    tuning = Tuner(found, storage)
    for _ in range(answered):
        job = tuning.next()
        assert isinstance(job, PlannedRun)
        tuning.take(job, _trained(job))
    job = tuning.next()
    assert isinstance(job, PlannedRun)
    return tuning, job


def test_a_launcher_that_is_taken_for_dead_lets_go_of_its_trial(
    storage: RDBStorage, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.harness.tuning.study.DEAD_CHECK_SECONDS", 0.0)
    tuning, job = _claimed(ONE, storage, 3)
    taken = _trials(storage, "static")[job.tag[2]]
    storage.set_trial_state_values(taken._trial_id, TrialState.FAIL)
    tuning.take(job, _trained(job))
    tuning.heartbeat.beat()  # for nobody: it would complain of a trial that is over
    _work(tuning)
    assert _told(storage, ONE) == undisturbed
    assert sum(trial.state == TrialState.FAIL for trial in _trials(storage, "static")) == 1


def test_a_launch_that_ends_leaves_its_trials_to_the_next_one_at_once(
    storage: RDBStorage, undisturbed: dict[str, Any]
) -> None:
    tuning, _ = _claimed(ONE, storage, 1)
    with tuning:
        pass
    began = time.monotonic()
    jobs = _tuned(ONE, storage)
    assert len(jobs) == 9  # the one replicate that was scored is not asked for again
    assert time.monotonic() - began < 20
    assert _told(storage, ONE) == undisturbed


def _add_again(tuning: Tuner, trial: FrozenTrial) -> None:
    """As Optuna does where a connection drops between a commit and its answer."""
    state, slot = TrialState.WAITING, {SLOT: trial.user_attrs[SLOT]}
    tuning.study("static").study.add_trial(
        optuna.create_trial(
            state=state, params=trial.params, distributions=trial.distributions, user_attrs=slot
        )
    )


def test_one_of_two_trials_that_bear_one_slot_is_run(
    storage: RDBStorage, undisturbed: dict[str, Any]
) -> None:
    tuning, _ = _claimed(ONE, storage, 2)
    first, second, third = _trials(storage, "static")
    assert [trial.state.name for trial in (first, second, third)] == [
        "COMPLETE",
        "RUNNING",
        "WAITING",
    ]
    _add_again(tuning, third)  # number 3
    _add_again(tuning, second)  # number 4
    # so that slot 1 goes to number 4, whose own twin is number 1, queued again as number 5
    tuning.study("static").release()
    jobs = _tuned(ONE, storage, workers=3)
    assert len(jobs) == 8
    assert _told(storage, ONE) == undisturbed
    twins = {
        trial.number: trial.user_attrs[FAILURE]
        for trial in _trials(storage, "static")
        if FAILURE in trial.user_attrs
    }
    assert twins == {3: "a twin of trial 2", 5: "a twin of trial 4"}
    assert _tuned(ONE, storage) == []


def test_a_twin_does_not_answer_for_a_trial_whose_launcher_died(
    storage: RDBStorage, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = "discl.harness.tuning.study.DEAD_CHECK_SECONDS"
    monkeypatch.setattr(pause, 3600.0)  # however slow the machine is
    dying, _ = _claimed(ONE, storage, 2)
    _add_again(dying, _trials(storage, "static")[1])
    living = Tuner(ONE, storage)
    job = living.next()
    assert isinstance(job, PlannedRun)
    assert living.next() is NOT_READY  # the twin is over
    dying.study("static").release()
    living.take(job, _trained(job))
    job = living.next()
    assert isinstance(job, PlannedRun)
    living.take(job, _trained(job))
    assert FAILURE in _trials(storage, "static")[3].user_attrs
    assert living.next() is NOT_READY  # until it is known that it died
    monkeypatch.setattr(pause, 0.0)
    _work(living)
    assert _told(storage, ONE) == undisturbed


def test_a_run_that_somebody_else_makes_is_asked_for_again_later(
    storage: RDBStorage, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.harness.tuning.study.BUSY_PAUSE_SECONDS", 0.01)
    busy = iter([True, True, False, True])
    jobs = _tuned(
        ONE, storage, lambda job: Outcome() if next(busy, False) else _trained(job), workers=2
    )
    assert len(jobs) == 13
    assert _told(storage, ONE) == undisturbed


# ---------------------------------------------------------------- what fails


def _failing(bad: Callable[[Experiment], bool], failure: Failure) -> Answer:
    return lambda job: Outcome(failure=failure) if bad(job.experiment) else _trained(job)


MEMORY = Failure("error", "RuntimeError: out of memory", peak_bytes=7_000_000_000)


def test_a_trial_whose_run_fails_is_recorded_with_its_peak_and_stops_no_other(
    storage: RDBStorage,
) -> None:
    found, asked = _sweep(strategies=["static"]), list[str]()

    def bad(experiment: Experiment) -> bool:
        return experiment.benchmark.strategy["static"]["start"] == 50

    def answer(job: PlannedRun) -> Outcome:
        asked.append(job.experiment.id())
        return _failing(bad, MEMORY)(job)

    _tuned(found, storage, answer, retry=2)
    trials = _trials(storage, "static")
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert failed
    assert [trial.user_attrs[SLOT] for trial in trials] == list(range(7))
    for trial in failed:
        assert trial.params["strategy.static.start"] == 50
        assert (trial.user_attrs[FAILURE], trial.user_attrs["peak_bytes"]) == (
            MEMORY.why,
            MEMORY.peak_bytes,
        )
    assert {asked.count(id) for id in asked} == {1, 3}  # once and twice more
    (row,) = searches(Tuner(found, storage))
    assert (row.complete, row.failed) == (7 - len(failed), len(failed))

    again = _tuned(found, storage)  # the next launch tries them once more
    assert {job.experiment.benchmark.strategy["static"]["start"] for job in again} == {50}
    assert len(again) == 2 * len(failed)
    (row,) = searches(Tuner(found, storage))
    assert (row.complete, row.failed) == (7, 0)
    assert sorted(slot for slot, *_ in _told(storage, found)["static"]) == list(range(7))


@pytest.mark.parametrize("told", [{METRIC: math.nan}, {METRIC: math.inf}, {"val/acc": 0.5}])
def test_an_objective_that_is_no_number_or_is_not_there_fails_the_trial_and_says_what_there_is(
    told: dict[str, float], storage: RDBStorage
) -> None:
    found = _sweep(strategies=["real_only"], trials=2)
    _tuned(
        found,
        storage,
        lambda job: Outcome(_result(job.experiment, told | {"val/few_acc": 0.1, "test/acc": 0.2})),
    )
    for trial in _trials(storage, "real_only"):
        assert trial.state == TrialState.FAIL
        assert METRIC in trial.user_attrs[FAILURE]
        assert "val/few_acc" in trial.user_attrs[FAILURE]
        assert "test/acc" not in trial.user_attrs[FAILURE]
    (row,) = searches(Tuner(found, storage))
    assert (row.complete, row.failed, row.best, row.default, row.settings) == (0, 2, None, None, {})
    assert retests(Tuner(found, storage), 1) == []


def test_settings_that_do_not_go_together_fail_their_trial_alone(storage: RDBStorage) -> None:
    epochs = Dimension(type="categorical", choices=[16, 40])
    curriculum = Dimension(
        type="categorical", choices=[15, 18]
    )  # each loads beside the benchmark's 18 and 15; 16 and 18 do not
    found = _sweep({"train.epochs": epochs, "train.curriculum_epochs": curriculum}, ["real_only"])
    _tuned(found, storage)
    trials = _trials(storage, "real_only")
    ended = {
        (trial.params["train.epochs"], trial.params["train.curriculum_epochs"]): trial.state.name
        for trial in trials
    }
    assert ended == {
        (16, 15): "COMPLETE",
        (40, 15): "COMPLETE",
        (40, 18): "COMPLETE",
        (16, 18): "FAIL",
    }
    (failed,) = [trial.user_attrs[FAILURE] for trial in trials if trial.state == TrialState.FAIL]
    assert "train.curriculum_epochs = 18 exceeds train.epochs = 16" in failed


# ---------------------------------------------------------------- giving up

EIGHT = {"seeds": list(range(8)), "trials": 6, "round": 2, "sampler": "random", "p": 0.1}


def _bad_starts(job: PlannedRun) -> Outcome:
    """Start 50 is bad on every seed; the others are a matter of luck."""
    score = 0.5 + 0.01 * math.sin(7 * job.experiment.seed + job.experiment.benchmark.train.lr)
    start = job.experiment.benchmark.strategy.get("static", {}).get("start", 0)
    return Outcome(
        _result(
            job.experiment,
            {METRIC: score - (0.1 + job.experiment.seed / 1000 if start == 50 else 0.0)},
        )
    )


def test_a_clearly_bad_trial_is_given_up_before_its_last_replicate_and_never_wins(
    storage: RDBStorage,
) -> None:
    found = _sweep(strategies=["static"], **EIGHT)
    jobs = _tuned(found, storage, _bad_starts, workers=2)
    trials = _trials(storage, "static")
    whole = [trial for trial in trials if STOPPED not in trial.user_attrs]
    given_up = [trial for trial in trials if STOPPED in trial.user_attrs]
    assert given_up
    assert {trial.params["strategy.static.start"] for trial in given_up} == {50}
    assert all(len(trial.intermediate_values) == 8 for trial in whole)
    for trial in given_up:
        scores = trial.intermediate_values
        assert (trial.state, trial.user_attrs[STOPPED], len(scores)) == (
            TrialState.COMPLETE,
            4,
            4,
        )  # 1/16 is the first p below 0.1
        # slot 0 is the first round, those after it go by two
        before = [
            each
            for each in whole
            if each.user_attrs[SLOT] < (trial.user_attrs[SLOT] - 1) // 2 * 2 + 1
        ]
        best = max(before, key=lambda each: each.values[0])
        gaps = [scores[unit] - best.intermediate_values[unit] for unit in scores]
        assert trial.values == [pytest.approx(best.values[0] + sum(gaps) / 4)]
    assert len(jobs) == 8 * len(whole) + 4 * len(given_up)
    (row,) = searches(Tuner(found, storage))
    assert (row.complete, row.given_up) == (6, len(given_up))
    assert row.settings["strategy.static.start"] != 50


def test_a_trial_that_was_given_up_never_wins_even_where_it_is_thought_best(
    storage: RDBStorage,
) -> None:
    found = _sweep(strategies=["static"], trials=2, round=1)
    tuning = Tuner(found, storage)
    _work(tuning)
    study = tuning.study("static")
    best = study.winner()
    assert best is not None
    storage.create_new_trial(
        study.study._study_id,
        optuna.create_trial(
            params=best.params,
            distributions=best.distributions,
            value=9.0,
            user_attrs={SLOT: 2, STOPPED: 1},
            intermediate_values={0: 9.0},
        ),
    )
    assert study.winner() == best
    assert study.best(3)[0] == best.params


def test_a_run_that_is_cut_short_ends_its_trial_and_tells_later_proposals_how_far_it_came(
    storage: RDBStorage,
) -> None:
    found = _sweep(strategies=["static"], trials=4, round=1, patience=1)
    stops = list[Any]()

    def answer(job: PlannedRun) -> Outcome:
        stops.append(job.stop)
        if job.tag[2] == 2 and job.experiment.seed == 1:
            return Outcome(
                failure=Failure("stopped", "given up after epoch 9"), curve=((4, 0.1), (9, 0.05))
            )
        return _trained(job)

    _tuned(found, storage, answer)
    trials = _trials(storage, "static")
    assert [trial.state for trial in trials] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.COMPLETE,
    ]
    cut, study = trials[2], StrategyStudy(found, "static", 0, storage, [])
    assert cut.intermediate_values.keys() == {0}
    tried = study.finished(study.slots())[2]
    assert (tried.complete, tried.scores) == (False, {0: cut.intermediate_values[0], 1: 0.05})
    # each replicate is told the curves of the same replicate of the rounds before
    assert [len(stop.curves) for stop in stops] == [0, 0, 1, 1, 2, 2, 3, 2]
    assert stops[2].curves == (((4, _score_of(trials[0], 0) / 2), (9, _score_of(trials[0], 0))),)
    (row,) = searches(Tuner(found, storage))
    assert (row.complete, row.given_up) == (4, 1)


def _score_of(trial: FrozenTrial, unit: int) -> float:
    return trial.intermediate_values[unit]


# ---------------------------------------------------------------- studies that are there already


def _refused(found: SweepFile, storage: RDBStorage) -> str:
    with pytest.raises(UserError) as refused:
        Tuner(found, storage)
    return str(refused.value)


def test_a_study_with_another_space_is_not_gone_on_with_and_the_difference_is_said(
    storage: RDBStorage,
) -> None:
    found = _sweep(trials=1)
    Tuner(found, storage)
    wider = {"train.lr": LR.model_copy(update={"high": 2.0}), "strategy.static.start": START}
    said = _refused(_sweep(wider, trials=1), storage)
    assert all(
        word in said
        for word in (
            "mine/cifar10_lt/smoke/static",
            "space train.lr",
            "'high': 1,",
            "'high': 2,",
            "--as NAME",
        )
    )
    assert "strategy.static.start" not in said
    assert "another space train.batch: nothing there" in _refused(
        _sweep({"train.batch": Dimension(type="int", low=8, high=64), **found.space}, trials=1),
        storage,
    )
    said = _refused(_sweep({"train.lr": LR}, trials=1), storage)
    assert "another space strategy.static.start" in said
    assert "nothing here" in said
    said = _refused(_sweep(trials=1, seeds=[0, 1, 2], p=0.2), storage)
    assert "another tune.seeds: [0, 1] there, [0, 1, 2] here (and 1 more differences)" in said
    assert "another set train.batch: nothing there, 8 here" in _refused(
        found.model_copy(update={"set": {"train.batch": 8}}), storage
    )
    assert "another objective: ['val/macro_acc'] there, ['val/acc'] here" in _refused(
        _sweep(trials=1, objective=["val/acc"]), storage
    )
    Tuner(
        _sweep(trials=9, sampler="gp"), storage
    )  # the budget may grow, and the sampler stays what it was
    assert Tuner(_sweep(trials=9, sampler="gp"), storage).study("static").sampler == "tpe"
    Tuner(_sweep(wider, trials=1).model_copy(update={"name": "another"}), storage)


# ---------------------------------------------------------------- which epoch is read

BY_VAL = {"select.epoch": "val"}


def _both_epochs(job: PlannedRun) -> Outcome:
    """A run that scores 0.5 where val stops it and 0.25 at its last epoch."""
    at_last = {name: [] for name in OF_AN_EPOCH} | {"epoch": 9, "metrics": {METRIC: 0.25}}
    made = replace(_result(job.experiment, {METRIC: 0.5}), last=at_last)
    return Outcome(made, curve=((4, 0.5), (9, 0.25)), seconds=36.0)


@pytest.mark.parametrize(("said", "value"), [({}, 0.25), (BY_VAL, 0.5)])
def test_a_trial_is_worth_what_its_runs_have_at_the_epoch_that_is_read(
    said: dict[str, str], value: float, storage: RDBStorage
) -> None:
    found = _sweep({"train.lr": LR}, ["static"], trials=2).model_copy(update={"set": said})
    _tuned(found, storage, _both_epochs)
    assert [trial.value for trial in _trials(storage, "static")] == [value, value]


def test_a_run_that_keeps_no_last_epoch_fails_its_trial_and_says_the_way_out(
    storage: RDBStorage,
) -> None:
    def old(job: PlannedRun) -> Outcome:
        return replace(_trained(job), result=replace(_result(job.experiment, {METRIC: 1}), last={}))

    _tuned(_sweep({"train.lr": LR}, ["static"], trials=1), storage, old)
    (trial,) = _trials(storage, "static")
    assert "keeps no last epoch" in trial.user_attrs[FAILURE]
    assert "--epoch val" in trial.user_attrs[FAILURE]


def test_a_study_from_before_is_gone_on_with_by_val_and_by_no_other_rule(
    storage: RDBStorage,
) -> None:
    found = _sweep({"train.lr": LR}, ["static"], trials=1)
    by_val = found.model_copy(update={"set": BY_VAL})
    study = Tuner(by_val, storage).study("static").study
    before = {key: value for key, value in study.user_attrs[DEFINITION].items() if key != "epoch"}
    study.set_user_attr(DEFINITION, before)
    assert "another epoch: val there, last here" in _refused(found, storage)
    assert Tuner(by_val, storage).study("static").definition.epoch == "val"


# ---------------------------------------------------------------- two objectives, rungs


def test_two_objectives_are_kept_side_by_side(storage: RDBStorage) -> None:
    found = _sweep(strategies=["static"], trials=5, objective=[METRIC, "cost/images"])

    def answer(job: PlannedRun) -> Outcome:
        start = job.experiment.benchmark.strategy["static"]["start"]
        return Outcome(
            _result(job.experiment, {METRIC: _score(job.experiment)}),
            costs={"cost/images": 100.0 - start, "cost/denoising_steps": 1.0},
        )

    _tuned(found, storage, answer)
    for trial in _trials(storage, "static"):
        scores = list(trial.intermediate_values.values())
        assert trial.values == [
            pytest.approx(sum(scores) / 2),
            100.0 - trial.params["strategy.static.start"],
        ]
    study = Tuner(found, storage).study("static").study
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.best_trials


def _rungs(**first: Any) -> SweepFile:
    cheap = {"set": {"train.epochs": 16}, "trials": 5} | first
    return _sweep(strategies=["static"], round=2, keep=2, ladder=[cheap, {"trials": 3}])


def test_the_best_of_a_rung_are_the_first_of_the_next(storage: RDBStorage) -> None:
    found = _rungs()
    jobs = _tuned(found, storage)
    assert [job.experiment.benchmark.train.epochs for job in jobs] == [16] * 10 + [18] * 6
    assert len(jobs) == most_runs(found)
    cheap, dear = (_trials(storage, "static", rung=f"/rung {rung}") for rung in (0, 1))
    best = sorted(cheap, key=lambda trial: -trial.values[0])
    assert [trial.params for trial in dear[:2]] == [trial.params for trial in best[:2]]
    assert dear[2].params not in [trial.params for trial in best[:2]]
    assert _tuned(found, storage) == []
    with Tuner(found, storage) as tuning:
        assert tuning.next() is None
        assert tuning.final("static") is not None


def test_a_trial_of_a_later_rung_that_failed_is_tried_again_too(storage: RDBStorage) -> None:
    found = _rungs(trials=2)
    dear = _failing(
        lambda experiment: experiment.benchmark.train.epochs == 18 and experiment.seed == 1, MEMORY
    )
    _tuned(found, storage, dear)
    assert {trial.state for trial in _trials(storage, "static", rung="/rung 1")} == {
        TrialState.FAIL
    }
    assert {job.experiment.benchmark.train.epochs for job in _tuned(found, storage)} == {18}
    assert (
        sum(
            trial.state == TrialState.COMPLETE
            for trial in _trials(storage, "static", rung="/rung 1")
        )
        == 3
    )

"""What a database of studies holds, read without the sweep files: which trial counts, what it
scored, what it cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from discl.config import commands
from discl.config.sweep import COSTS, Dimension
from discl.core.errors import UserError, unknown
from discl.core.hashing import canonical_json
from discl.harness.tuning.proposals import DIRECTIONS, STOPPED, best_of, frozen, quiet, settings
from discl.harness.tuning.storage import (
    FAILURE,
    GRACE_SECONDS,
    Heartbeat,
    close_storage,
    open_storage,
    redacted,
    requeue_dead,
    study_lock,
    with_retries,
)

SAID = "discl"  # the attribute of a study that says what it is
SLOT = "slot"  # the attribute of a trial that says which one of the budget it is
RUNS = "runs"  # the attribute with what its runs told, by replicate
TWIN = "twin_of"  # the attribute of one more trial that bears the slot of another, and is not run
SCORED = (TrialState.COMPLETE, TrialState.PRUNED)
LEAST = 8  # trials that importances are read from

# ---------------------------------------------------------------- slots


def slots_of(trials: Iterable[FrozenTrial]) -> list[FrozenTrial | None]:
    """The trial that counts for each slot: the first that has not failed, or else the last that
    has.
    """
    by_slot: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if SLOT in trial.user_attrs and TWIN not in trial.user_attrs:
            by_slot.setdefault(int(trial.user_attrs[SLOT]), []).append(trial)
    return [
        _counting(by_slot[slot]) if slot in by_slot else None
        for slot in range(max(by_slot, default=-1) + 1)
    ]


def _counting(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    return next((trial for trial in trials if trial.state != TrialState.FAIL), trials[-1])


def winner_of(slots: Iterable[FrozenTrial | None]) -> FrozenTrial | None:
    """The best complete trial; the earlier of equals."""
    whole = [
        trial
        for trial in slots
        if trial and trial.state == TrialState.COMPLETE and frozen(trial).complete
    ]
    order = best_of([frozen(trial) for trial in whole])
    return whole[order[0]] if order else None


def hours_of(slots: Iterable[FrozenTrial | None]) -> float:
    """Hours of training; a run that was stored before counts nothing."""
    return (
        sum(
            float(run["seconds"])
            for trial in slots
            if trial
            for run in trial.user_attrs.get(RUNS, {}).values()
        )
        / 3600
    )


def state_of(trial: FrozenTrial) -> str:
    """complete, given up, failed (for a reason of its own), interrupted (the next launch goes on
    with it), running or waiting.
    """
    if trial.state in SCORED and STOPPED in trial.user_attrs:
        return "given up"
    if trial.state == TrialState.FAIL:
        return "failed" if FAILURE in trial.user_attrs else "interrupted"
    return trial.state.name.lower()


def value_of(trial: FrozenTrial) -> float | None:
    """The first objective; of a trial that was given up an estimate.

    None before the end, and after a failure.
    """
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    return frozen(trial).mean if trial.state in SCORED and frozen(trial).scores else None


# ---------------------------------------------------------------- studies


@dataclass(frozen=True)
class StudySnapshot:
    """A study as it stood when it was read."""

    name: str  # <sweep>/<benchmark>/<scale>/<strategy>, on a ladder /rung <k> after it
    said: dict[str, Any]  # what two launches must agree on
    slots: list[FrozenTrial | None]

    @cached_property
    def sweep(self) -> str:
        return _sweep(self.name, self.said)

    @cached_property
    def strategy(self) -> str:
        return self.name.removeprefix(f"{self.sweep}/{self.said['scale']}/").partition("/")[0]

    @property
    def objective(self) -> list[str]:
        return list(self.said["objective"])

    @cached_property
    def space(self) -> dict[str, Dimension]:
        return {path: Dimension(**table) for path, table in self._told("space ").items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What all its runs have."""
        return self._told("set ")

    def _told(self, prefix: str) -> dict[str, Any]:
        return {
            key.removeprefix(prefix): value
            for key, value in self.said.items()
            if key.startswith(prefix)
        }

    @property
    def replicates(self) -> int:
        """Runs of a trial that is not given up."""
        return len(self.said["tune.seeds"]) * (1 + len(self.said["tune.also"]))

    @cached_property
    def trials(self) -> list[tuple[int, FrozenTrial]]:
        """Those that count, by slot."""
        return [(slot, trial) for slot, trial in enumerate(self.slots) if trial]

    @cached_property
    def states(self) -> Counter[str]:
        return Counter(state_of(trial) for _, trial in self.trials)

    @cached_property
    def best(self) -> float | None:
        """The winner's first objective."""
        winner = winner_of(self.slots)
        return value_of(winner) if winner else None

    @cached_property
    def front(self) -> list[FrozenTrial]:
        """The winner; with two objectives, the trials that no other one beats in both."""
        if len(self.objective) == 1:
            winner = winner_of(self.slots)
            return [winner] if winner else []
        return [trial for each in told(self).best_trials if (trial := self.slots[each.number])]

    @property
    def last(self) -> datetime | None:
        """When a trial last began or ended."""
        return max(
            (
                at
                for _, trial in self.trials
                for at in (trial.datetime_start, trial.datetime_complete)
                if at
            ),
            default=None,
        )


def _sweep(name: str, said: Mapping[str, Any]) -> str:
    """<sweep>/<benchmark>: the scales of a ladder are one search."""
    return name.partition(f"/{said['benchmark']}/{said['scale']}/")[0] + f"/{said['benchmark']}"


@contextmanager
def reading(url: str) -> Iterator[RDBStorage]:
    """The studies at `url`, where there are some.

    Nothing can be changed in a SQLite file through it, and no launcher waits for it.
    """
    check_there(url)
    storage = open_storage(url)
    if storage.engine.url.drivername == "sqlite":
        close_storage(storage)
        # launchers begin each transaction with SQLite's one lock for writing; a reader must not
        place = URL.create(
            "sqlite",
            database=f"file:{quote(storage.engine.url.database)}",
            query={"mode": "ro", "uri": "true"},
        )
        address = place.render_as_string().replace("{", "{{").replace("}", "}}")
        storage = RDBStorage(
            address,
            {"connect_args": {"timeout": 60}},
            skip_compatibility_check=True,
            skip_table_creation=True,
        )
    try:
        yield storage
    finally:
        close_storage(storage)


def check_there(url: str) -> None:
    """A UserError where `url` is a SQLite file that does not exist: looking at studies makes none."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return  # opening says what is wrong with it
    if (
        address.get_backend_name() == "sqlite"
        and not Path(address.database or "").expanduser().is_file()
    ):
        raise UserError(
            f"there are no studies in {redacted(url)}; `discl sweep tune_static` begins some,"
            " --storage names another database"
        )


def names(storage: RDBStorage) -> dict[str, dict[str, Any]]:
    """The studies of sweeps, each with what it says of itself; those of other programs are left
    out.
    """
    summaries = with_retries(
        storage, lambda: optuna.get_all_study_summaries(storage, include_best_trial=False)
    )
    return {
        each.study_name: said
        for each in summaries
        if isinstance(said := each.user_attrs.get(SAID), dict) and "benchmark" in said
    }


def choose(known: Mapping[str, Mapping[str, Any]], part: str) -> list[str]:
    """The study of that name, or the studies of one sweep that the part of a name fits; whole words
    of a name come first.
    """
    if part in known:
        return [part]
    fitting = [name for name in known if f"/{part.strip('/')}/" in f"/{name}/"] or [
        name for name in known if part and part in name
    ]
    if not fitting:
        raise unknown("study", part, known)
    if len({_sweep(name, known[name]) for name in fitting}) > 1:
        raise UserError(
            f"{part!r} fits studies of several sweeps; write more of the name:"
            f" {', '.join(sorted(fitting))}"
        )
    return sorted(fitting)


def view(storage: RDBStorage, name: str) -> StudySnapshot:
    """One study."""

    def read() -> StudySnapshot:
        study = optuna.load_study(study_name=name, storage=storage)
        return StudySnapshot(
            name, study.user_attrs[SAID], slots_of(study.get_trials(deepcopy=False))
        )

    try:
        return with_retries(storage, read)
    except KeyError as error:
        raise UserError(f"the study {name!r} was removed a moment ago") from error


def every(url: str) -> list[StudySnapshot]:
    """All studies at `url`, by name."""
    with reading(url) as storage:
        return [view(storage, name) for name in sorted(names(storage))]


def chosen(url: str, part: str) -> list[StudySnapshot]:
    """The studies at `url` that `part` names."""
    with reading(url) as storage:
        return [view(storage, name) for name in choose(names(storage), part)]


# ---------------------------------------------------------------- in words


def definition(study: StudySnapshot) -> list[tuple[str, str]]:
    """What is searched and how, in words."""
    said = study.said
    judged = ", ".join([said["benchmark"], *said["tune.also"]])
    lines = [
        ("benchmark", f"{said['benchmark']} at scale {said['scale']}"),
        (
            "set",
            ", ".join(f"{path} = {canonical_json(value)}" for path, value in study.settings.items())
            or "nothing",
        ),
        (
            "objective",
            " and ".join(
                f"{key} ({COSTS.get(key, 'the higher the better')})" for key in study.objective
            ),
        ),
        (
            "a trial",
            (
                f"{study.replicates} run{'s' if study.replicates > 1 else ''}: {judged} with seeds"
                f" {', '.join(map(str, said['tune.seeds']))}"
            ),
        ),
        (
            "proposed by",
            (
                f"{said['sampler']} with seed {said['tune.seed']}, {said['tune.round']} at a time,"
                f" {said['tune.startup']} before it learns"
            ),
        ),
        ("given up", _given_up(study)),
    ]
    return lines + [(path, _range(dimension)) for path, dimension in study.space.items()]


def _given_up(study: StudySnapshot) -> str:
    said = study.said
    pruned = (
        said["tune.pruner"] != "none"
        and len(study.objective) == 1
        and said["tune.prune_after"] < study.replicates
    )
    ways = {
        f"{said['tune.pruner']} pruner after {said['tune.prune_after']} runs, p < {said['tune.p']:g}": (
            pruned
        ),
        f"within a run after {said['tune.patience']} looks at val below the median": bool(
            said["tune.patience"]
        ),
    }
    return "; ".join(way for way, taken in ways.items() if taken) or "never"


def _range(dimension: Dimension) -> str:
    if dimension.type == "categorical":
        return " | ".join(map(canonical_json, dimension.choices))
    low, high = dimension.ends()
    more = {
        "logarithmic": dimension.log,
        f"in steps of {dimension.step or 0:g}": bool(dimension.step),
        "whole": dimension.type == "int",
    }
    return ", ".join([f"{low:g} to {high:g}", *(word for word, said in more.items() if said)])


def command(study: StudySnapshot, trial: FrozenTrial) -> list[str]:
    """The words of a `discl bench` that makes the runs of a trial, or finds them in the store."""
    said = study.said
    paths = {**study.settings, **settings(trial.params)}
    return commands.bench(
        said["benchmark"], said["scale"], [study.strategy], said["tune.seeds"], paths
    )


# ---------------------------------------------------------------- for Optuna's own tools


def told(
    study: StudySnapshot,
    objectives: int | None = None,
    scale: Sequence[float] = (),
    words: Callable[[str], str] = str,
) -> optuna.Study:
    """A copy in memory of the trials that count, numbered by slot; the first `objectives` times
    `scale`, choices and paths as `words`.
    """
    count = objectives or len(study.objective)
    scales = [*scale, *[1.0] * count]
    with quiet():
        copied = optuna.create_study(study_name=study.name, directions=DIRECTIONS[:count])
        for trial in study.slots:
            if trial is None or trial.state != TrialState.COMPLETE:
                copied.add_trial(optuna.create_trial(state=TrialState.FAIL))  # keeps its number
                continue
            known = {
                path: _readable(distribution, words)
                for path, distribution in trial.distributions.items()
            }
            params = {words(path): known[path].read(trial.params[path]) for path in known}
            values = [
                value * factor for value, factor in zip(trial.values[:count], scales, strict=False)
            ]
            distributions = {words(path): known[path].distribution for path in known}
            copied.add_trial(
                optuna.create_trial(params=params, distributions=distributions, values=values)
            )
    return copied


class _Readable(NamedTuple):
    distribution: BaseDistribution
    read: Callable[[Any], Any]


def _readable(distribution: BaseDistribution, words: Callable[[str], str]) -> _Readable:
    """Choices in words: what Optuna cannot store travels in a form of its own."""
    if not isinstance(distribution, CategoricalDistribution):
        return _Readable(distribution, lambda value: value)

    def read(choice: Any) -> Any:
        plain = settings({"": choice})[""]
        if isinstance(plain, str):
            return words(plain)
        return words(canonical_json(plain)) if isinstance(plain, (list, dict)) else plain

    return _Readable(
        CategoricalDistribution([read(choice) for choice in distribution.choices]), read
    )


def scored(study: StudySnapshot) -> list[FrozenTrial]:
    """Trials with a value, those that were given up among replicates too: theirs is an estimate."""
    return [trial for trial in study.slots if trial and trial.state == TrialState.COMPLETE]


def importances(study: StudySnapshot) -> dict[str, float]:
    """Setting -> its share in what tells the best trials from all, by PED-ANOVA; the largest first."""
    if (count := len(scored(study))) < LEAST:
        raise UserError(
            f"{study.name}: {count} trials are over; importances say something from {LEAST} on, so"
            " let the sweep go on first"
        )
    with quiet():
        found = optuna.importance.get_param_importances(told(study))
    return {path: share if math.isfinite(share) else 0.0 for path, share in found.items()}


# ---------------------------------------------------------------- removing


def remove(url: str, wanted: Sequence[str]) -> None:
    """Take studies out of the database, unless a launcher is at work on their sweep.

    Runs stay in the store.
    """
    storage = open_storage(url)
    try:
        known = names(storage)
        sweeps = {_sweep(name, known[name]) for name in wanted if name in known}
        # a launcher that trains for one study will want the others next
        for name in [name for name, said in known.items() if _sweep(name, said) in sweeps]:
            _check_idle(storage, name)
        for name in wanted:
            with study_lock(storage, name), suppress(KeyError):  # somebody else has removed it
                with_retries(
                    storage, partial(optuna.delete_study, study_name=name, storage=storage)
                )
    finally:
        close_storage(storage)


def _check_idle(storage: RDBStorage, name: str) -> None:
    study = optuna.load_study(study_name=name, storage=storage)
    requeue_dead(study, Heartbeat(storage))  # trials of dead launchers are not running afterwards
    running = with_retries(
        storage, lambda: study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    )
    if running:
        slots = ", ".join(str(trial.user_attrs.get(SLOT, trial.number)) for trial in running)
        raise UserError(
            f"{name}: trial {slots} is running, so a launcher is at work on it, or was killed"
            f" within the last {GRACE_SECONDS} s; stop it by Ctrl-C, or wait so long"
        )

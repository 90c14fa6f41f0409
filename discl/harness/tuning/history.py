"""Studies in a database, read without the sweep files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from discl.config.sweep import Dimension
from discl.core.errors import UserError, reason, unknown
from discl.core.text import counted, echo
from discl.harness.tuning.proposals import quiet
from discl.harness.tuning.slots import in_memory, slots_of, state_of, value_of, winner_of
from discl.harness.tuning.storage.address import redacted
from discl.harness.tuning.storage.database import close_storage, open_storage, with_retries

# what reading something else than a study raises
_NO_STUDY = (LookupError, ValueError, TypeError, AttributeError)
DEFINITION = "discl"  # the attribute of a study with what two launches must agree on
LEAST_TRIALS = 8  # that importances are read from


@dataclass(frozen=True)
class StudySnapshot:
    """A study as it stood when it was read."""

    name: str  # <sweep>/<benchmark>/<scale>/<strategy>, on a ladder /rung <k> after it
    definition: dict[str, Any]  # what two launches must agree on
    slots: list[FrozenTrial | None]

    @cached_property
    def sweep(self) -> str:
        """<sweep>/<benchmark>."""
        return sweep_of(self.name, self.definition)

    @cached_property
    def strategy(self) -> str:
        prefix = f"{self.sweep}/{self.definition['scale']}/"
        return self.name.removeprefix(prefix).partition("/")[0]

    @property
    def objective(self) -> list[str]:
        return list(self.definition["objective"])

    @cached_property
    def space(self) -> dict[str, Dimension]:
        return {path: Dimension(**table) for path, table in self._entries("space ").items()}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that all its runs share."""
        return self._entries("set ")

    def _entries(self, prefix: str) -> dict[str, Any]:
        return {
            key.removeprefix(prefix): value
            for key, value in self.definition.items()
            if key.startswith(prefix)
        }

    @property
    def replicates(self) -> int:
        """Runs of a trial that is not given up."""
        return len(self.definition["tune.seeds"]) * (1 + len(self.definition["tune.also"]))

    @cached_property
    def trials(self) -> list[tuple[int, FrozenTrial]]:
        """The trials that count, with their slots."""
        return [(slot, trial) for slot, trial in enumerate(self.slots) if trial]

    @cached_property
    def scored(self) -> list[FrozenTrial]:
        """Trials with a value; that of a trial given up among replicates is an estimate."""
        return [trial for _, trial in self.trials if trial.state == TrialState.COMPLETE]

    @cached_property
    def states(self) -> Counter[str]:
        return Counter(state_of(trial) for _, trial in self.trials)

    @cached_property
    def best(self) -> float | None:
        """The winner's first objective."""
        winner = winner_of(self.slots, self.objective)
        return value_of(winner) if winner else None

    @cached_property
    def front(self) -> list[FrozenTrial]:
        """The winner; with two objectives, the trials that no other one beats in both."""
        if len(self.objective) == 1:
            winner = winner_of(self.slots, self.objective)
            return [winner] if winner else []
        best_trials = in_memory(self.name, self.slots, self.objective).best_trials
        return [trial for best in best_trials if (trial := self.slots[best.number])]

    @property
    def last_activity(self) -> datetime | None:
        """When a trial last began or ended."""
        times = [
            time
            for _, trial in self.trials
            for time in (trial.datetime_start, trial.datetime_complete)
            if time
        ]
        return max(times, default=None)

    def importances(self) -> dict[str, float]:
        """Setting -> its share in what tells the best trials from all, largest first (PED-ANOVA).

        The evaluator is Optuna's default (Watanabe et al. 2023). Raises UserError where fewer than
        `LEAST_TRIALS` trials are over.
        """
        if len(self.scored) < LEAST_TRIALS:
            raise UserError(
                f"{self.name}: {counted(len(self.scored), 'trial is', 'trials are')} over;"
                f" importances say something from {LEAST_TRIALS} on, so let the sweep go on first"
            )
        copied = in_memory(self.name, self.slots, self.objective)
        with quiet():
            shares = optuna.importance.get_param_importances(copied)
        return {path: share if math.isfinite(share) else 0.0 for path, share in shares.items()}


def sweep_of(name: str, definition: Mapping[str, Any]) -> str:
    """<sweep>/<benchmark> of a study's name: the scales of a ladder are one search."""
    benchmark, scale = definition["benchmark"], definition["scale"]
    return name.partition(f"/{benchmark}/{scale}/")[0] + f"/{benchmark}"


# ---------------------------------------------------------------- reading


@contextmanager
def reading(url: str) -> Iterator[RDBStorage]:
    """Open the database at `url` for reading.

    A SQLite file cannot be changed through it, and no launcher waits for it. Raises UserError where
    there is no database, or it cannot be read.
    """
    check_exists(url)
    storage = open_storage(url)
    if storage.engine.url.drivername == "sqlite":
        close_storage(storage)
        storage = _read_only(storage.engine.url)
    try:
        yield storage
    except _NO_STUDY as error:
        raise UserError(
            f"{redacted(url)} holds what neither Optuna nor a sweep writes ({reason(error)}); name"
            " another database, or move it away and begin the studies anew"
        ) from error
    finally:
        close_storage(storage)


def _read_only(url: URL) -> RDBStorage:
    """Launchers begin each transaction with SQLite's one write lock; a reader must not."""
    address = URL.create(
        "sqlite", database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"}
    )
    return RDBStorage(
        # Optuna takes braces for places to fill in
        address.render_as_string().replace("{", "{{").replace("}", "}}"),
        {"connect_args": {"timeout": 60}},
        skip_compatibility_check=True,
        skip_table_creation=True,
    )


def check_exists(url: str) -> None:
    """Raise UserError where `url` is a SQLite file that does not exist: reading creates none."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        return  # opening says what is wrong with it
    if address.get_backend_name() != "sqlite":
        return
    if not Path(address.database or "").expanduser().is_file():
        raise UserError(
            f"there are no studies in {redacted(url)}; `discl sweep tune_static` begins some,"
            " --storage names another database"
        )


def definitions(storage: RDBStorage) -> dict[str, dict[str, Any]]:
    """Name -> definition of the studies of sweeps; studies of other programs are left out."""
    summaries = with_retries(
        storage, lambda: optuna.get_all_study_summaries(storage, include_best_trial=False)
    )
    studies = {}
    for summary in summaries:
        definition = summary.user_attrs.get(DEFINITION)
        if isinstance(definition, dict) and {"benchmark", "scale"} <= definition.keys():
            studies[summary.study_name] = definition
    return studies


def choose(known: Mapping[str, Mapping[str, Any]], part: str) -> list[str]:
    """Names of studies that `part` means: a whole name, or a part of names of one sweep.

    Whole words of a name come before parts of words. Raises UserError where no study fits, or
    studies of several sweeps do.
    """
    if part in known:
        return [part]
    fitting = [name for name in known if f"/{part.strip('/')}/" in f"/{name}/"]
    if not fitting:
        fitting = [name for name in known if part and part in name]
    if not fitting:
        raise unknown("study", part, known)
    if len({sweep_of(name, known[name]) for name in fitting}) > 1:
        raise UserError(
            f"{part!r} fits studies of several sweeps; write more of the name:"
            f" {', '.join(sorted(fitting))}"
        )
    return sorted(fitting)


def snapshot(storage: RDBStorage, name: str) -> StudySnapshot:
    """Read one study; raises UserError where it was removed meanwhile."""

    def read() -> StudySnapshot:
        study = optuna.load_study(study_name=name, storage=storage)
        slots = slots_of(study.get_trials(deepcopy=False))
        return StudySnapshot(name, study.user_attrs[DEFINITION], slots)

    try:
        found = with_retries(storage, read)
    except KeyError as error:
        raise UserError(f"the study {name!r} was removed a moment ago") from error
    try:
        _ = (found.sweep, found.strategy, found.objective, found.space, found.settings)
        _ = (found.front, found.last_activity, found.replicates)
    except _NO_STUDY as error:
        raise UserError(
            f"the study {name!r} is not as a sweep writes it ({reason(error)}); begin it anew by"
            " another name (--as)"
        ) from error
    return found


def all_studies(url: str) -> list[StudySnapshot]:
    """All studies at `url`, by name."""
    studies = []
    with reading(url) as storage:
        for name in sorted(definitions(storage)):
            try:
                studies.append(snapshot(storage, name))
            except UserError as error:  # the others are shown
                echo(error, err=True)
    return studies


def chosen_studies(url: str, part: str) -> list[StudySnapshot]:
    """The studies at `url` that `part` means; see `choose`."""
    with reading(url) as storage:
        return [snapshot(storage, name) for name in choose(definitions(storage), part)]

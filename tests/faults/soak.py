"""Commands that are killed at random moments come to what they come to undisturbed.

    python -m tests.faults.soak --kills 100 --seed 0

Each command is given once to a small world of its own, and what it comes to is written down. In
other worlds like it commands are then begun at random, some of them beside another one, and their
process groups killed at a moment of the time that the command takes. After `KILLS_OF_A_WORLD`
kills each command is given once more and to its end, and the world compared with the first.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import click
import numpy as np

from discl.core.result import Result
from discl.engine.bank.bank import Bank, id_of
from discl.engine.bank.catalogue import ImageRecord
from discl.files import shards
from discl.files.formats import tables
from discl.testing import gone
from tests import processes, sweeps
from tests.banks import CELLS, put
from tests.make_mini import make
from tests.processes import Started, descendants

KILLS_OF_A_WORLD = 20
BESIDE = 0.25  # share of the kills beside which another command runs to its end
PATIENCE_S = 300.0
HOME, ELSEWHERE = "home", "elsewhere"  # of DISCL_HOME: here, and on the machine that imports
COMMANDS = {
    "bench": "bench soak --trackers=",
    "sweep": "sweep soak --workers 2 --trackers=",
    "publish": "leaderboard publish soak",
    "export": "bank export soak shared",
    "import": "bank import soak {given}",
    "gc": "bank gc --yes --recent",
}
# an empty file or folder so young may be about to be locked by its writer, and is let be
YOUNG_S = 5.5
NOBODYS: dict[str, object] = {"dataset": {"name": "left"}}  # the process of a bank that gc takes
PRELOADED = [
    "discl.engine.bank.exchange",
    "discl.harness.bank.gc",
    "discl.harness.leaderboard.publish",
    "discl.testing",
    "pyarrow.parquet",
    "tests.banks",
    "tests.make_mini",
    "tests.sweeps",
]
MAY_REFUSE = ("publish", "export")  # while there is no run, or no image
BENCHMARK = """
title = "Soak"
based_on = "folder"
trackers = []

[dataset]
root = "{photos}"

[scale.smoke]
strategies = ["static", "real_rebalanced"]
seeds = [0, 1]
levels = [25, 50, 100]
[scale.smoke.generator]
name = "blend"
[scale.smoke.bank]
variants = 1
batch = 8
[scale.smoke.backbone]
stem_stride = 4
arguments = {{ layers = [1, 1, 1, 1], channels = [8, 8, 8, 8], stem_type = "deep", stem_width = 4 }}
[scale.smoke.train]
epochs = 3
warmup_epochs = 1
curriculum_epochs = 2
evaluate_every = 1
batch = 16
checkpoint_seconds = 0
"""
SWEEP = """
benchmark = "soak"
strategies = ["static"]

[space."train.lr"]
type = "float"
low = 1e-4
high = 3e-2
log = true

[tune]
trials = 3
round = 2
startup = 2
seeds = [0]
"""


@dataclass(frozen=True)
class World:
    """A working folder with the homes and data of two machines."""

    folder: Path
    photos: Path
    given: Path  # the export that is imported

    def __post_init__(self) -> None:
        for kind, text in (("benchmarks", BENCHMARK), ("sweeps", SWEEP)):
            (self.folder / kind).mkdir(parents=True)
            (self.folder / kind / "soak.toml").write_text(text.format(photos=self.photos))

    def home(self, name: str = HOME) -> Path:
        return self.folder / name

    def begin(self, command: str, home: str, log: Path) -> Started:
        """A command in a process group of its own."""
        if command == "export":
            shutil.rmtree(self.folder / "shared", ignore_errors=True)
        if command == "gc":
            self._leave_a_bank(self.home(home) / "banks")
        words = [word.format(given=self.given) for word in COMMANDS.get(command, command).split()]
        environment = {"DISCL_HOME": str(self.home(home)), "DISCL_DATA": str(self.folder / "data")}
        return processes.begin(lead, words, log=log, folder=self.folder, environment=environment)

    def _leave_a_bank(self, banks: Path) -> None:
        """A bank that no benchmark and no run knows, for gc to take."""
        with closing(Bank(banks, NOBODYS)) as bank:
            if not bank.count():
                put(bank, CELLS)

    def answers(self) -> dict[str, Any]:
        """What the commands came to, without what may differ: when, and at which attempt."""
        done = sweeps.read(self.home(), sweeps.sqlite(self.home()))
        results = [Result.read(path) for path in self.home().glob("runs/*/*/result.json")]
        published = self.folder.glob("leaderboards/results/soak/smoke/*.json")
        return {
            "images": self._images(HOME),
            "images that were imported": self._images(ELSEWHERE),
            "images that were exported": exported(self.folder / "shared"),
            "runs": done.results,
            "trials": done.trials,
            "images of runs": {one.id: one.provenance.get("bank_content") for one in results},
            "published": {path.name: sweeps.told(Result.read(path)) for path in published},
        }

    def _images(self, home: str) -> dict[str, Any]:
        found = {}
        banks = self.home(home).glob("banks/*")
        for folder in (bank for bank in banks if bank.name != "trash"):
            with closing(Bank.at(folder)) as bank:
                found[folder.name] = (bank.digest(), list(bank.verify()))
        return found

    def finished(self) -> set[str]:
        """What no kill may take away: images in shards, results, and what is published.

        An image that two processes made is in two shards, and gc takes one of them.
        """
        patterns = ("*/runs/*/*/result.json", "leaderboards/*/*/*/*.json")
        found = {str(path) for pattern in patterns for path in self.folder.glob(pattern)}
        for path in self.folder.glob("*/banks/*/shards/[!.]*"):
            columns, rows = shards.read_index(path.parent, path.name)
            if id_of(NOBODYS) not in path.parts:
                place = columns.index("key")
                found |= {f"image {row[place]} in {path.parent}" for row in rows}
        return found

    def leftovers(self) -> list[str]:
        """What killed processes left."""
        unfinished = (".tmp", ".trial", ".half", ".old", ".damaged")
        found = [path for path in self.folder.rglob("*") if path.suffix in unfinished]
        for pattern in ("banks/trash", "banks/*/damaged-*", "banks/*/builders/*", "runs/*/checkp*"):
            found += self.folder.glob(f"*/{pattern}")
        for catalogue in self.folder.glob("*/banks/*/catalogue.sqlite"):
            with closing(sqlite3.connect(catalogue)) as db:
                if db.execute("SELECT COUNT(*) FROM leases").fetchone() != (0,):
                    found.append(catalogue / "leases")
        return sorted(str(path.relative_to(self.folder)) for path in set(found))


def lead(words: list[str]) -> None:
    """The command at the head of a process group, with the short waits of `tests.sweeps`."""
    os.setpgid(0, 0)
    sweeps.launch(words, 12.0)


def exported(folder: Path) -> dict[str, dict[str, Any]]:
    """The images of an export by key, without their place in a shard."""
    columns = {name: _KINDS[kind] for name, kind in get_type_hints(ImageRecord).items()}
    found = {}
    for batch in tables.read(folder, columns):
        for row in batch:
            del row["offset"]
            found[row["key"]] = row
    return found


_KINDS = {str: "string", int: "int64", float | None: "float64"}


@dataclass
class Soak:
    """A soak under way, and what it comes to."""

    folder: Path
    seed: int
    tell: Callable[[str], object]
    kills: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)  # by themselves, among the kills
    compared: int = 0
    faults: list[str] = field(default_factory=list)
    worlds: int = 0

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)
        self.photos = make("folder", self.folder / "photos", images=60)
        self.logs = 0
        self.seconds: dict[str, float] = {}
        self.first = self._world("undisturbed")
        self._to_its_end(self.first, "list strategies", HOME)  # processes are quick from then on
        for command in COMMANDS:
            started = time.monotonic()
            home = ELSEWHERE if command == "import" else HOME
            self._to_its_end(self.first, command, home)
            self.seconds[command] = time.monotonic() - started
        self.first_exported = exported(self.first.folder / "shared")
        for command, home in ENDS[5:]:
            self._to_its_end(self.first, command, home)
        self.answers = self.first.answers()
        self._check("undisturbed", self.first)
        took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        self.tell(f"undisturbed: {took}")

    def strike(self, kills: int) -> None:
        """Kill so many commands, and compare every world at its end."""
        while self.kills.total() < kills and not self.faults:
            self.worlds += 1
            name = f"world {self.worlds}"
            world = self._world(name)
            last = min(kills, self.kills.total() + KILLS_OF_A_WORLD)
            while self.kills.total() < last and not self.faults:
                self._strike(world, f"{last - self.kills.total()} to go in {name}")
            if self.faults:
                return
            time.sleep(YOUNG_S)
            for command, home in ENDS:
                self._to_its_end(world, command, home)
            self._check(name, world)
            self.tell(f"{name}: {len(self.faults)} faults")
            if not self.faults:
                shutil.rmtree(world.folder)

    def _world(self, name: str) -> World:
        given = self.folder / "undisturbed" / "shared"
        return World(self.folder / name, self.photos, given)

    def _strike(self, world: World, where: str) -> None:
        command, beside = (str(one) for one in self.chance.choice(list(COMMANDS), 2, replace=False))
        home = self._home_for(command)
        before = world.finished()
        after_s = self.chance.uniform(0, self.seconds[command])
        other = None
        if self.chance.random() < BESIDE:
            other_log = self._log(beside)
            other = world.begin(beside, HOME, other_log)
        log = self._log(command)
        process = world.begin(command, home, log)
        if killed(process, after_s):
            self.kills[command] += 1
            said = f"killed after {after_s:.2f} s of {self.seconds[command]:.2f}"
        else:
            said = "was done before"
            self._ended(world, command, process, log)
        if other is not None:
            self._ended(world, beside, other, other_log)
            said += f", beside {beside}"
        if lost := before - world.finished():
            self.faults.append(f"lost at {command}: {', '.join(sorted(lost))}")
        if command == "import" and home == ELSEWHERE and process.returncode == 0:
            shutil.rmtree(world.home(home))  # the next one has something to do again
        self.tell(f"{self.kills.total():3} {command} {said}; {where}")

    def _home_for(self, command: str) -> str:
        return ELSEWHERE if command == "import" and self.chance.random() < 0.7 else HOME

    def _log(self, command: str) -> Path:
        self.logs += 1
        (self.folder / "logs").mkdir(exist_ok=True)
        return self.folder / "logs" / f"{self.logs:04d} {command.split()[0]}"

    def _to_its_end(self, world: World, command: str, home: str) -> None:
        log = self._log(command)
        process = world.begin(command, home, log)
        if sweeps.ended(process, log, PATIENCE_S) != 0:
            self.faults.append(f"{command} ended with {process.returncode}: {log.read_text()}")

    def _ended(self, world: World, command: str, process: Started, log: Path) -> None:
        """A command that was let go to its end did what it should, or said why it cannot yet."""
        self.ended[command] += 1
        code = sweeps.ended(process, log, PATIENCE_S)
        text = log.read_text()
        if "Traceback" in text or code not in ((0, 2) if command in MAY_REFUSE else (0,)):
            self.faults.append(f"{command} ended with {code}: {text}")
        elif command == "export" and code == 0:
            self.compared += 1
            found = exported(world.folder / "shared")
            if not found.items() <= self.first_exported.items():
                self.faults.append("an export holds other images")

    def _check(self, name: str, world: World) -> None:
        if self.faults:
            return
        for kind, value in world.answers().items():
            self.compared += 1
            if value != self.answers[kind]:
                self.faults.append(f"{name}: other {kind}: {value} instead of {self.answers[kind]}")
        if left := world.leftovers():
            self.faults.append(f"{name}: left: {', '.join(left)}")


# what is done in the end, in which home; at the last the trash is emptied, and nothing is damaged
ENDS = (
    ("bench", HOME),
    ("sweep", HOME),
    ("publish", HOME),
    ("export", HOME),
    ("import", ELSEWHERE),
    ("import", HOME),
    ("gc", HOME),
    ("bank gc --yes", HOME),
    ("bank gc --yes", ELSEWHERE),
    ("leaderboard check", HOME),
    ("verify --dry-run", HOME),
    ("verify --dry-run", ELSEWHERE),
)


def killed(process: Started, after_s: float) -> bool:
    """Kill a process group after so many seconds; False where it had ended before."""
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        below = set(descendants(process.pid))
        with suppress(ProcessLookupError):  # it is not the head of a group yet
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        assert gone(below, 20), f"{below} outlived their group"
        return process.returncode == -signal.SIGKILL
    return False


def soak(folder: Path, kills: int, seed: int, tell: Callable[[str], object] = print) -> Soak:
    """Kill so many commands in worlds below a new folder; the last line told is the verdict."""
    started = time.monotonic()
    done = Soak(folder, seed, tell)
    try:
        done.strike(kills)
    except Exception as error:  # nobody watches: what stops the soak is a fault like others
        done.faults.append("".join(traceback.format_exception(error)))
    for fault in done.faults:
        tell(fault)
    by_command = ", ".join(f"{name} {done.kills[name]}" for name in COMMANDS)
    sound = not done.faults and done.kills.total() >= kills
    tell(
        f"{'sound' if sound else 'FAULTS'}: {done.kills.total()} kills ({by_command})"
        f" in {done.worlds} worlds, {done.ended.total()} commands ended between them,"
        f" {done.compared} comparisons, {len(done.faults)} faults,"
        f" {time.monotonic() - started:.0f} s"
    )
    return done


@click.command()
@click.option("--kills", default=100, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="A new folder, which is kept.")
def main(kills: int, seed: int, folder: Path | None) -> None:
    """Kill commands at random, and compare what the others come to with an undisturbed world."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline"}
    processes.SERVER.set_forkserver_preload([*processes.PRELOADED, *PRELOADED])
    place = folder or Path(tempfile.mkdtemp(prefix="soak-"))
    place.mkdir(parents=True, exist_ok=True)
    done = soak(place.resolve(), kills, seed, click.echo)
    if done.faults:
        click.echo(f"the worlds and logs are in {place}", err=True)
        raise SystemExit(1)
    if not folder:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()

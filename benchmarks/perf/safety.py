"""What seals and checks cost, against the discl of another Python: in turn, pair by pair.

    python benchmarks/perf/safety.py --against /path/to/.venv/bin/python

The other Python lies in the `.venv` of the source tree of its discl, such as a clone of a5fbe4c,
which sealed nothing. Each is one process that is asked again and again, and forks for each answer,
so that every check is made again. A ratio is the median over the rounds of other / this for what
should be as fast (above 1: this one is faster), of processor time and by the clock.

`reading`: the map of a level of 100,000 images of 32 x 32, opened, checked and read in random
batches: by indexing into normalised tensors, and as training gathers a batch, half of it photos;
one pass and `--passes` of them, the check of the map included in both. `opening`: until the first
answer of that bank. `switching`: to another level of a bank of 600,000 rows. `step`: a training
step of CIFAR-10-LT's smoke network. `bench`: the whole command where all nine results are stored;
each discl has a home of its own, filled by itself with the same settings.
Results go to benchmarks/perf/safety.json.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from _report import report  # noqa: E402

SIDE = Path(__file__).with_name("_safety_side.py")
LIMITS = {  # of issue 15
    "reading": "at least 0.97 of the other's speed",
    "switching": "below 5 ms",
    "step": "at most 1.01 of the other's time",
    "opening": "at most 1 s more",
    "bench": "not slower",
}
SETTINGS = (
    "generator.name=blend",
    "bank.variants=1",
    "train.epochs=2",
    "train.warmup_epochs=1",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "train.batch=16",
    "backbone.stem_stride=4",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=4}",
    "levels=[25,50,100]",
    'strategies=["static","real_only","real_rebalanced"]',
    "seeds=[0,1,2]",
    "trackers=[]",
)
Taken = dict[str, float]  # "wall" and "processor" -> seconds


class Side:
    """A discl that is asked to measure itself."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.tree = python.parents[2]
        self.folder = folder
        folder.mkdir()
        self.environment = {
            **os.environ,
            "HOME": str(folder / "user"),
            "DISCL_HOME": str(folder / "home"),
            "DISCL_DATA": str(folder / "data"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "WANDB_MODE": "offline",
        }
        (folder / "user").mkdir()
        self._asked = subprocess.Popen(
            [python, SIDE],
            cwd=self.tree,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, measure: str, **values: Any) -> Any:
        assert self._asked.stdin is not None  # noqa: S101
        assert self._asked.stdout is not None  # noqa: S101
        print(json.dumps({"measure": measure, **values}), file=self._asked.stdin, flush=True)
        answer = self._asked.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.python} could not measure {measure}")
        return json.loads(answer)

    def bench(self, photos: Path) -> Taken:
        """Seconds of `discl bench` in this home."""
        settings = [
            word for one in (*SETTINGS, f"dataset.root={photos}") for word in ("--set", one)
        ]
        before, started = _children_seconds(), time.perf_counter()
        ran = subprocess.run(
            [self.python, "-m", "discl.cli", "bench", "folder", *settings],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            raise SystemExit(f"{self.python}: {ran.stdout}{ran.stderr}")
        return {
            "wall": time.perf_counter() - started,
            "processor": _children_seconds() - before,
        }

    def results(self) -> int:
        return len(list((self.folder / "home" / "runs").glob("*/*/result.json")))

    def close(self) -> None:
        self._asked.communicate()


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


Pairs = list[tuple[Any, Any]]  # (this, other) of each round


def in_turn(sides: tuple[Side, Side], rounds: int, ask: Callable[[Side], Any]) -> Pairs:
    """What both answer, round by round, each first in every second."""
    pairs = []
    for number in range(rounds):
        order = sides if number % 2 else sides[::-1]
        answers = {id(side): ask(side) for side in order}
        pairs.append((answers[id(sides[0])], answers[id(sides[1])]))
    return pairs


def times(pairs: Pairs, of: Callable[[Any], Taken], digits: int = 4) -> dict[str, Any]:
    """Medians of both, and of other / this over the pairs, for both clocks."""
    found: dict[str, Any] = {}
    for clock in ("processor", "wall"):
        this = [of(pair[0])[clock] for pair in pairs]
        other = [of(pair[1])[clock] for pair in pairs]
        ratios = [there / here for here, there in zip(this, other, strict=True)]
        found[clock] = {
            "this_s": round(statistics.median(this), digits),
            "other_s": round(statistics.median(other), digits),
            "other/this": round(statistics.median(ratios), 3),
            "lowest": round(min(ratios), 3),
            "highest": round(max(ratios), 3),
        }
    return found


def of_passes(kind: str, passes: int) -> Callable[[Any], Taken]:
    """Seconds of opening a level, and reading it so often."""
    return lambda answer: {
        clock: answer["open"][clock] + passes * answer[kind][clock]
        for clock in ("processor", "wall")
    }


# ---------------------------------------------------------------- the five


def reading(sides: tuple[Side, Side], rounds: int, small: bool, passes: int) -> dict[str, Any]:
    pairs = in_turn(sides, rounds, lambda side: side.ask("reading", folder=_bank(side), passes=3))
    found = {"opening a level": times(pairs, lambda answer: answer["open"])}
    for kind in ("indexed", "gathered"):
        for count in (1, passes):
            found[f"{kind}, {count} passes"] = times(pairs, of_passes(kind, count))
    return found


def opening(sides: tuple[Side, Side], rounds: int, small: bool, passes: int) -> dict[str, Any]:
    return times(in_turn(sides, rounds, lambda side: side.ask("opening", folder=_bank(side))), dict)


def switching(sides: tuple[Side, Side], rounds: int, small: bool, passes: int) -> dict[str, Any]:
    rows = 60_000 if small else 600_000
    for side in sides:
        side.ask("fill", folder=str(side.folder / "levels"), images=rows, levels=5, side=8)
    asked = {"folder": "levels", "rounds": 20}
    pairs = in_turn(
        sides,
        2,
        lambda side: side.ask("switching", **{**asked, "folder": str(side.folder / "levels")}),
    )
    milliseconds = {
        f"{name}_{kind}_ms": round(1e3 * pick(pair[place][kind] for pair in pairs), 3)
        for place, name in enumerate(("this", "other"))
        for kind, pick in (("median", statistics.median), ("worst", max))
    }
    return {
        "rows": rows,
        **milliseconds,
        "opening all levels": times(pairs, lambda answer: answer["first"]),
    }


def step(sides: tuple[Side, Side], rounds: int, small: bool, passes: int) -> dict[str, Any]:
    steps = 20 if small else 60
    return times(in_turn(sides, rounds, lambda side: side.ask("step", steps=steps)), dict, 5)


def bench(sides: tuple[Side, Side], rounds: int, small: bool, passes: int) -> dict[str, Any]:
    photos = sides[0].folder.parent / "photos"
    subprocess.run(
        [sys.executable, "-m", "tests.make_mini", "folder", photos, "--images", "60"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for side in sides:
        side.bench(photos)
    stored = {side.results() for side in sides}
    if stored != {9}:
        raise SystemExit(f"{stored} results are stored, and not nine in each home")
    return {"results": 9, **times(in_turn(sides, rounds, lambda side: side.bench(photos)), dict)}


def _bank(side: Side) -> str:
    return str(side.folder / "bank")


MEASURES = {
    "reading": reading,
    "opening": opening,
    "switching": switching,
    "step": step,
    "bench": bench,
}


@click.command()
@click.option(
    "--against",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The Python of another discl, in the `.venv` of its source tree.",
)
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@click.option("--passes", default=30, show_default=True, help="Of a run over a level's images.")
@click.option("--only", type=click.Choice(list(MEASURES)), multiple=True, help="Repeatable.")
@click.option("--small", is_flag=True, help="A tenth of the images, to try the script.")
@click.option("--output", type=click.Path(path_type=Path), default=SIDE.with_name("safety.json"))
def main(
    against: Path, rounds: int, passes: int, only: tuple[str, ...], small: bool, output: Path
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # the name of a Python in a .venv is a link out of it
        pythons = (Path(sys.executable), against.absolute())
        sides = (Side(pythons[0], folder / "this"), Side(pythons[1], folder / "other"))
        chosen = only or tuple(MEASURES)
        if {"reading", "opening"} & set(chosen):
            images = 10_000 if small else 100_000
            for side in sides:
                side.ask("fill", folder=_bank(side), images=images, levels=1, side=32)
        for name in chosen:
            found = MEASURES[name](sides, rounds, small, passes)
            report(output, name, {"limit": LIMITS[name], **found})
        for side in sides:
            side.close()


if __name__ == "__main__":
    main()

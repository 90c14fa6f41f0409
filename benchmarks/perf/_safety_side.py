"""One side of safety.py: measures the discl of the Python that runs it, on request.

Runs in the source tree of that discl, beside its own measuring scripts, which know its names. Each
line of standard input is a request; the answer is what was measured in a process forked for it, so
that nothing was checked before.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path[:0] = [os.getcwd(), str(Path.cwd() / "benchmarks" / "perf")]
sys.stdout, ANSWERS = sys.stderr, sys.stdout  # what discl says is no answer

import bank_storage  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import train  # noqa: E402

LEVEL = 50
LEVELS = bank_storage.LEVELS
BATCH = 64
WARM_PHOTOS = 2000


def part(*names: str) -> Any:
    """The first of these modules that there is: later versions have others."""
    for name in names:
        with suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise ImportError(f"none of {names}")


Bank = bank_storage.Bank
BATCHES = part("discl.engine.training.batches", "discl.engine.loading")
PLANS = part("discl.engine.training.sampler", "discl.engine.sampling")
gather = getattr(BATCHES, "gather_pixels", None) or BATCHES.gather


def bank_in(folder: str) -> Any:
    return Bank(Path(folder), {"benchmark": "safety"})


def save_map(bank: Any, level: int, pixels: Any) -> None:
    """The map of a level as its discl stores it, sealed where it seals."""
    path, _ = bank.map_path(level)
    path.parent.mkdir(exist_ok=True)
    try:
        from discl.files import sealed
    except ImportError:
        np.save(path, pixels)
    else:
        sealed.save_array(path, pixels, f"{bank.id} {path.name}")


# ---------------------------------------------------------------- what is measured


def fill(folder: str, images: int, levels: int, side: int) -> dict[str, Any]:
    """Rows and maps of a bank of so many images, without the images themselves."""
    bank = bank_in(folder)
    per_level = images // levels
    pixels = np.random.default_rng(0).integers(0, 256, (per_level, side, side, 3), np.uint8)
    for number, level in enumerate(LEVELS[:levels]):
        rows = (bank_storage.row_of(level, row) for row in range(per_level))
        bank.catalogue.add(f"{number:032x}", rows)
        save_map(bank, level, pixels)
    bank.close()
    return {"rows": per_level * levels}


def reading(folder: str, passes: int) -> dict[str, Any]:
    """Seconds of opening a level, of its first pass, and of a later one, in random batches.

    `indexed`: by indexing the map, each batch ending as a normalised float tensor. `gathered`: as
    training reads, half of each batch photos.
    """
    bank = bank_in(folder)
    (getattr(bank, "repair", None) or bank.heal)()  # what opening the bank costs is `opening`
    bank.map_path(LEVELS[1])  # nor is the first query of a connection reading
    with clock() as opened:
        pixels = bank.pixels(LEVELS[0])
    photos = np.random.default_rng(1).integers(0, 256, (WARM_PHOTOS, *pixels.shape[1:]), np.uint8)
    data = SimpleNamespace(train=SimpleNamespace(pixels=photos), pixels={LEVELS[0]: pixels})
    count = len(pixels)

    def indexed(number: int) -> None:
        order = np.random.default_rng(number).permutation(count)
        for start in range(0, count, BATCH):
            as_floats(torch.from_numpy(np.asarray(pixels[order[start : start + BATCH]])))

    def gathered(number: int) -> None:
        position = np.random.default_rng(number).permutation(count)
        for start in range(0, count, BATCH // 2):
            rows = position[start : start + BATCH // 2]
            is_photo = np.arange(2 * len(rows)) % 2 == 0
            at = np.repeat(rows, 2)
            level = np.where(is_photo, 100, LEVELS[0])
            plan = PLANS.Plan(at % WARM_PHOTOS, level, np.where(is_photo, -1, at))
            as_floats(gather(plan, data))

    found = {"open": opened.answer}
    for name, read in (("indexed", indexed), ("gathered", gathered)):
        timed = []
        for number in range(passes):
            with clock() as taken:
                read(number)
            timed.append(taken.answer)
        found[name] = min(timed, key=lambda one: one["processor"])
    return found


def as_floats(images: Any) -> Any:
    return images.permute(0, 3, 1, 2).float().div_(255).sub_(0.5)


def opening(folder: str) -> dict[str, Any]:
    """Seconds until the first answer of a bank, with all checks."""
    with clock() as taken:
        bank = bank_in(folder)
        (getattr(bank, "repair", None) or bank.heal)()
        bank.scores(LEVELS[0])
    return taken.answer


def switching(folder: str, rounds: int) -> dict[str, Any]:
    """Seconds of each change of the level that is trained on, all levels having been opened."""
    bank = bank_in(folder)
    with clock() as first:
        for level in LEVELS:
            bank.pixels(level)
    seconds = []
    for level in LEVELS * rounds:
        started = time.perf_counter()
        bank.pixels(level)[:64].sum()
        seconds.append(time.perf_counter() - started)
    return {"median": float(np.median(seconds)), "worst": max(seconds), "first": first.answer}


def step(steps: int) -> dict[str, Any]:
    """Seconds of a training step."""
    side, parameters = train.MODELS["cifar10_lt smoke, 32 px"]
    split = train.photos(side)
    network = train.network(parameters, side)
    with clock() as taken:
        wall = train.harness_loop(network, split, steps)
    # the loop makes a few steps more than it times
    return {"wall": wall, "processor": taken.answer["processor"] / (steps + 8)}


class clock:  # noqa: N801 - reads as what it does
    """Seconds by the clock and of the processor, children included, of a block."""

    def __enter__(self) -> clock:
        self.started = time.perf_counter(), processor_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        wall, processor = self.started
        self.answer = {
            "wall": time.perf_counter() - wall,
            "processor": processor_seconds() - processor,
        }


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# ---------------------------------------------------------------- requests


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "fill": fill,
    "reading": reading,
    "opening": opening,
    "switching": switching,
    "step": step,
}


def requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def forked(request: dict[str, Any]) -> str:
    """The answer to a request, from a process of its own."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        measure = MEASURES[request.pop("measure")]
        with os.fdopen(writes, "w") as answers:
            json.dump(measure(**request), answers)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answers:
        text = answers.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{request} failed")
    return text


def main() -> None:
    torch.set_num_threads(1)
    for request in requests():
        print(forked(request), file=ANSWERS, flush=True)


if __name__ == "__main__":
    main()

"""What a bench or a sweep is said to cost, or what it costs, in processor seconds of a process of
its own: python -m tests.prices plan|make bench|sweep NAME [KEY=VALUE ...]

Of a busy machine the clock on the wall tells nothing, and with one thread the processor's is what
the wall's is on an idle one. The last line is the sum.
"""

import contextlib
import sys
import time

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.config import load, sweep_load
from discl.config.experiment import Experiment, experiments
from discl.core.progress import no_progress
from discl.harness.run.store import Store

PATIENCE_SECONDS = 3600.0  # on a wall clock, however busy the machine is


def runs_of(kind: str, name: str, settings: list[str]) -> list[Experiment]:
    """The runs of a benchmark at scale smoke, or of a sweep."""
    from discl.harness.sweep import expand

    if kind == "bench":
        return experiments(load.load(name, "smoke", settings))
    return expand.experiments(sweep_load.load(name, settings=settings))


def planned(kind: str, name: str, settings: list[str]) -> float:
    """Seconds that are expected."""
    from discl.harness.sweep.cost import estimate_cost

    time.perf_counter = time.process_time
    runs = runs_of(kind, name, settings)
    cost = estimate_cost(runs, Store(), no_progress, seconds=PATIENCE_SECONDS)
    return 60 * cost.minutes


def made(kind: str, name: str, settings: list[str]) -> float:
    """Seconds that it takes, Python's start and all imports among them."""
    from discl.cli import main

    command = [kind, name, "--scale", "smoke", "--trackers", "console"]
    for setting in settings:
        command += ["--set", setting]
    with contextlib.suppress(SystemExit):
        main.main(command)
    return time.process_time()


if __name__ == "__main__":
    what, kind, name, *settings = sys.argv[1:]
    print((planned if what == "plan" else made)(kind, name, settings))

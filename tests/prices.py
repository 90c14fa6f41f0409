"""What a bench is said to cost, or what it costs, in processor seconds of a process of its own:
python -m tests.prices plan|make BENCH [KEY=VALUE ...]

Of a busy machine the clock on the wall tells nothing, and with one thread the processor's is what
the wall's is on an idle one.
"""

import sys
import time

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.progress import no_progress
from discl.harness.run.store import Store

PATIENCE_SECONDS = 900.0  # on a wall clock, however busy the machine is


def planned(name: str, settings: list[str]) -> float:
    """Seconds that are expected."""
    from discl.harness.sweep.cost import estimate_cost

    time.perf_counter = time.process_time
    spec = load(name, "smoke", settings)
    cost = estimate_cost(experiments(spec), Store(), no_progress, seconds=PATIENCE_SECONDS)
    return 60 * cost.minutes


def made(name: str, settings: list[str]) -> float:
    """Seconds that it takes, Python's start and all imports among them."""
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.sequential import sweep

    for _ in sweep(load(name, "smoke", settings), Store(), CompositeTracker.of([])):
        pass
    return time.process_time()


if __name__ == "__main__":
    what, name, *settings = sys.argv[1:]
    print((planned if what == "plan" else made)(name, settings))

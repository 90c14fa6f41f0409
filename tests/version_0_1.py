"""Records that version 0.1 wrote, and benchmarks with the settings it had then."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from discl.config.benchmark import Benchmark
from discl.config.load import load

RECORDS = Path(__file__).parent / "golden" / "v0_1"


def old_benchmark(name: str, settings: Sequence[str] = ()) -> Benchmark:
    """A benchmark at scale smoke with the settings of 0.1, in the keys of this version.

    They are spelled out in `golden/v0_1/benchmarks`: today's benchmark has other ones.
    """
    with contextlib.chdir(RECORDS):
        return load(name, settings=settings)

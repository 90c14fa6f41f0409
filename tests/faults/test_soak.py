"""Commands that are killed at random moments lose nothing and leave nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.faults.soak import soak


@pytest.mark.slow(reason="eight kills and two whole worlds; test_interrupted.py strikes each call")
@pytest.mark.timeout(1800)
def test_what_is_killed_at_random_comes_to_what_it_would_have_come_to(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    done = soak(tmp_path, kills=8, seed=int(rng.integers(2**32)))
    assert done.faults == []
    assert done.kills.total() == 8

import math

import pytest
from scipy import stats

from discl.harness.stats import estimate, paired


def test_the_interval_is_students() -> None:
    values = [0.31, 0.35, 0.33, 0.40, 0.29]
    found = estimate(values)
    low, high = stats.t.interval(0.95, 4, loc=found.mean, scale=stats.sem(values))
    assert found.mean - found.half_width == pytest.approx(low)
    assert found.mean + found.half_width == pytest.approx(high)


def test_one_seed_gives_no_interval_and_none_gives_no_number() -> None:
    assert estimate([0.4]).half_width is None
    assert not estimate([0.4]).excludes_zero()
    assert math.isnan(estimate([]).mean)


def test_pairing_cancels_what_seeds_share() -> None:
    difference = paired({0: 0.5, 1: 0.3, 2: 0.4}, {0: 0.4, 1: 0.2, 2: 0.3, 9: 0.9})
    assert difference.mean == pytest.approx(0.1)
    assert difference.half_width == pytest.approx(0, abs=1e-9)
    assert difference.n == 3
    assert difference.excludes_zero()

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from discl.harness.leaderboard.statistics import (
    bootstrapped,
    differences,
    estimate,
    holm,
    improvement,
    iqm,
    mean,
    median,
    paired,
    sign_flip_p,
    smallest_p,
    summary,
)

VALUES = [0.31, 0.35, 0.33, 0.40, 0.29]
OTHERS = [0.28, 0.36, 0.30, 0.33, 0.29]
EXACTLY = {"rel": 1e-9, "abs": 1e-12}
samples = st.lists(st.floats(0, 1), min_size=2, max_size=9)


def test_the_interval_is_students() -> None:
    interval = estimate(VALUES)
    low, high = stats.t.interval(0.95, 4, loc=interval.mean, scale=stats.sem(VALUES))
    assert interval.mean - interval.half_width == pytest.approx(low, **EXACTLY)
    assert interval.mean + interval.half_width == pytest.approx(high, **EXACTLY)


def test_one_seed_gives_no_interval_and_none_gives_no_number() -> None:
    assert estimate([0.4]).half_width is None
    assert not estimate([0.4]).excludes_zero()
    assert math.isnan(estimate([]).mean)
    one, none = summary([0.4], [0.01]), summary([])
    assert (one.median, one.iqm.half_width, one.seed_sd, one.test_se) == (
        (0.4, None, 1),
        None,
        None,
        0.01,
    )
    assert none.iqm.n == 0
    assert none.test_se is None


def test_pairing_cancels_what_seeds_share() -> None:
    difference = paired({0: 0.5, 1: 0.3, 2: 0.4}, {0: 0.4, 1: 0.2, 2: 0.3, 9: 0.9})
    assert difference.mean == pytest.approx(0.1)
    assert difference.n == 3
    assert difference.half_width is None  # equal three times: nothing says that it always is
    assert not difference.excludes_zero()


# ---------------------------------------------------------------- against scipy


@given(samples)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: list[float]) -> None:
    assert float(iqm(np.array(values))) == pytest.approx(stats.trim_mean(values, 0.25), **EXACTLY)


@given(samples)
def test_for_the_mean_the_bootstrap_interval_of_few_seeds_is_students(values: list[float]) -> None:
    few = values[:6]
    resampled, wanted = bootstrapped([few], mean), estimate(few)
    if wanted.half_width is None:  # all alike
        return
    assert resampled.half_width == pytest.approx(wanted.half_width, rel=1e-9, abs=1e-7)


def test_every_resample_of_few_seeds_is_weighed_as_scipy_would_draw_it() -> None:
    rows = np.array(
        list(itertools.product(range(5), repeat=5))
    )  # all 3,125 equally likely resamples
    for statistic in (median, iqm):
        error = float(np.std(statistic(np.array(VALUES)[rows])))
        scale = 1 if statistic is median else math.sqrt(5 / 4)
        assert bootstrapped([VALUES], statistic).half_width == pytest.approx(
            stats.t.ppf(0.975, 4) * scale * error, **EXACTLY
        )
    drawn = stats.bootstrap(
        (VALUES,), np.median, n_resamples=40_000, method="basic", vectorized=True, rng=0
    ).standard_error
    assert bootstrapped([VALUES], median).half_width / stats.t.ppf(0.975, 4) == pytest.approx(
        drawn, rel=0.02
    )


@given(st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=8))
@example([0, 306, -742, -496, 0, -826, 883, 879])  # 1; scipy says 31/32
@example([-9, 400, 0, 650, 126, 42, 63, -1_272])  # a sum of zero, which floats miss by 1e-16
def test_flipping_signs_is_counting_patterns_in_whole_numbers(thousandths: list[int]) -> None:
    """Exact: `scipy.stats.permutation_test` loses ties near zero to rounding."""
    reached = abs(sum(thousandths))
    sums = [sum(pattern) for pattern in itertools.product(*((d, -d) for d in thousandths))]
    wanted = Fraction(sum(abs(flipped) >= reached for flipped in sums), len(sums))
    assert sign_flip_p([difference / 1_000 for difference in thousandths]) == float(wanted)


def test_many_pairs_are_sampled() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, 30)
    wanted = stats.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    )
    assert sign_flip_p(values) == pytest.approx(wanted.pvalue, abs=0.02)


@given(samples, samples)
def test_improvement_is_mann_and_whitneys_u(values: list[float], baseline: list[float]) -> None:
    u = (
        stats.mannwhitneyu(values, baseline, method="asymptotic").statistic
        if len({*values, *baseline}) > 1
        else len(values) * len(baseline) / 2
    )
    assert improvement(values, baseline) == pytest.approx(
        u / len(values) / len(baseline), **EXACTLY
    )


# ---------------------------------------------------------------- by hand


def test_p_by_hand() -> None:
    assert sign_flip_p([1.0, 1.0, 1.0]) == 2 / 8 == smallest_p(3)
    assert (
        sign_flip_p([2.0, 1.0, -1.0]) == 6 / 8
    )  # sums of at least 2 either way: 4, 2, 2 and their opposites
    assert smallest_p(5) == 0.0625
    assert smallest_p(1) == 1.0
    assert sign_flip_p([]) is None


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_differences_are_corrected_for_their_number() -> None:
    compared = differences(
        {
            "a": dict(enumerate(VALUES)),
            "b": dict(enumerate(OTHERS)),
            "base": dict.fromkeys(range(5), 0.2),
        },
        "base",
    )
    assert set(compared) == {"a", "b"}
    assert compared["a"].p == 0.0625
    assert compared["a"].p_holm == 0.125
    assert compared["a"].improvement == 1.0
    assert differences({"a": {0: 1.0}, "base": {1: 1.0}}, "base")["a"][1:3] == (
        None,
        None,
    )  # no seed in common


def test_both_sources_of_error_are_told_apart() -> None:
    summarised = summary([0.4, 0.5, 0.6], [0.01, 0.01, 0.02])
    assert summarised.seed_sd == pytest.approx(0.1)
    assert summarised.test_se == pytest.approx(math.sqrt(0.0002))


def test_strata_are_resampled_apart() -> None:
    low, high = [0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.9]
    assert bootstrapped([low, high], mean).half_width == pytest.approx(
        0, abs=1e-9
    )  # mixed, a resample would vary
    assert bootstrapped([low, high], mean).mean == pytest.approx(3.9 / 7)


# ---------------------------------------------------------------- the promise of 95 %


@pytest.mark.parametrize("statistic", [mean, median, iqm])
def test_intervals_of_five_seeds_hold_the_truth_in_92_to_98_percent_of_2000_draws(
    statistic: object,
) -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(2_000):
        interval = bootstrapped([rng.normal(size=5).tolist()], statistic)
        held += abs(interval.mean) <= interval.half_width
    assert 0.92 <= held / 2_000 <= 0.98


def test_percentiles_of_the_bootstrap_would_hold_it_in_82_percent_only() -> None:
    rng, held = np.random.default_rng(0), 0
    rows = np.array(
        list(itertools.product(range(5), repeat=5))
    )  # all 3,125 equally likely resamples
    for _ in range(2_000):
        low, high = np.quantile(rng.normal(size=5)[rows].mean(1), (0.025, 0.975))
        held += low <= 0 <= high
    assert held / 2_000 == pytest.approx(0.82, abs=0.02)

"""Statistics over few seeds: estimates with intervals, paired differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from discl.harness.leaderboard.studentized_range import student_quantile

Values = np.ndarray[Any, np.dtype[np.float64]]
EXACT_BOOTSTRAP = 6  # seeds up to which every resample is looked at; beyond, RESAMPLES are drawn
EXACT_SIGNS = 14  # seeds up to which every pattern of signs is looked at
RESAMPLES = 5_000
SIGNIFICANT = 0.05  # the p up to which a difference counts as told
# hundreds of seeds need fewer resamples, so that a table of 2,000 runs takes seconds
LEAST_RESAMPLES = 1_000
MOST_DRAWN = 400_000


class Estimate(NamedTuple):
    """A statistic over seeds with half the width of its 95 % interval.

    The width is None where the seeds cannot give it: one alone, or all with the same value.
    """

    mean: float
    half_width: float | None
    n: int

    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width


class SeedSummary(NamedTuple):
    """A strategy's metric over seeds, with its two sources of error."""

    mean: Estimate
    median: Estimate
    iqm: Estimate  # interquartile mean
    seed_sd: float | None  # standard deviation over seeds, on these test photos; None for one seed
    # standard error from the choice of test photos, of one trained network; None = not recorded
    test_se: float | None


class PairedDifference(NamedTuple):
    """A strategy against a baseline, by the seeds that both have."""

    mean: Estimate  # with the interval that it was compared with
    # two-sided, by flipping the signs of the seeds' differences; None without a seed in common
    p: float | None
    p_holm: float | None  # corrected for the strategies compared with the same baseline
    # chance that a run of the strategy is better than a run of the baseline; a tie is half
    improvement: float | None


# ---------------------------------------------------------------- estimates


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student-t interval (n - 1 degrees of freedom); none where all values are equal."""
    n = len(values)
    if n == 0:
        return Estimate(math.nan, None, 0)
    if n == 1:
        return Estimate(float(values[0]), None, 1)
    spread = float(np.std(values, ddof=1))
    if spread <= 1e-9 * float(np.abs(values).max()):  # all alike: says nothing of another seed
        return Estimate(float(np.mean(values)), None, n)
    return Estimate(float(np.mean(values)), student_quantile(n - 1) * spread / math.sqrt(n), n)


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate:
    """Mean difference over the seeds both have: what the seeds share cancels out."""
    return estimate(_differences(values, baseline))


def summary(
    values: Sequence[float], test_errors: Sequence[float] = (), least_spread: float = 0.0
) -> SeedSummary:
    """Mean, median and interquartile mean with 95 % intervals, and both sources of error.

    `test_errors` are the runs' standard errors from the choice of test photos: of the same networks
    on other photos. The intervals are of other seeds on the same photos; a spread below
    `least_spread`, or of zero, gives none. The median is that over seeds, the mean of the middle
    two of an even number: not that over tasks, which rliable calls by the name.
    """
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    error = float(np.sqrt(np.mean(np.square(test_errors)))) if len(test_errors) else None
    estimates = [estimate(values), bootstrapped([values], median), bootstrapped([values], iqm)]
    if spread is not None and (spread < least_spread or estimates[0].half_width is None):
        estimates = [each._replace(half_width=None) for each in estimates]
    return SeedSummary(estimates[0], estimates[1], estimates[2], spread, error)


def believable_spread(groups: Iterable[Sequence[float]]) -> float:
    """Half the median of the groups' standard deviations over seeds; 0 with fewer than three.

    A row that varies less has all its seeds in one hump of a metric with two, or at zero, too often
    for Student's interval to hold.
    """
    spreads = [float(np.std(group, ddof=1)) for group in groups if len(group) > 1]
    return float(np.median(spreads)) / 2 if len(spreads) > 2 else 0.0


def mean(values: Values) -> Values:
    """Mean [...] over the last axis of [..., n]."""
    return np.asarray(np.mean(values, axis=-1))


def median(values: Values) -> Values:
    """Median [...] over the last axis of [..., n]."""
    return np.asarray(np.median(values, axis=-1))


def iqm(values: Values) -> Values:
    """Interquartile mean [...] over the last axis of [..., n].

    A quarter of the values, rounded down, is cut off at either end.
    """
    n = values.shape[-1]
    cut = n // 4
    return np.asarray(np.sort(values, axis=-1)[..., cut : n - cut].mean(-1))


def bootstrapped(
    strata: Sequence[Sequence[float]], statistic: Callable[[Values], Values]
) -> Estimate:
    """A statistic of all values and its interval, by resampling the seeds within each stratum.

    A stratum is, for example, a benchmark. The interval is Student's quantile times the bootstrap's
    standard error. Percentiles of the resamples, the common choice, would hold the true value in 82
    % of cases for the mean of five seeds instead of 95 %. The error of means is corrected for the
    bootstrap's dividing by n instead of n - 1, so that for the mean this is Student's interval;
    that of the median needs no correction.
    """
    lengths = [len(stratum) for stratum in strata]
    n = sum(lengths)
    freedom = sum(max(0, length - 1) for length in lengths)
    if n == 0:
        return Estimate(math.nan, None, 0)
    flat = np.concatenate([np.asarray(stratum, np.float64) for stratum in strata])
    at = float(statistic(flat))
    if not freedom:
        return Estimate(at, None, n)
    indices, weights = _resamples(tuple(lengths))
    resampled = statistic(flat[indices])
    error = math.sqrt(float(weights @ np.square(resampled - weights @ resampled)))
    scale = 1.0 if statistic is median else math.sqrt(n / freedom)
    return Estimate(at, student_quantile(freedom) * error * scale, n)


@cache
def _resamples(lengths: tuple[int, ...]) -> tuple[Values, Values]:
    """Indices to draw [r, n] and probability of each row [r]; every resample where they are few."""
    if len(lengths) == 1 and lengths[0] <= EXACT_BOOTSTRAP:
        n = lengths[0]
        rows = np.array(list(itertools.combinations_with_replacement(range(n), n)))
        ways = [
            math.factorial(n) / math.prod(math.factorial(int(k)) for k in np.bincount(row))
            for row in rows
        ]
        return rows, np.array(ways) / n**n
    rng = np.random.default_rng(0)
    starts = np.cumsum([0, *lengths[:-1]])
    draws = min(RESAMPLES, max(LEAST_RESAMPLES, MOST_DRAWN // sum(lengths)))
    parts = [
        start + rng.integers(0, length, (draws, length))
        for start, length in zip(starts, lengths, strict=True)
        if length
    ]
    return np.concatenate(parts, 1), np.full(draws, 1 / draws)


# ---------------------------------------------------------------- differences


def differences(
    strategies: Mapping[str, Mapping[int, float]],
    baseline: str,
    lower_is_better: bool = False,
    between: Callable[[str, str], Estimate] | None = None,
) -> dict[str, PairedDifference]:
    """Every other strategy (name -> seed -> value) against a baseline.

    `between` gives the difference of two strategies with its interval, for example one that holds
    together with others; without it the interval is Student's of the paired difference. p-values
    are corrected for the number of strategies. Differences are value minus baseline, also
    where lower is better; `improvement` counts the better ones.
    """
    against = strategies[baseline]
    sign = -1 if lower_is_better else 1
    names = [name for name in strategies if name != baseline]
    raw = {name: sign_flip_p(_differences(strategies[name], against)) for name in names}
    corrected = holm({name: p for name, p in raw.items() if p is not None})
    return {
        name: PairedDifference(
            between(name, baseline) if between else paired(strategies[name], against),
            raw[name],
            corrected.get(name),
            improvement(
                [sign * value for value in strategies[name].values()],
                [sign * value for value in against.values()],
            ),
        )
        for name in names
    }


def _differences(values: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    return [values[seed] - baseline[seed] for seed in sorted(set(values) & set(baseline))]


def sign_flip_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of a mean difference: the share of sign patterns with a mean as far from zero.

    Exact up to 14 pairs. With n pairs no p is below `smallest_p(n)`, however clear the difference.
    """
    n = len(differences)
    if not n:
        return None
    values = np.asarray(differences, np.float64)
    # patterns with the same sum in exact arithmetic tie, also where rounding leaves 1e-17 of a zero
    rounding = 1e-12 * float(np.abs(values).sum())
    sums = np.abs(_signs(n) @ values)
    reached = float(np.mean(sums >= abs(float(values.sum())) - rounding))
    return reached if n <= EXACT_SIGNS else (reached * RESAMPLES + 1) / (RESAMPLES + 1)


@cache
def _signs(n: int) -> Values:
    """Patterns of signs [patterns, n]."""
    if n <= EXACT_SIGNS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    return np.where(np.random.default_rng(0).integers(0, 2, (RESAMPLES, n)) == 0, -1.0, 1.0)


def smallest_p(n: int) -> float:
    """The smallest two-sided p that `n` pairs can reach."""
    return min(1.0, 2.0 ** (1 - n)) if n <= EXACT_SIGNS else 1 / (RESAMPLES + 1)


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Holm 1979), which bounds the chance of any false alarm."""
    corrected = dict[str, float]()
    highest = 0.0
    for rank, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[name]))
        corrected[name] = highest
    return corrected


def improvement(values: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Chance that one of `values` exceeds one of `baseline`; a tie is half (Agarwal et al. 2021).

    It is Mann and Whitney's U over its maximum.
    """
    if not len(values) or not len(baseline):
        return None
    above = np.asarray(values)[:, None] - np.asarray(baseline)[None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))

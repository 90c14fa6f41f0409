"""Levels in equal steps of what they are worth, from the worth of some that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.levels import PHOTO, TEXT_ONLY, Counting, levels_made, whole_descent
from discl.harness.leaderboard.studentized_range import upper_quantile


class Proposal(NamedTuple):
    """Levels to train on, in ascending order, and the reason in a sentence."""

    levels: tuple[int, ...]
    by_worth: bool  # False: equal steps of level, since worth tells no two of them apart
    why: str


def propose(scores: Mapping[int, Sequence[float]], count: int, counting: Counting) -> Proposal:
    """`count` levels between text and photo, from `scores` of each measured level by seed.

    Worth rises or falls all the way, or rises to a best level that is told apart from both ends and
    falls after it. Between measured levels it is taken to be a straight line, after levels that
    rank against the trend were averaged. `counting` is the generator's: two levels that start at
    the same denoising step would be one.
    """
    levels = np.array(sorted(scores))
    means = np.array([np.mean(scores[level]) for level in levels])
    equal = equal_steps(count, counting)
    if not told_apart(list(scores.values())):
        listed = ", ".join(map(str, equal))
        why = (
            f"no level is told apart: the {len(levels)} means lie within"
            f" {100 * (means.max() - means.min()):.1f} points, which chance gives as well; keep"
            f" equal steps of level ({listed}), or give more --seeds"
        )
        return Proposal(equal, False, why)
    has_hill = means.max() - max(means[0], means[-1]) > _least_difference(list(scores.values()))
    if not has_hill and not told_apart([scores[int(levels[0])], scores[int(levels[-1])]]):
        why = (
            f"level {levels[0]} and the photo are worth the same within their spread, so that there"
            " are no equal steps of worth between them; keep equal steps of level"
            f" ({', '.join(map(str, equal))}), or take level"
            f" {levels[int(means.argmax())]}, which is worth most"
        )
        return Proposal(equal, False, why)
    fitted = hill(means) if has_hill else monotone(means)
    # how far worth has gone up and down on the way to each level
    way = np.concatenate([[0.0], np.abs(np.diff(fitted)).cumsum()])
    chosen = [TEXT_ONLY]
    for target in np.linspace(0, way[-1], count)[1:-1]:
        free = _free(chosen, counting)
        if not free:
            break
        chosen.append(free[int(np.argmin(np.abs(np.interp(free, levels, way) - target)))])
    step = 100 * way[-1] / (count - 1)
    over = f", over level {levels[int(means.argmax())]}, which is worth most," if has_hill else ""
    why = f"equal steps of {step:.1f} points between level 0 and the photo{over}".rstrip(",")
    if len(chosen) < count - 1:
        steps = whole_descent(counting)
        why += f"; {steps} denoising steps leave room for {len(chosen) + 1} of {count} levels"
    between = [level for level in chosen if level not in scores]
    if between:
        listed = ", ".join(map(str, between))
        why += f"; {listed} lie between measured levels, --candidates measures them"
    return Proposal((*chosen, PHOTO), True, why)


def equal_steps(count: int, counting: Counting) -> tuple[int, ...]:
    """`count` levels from 0 to 100 in equal steps of level; fewer where they would coincide."""
    chosen = [TEXT_ONLY]
    for level in np.linspace(TEXT_ONLY, PHOTO, count)[1:-1].round().astype(int).tolist():
        if level in _free(chosen, counting):
            chosen.append(level)
    return (*chosen, PHOTO)


def told_apart(groups: Sequence[Sequence[float]]) -> bool:
    """Whether the largest and the smallest mean differ by more than chance gives in 5 % (Tukey).

    The groups are of one size, at least two values each; their spread is pooled.
    """
    means = np.asarray(groups, float).mean(axis=1)
    return bool(np.ptp(means) > _least_difference(groups))


def _least_difference(groups: Sequence[Sequence[float]]) -> float:
    """Between the means of any two groups, which chance exceeds for some two in 5 % (Tukey)."""
    values = np.asarray(groups, float)
    count, seeds = values.shape
    spread = float(np.sqrt(values.var(axis=1, ddof=1).mean()))
    if spread <= 1e-12:
        return 1e-12
    freedom = np.array([count * (seeds - 1)], float)
    return float(upper_quantile(count, freedom)[0] * spread / np.sqrt(seeds))


def hill(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest values [n] that rise up to one of them and fall after it (Stout 2008)."""
    fits = [
        np.concatenate([_rising(means[:peak]), _rising(means[peak:][::-1])[::-1]])
        for peak in range(1, len(means))
    ]
    return min(fits, key=lambda fit: float(np.sum((fit - means) ** 2)))


def monotone(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest values [n] that only fall or only rise, as the ends of `means` [n] say.

    By pooling adjacent violators (Ayer et al. 1955).
    """
    sign = 1.0 if means[-1] >= means[0] else -1.0
    return sign * _rising(sign * means)


def _rising(means: NDArray[np.float64]) -> NDArray[np.float64]:
    pools: list[list[float]] = []  # mean, size
    for mean in means:
        pools.append([float(mean), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (above, more), (below, fewer) = pools.pop(), pools.pop()
            pools.append([(above * more + below * fewer) / (more + fewer), more + fewer])
    return np.concatenate([np.full(int(size), mean) for mean, size in pools])


def _free(chosen: Sequence[int], counting: Counting) -> list[int]:
    """Levels above the last of `chosen` that start at a denoising step of their own."""
    made = levels_made(counting)
    taken = {made[level] for level in chosen}
    return [level for level, steps in made.items() if level > chosen[-1] and steps not in taken]

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.core.errors import UserError
from discl.core.levels import (
    Start,
    check_levels,
    counting_of,
    denoising_steps,
    fewest_steps,
    levels_made,
    strength,
)


@pytest.mark.parametrize(
    ("level", "steps"),
    [
        (0, 50),
        (10, 45),
        (20, 40),
        (30, 35),
        (40, 30),
        (50, 25),
        (60, 20),
        (70, 15),
        (80, 10),
        (90, 5),
    ],
)
def test_the_papers_table_of_levels(level: int, steps: int) -> None:
    assert denoising_steps(level, 50) == steps


def test_a_level_is_rounded_not_truncated() -> None:
    assert int(50 * (1 - 0.9)) == 4  # what truncation would give
    assert denoising_steps(90, 50) == 5
    assert denoising_steps(71, 100) == 29  # 0.29 * 100 is 28.999...


@given(st.integers(0, 99), st.integers(1, 1000))
def test_diffusers_own_rule_yields_exactly_our_steps(level: int, steps: int) -> None:
    expected = denoising_steps(level, steps)
    assert min(int(steps * strength(level, steps)), steps) == expected
    assert 0 <= strength(level, steps) <= 1


@given(st.lists(st.integers(0, 100), min_size=1, max_size=8, unique=True))
def test_accepted_levels_start_at_different_steps(levels: list[int]) -> None:
    try:
        kept = check_levels(levels, 20)
    except UserError:
        return
    starts = [denoising_steps(level, 20) for level in kept if level < 100]
    assert len(set(starts)) == len(starts)
    assert all(starts)
    assert list(kept) == sorted(levels)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True), st.integers(1, 60))
def test_the_fewest_steps_that_tell_levels_apart_are_the_fewest(
    levels: list[int], steps: int
) -> None:
    def apart(count: int) -> bool:
        starts = [denoising_steps(level, count) for level in levels]
        return all(starts) and len(set(starts)) == len(starts)

    fewest = fewest_steps(levels, steps)
    assert fewest is not None
    assert apart(fewest)
    assert not any(apart(count) for count in range(steps + 1, fewest))


def test_levels_that_coincide_are_told_what_would_do() -> None:
    with pytest.raises(UserError, match="generator.steps = 5, the fewest above 4 that tell all"):
        check_levels([50, 70, 90, 100], 4)
    with pytest.raises(UserError, match="75 and 90 both start 1 .* = 9, the fewest above 5"):
        check_levels([50, 70, 75, 90, 100], 5)
    with pytest.raises(UserError, match="level 99 .* generator.steps = 50, the fewest above 20"):
        check_levels([99], 20)
    with pytest.raises(UserError, match="60 is listed twice"):
        check_levels([60, 60, 61], 20)


class Counted:
    """Levels 40 and 60 alone, the former with half of the steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, level: int) -> int:
        if level not in (40, 60):
            raise UserError(f"level {level} begins nowhere")
        return self.steps if level == 60 else max(3, self.steps // 2)

    def with_steps(self, steps: int) -> Counted:
        return Counted(steps)


def test_a_generator_may_count_levels_in_its_own_way() -> None:
    generator = SimpleNamespace(steps=8, counting=lambda size: Counted(8))
    counting = counting_of(generator, (32, 32))
    assert [denoising_steps(level, counting) for level in (40, 60, 100)] == [4, 8, 0]
    assert levels_made(counting) == {40: 4, 60: 8}
    assert counting_of(SimpleNamespace(steps=8)) == 8
    with pytest.raises(UserError, match="both start 3 .* generator.steps = 4"):
        check_levels([40, 60], Counted(3))
    with pytest.raises(UserError, match="level 50 begins nowhere"):
        check_levels([40, 50], counting)


@pytest.mark.parametrize(
    ("photo", "noise", "signal"),
    [(1, 0, 1.0), (0, 1, 0.0), (0.6, 0.8, 0.36), (1, 2, 0.2), (0.5, 0.5, 0.5)],
)
def test_signal_is_the_share_of_the_photo_in_the_power(
    photo: float, noise: float, signal: float
) -> None:
    assert Start(500.0, photo, noise).signal == pytest.approx(signal)


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ([0, 101], "101"),
        ([-1], "-1"),
        ([50, 50], "listed twice"),
        ([50, 51], "both start"),
        ([99], "no denoising step"),
    ],
)
def test_levels_that_cannot_be_told_apart_or_made_are_refused(levels: list[int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_levels(levels, 20)

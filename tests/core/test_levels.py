import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.core.errors import UserError
from discl.core.levels import check_levels, denoising_steps, strength


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

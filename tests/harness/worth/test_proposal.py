import numpy as np
import pytest

from discl.core.levels import denoising_steps
from discl.harness.worth.proposal import equal_steps, hill, monotone, propose, told_apart

# few-shot accuracy of levels trained on alone, as it was measured on the miniature
CLIFF = {0: 0.34, 10: 0.33, 20: 0.23, 30: 0.12, 50: 0.09, 70: 0.08, 100: 0.06}


def _scores(means: dict[int, float], spread: float = 0.01) -> dict[int, list[float]]:
    return {level: [mean - spread, mean, mean + spread] for level, mean in means.items()}


def test_levels_are_proposed_where_worth_falls_and_not_where_it_is_flat() -> None:
    proposal = propose(_scores(CLIFF), 5, 50)
    assert proposal.by_worth
    # a quarter of 28 points is 7: 27, 20 and 13 % lie between 10 and 30
    assert proposal.levels == (0, 16, 23, 29, 100)
    assert "16, 23, 29 lie between measured levels" in proposal.why


def test_a_straight_line_gives_equal_steps_of_level() -> None:
    line = {level: 0.5 - level / 250 for level in range(0, 101, 20)}
    assert propose(_scores(line), 5, 100).levels == (0, 25, 50, 75, 100)


def test_worth_may_rise_with_the_level() -> None:
    line = {level: 0.1 + level / 250 for level in range(0, 101, 20)}
    assert propose(_scores(line), 3, 100).levels == (0, 50, 100)


def test_where_no_level_is_told_apart_equal_steps_are_kept_and_that_is_said() -> None:
    flat = {level: 0.2 + 0.001 * (level % 3) for level in (0, 30, 50, 70, 100)}
    proposal = propose(_scores(flat, 0.02), 5, 50)
    assert not proposal.by_worth
    assert proposal.levels == (0, 25, 50, 75, 100)
    assert "no level is told apart" in proposal.why


def test_levels_stand_on_both_sides_of_one_that_is_worth_most() -> None:
    proposal = propose(_scores({0: 0.1, 20: 0.5, 40: 0.3, 60: 0.1, 80: 0.1, 100: 0.1}), 5, 50)
    assert proposal.by_worth
    assert proposal.levels == (0, 10, 20, 40, 100)
    assert (
        "20.0 points between level 0 and the photo, over level 20, which is worth" in proposal.why
    )


def test_a_worth_that_ends_where_it_began_has_no_equal_steps() -> None:
    proposal = propose(_scores({0: 0.1, 30: 0.02, 60: 0.08, 100: 0.1}), 5, 50)
    assert not proposal.by_worth
    assert "or take level 0, which is worth most" in proposal.why


def test_levels_that_start_at_one_denoising_step_are_proposed_once() -> None:
    proposal = propose(_scores(CLIFF), 8, 5)
    starts = [denoising_steps(level, 5) for level in proposal.levels]
    assert len({*starts}) == len(starts)
    assert "leave room for" in proposal.why
    assert equal_steps(101, 5)[-1] == 100
    assert len(equal_steps(101, 5)) == 6  # five steps, and the photo


def test_means_are_told_apart_by_their_spread() -> None:
    assert told_apart([[0.1, 0.12], [0.5, 0.52], [0.9, 0.92]])
    assert not told_apart([[0.1, 0.5], [0.2, 0.6], [0.15, 0.55]])
    assert told_apart([[0.1, 0.1], [0.2, 0.2]])
    assert not told_apart([[0.1, 0.1], [0.1, 0.1]])


def test_levels_against_the_trend_are_pooled() -> None:
    assert monotone(np.array([3.0, 1.0, 2.0, 0.0])).tolist() == [3, 1.5, 1.5, 0]
    assert monotone(np.array([0.0, 2.0, 1.0, 3.0])).tolist() == pytest.approx([0, 1.5, 1.5, 3])
    rows = np.array([0.0, 2.0, 1.0, 4.0, 2.0, 3.0, 0.0])
    assert hill(rows).tolist() == pytest.approx([0, 1.5, 1.5, 4, 2.5, 2.5, 0])
    assert hill(rows[::-1]).tolist() == pytest.approx(hill(rows)[::-1].tolist())

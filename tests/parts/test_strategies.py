from collections import Counter

import numpy as np
import pytest

from discl.spec.errors import UserError
from discl.spec.kinds import Moment
from discl.spec.registry import bind

LEVELS = (0, 30, 50, 70, 100)


def _levels(name: str, epochs: int, seed: int = 0, levels: tuple[int, ...] = LEVELS) -> list[int]:
    strategy = bind("strategies", name, {}).build()
    mixes = [strategy.mix(Moment(e, epochs, levels, (), np.random.default_rng([seed, e]))) for e in range(epochs)]
    return [next(iter(mix)) for mix in mixes]


def test_static_gives_every_level_an_equal_stage() -> None:
    assert _levels("static", 10) == [0, 0, 30, 30, 50, 50, 70, 70, 100, 100]
    assert Counter(_levels("static", 60)) == dict.fromkeys(LEVELS, 12)  # the paper's 60 curriculum epochs and five levels


def test_static_with_epochs_to_spare_differs_by_one_at_most() -> None:
    lengths = Counter(_levels("static", 34)).values()
    assert max(lengths) - min(lengths) <= 1


def test_static_takes_stages_of_unequal_length() -> None:
    released = bind("strategies", "static", {"lengths": [14, 15, 15, 17]}).build()
    levels = (10, 30, 50, 100)

    def walked(epochs: int) -> Counter[int]:
        return Counter(next(iter(released.mix(Moment(e, epochs, levels, (), np.random.default_rng(0))))) for e in range(epochs))

    assert walked(61) == {10: 14, 30: 15, 50: 15, 100: 17}  # the off-by-one of the released code
    assert walked(8) == {10: 2, 30: 2, 50: 2, 100: 2}
    assert walked(1) == {10: 1}
    with pytest.raises(UserError, match=r"\[14, 15, 15, 17\] are 4, for 5 levels"):
        released.uses(LEVELS)
    with pytest.raises(UserError, match="each level needs 1 or more"):
        bind("strategies", "static", {"lengths": [3, 0]}).build()


def test_reverse_is_static_backwards() -> None:
    assert _levels("reverse", 10) == _levels("static", 10)[::-1]


def test_random_visits_all_levels_and_depends_on_the_seed() -> None:
    assert set(_levels("random", 100)) == set(LEVELS)
    assert _levels("random", 20, seed=0) != _levels("random", 20, seed=1)


def test_adaptive_takes_the_level_with_the_largest_gain() -> None:
    strategy = bind("strategies", "adaptive", {}).build()
    gains = {0: [0.1, 0.2], 50: [0.3, 0.3], 100: [0.0, -0.1]}
    assert strategy.mix(Moment(0, 5, (0, 50, 100), (), np.random.default_rng(0), gains)) == {50: 1.0}


@pytest.mark.parametrize(("trim", "chosen"), [(True, 50), (False, 0)])
def test_adaptive_can_ignore_outliers(trim: bool, chosen: int) -> None:
    gains = {0: [0.0] * 9 + [1.0], 50: [0.05] * 10}
    strategy = bind("strategies", "adaptive", {"trim": trim}).build()
    assert strategy.mix(Moment(0, 5, (0, 50), (), np.random.default_rng(0), gains)) == {chosen: 1.0}


def test_only_the_natural_baseline_is_not_rebalanced() -> None:
    rebalanced = {name: bind("strategies", name, {}).build().rebalanced for name in ("static", "real_only", "real_rebalanced", "text_only")}
    assert rebalanced == {"static": True, "real_only": False, "real_rebalanced": True, "text_only": True}

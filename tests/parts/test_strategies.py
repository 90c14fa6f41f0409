from collections import Counter
from typing import Any

import numpy as np
import pytest

from discl.spec.errors import UserError
from discl.spec.kinds import EpochReport, Moment
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


def _report(epoch: int, values: dict[str, float] | None = None, gains: dict[int, float] | None = None) -> EpochReport:
    return EpochReport(epoch, {0: 1.0}, {0: 1}, steps=1, lr=0.1, seconds=0.0, values=values or {}, gains=gains or {})


def _draws(history: tuple[EpochReport, ...], gains: dict[int, list[float]], **parameters: Any) -> Counter[int]:
    """What a bandit draws at one moment under 400 seeds."""
    strategy = bind("strategies", "bandit", parameters).build()
    moments = [Moment(len(history), 50, (0, 50, 100), history, np.random.default_rng([seed, 0]), gains) for seed in range(400)]
    return Counter(next(iter(strategy.mix(moment))) for moment in moments)


def test_a_bandit_draws_every_level_alike_while_nothing_is_measured() -> None:
    drawn = _draws((), {})
    assert min(drawn[level] for level in (0, 50, 100)) > 100


def test_a_bandit_prefers_what_is_being_learnt_and_gives_up_on_no_level() -> None:
    drawn = _draws((), {0: [0.0, 0.02], 50: [0.3, 0.3], 100: [0.0, 0.0]})
    assert drawn[50] > 300
    assert min(drawn[0], drawn[100]) > 10  # explore = 0.2 gives each 27 of 400
    assert set(_draws((), {0: [0.0], 50: [0.3], 100: [0.0]}, explore=0.0, sharpness=50.0)) == {50}


def test_a_bandit_forgets_old_gains_at_the_rate_it_is_told() -> None:
    history = tuple(_report(epoch, gains={0: 0.5, 50: 0.0, 100: 0.0}) for epoch in range(4))
    now = {0: [0.0], 50: [0.5], 100: [0.0]}
    assert _draws(history, now, discount=1.0)[0] > 200
    assert _draws(history, now, discount=0.1)[50] > 200


def test_the_size_of_a_bandits_gains_does_not_matter() -> None:
    small = {level: [gain / 1000] for level, gain in ((0, 0.1), (50, 0.3), (100, 0.2))}
    large = {level: [gains[0] * 5000] for level, gains in small.items()}
    assert _draws((), small) == _draws((), large)


def test_a_level_the_probe_cannot_measure_is_taken_for_a_usual_one() -> None:
    drawn = _draws((), {0: [-0.3], 50: [0.3]}, explore=0.0)
    assert drawn[50] > drawn[100] > drawn[0]


def _open_at(best: float, **parameters: Any) -> list[int]:
    history = (_report(0), _report(1, {"val/macro_acc": best, "val/macro_f1": 0.9}), _report(2))
    moment = Moment(3, 50, LEVELS, history, np.random.default_rng(0))
    mix = bind("strategies", "competence", parameters).build().mix(moment)
    assert set(mix.values()) == {1 / len(mix)}
    return sorted(mix)


def test_competence_opens_levels_from_the_lowest_as_val_rises() -> None:
    assert [_open_at(best, goal=0.4) for best in (0.0, 0.09, 0.1, 0.2, 0.39, 0.4, 0.9)] == [
        [0], [0], [0, 30], [0, 30, 50], [0, 30, 50, 70], [*LEVELS], [*LEVELS],
    ]  # fmt: skip


def test_competence_before_the_first_look_is_at_the_lowest_level() -> None:
    history = (_report(0), _report(1))
    mix = bind("strategies", "competence", {}).build().mix(Moment(2, 50, LEVELS, history, np.random.default_rng(0)))
    assert mix == {0: 1.0}


def test_competence_never_falls_back() -> None:
    history = (_report(0, {"val/macro_acc": 0.4}), _report(1, {"val/macro_acc": 0.1}))
    mix = bind("strategies", "competence", {"goal": 0.4}).build().mix(Moment(2, 50, LEVELS, history, np.random.default_rng(0)))
    assert sorted(mix) == [*LEVELS]


def test_competence_can_follow_another_metric_of_val_and_names_those_there_are() -> None:
    assert _open_at(0.0, metric="macro_f1") == _open_at(0.0, metric="val/macro_f1") == [*LEVELS]
    with pytest.raises(UserError, match="'f1' is not measured; there is val/macro_acc, val/macro_f1"):
        _open_at(0.0, metric="f1")


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("bandit", {"explore": 1.5}, "explore = 1.5"),
        ("bandit", {"discount": -0.1}, "discount = -0.1"),
        ("bandit", {"sharpness": -1.0}, "sharpness = -1"),
        ("competence", {"goal": 0.0}, "goal = 0"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, parameters: dict[str, float], says: str) -> None:
    with pytest.raises(UserError, match=says):
        bind("strategies", name, parameters).build()

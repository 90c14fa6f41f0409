from collections import Counter
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl import testing
from discl.config.experiment import Experiment
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, EpochReport
from discl.core.registry import bind

LEVELS = (0, 30, 50, 70, 100)


def _levels(
    name: str, epochs: int, seed: int = 0, levels: tuple[int, ...] = LEVELS, **parameters: Any
) -> list[int]:
    strategy = bind("strategies", name, parameters).build()
    mixes = [
        strategy.mix(EpochContext(e, epochs, levels, (), np.random.default_rng([seed, e])))
        for e in range(epochs)
    ]
    return [next(iter(mix)) for mix in mixes]


def test_static_gives_every_level_an_equal_stage() -> None:
    assert _levels("static", 10) == [0, 0, 30, 30, 50, 50, 70, 70, 100, 100]
    assert Counter(_levels("static", 60)) == dict.fromkeys(
        LEVELS, 12
    )  # the paper's 60 curriculum epochs and five levels


def test_static_with_epochs_to_spare_differs_by_one_at_most() -> None:
    lengths = Counter(_levels("static", 34)).values()
    assert max(lengths) - min(lengths) <= 1


def test_static_takes_stages_of_unequal_length() -> None:
    released = bind("strategies", "static", {"lengths": [14, 15, 15, 17]}).build()
    levels = (10, 30, 50, 100)

    def walked(epochs: int) -> Counter[int]:
        return Counter(
            next(iter(released.mix(EpochContext(e, epochs, levels, (), np.random.default_rng(0)))))
            for e in range(epochs)
        )

    assert walked(61) == {10: 14, 30: 15, 50: 15, 100: 17}  # the off-by-one of the released code
    assert walked(8) == {10: 2, 30: 2, 50: 2, 100: 2}
    assert walked(1) == {10: 1}
    with pytest.raises(UserError, match=r"\[14, 15, 15, 17\] has 4 numbers for the 5 levels"):
        released.uses(LEVELS)
    with pytest.raises(UserError, match="each level needs 1 or more"):
        bind("strategies", "static", {"lengths": [3, 0]}).build()


def test_reverse_is_static_backwards() -> None:
    assert _levels("reverse", 10) == _levels("static", 10)[::-1]


many_levels = st.lists(st.integers(0, 100), min_size=1, max_size=8, unique=True).map(
    lambda levels: tuple(sorted(levels))
)
many_epochs = st.integers(1, 200)


@given(many_levels, many_epochs)
def test_unless_told_otherwise_stages_are_the_papers(levels: tuple[int, ...], epochs: int) -> None:
    paper = [levels[epoch * len(levels) // epochs] for epoch in range(epochs)]
    assert (
        _levels("static", epochs, levels=levels) == _levels("order", epochs, levels=levels) == paper
    )
    assert _levels("reverse", epochs, levels=levels) == [
        levels[::-1][epoch * len(levels) // epochs] for epoch in range(epochs)
    ]


@given(many_epochs, st.lists(st.integers(1, 30), min_size=5, max_size=5))
def test_a_stage_takes_the_share_of_its_length(epochs: int, lengths: list[int]) -> None:
    def stage(epoch: int) -> int:
        return next(
            stage
            for stage, end in enumerate(accumulate(lengths))
            if epoch * sum(lengths) < end * epochs
        )

    assert _levels("static", epochs, lengths=lengths) == [
        LEVELS[stage(epoch)] for epoch in range(epochs)
    ]


def test_parameters_at_their_defaults_rename_no_run() -> None:
    for name, parameters in (
        ("static", {"start": 0, "pacing": 1, "lengths": []}),
        ("reverse", {"start": 0, "pacing": 1.0}),
        ("order", {"order": []}),
    ):
        assert bind("strategies", name, parameters).identity() == {
            "name": name,
            "version": 1,
            "parameters": {},
        }


def test_pacing_above_one_hurries_through_the_stages_that_come_first_and_below_one_lingers() -> (
    None
):
    levels = (0, 30, 70, 100)
    assert Counter(_levels("static", 16, levels=levels, pacing=2.0)) == {
        0: 1,
        30: 3,
        70: 5,
        100: 7,
    }  # over at 1, 4, 9, 16 of 16
    assert Counter(_levels("reverse", 16, levels=levels, pacing=2.0)) == {
        100: 1,
        70: 3,
        30: 5,
        0: 7,
    }
    assert Counter(_levels("static", 100, levels=levels, pacing=0.5)) == {
        0: 50,
        30: 21,
        70: 16,
        100: 13,
    }  # at 50, 70.7, 86.6, 100


@given(many_levels, many_epochs, st.floats(0.05, 20), st.floats(0.05, 20))
def test_more_pacing_is_never_behind_less(
    levels: tuple[int, ...], epochs: int, one: float, other: float
) -> None:
    slow, fast = (
        _levels("static", epochs, levels=levels, pacing=pacing) for pacing in sorted((one, other))
    )
    assert slow == sorted(slow)
    assert all(behind <= ahead for behind, ahead in zip(slow, fast, strict=True))


def test_a_stage_too_short_for_an_epoch_is_passed_over() -> None:
    assert (
        _levels("static", 10, pacing=4.0) == [0] + [50] + [70] * 3 + [100] * 5
    )  # 30 would end where 0 does
    assert _levels("static", 3) == [0, 30, 70]  # as without pacing
    assert _levels("static", 3, pacing=1000.0) == [100] * 3


def test_a_power_that_misses_a_whole_number_by_its_last_digit_costs_no_epoch() -> None:
    for stages in range(2, 12):
        ends = np.cumsum(
            [
                Counter(_levels("static", stages**2, levels=tuple(range(stages)), pacing=2.0))[
                    level
                ]
                for level in range(stages)
            ]
        )
        assert ends.tolist() == [k**2 for k in range(1, stages + 1)]


def test_levels_below_the_start_are_left_out_of_the_walk_and_of_the_bank() -> None:
    assert Counter(_levels("static", 12, start=50)) == {50: 4, 70: 4, 100: 4}
    assert _levels("reverse", 4, start=31, levels=(0, 30, 50, 70)) == [70, 70, 50, 50]
    bench = load(
        "cifar10_lt",
        settings=["levels=[70, 0, 30, 100]", "strategy.static={start=30, lengths=[2, 1, 1]}"],
    )
    assert Experiment(benchmark=bench, strategy="static", seed=0).used_levels() == (30, 70, 100)
    assert Counter(_levels("static", 8, start=50, lengths=[2, 1, 1])) == {50: 4, 70: 2, 100: 2}


def test_an_order_gives_every_level_its_turn() -> None:
    assert _levels("order", 10, order=[50, 0, 100, 30, 70]) == [
        50,
        50,
        0,
        0,
        100,
        100,
        30,
        30,
        70,
        70,
    ]


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("static", {"start": 90}, r"start = 90 is above every level of \[0, 30\]"),
        ("reverse", {"start": 31}, r"strategy.reverse.start = 31 is above every level"),
        (
            "static",
            {"start": 30, "lengths": [1, 1]},
            r"lengths = \[1, 1\] has 2 numbers for the 1 levels \[30\]",
        ),
        (
            "order",
            {"order": [0, 50]},
            r"order = \[0, 50\] names level 50, which is not among the levels \[0, 30\]",
        ),
        ("order", {"order": [30]}, r"order = \[30\] leaves out level 0 of \[0, 30\]"),
    ],
)
def test_what_does_not_fit_the_levels_is_refused_when_the_file_is_read(
    name: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        load(
            "cifar10_lt",
            settings=[
                "levels=[0, 30]",
                f'strategies=["{name}"]',
                f"strategy.{name}={_toml(parameters)}",
            ],
        )


def _toml(parameters: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key} = {value}" for key, value in parameters.items()) + "}"


WALKS: list[tuple[str, dict[str, Any]]] = [
    ("static", {"start": 50}),
    ("static", {"pacing": 3.0}),
    ("reverse", {"start": 30, "pacing": 0.4}),
    ("order", {"order": [100, 0, 70, 30, 50]}),
]


class TestWalks(testing.StrategyContract):
    @pytest.fixture(
        params=WALKS, ids=[f"{name}-{'-'.join(parameters)}" for name, parameters in WALKS]
    )
    def part(self, request: pytest.FixtureRequest) -> Any:
        return bind("strategies", *request.param).build()


def test_random_visits_all_levels_and_depends_on_the_seed() -> None:
    assert set(_levels("random", 100)) == set(LEVELS)
    assert _levels("random", 20, seed=0) != _levels("random", 20, seed=1)


def test_adaptive_takes_the_level_with_the_largest_gain() -> None:
    strategy = bind("strategies", "adaptive", {}).build()
    gains = {0: [0.1, 0.2], 50: [0.3, 0.3], 100: [0.0, -0.1]}
    assert strategy.mix(EpochContext(0, 5, (0, 50, 100), (), np.random.default_rng(0), gains)) == {
        50: 1.0
    }


@pytest.mark.parametrize(("trim", "chosen"), [(True, 50), (False, 0)])
def test_adaptive_can_ignore_outliers(trim: bool, chosen: int) -> None:
    gains = {0: [0.0] * 9 + [1.0], 50: [0.05] * 10}
    strategy = bind("strategies", "adaptive", {"trim": trim}).build()
    context = EpochContext(0, 5, (0, 50), (), np.random.default_rng(0), gains)
    assert strategy.mix(context) == {chosen: 1.0}


def test_only_the_natural_baseline_is_not_rebalanced() -> None:
    rebalanced = {
        name: bind("strategies", name, {}).build().rebalanced
        for name in ("static", "real_only", "real_rebalanced", "text_only")
    }
    assert rebalanced == {
        "static": True,
        "real_only": False,
        "real_rebalanced": True,
        "text_only": True,
    }


def _report(
    epoch: int, values: dict[str, float] | None = None, gains: dict[int, float] | None = None
) -> EpochReport:
    return EpochReport(
        epoch,
        {0: 1.0},
        {0: 1},
        steps=1,
        lr=0.1,
        seconds=0.0,
        values=values or {},
        gains=gains or {},
    )


def _draws(
    history: tuple[EpochReport, ...], gains: dict[int, list[float]], **parameters: Any
) -> Counter[int]:
    """What a bandit draws at one moment under 400 seeds."""
    strategy = bind("strategies", "bandit", parameters).build()
    generators = [np.random.default_rng([seed, 0]) for seed in range(400)]
    contexts = [
        EpochContext(len(history), 50, (0, 50, 100), history, rng, gains) for rng in generators
    ]
    return Counter(next(iter(strategy.mix(context))) for context in contexts)


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
    context = EpochContext(3, 50, LEVELS, history, np.random.default_rng(0))
    mix = bind("strategies", "competence", parameters).build().mix(context)
    assert set(mix.values()) == {1 / len(mix)}
    return sorted(mix)


def test_competence_opens_levels_from_the_lowest_as_val_rises() -> None:
    assert [_open_at(best, goal=0.4) for best in (0.0, 0.09, 0.1, 0.2, 0.39, 0.4, 0.9)] == [
        [0],
        [0],
        [0, 30],
        [0, 30, 50],
        [0, 30, 50, 70],
        [*LEVELS],
        [*LEVELS],
    ]


def test_competence_before_the_first_look_is_at_the_lowest_level() -> None:
    history = (_report(0), _report(1))
    mix = (
        bind("strategies", "competence", {})
        .build()
        .mix(EpochContext(2, 50, LEVELS, history, np.random.default_rng(0)))
    )
    assert mix == {0: 1.0}


def test_competence_never_falls_back() -> None:
    history = (_report(0, {"val/macro_acc": 0.4}), _report(1, {"val/macro_acc": 0.1}))
    mix = (
        bind("strategies", "competence", {"goal": 0.4})
        .build()
        .mix(EpochContext(2, 50, LEVELS, history, np.random.default_rng(0)))
    )
    assert sorted(mix) == [*LEVELS]


def test_competence_can_follow_another_metric_of_val_and_names_those_there_are() -> None:
    assert _open_at(0.0, metric="macro_f1") == _open_at(0.0, metric="val/macro_f1") == [*LEVELS]
    with pytest.raises(
        UserError, match="'f1' is not measured; choose one of val/macro_acc, val/macro_f1"
    ):
        _open_at(0.0, metric="f1")


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("bandit", {"explore": 1.5}, "explore = 1.5"),
        ("bandit", {"discount": -0.1}, "discount = -0.1"),
        ("bandit", {"sharpness": -1.0}, "sharpness = -1"),
        ("competence", {"goal": 0.0}, "goal = 0"),
        ("static", {"start": -1}, "strategy.static.start = -1 is outside 0..100"),
        ("reverse", {"start": 101}, "strategy.reverse.start = 101 is outside 0..100"),
        ("static", {"pacing": 0.0}, "strategy.static.pacing = 0"),
        ("reverse", {"pacing": -2.0}, "strategy.reverse.pacing = -2"),
        (
            "static",
            {"lengths": [1, 2], "pacing": 2.0},
            r"lengths = \[1, 2\] and pacing = 2 exclude each other",
        ),
        ("static", {"lengths": 3}, "lengths = 3 does not fit; it takes a list of whole numbers"),
        ("order", {"order": [0, True]}, "takes a list of whole numbers"),
        ("order", {"order": [50, 0, 50]}, "names level 50 twice"),
    ],
)
def test_settings_out_of_range_are_refused(
    name: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        bind("strategies", name, parameters).build()

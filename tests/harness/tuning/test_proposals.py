"""What a study tries next, and when it gives a trial up: by hand where a hand can, as laws where it
cannot.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import wilcoxon

from discl.config.sweep import COSTS, Dimension, TuneTable
from discl.core.interfaces import EpochReport
from discl.core.registry import find
from discl.harness.tuning import proposals
from discl.harness.tuning import space as spaces
from discl.harness.tuning.proposals import (
    FinishedTrial,
    SamplerSettings,
    best_of,
    directions_of,
    estimates,
    propose,
    sampler_name,
)
from discl.harness.tuning.pruning import MedianStopping, is_clearly_worse
from discl.harness.tuning.space import stored
from tests.properties import examples

DIRECTIONS = ("maximize", "minimize")  # of a val/ metric, and of a cost
SPACE = {
    "loss": Dimension(type="categorical", choices=["ce", [0, 50], {"a": 1}, None]),
    "lr": Dimension(type="float", low=1e-4, high=1e-1, log=True),
    "share": Dimension(type="float", low=0.1, high=0.7, step=0.2),
    "width": Dimension(type="int", low=4, high=12, step=4),
}


def _tried(
    space: dict[str, Dimension], count: int, seed: int = 0, costs: bool = False
) -> list[FinishedTrial]:
    """Trials with made-up scores on three replicates; every third was given up after two."""
    rng, made = np.random.default_rng(seed), list[FinishedTrial]()
    for slot in range(count):
        params = propose(
            space,
            SamplerSettings("random", 0, seed, DIRECTIONS[: 2 if costs else 1]),
            slot,
            made,
            [],
        )
        scores = dict(enumerate(rng.random(2 if slot % 3 == 2 else 3).tolist()))
        made.append(
            FinishedTrial(params, scores, len(scores) == 3, float(rng.random()) if costs else None)
        )
    return made


def _lies_in(space: dict[str, Dimension], params: dict[str, Any]) -> bool:
    return params.keys() == space.keys() and all(
        space[path].holds(value) for path, value in spaces.settings(params).items()
    )


# ---------------------------------------------------------------- proposals


@pytest.mark.parametrize("sampler", sorted(proposals.SAMPLERS))
@pytest.mark.parametrize("objectives", [1, 2])
def test_the_same_past_gives_the_same_proposal_and_a_round_proposes_no_setting_twice(
    sampler: str, objectives: int
) -> None:
    how, tried = (
        SamplerSettings(sampler, 4, 1, DIRECTIONS[:objectives]),
        _tried(SPACE, 6, costs=objectives == 2),
    )
    beside: list[dict[str, Any]] = []
    for slot in range(6, 8):
        beside.append(propose(SPACE, how, slot, tried, beside))
    again = propose(SPACE, how, 7, tried, beside[:1])
    assert again == beside[1]
    assert all(_lies_in(SPACE, params) for params in beside)
    assert all(
        one != other
        for one, other in itertools.combinations([*(trial.params for trial in tried), *beside], 2)
    )
    assert propose(SPACE, how._replace(seed=2), 7, tried, beside[:1]) != again


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_proposal_hangs_on_what_was_tried_and_on_what_is_beside_it(sampler: str) -> None:
    how, tried = SamplerSettings(sampler, 4, 1), _tried({"lr": SPACE["lr"]}, 6)
    other = [
        FinishedTrial(
            trial.params, {unit: 1 - score for unit, score in trial.scores.items()}, trial.complete
        )
        for trial in tried
    ]
    here = propose({"lr": SPACE["lr"]}, how, 6, tried, [])
    assert propose({"lr": SPACE["lr"]}, how, 6, other, []) != here
    if sampler == "gp":
        assert propose({"lr": SPACE["lr"]}, how, 6, tried, [here]) != here


def test_a_sampler_that_learns_finds_what_a_blind_one_misses() -> None:
    space = {"lr": SPACE["lr"], "width": SPACE["width"]}

    def best(sampler: str) -> float:
        tried: list[FinishedTrial] = []
        for slot in range(12):
            params = propose(space, SamplerSettings(sampler, 4, 0), slot, tried, [])
            score = -abs(math.log10(params["lr"] / 3e-3)) - abs(params["width"] - 8) / 4
            tried.append(FinishedTrial(params, {0: score}, True))
        return max(trial.mean for trial in tried)

    assert best("gp") > -0.02
    assert best("random") < -0.02


@some.composite
def _spaces(draw: some.DrawFn) -> dict[str, Dimension]:
    plain = some.one_of(
        some.integers(-9, 9), some.text(max_size=5), some.lists(some.integers(0, 9), max_size=2)
    )
    space = {}
    for place in range(draw(some.integers(1, 3))):
        low, wide = draw(some.integers(1, 50)), draw(some.integers(1, 40))
        space[f"path {place}"] = draw(
            some.one_of(
                some.builds(
                    Dimension,
                    type=some.just("float"),
                    low=some.just(low / 7),
                    high=some.just((low + wide) / 7),
                    log=some.booleans(),
                ),
                some.builds(
                    Dimension,
                    type=some.just("int"),
                    low=some.just(low),
                    high=some.just(low + wide),
                    log=some.booleans(),
                ),
                some.builds(
                    Dimension,
                    type=some.just("int"),
                    low=some.just(-low),
                    high=some.just(3 * wide - low),
                    step=some.just(3),
                ),
                some.builds(
                    Dimension,
                    type=some.just("float"),
                    low=some.just(0.1),
                    high=some.just(round(0.1 + 0.3 * wide, 1)),
                    step=some.just(0.3),
                ),
                some.builds(
                    Dimension,
                    type=some.just("categorical"),
                    choices=some.lists(plain, min_size=2, max_size=4, unique_by=repr),
                ),
            )
        )
    return space


def _check_laws(sampler: str, space: dict[str, Dimension], seed: int) -> None:
    count = math.prod(dimension.count for dimension in space.values())
    rounds = [_tried(space, int(min(5, count)), seed)]
    tried, beside = rounds[0], list[dict[str, Any]]()
    for slot in range(len(tried), int(min(count, len(tried) + 2))):
        beside.append(propose(space, SamplerSettings(sampler, 3, seed), slot, tried, beside))
    made = [*(dict(trial.params) for trial in tried), *beside]
    assert all(_lies_in(space, params) for params in made)
    assert all(one != other for one, other in itertools.combinations(made, 2))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@given(space=_spaces(), seed=some.integers(0, 2**40))
@examples(25)
def test_proposals_lie_in_any_space_and_differ(
    sampler: str, space: dict[str, Dimension], seed: int
) -> None:
    _check_laws(sampler, space, seed)


@given(space=_spaces(), seed=some.integers(0, 2**40))
@examples(3)
def test_proposals_of_a_gaussian_process_lie_in_any_space_and_differ(
    space: dict[str, Dimension], seed: int
) -> None:
    _check_laws("gp", space, seed)


@pytest.mark.parametrize("sampler", sorted(proposals.SAMPLERS))
def test_a_small_space_is_gone_through_once(sampler: str) -> None:
    space = {
        "share": SPACE["share"],
        "loss": Dimension(type="categorical", choices=["ce", "focal"]),
    }
    tried: list[FinishedTrial] = []
    failed: list[dict[str, Any]] = []
    for slot in range(8):
        params = propose(space, SamplerSettings(sampler, 3, 0), slot, tried, [], failed)
        if slot == 4:
            failed.append(params)
        else:
            tried.append(FinishedTrial(params, {0: float(params["share"])}, True))
    made = [*failed, *(trial.params for trial in tried)]
    assert {(round(params["share"], 9), params["loss"]) for params in made} == set(
        itertools.product((0.1, 0.3, 0.5, 0.7), ("ce", "focal"))
    )
    assert (
        propose(space, SamplerSettings(sampler, 3, 0), 8, tried, [], failed) in made
    )  # nothing else is left


def test_nothing_to_tune_is_proposed_as_nothing() -> None:
    assert propose({}, SamplerSettings("gp", 3, 0), 0, [], []) == {}


@pytest.mark.parametrize(
    "value",
    [[0, 50], {"layers": [1, 2], "deep": True}, None, True, "ce", "json:[1]", "json:", 3, 0.25, []],
)
def test_any_choice_comes_back_from_optuna_as_it_was(value: Any) -> None:
    space = {"path": Dimension(type="categorical", choices=[value, "another"])}
    made = [propose(space, SamplerSettings("random", 0, seed), 0, [], []) for seed in range(8)]
    back = [spaces.settings(params)["path"] for params in made]
    assert all(isinstance(each, type(value) | str) and each in (value, "another") for each in back)
    assert value in back
    assert stored({"path": value}) in made


def test_the_sampler_is_chosen_by_the_budget_unless_the_file_says() -> None:
    assert sampler_name(TuneTable(trials=60)) == "gp"
    assert sampler_name(TuneTable(trials=61)) == "tpe"
    assert sampler_name(TuneTable(trials=61, sampler="gp")) == "gp"


# ---------------------------------------------------------------- estimates


def test_a_trial_given_up_is_judged_by_its_distance_to_the_best_on_the_same_replicates() -> None:
    tried = [
        FinishedTrial({}, {0: 0.50, 1: 0.60, 2: 0.70}, True),  # mean 0.6
        FinishedTrial({}, {0: 0.40, 1: 0.40, 2: 0.40}, True),
        FinishedTrial({}, {0: 0.45, 1: 0.53}, False),  # 0.05 and 0.07 below the best, so 0.6 - 0.06
        FinishedTrial({}, {1: 0.62}, False),  # 0.02 above it
    ]
    assert estimates(tried) == pytest.approx([0.6, 0.4, 0.54, 0.62])
    assert best_of(tried) == [
        0,
        1,
    ]  # what was given up never wins, whatever it is thought to be worth
    assert estimates([tried[2]]) == pytest.approx([0.49])  # nothing complete to compare with
    assert estimates([]) == []


def test_equal_trials_stand_in_the_order_they_were_tried() -> None:
    tried = [FinishedTrial({}, {0: value}, True) for value in (0.1, 0.5, 0.5, 0.3)]
    assert best_of(tried) == [1, 2, 3, 0]


# ---------------------------------------------------------------- giving up

BEST = FinishedTrial({}, {0: 0.50, 1: 0.52, 2: 0.54, 3: 0.56, 4: 0.58, 5: 0.60}, True)


@pytest.mark.parametrize(
    ("distances", "given_up"),
    [
        ([-0.1, -0.1], False),  # two of two below: 1/4
        ([-0.1, -0.2, -0.3], False),  # 1/8
        ([-0.1, -0.2, -0.3, -0.4], True),  # 1/16
        ([0.1, -0.2, -0.3, -0.4], False),  # 2/16: the smallest rank is above
        ([-0.1, -0.2, -0.3, 0.01, -0.4], True),  # 2/32
        ([0.3, -0.1, -0.2], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], False),
        ([0.1, 0.2, 0.3, 0.4], False),
    ],
)
def test_a_trial_is_given_up_when_the_signed_ranks_say_so(
    distances: list[float], given_up: bool
) -> None:
    said = TuneTable(trials=5, p=0.1)
    scores = {unit: BEST.scores[unit] + distance for unit, distance in enumerate(distances)}
    assert is_clearly_worse(said, [BEST], scores) is given_up
    gaps = np.array([scores[unit] - BEST.scores[unit] for unit in scores])
    assert (
        bool(wilcoxon(gaps, alternative="less", zero_method="zsplit").pvalue < said.p) is given_up
    )


def test_nothing_is_given_up_without_a_complete_trial_or_too_early_or_where_the_file_says_so() -> (
    None
):
    said, bad = TuneTable(trials=5, p=0.1), dict.fromkeys(range(6), 0.0)
    assert is_clearly_worse(said, [BEST], bad)
    assert not is_clearly_worse(said, [], bad)
    assert not is_clearly_worse(said, [FinishedTrial({}, BEST.scores, False)], bad)
    assert not is_clearly_worse(TuneTable(trials=5, prune_after=7), [BEST], bad)
    assert not is_clearly_worse(TuneTable(trials=5, pruner="none"), [BEST], bad)
    assert not is_clearly_worse(said, [BEST], dict.fromkeys(range(3), 0.0))
    default = TuneTable(trials=5)
    assert is_clearly_worse(
        default, [BEST], dict.fromkeys(range(len(default.seeds) - 1), 0.0)
    )  # it can give up within the default replicates
    assert not is_clearly_worse(default, [BEST], {0: 0.0})


def test_the_best_trial_is_the_one_to_beat_whenever_it_was_tried() -> None:
    worse = FinishedTrial({}, {unit: score - 0.2 for unit, score in BEST.scores.items()}, True)
    between = {unit: score - 0.1 for unit, score in BEST.scores.items()}
    for tried in ([BEST, worse], [worse, BEST]):
        assert is_clearly_worse(TuneTable(trials=5), tried, between)
    assert not is_clearly_worse(TuneTable(trials=5), [worse], between)


@given(some.lists(some.floats(0, 1, width=16), min_size=2, max_size=8), some.floats(0.05, 0.5))
@examples(30)
def test_a_trial_as_good_as_the_best_is_never_given_up(values: list[float], p: float) -> None:
    best = FinishedTrial({}, dict(enumerate(values)), True)
    for count in range(1, len(values) + 1):
        assert not is_clearly_worse(
            TuneTable(trials=5, p=p), [best], dict(enumerate(values[:count]))
        )


# ---------------------------------------------------------------- patience

METRIC = "val/macro_acc"


def _history(values: dict[int, float], last: int, metric: str = METRIC) -> list[EpochReport]:
    """Reports of the epochs up to `last`, with what val said where it was looked at."""
    looked = {epoch: {metric: value} for epoch, value in values.items() if epoch <= last}
    return [
        EpochReport(epoch, {100: 1.0}, {100: 1}, 1, 0.1, 0.0, looked.get(epoch, {}))
        for epoch in range(last + 1)
    ]


def _gives_up_at(patience: MedianStopping, values: dict[int, float]) -> int | None:
    epochs = range(max(values) + 1)
    return next(
        (epoch for epoch in epochs if patience(_history(values, epoch, patience.metric))), None
    )


SINKING = {epoch: 0.2 - epoch / 1000 for epoch in range(1, 20, 2)}
CURVES = tuple(tuple((epoch, level) for epoch in range(1, 20, 2)) for level in (0.3, 0.4, 0.5))


def test_a_run_below_the_median_that_stands_still_is_given_up_after_its_patience() -> None:
    # looks at 1, 3, 5, ..; given up once `patience` looks after the next best one were no better,
    # from the end of the curriculum on
    assert _gives_up_at(MedianStopping(METRIC, 9, 2, CURVES), SINKING) == 9
    assert _gives_up_at(MedianStopping(METRIC, 0, 2, CURVES), SINKING) == 7
    assert _gives_up_at(MedianStopping(METRIC, 9, 6, CURVES), SINKING) == 15
    assert _gives_up_at(MedianStopping(METRIC, 12, 2, CURVES), SINKING) == 13


def test_a_run_is_not_given_up_before_its_curriculum_is_over_or_while_it_is_good_or_learns() -> (
    None
):
    assert _gives_up_at(MedianStopping(METRIC, 20, 1, CURVES), SINKING) is None
    assert (
        _gives_up_at(
            MedianStopping(METRIC, 9, 2, CURVES),
            {epoch: value + 0.25 for epoch, value in SINKING.items()},
        )
        is None
    )
    assert (
        _gives_up_at(
            MedianStopping(METRIC, 9, 2, CURVES), {epoch: 0.01 * epoch for epoch in SINKING}
        )
        is None
    )
    assert _gives_up_at(MedianStopping(METRIC, 9, 2, ()), SINKING) is None


@given(
    some.dictionaries(some.integers(0, 15), some.floats(0, 1, width=16), min_size=1, max_size=8),
    some.integers(0, 16),
    some.integers(1, 4),
)
@examples(25)
def test_no_run_is_given_up_within_its_curriculum_or_where_nobody_looked(
    values: dict[int, float], curriculum: int, patience: int
) -> None:
    stop = MedianStopping(METRIC, curriculum, patience, CURVES)
    for epoch in range(16):
        if stop(_history(values, epoch)):
            assert epoch in values
            assert epoch >= curriculum


def test_where_lower_is_better_the_lowest_mean_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find("metrics", "acc"), "better", "lower")
    assert directions_of(["val/acc", *COSTS])[:2] == ["minimize", "minimize"]
    assert directions_of(["val/macro_acc"]) == ["maximize"]
    means = (0.4, 0.2, 0.3)
    trials = [FinishedTrial({}, {0: mean}, True, lower_is_better=True) for mean in means]
    assert best_of(trials) == [1, 2, 0]
    worse = {unit: score + 0.2 for unit, score in BEST.scores.items()}
    lowest = FinishedTrial({}, BEST.scores, True, lower_is_better=True)
    said = TuneTable(trials=5)
    assert is_clearly_worse(said, [lowest], worse)
    assert not is_clearly_worse(said, [BEST], worse)
    rising = {epoch: 0.9 - value for epoch, value in SINKING.items()}
    curves = tuple(tuple((epoch, 0.9 - value) for epoch, value in curve) for curve in CURVES)
    stop = MedianStopping("val/acc", 9, 2, curves)
    assert _gives_up_at(stop, rising) == _gives_up_at(MedianStopping(METRIC, 9, 2, CURVES), SINKING)

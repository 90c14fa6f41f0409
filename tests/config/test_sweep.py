"""Sweep files: what they expand into, and that a bad one says what is wrong with it before anything
runs.
"""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from discl.config.load import load as load_benchmark
from discl.config.sweep import Dimension, SweepFile
from discl.config.sweep_expand import (
    axes_that_differ,
    budget,
    expand,
    own,
    rungs,
    space_of,
    strategies,
)
from discl.config.sweep_load import load
from discl.core.errors import UserError
from tests.properties import examples

Write = Callable[..., str]

GRID = """
benchmark = "cifar10_lt"
strategies = ["static", "real_only"]
seeds = [0, 1]
[grid]
"train.lr" = [0.001, 0.01]
"loss.name" = ["ce", "focal"]
"""
TUNE = """
benchmark = "cifar10_lt"
strategies = ["static", "fixed", "real_only"]
[space."train.lr"]
type = "float"
low = 1e-4
high = 1e-1
log = true
[space."bank.threshold"]
type = "categorical"
choices = [-1.0, 0.6]
without = ["real_only"]
[space."strategy.static.start"]
type = "categorical"
choices = [0, 30]
[tune]
trials = 10
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a sweep file where it is found, and gives its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()

    def written(text: str, name: str = "mine") -> str:
        (tmp_path / "sweeps" / f"{name}.toml").write_text(text, "utf-8")
        return name

    return written


def _dimension(type: str, **said: Any) -> Dimension:
    return Dimension(type=type, **said)  # type: ignore[arg-type]


# ---------------------------------------------------------------- expanding


def test_a_grid_is_the_product_of_its_axes_with_seeds_slowest(write: Write) -> None:
    points = expand(load(write(GRID)))
    assert [point.at["seed"] for point in points] == [0] * 8 + [1] * 8
    places = [
        (point.at["strategy"], point.at["train.lr"], point.at["loss.name"]) for point in points[:8]
    ]
    assert places == list(
        itertools.product(["static", "real_only"], [0.001, 0.01], ["ce", "focal"])
    )
    for point in points:
        spec = point.experiment.benchmark
        assert (spec.train.lr, spec.loss["name"]) == (point.at["train.lr"], point.at["loss.name"])
        assert (point.experiment.strategy, point.experiment.seed) == (
            point.at["strategy"],
            point.at["seed"],
        )
    assert axes_that_differ(points) == ["strategy", "train.lr", "loss.name"]


AXES = {
    "train.lr": some.floats(1e-6, 1.0).map(lambda value: float(f"{value:.6g}")),
    "train.batch": some.integers(1, 512),
    "loss.name": some.sampled_from(["ce", "focal", "balanced_softmax", "logit_adjusted"]),
    "seed": some.integers(0, 10**6),
    "strategy": some.sampled_from(["static", "reverse", "real_only", "random"]),
    "sampling.max_repeats": some.integers(1, 99),
}


@given(
    some.fixed_dictionaries(
        {"seed": some.lists(AXES["seed"], min_size=1, max_size=3, unique=True)},
        optional={
            axis: some.lists(values, min_size=1, max_size=3, unique=True)
            for axis, values in AXES.items()
            if axis != "seed"
        },
    )
)
@examples(12)
def test_every_place_of_any_grid_is_there_once_under_an_id_of_its_own(
    grid: dict[str, list[Any]],
) -> None:
    found = SweepFile(
        name="any",
        benchmark="cifar10_lt",
        strategies=[] if "strategy" in grid else ["static", "fixed"],
        grid=grid,
    )
    points, again = expand(found), expand(found)
    assert len(points) == math.prod(len(values) for values in grid.values()) * (
        1 if "strategy" in grid else 2
    )
    assert len({point.experiment.id() for point in points}) == len(points)
    assert [(point.at, point.experiment.id()) for point in points] == [
        (point.at, point.experiment.id()) for point in again
    ]
    met = [point.at["seed"] for point in points]
    assert [seed for seed, _ in itertools.groupby(met)] == grid["seed"]


def test_what_differs_only_where_it_changes_nothing_is_one_run(write: Write) -> None:
    text = (
        'benchmark = "cifar10_lt"\nstrategies = ["real_only"]\n[grid]\nlevels = [[0, 100], [50,'
        ' 100]]\n"train.workers" = [0, 2]\n'
    )
    points = expand(load(write(text)))
    assert len(points) == 4
    assert (
        len({point.experiment.id() for point in points}) == 1
    )  # it sees no generated image, and workers change no answer


def test_exclude_takes_away_and_include_adds(write: Write) -> None:
    text = (
        GRID
        + '[[exclude]]\nstrategy = "real_only"\n"loss.name" = "focal"\n[[exclude]]\n"train.lr" ='
        ' [0.001, 0.01]\nseed = 1\n[[include]]\n"train.lr" = 0.1\nstrategy = ["static",'
        ' "fixed"]\nseed = 7\n'
    )
    points = expand(load(write(text)))
    grid, extra = points[:-2], points[-2:]
    assert {point.at["seed"] for point in grid} == {0}
    assert len(grid) == 6  # of 8 places of seed 0, 2 lines with real_only and focal are out
    assert not any(
        point.at["strategy"] == "real_only" and point.at["loss.name"] == "focal" for point in grid
    )
    assert [(point.at, point.experiment.benchmark.loss["name"]) for point in extra] == [
        ({"strategy": "static", "seed": 7, "train.lr": 0.1}, "ce"),
        ({"strategy": "fixed", "seed": 7, "train.lr": 0.1}, "ce"),
    ]


def test_a_place_that_is_included_twice_is_there_once(write: Write) -> None:
    inside = '[[include]]\nstrategy = "static"\nseed = 0\n"train.lr" = 0.001\n"loss.name" = "ce"\n'
    assert len(expand(load(write(GRID + inside)))) == len(expand(load(write(GRID, "plain"))))


def test_lists_of_levels_are_values_of_one_axis(write: Write) -> None:
    text = (
        'benchmark = "cifar10_lt"\nstrategies = ["static"]\n[grid]\nlevels = [[0, 100], [0, 50,'
        " 100]]\n"
    )
    more = (
        "[[exclude]]\nlevels = [0, 50, 100]\n[[include]]\nlevels = [30, 100]\n[[include]]\nlevels ="
        " [[50, 100], [70, 100]]\n"
    )
    points = expand(load(write(text + more)))
    assert [point.experiment.benchmark.levels for point in points] == [
        [0, 100],
        [30, 100],
        [50, 100],
        [70, 100],
    ]


def test_several_benchmarks_can_be_one_axis(write: Write) -> None:
    points = expand(
        load(
            write(
                'benchmark = "cifar10_lt"\nstrategies = ["static"]\n[grid]\nbenchmark ='
                ' ["cifar10_lt", "cifar10_cams"]\n'
            )
        )
    )
    assert [point.experiment.benchmark.name for point in points] == ["cifar10_lt", "cifar10_cams"]


def test_what_is_said_of_a_benchmark_goes_on_top_and_settings_on_top_of_all(write: Write) -> None:
    text = 'benchmark = "cifar10_lt"\nstrategies = ["static"]\nseeds = [0, 1]\n'
    text += '[set]\n"train.batch" = 8\n"train.epochs" = 6\n[grid]\n"train.lr" = [0.1]\n'
    text += (
        '[on.cifar10_cams]\nseeds = [5]\n[on.cifar10_cams.set]\n"train.batch" ='
        ' 16\n[on.cifar10_cams.grid]\n"train.lr" = [0.2]\n'
    )
    name = write(text)
    here, there = (
        load(name),
        load(name, over="cifar10_cams", settings=["train.epochs=4", "train.curriculum_epochs=2"]),
    )
    assert (here.benchmark, here.seeds, here.set) == (
        "cifar10_lt",
        [0, 1],
        {"train.batch": 8, "train.epochs": 6},
    )
    assert (there.benchmark, there.seeds, there.grid) == ("cifar10_cams", [5], {"train.lr": [0.2]})
    assert there.set == {"train.batch": 16, "train.epochs": 4, "train.curriculum_epochs": 2}
    (point,) = expand(there)
    assert (point.experiment.benchmark.train.epochs, point.experiment.benchmark.train.batch) == (
        4,
        16,
    )


def test_strategies_and_seeds_given_replace_those_of_the_file_wherever_it_says_them(
    write: Write,
) -> None:
    axes = 'benchmark = "cifar10_lt"\n[grid]\nstrategy = ["static", "fixed"]\nseed = [0, 1]\n'
    for name in (write(GRID), write(axes, "axes")):
        points = expand(load(name, strategies=["random"], seeds=[3, 4]))
        assert {point.experiment.strategy for point in points} == {"random"}
        assert list(dict.fromkeys(point.experiment.seed for point in points)) == [3, 4]


def test_paths_may_be_written_without_quotes(write: Write) -> None:
    bare = GRID.replace('"train.lr"', "train.lr").replace('"loss.name"', "loss.name")
    assert load(write(bare)).grid == load(write(GRID, "quoted")).grid
    bare = TUNE.replace('"train.lr"', "train.lr").replace(
        '"strategy.static.start"', "strategy.static.start"
    )
    assert load(write(bare)).space == load(write(TUNE, "quoted")).space


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (Path(__file__).parents[2] / "sweeps").glob("*.toml"))
)
@pytest.mark.parametrize("over", ["cifar10_lt", "iwildcam"])
def test_every_shipped_sweep_loads_for_both_benchmarks(name: str, over: str) -> None:
    found = load(name, over=over)
    assert found.title
    if found.grid and over == "cifar10_lt":  # the photos of the other one lie elsewhere
        assert expand(found)


def test_shipped_studies_begin_at_the_benchmarks_own_setting() -> None:
    for name in ("tune_static", "tune_adaptive", "tune_all"):
        found = load(name)
        spec = load_benchmark(found.benchmark, found.scale)
        for strategy in strategies(found):
            begun = own(found, spec, strategy)
            assert begun is not None, (name, strategy)
            if (
                "train.curriculum_epochs" in begun
            ):  # a share of the epochs that stands for as many of them
                varied = load_benchmark(
                    found.benchmark,
                    found.scale,
                    [f"train.curriculum_epochs={begun['train.curriculum_epochs']}"],
                )
                assert varied.train.curriculum_epochs == spec.train.curriculum_epochs


# ---------------------------------------------------------------- spaces


def test_a_space_holds_for_a_strategy_what_names_it_or_nobody_and_not_what_leaves_it_out(
    write: Write,
) -> None:
    found = load(write(TUNE.replace("log = true", 'log = true\nonly = ["static", "real_only"]')))
    assert {name: list(space_of(found, name)) for name in strategies(found)} == {
        "static": ["bank.threshold", "strategy.static.start", "train.lr"],
        "fixed": ["bank.threshold"],
        "real_only": ["train.lr"],
    }


def test_a_budget_is_no_larger_than_the_settings_there_are(write: Write) -> None:
    found = load(write(TUNE.replace("log = true", 'log = true\nonly = ["static"]')))
    assert {name: budget(found, name) for name in strategies(found)} == {
        "static": 10,
        "fixed": 2,
        "real_only": 1,
    }


def test_the_benchmarks_own_setting_is_where_a_study_begins_if_the_space_has_it(
    write: Write,
) -> None:
    found = load(write(TUNE))
    spec = load_benchmark("cifar10_lt", settings=["train.lr=3e-3"])
    assert own(found, spec, "static") == {
        "bank.threshold": -1.0,
        "strategy.static.start": 0,
        "train.lr": 3e-3,
    }
    assert own(load(write(TUNE.replace("high = 1e-1", "high = 1e-3"))), spec, "static") is None
    word = TUNE.replace('[space."train.lr"]', '[space."sampling.tail_share"]').replace(
        "log = true", "log = true\nfirst = 0.05"
    )
    assert own(load(write(word)), spec, "real_only") == {
        "sampling.tail_share": 0.05
    }  # it has the word "classes"


@pytest.mark.parametrize(
    ("dimension", "held", "not_held"),
    [
        (
            _dimension("float", low=0.1, high=0.5),
            [0.1, 0.3, 0.5],
            [0.09, 0.51, True, "0.3", None, math.nan],
        ),
        (_dimension("float", low=0.1, high=0.7, step=0.2), [0.1, 0.3, 0.5, 0.7], [0.2, 0.9]),
        (_dimension("int", low=2, high=8, step=3), [2, 5, 8], [3, 2.0, 11, True]),
        (
            _dimension("categorical", choices=[[0, 50], {"a": 1}, "x", None]),
            [[0, 50], {"a": 1}, "x", None],
            [[0], 0, "y"],
        ),
    ],
)
def test_a_dimension_knows_what_lies_in_it(
    dimension: Dimension, held: list[Any], not_held: list[Any]
) -> None:
    assert [value for value in held if not dimension.holds(value)] == []
    assert [value for value in not_held if dimension.holds(value)] == []
    assert all(dimension.holds(value) for value in dimension.ends())


def test_a_dimension_knows_how_many_values_it_has() -> None:
    assert _dimension("float", low=0.1, high=0.5).count == math.inf
    assert _dimension("float", low=0.1, high=0.7, step=0.2).count == 4
    assert _dimension("int", low=2, high=8, step=3).count == 3
    assert _dimension("int", low=1, high=100, log=True).count == 100
    assert _dimension("categorical", choices=[1, 2]).count == 2


def test_rungs_are_the_sweep_at_another_price(write: Write) -> None:
    ladder = (
        '[[tune.ladder]]\ntrials = 6\nset = { "train.epochs" = 26 }\n[[tune.ladder]]\ntrials ='
        ' 2\nscale = "small"\n'
    )
    cheap, dear = rungs(load(write(TUNE + ladder)))
    assert (cheap.scale, cheap.set, cheap.tune and cheap.tune.trials) == (
        "smoke",
        {"train.epochs": 26},
        6,
    )
    assert (dear.scale, dear.set, dear.tune and dear.tune.trials) == ("small", {}, 2)
    assert rungs(load(write(TUNE, "flat")))[0].tune == load("flat").tune


# ---------------------------------------------------------------- bad files

LR = '[space."train.lr"]\ntype = "float"\nlow = 1e-4\nhigh = 1e-1\nlog = true\n'


def _space(said: str, path: str = "train.lr") -> str:
    return TUNE.replace(LR, f'[space."{path}"]\n{said}\n')


def _tuned(said: str) -> str:
    return TUNE + said


BAD = {
    "TOML": ("benchmark =", ["mine.toml", "not valid TOML"]),
    "no number": (GRID.replace("0.001", "inf"), ["mine.toml", "inf", "finite"]),
    "a date": (GRID.replace("0.001", "2020-01-01"), ["mine.toml", "date"]),
    "no benchmark": ('strategies = ["static"]', ["mine.toml", "names no benchmark", "--benchmark"]),
    "unknown benchmark": (
        'benchmark = "cifar10_l"',
        ["mine.toml", "'cifar10_l'", "did you mean 'cifar10_lt'"],
    ),
    "on an unknown benchmark": (
        GRID + "[on.iwildcm]\nseeds = [1]\n",
        ["mine.toml", "'iwildcm'", "did you mean 'iwildcam'"],
    ),
    "on, a value": ("on = 3\n" + GRID, ["mine.toml", "on = 3", "table"]),
    "set, a value": ("set = 3\n" + GRID, ["mine.toml", "set = 3", "table"]),
    "unknown scale": ('scale = "smal"\n' + GRID, ["mine.toml", "'smal'", "did you mean 'small'"]),
    "unknown strategy": (
        GRID.replace('"real_only"', '"real_onyl"'),
        ["mine.toml", "'real_onyl'", "did you mean 'real_only'"],
    ),
    "unknown key": ('tilte = "x"\n' + GRID, ["mine.toml", "'tilte'", "did you mean 'title'"]),
    "unknown path in grid": (
        GRID.replace("train.lr", "train.lrr"),
        ["mine.toml", "'train.lrr'", "did you mean 'train.lr'"],
    ),
    "unknown table in grid": (
        GRID.replace("train.lr", "trian.lr"),
        ["mine.toml", "'trian'", "did you mean 'train'"],
    ),
    "axis of 0.1": (
        GRID.replace("train.lr", "train.shift").replace("[0.001, 0.01]", "[1, 2]"),
        ["mine.toml: train.shift was renamed in 0.2; write train.random_translate"],
    ),
    "setting of 0.1": (
        GRID + '[set]\n"hard.below" = 3\n',
        ["mine.toml: hard.below was renamed in 0.2; write hard_rule.max_class_images"],
    ),
    "unknown path in set": (
        GRID + '[set]\n"train.epoch" = 3\n',
        ["mine.toml", "'train.epoch'", "did you mean 'train.epochs'"],
    ),
    "unknown path in include": (
        GRID + '[[include]]\n"train.epoch" = 3\n',
        ["mine.toml", "'train.epoch'", "did you mean 'train.epochs'"],
    ),
    "unknown path in space": (
        TUNE.replace("bank.threshold", "bank.treshold"),
        ["mine.toml", "did you mean 'bank.threshold'"],
    ),
    "unknown parameter in space": (
        TUNE.replace("static.start", "static.strat"),
        ["mine.toml", "'strat'", "'start'"],
    ),
    "value that does not load": (
        GRID.replace("0.01]", "-0.01]"),
        ["mine.toml", "train.lr = -0.01", "greater than 0"],
    ),
    "set that does not load": (
        TUNE + '[set]\n"train.batch" = 0\n',
        ["mine.toml", "train.batch = 0"],
    ),
    "empty axis": (
        GRID.replace("[0.001, 0.01]", "[]"),
        ["mine.toml", "grid is empty", "'train.lr'"],
    ),
    "repeated value": (
        GRID.replace("[0.001, 0.01]", "[0.01, 1e-2]"),
        ["mine.toml", "'train.lr'", "repeats itself"],
    ),
    "repeated strategy": (
        GRID.replace('"real_only"', '"static"'),
        ["mine.toml", "strategies", "repeats itself"],
    ),
    "repeated seed": (
        GRID.replace("[0, 1]", "[1, 1]"),
        ["mine.toml", "seeds = [1, 1]", "repeats itself"],
    ),
    "negative seed": (
        GRID.replace("[0, 1]", "[0, -1]"),
        ["mine.toml", "seeds.1 = -1", "greater than or equal to 0"],
    ),
    "grid and set": (
        GRID + '[set]\n"train.lr" = 0.1\n',
        ["mine.toml", "'train.lr'", "axis", "0.1"],
    ),
    "seed in set": (GRID + "[set]\nseed = 1\n", ["mine.toml", "'seed'", "--seeds"]),
    "axis said twice": (GRID + 'strategy = ["fixed"]\n', ["mine.toml", "'strategy'", "strategies"]),
    "benchmark left out of its axis": (
        GRID + 'benchmark = ["iwildcam"]\n',
        ["mine.toml", "leaves 'cifar10_lt' out"],
    ),
    "everything excluded": (
        GRID + "[[exclude]]\nseed = [0, 1]\n",
        ["mine.toml", "nothing is left of the grid"],
    ),
    "exclude of no axis": (
        GRID + '[[exclude]]\n"train.batch" = 2\n',
        ["mine.toml", "'train.batch'", "exclude"],
    ),
    "exclude of no value": (
        GRID + '[[exclude]]\n"train.lr" = 2\n',
        ["mine.toml", "train.lr = 2", "does not have"],
    ),
    "included and excluded": (
        GRID + '[[exclude]]\nseed = 1\n[[include]]\nseed = 1\n"train.lr" = 0.5\n',
        ["mine.toml", "included and excluded", "seed = 1"],
    ),
    "grid and space": (
        TUNE + '[grid]\n"train.batch" = [1]\n',
        ["mine.toml", "[grid] and [space]", "two files"],
    ),
    "grid and order": (GRID + "[order]\n", ["mine.toml", "[grid] and [order]"]),
    "space without tune": (
        TUNE.replace("[tune]\ntrials = 10\n", ""),
        ["mine.toml", "no [tune]", "trials = 30"],
    ),
    "tune without space": (
        GRID.split("[grid]")[0] + "[tune]\ntrials = 3\n",
        ["mine.toml", "[tune] and no [space]"],
    ),
    "tune and grid": (GRID + "[tune]\ntrials = 3\n", ["mine.toml", "[tune] and no [space]"]),
    "exclude in a study": (TUNE + "[[exclude]]\nseed = 1\n", ["mine.toml", "belong to a [grid]"]),
    "seeds of a study": ("seeds = [1]\n" + TUNE, ["mine.toml", "tune.seeds = [0, 1, 2]"]),
    "budget 0": (
        TUNE.replace("trials = 10", "trials = 0"),
        ["mine.toml", "tune.trials = 0", "greater than or equal to 1"],
    ),
    "unknown key of tune": (
        TUNE.replace("trials = 10", "trails = 10"),
        ["mine.toml", "'tune.trails'", "did you mean 'tune.trials'"],
    ),
    "missing budget": (
        TUNE.replace("trials = 10", "startup = 3"),
        ["mine.toml", "tune.trials is missing"],
    ),
    "unknown sampler": (
        _tuned('sampler = "cmaes"'),
        ["mine.toml", "tune.sampler = 'cmaes'", "'gp'"],
    ),
    "unknown pruner": (
        _tuned('pruner = "hyperband"'),
        ["mine.toml", "tune.pruner = 'hyperband'", "'wilcoxon'"],
    ),
    "negative replicate": (_tuned("seeds = [-1]"), ["mine.toml", "tune.seeds.0 = -1"]),
    "repeated replicate": (_tuned("seeds = [1, 1]"), ["mine.toml", "tune.seeds", "repeats itself"]),
    "no replicate": (_tuned("seeds = []"), ["mine.toml", "tune.seeds"]),
    "unknown further benchmark": (
        _tuned('also = ["iwildcm"]'),
        ["mine.toml", "'iwildcm'", "did you mean 'iwildcam'"],
    ),
    "repeated benchmark": (
        _tuned('also = ["cifar10_lt"]'),
        ["mine.toml", "tune.also", "repeats itself"],
    ),
    "objective on test": (
        _tuned('objective = ["test/macro_acc"]'),
        ["mine.toml", "'test/macro_acc'", "read once", "val/"],
    ),
    "objective on id_test": (
        _tuned('objective = ["id_test/acc"]'),
        ["mine.toml", "'id_test/acc'", "read once", "val/"],
    ),
    "objective on ood": (
        _tuned('objective = ["ood/acc"]'),
        ["mine.toml", "'ood/acc'", "read once", "val/"],
    ),
    "objective on test as the second": (
        _tuned('objective = ["val/acc", "test/acc"]'),
        ["mine.toml", "'test/acc'", "read once"],
    ),
    "no objective": (
        _tuned('objective = ["macro_acc"]'),
        ["mine.toml", "'macro_acc'", "val/", "cost/images"],
    ),
    "unknown metric": (
        _tuned('objective = ["val/macro_ac"]'),
        ["mine.toml", "'val/macro_ac'", "did you mean 'val/macro_acc'"],
    ),
    "two metrics": (
        _tuned('objective = ["val/acc", "val/few_acc"]'),
        ["mine.toml", "give a val/ metric, or that and one of cost/"],
    ),
    "unknown cost": (
        _tuned('objective = ["val/acc", "cost/image"]'),
        ["mine.toml", "'cost/image'", "cost/images"],
    ),
    "cost alone": (
        _tuned('objective = ["cost/images"]'),
        ["mine.toml", "cost/images", "give a val/ metric, or that and one of cost/"],
    ),
    "three objectives": (
        _tuned('objective = ["val/acc", "cost/images", "cost/denoising_steps"]'),
        ["mine.toml", "or that and one of cost/"],
    ),
    "a ladder of two objectives": (
        _tuned('objective = ["val/acc", "cost/images"]\n[[tune.ladder]]\ntrials = 1\n'),
        ["mine.toml", "two objectives", "no ladder"],
    ),
    "patience for another metric": (
        _tuned('objective = ["val/acc"]\npatience = 2'),
        ["mine.toml", "patience", "'val/acc'", "'val/macro_acc'"],
    ),
    "unknown scale of a rung": (
        _tuned('[[tune.ladder]]\ntrials = 1\nscale = "smal"\n'),
        ["mine.toml", "did you mean 'small'"],
    ),
    "unknown key of a rung": (
        _tuned("[[tune.ladder]]\ntrail = 1\n"),
        ["mine.toml", "did you mean 'tune.ladder.0.trials'"],
    ),
    "unknown path of a rung": (
        _tuned('[[tune.ladder]]\ntrials = 1\nset = { "train.epoch" = 1 }\n'),
        ["mine.toml", "'train.epochs'"],
    ),
    "contradicting bounds": (
        _space('type = "float"\nlow = 0.1\nhigh = 0.01'),
        ["mine.toml", "low = 0.1 is not below high = 0.01"],
    ),
    "equal bounds": (_space('type = "float"\nlow = 0.1\nhigh = 0.1'), ["mine.toml", "not below"]),
    "one bound": (_space('type = "float"\nlow = 0.1'), ["mine.toml", "needs low and high"]),
    "logarithm of 0": (
        _space('type = "float"\nlow = 0\nhigh = 1\nlog = true'),
        ["mine.toml", "logarithmic", "above 0"],
    ),
    "logarithm in steps": (
        _space('type = "float"\nlow = 0.1\nhigh = 1\nlog = true\nstep = 0.1'),
        ["mine.toml", "there can be no step"],
    ),
    "broken whole numbers": (
        _space('type = "int"\nlow = 1.5\nhigh = 8', "train.batch"),
        ["mine.toml", "whole", "1.5"],
    ),
    "steps that miss the end": (
        _space('type = "float"\nlow = 0.1\nhigh = 1.0\nstep = 0.2'),
        ["mine.toml", "steps of 0.2"],
    ),
    "steps of nothing": (
        _space('type = "float"\nlow = 0.1\nhigh = 1.0\nstep = 0'),
        ["mine.toml", "steps of 0 "],
    ),
    "steps backwards": (
        _space('type = "int"\nlow = 1\nhigh = 9\nstep = -2', "train.batch"),
        ["mine.toml", "steps of -2"],
    ),
    "one choice": (
        _space('type = "categorical"\nchoices = [0.1]'),
        ["mine.toml", "categorical", "two or more", "[0.1]"],
    ),
    "choices alike": (
        _space('type = "categorical"\nchoices = [1, 1.0]'),
        ["mine.toml", "two or more different"],
    ),
    "truth and one": (
        _space('type = "categorical"\nchoices = [1, true]'),
        ["mine.toml", "two or more different"],
    ),
    "choices and bounds": (
        _space('type = "categorical"\nchoices = [0.1, 0.2]\nlow = 0'),
        ["mine.toml", "no bounds"],
    ),
    "a first that is no choice": (
        _space('type = "categorical"\nchoices = [0.1, 0.2]\nfirst = 0.3'),
        ["mine.toml", "first = 0.3"],
    ),
    "a first outside": (
        _space('type = "float"\nlow = 0.1\nhigh = 0.2\nfirst = 0.3'),
        ["mine.toml", "first = 0.3"],
    ),
    "unknown type": (
        _space('type = "real"\nlow = 0.1\nhigh = 0.2'),
        ["mine.toml", "space.train.lr.type = 'real'"],
    ),
    "unknown key of a dimension": (
        _space('type = "float"\nlo = 0.1\nhigh = 0.2'),
        ["mine.toml", "did you mean 'space.train.lr.low'"],
    ),
    "bounds the setting does not take": (
        _space('type = "float"\nlow = -1\nhigh = 0.2'),
        ["mine.toml", "'train.lr' reaches -1", "does not load", "greater than 0"],
    ),
    "a choice the setting does not take": (
        TUNE.replace("choices = [0, 30]", 'choices = [0, "far"]'),
        ["mine.toml", "'strategy.static.start' reaches 'far'", "takes a int"],
    ),
    "tuned and set": (
        TUNE + '[set]\n"train.lr" = 0.1\n',
        ["mine.toml", "'train.lr' cannot be tuned", "0.1 already"],
    ),
    "tuned seed": (
        _space('type = "int"\nlow = 0\nhigh = 3', "seed"),
        ["mine.toml", "'seed' cannot be tuned", "chosen"],
    ),
    "only for nobody": (
        TUNE.replace("log = true", 'log = true\nonly = ["statc"]'),
        ["mine.toml", "'statc'", "did you mean 'static'"],
    ),
    "without nobody": (
        TUNE.replace('["real_only"]\n[space."strat', '["real_onyl"]\n[space."strat'),
        ["mine.toml", "did you mean 'real_only'"],
    ),
    "a strategy there is not": (
        TUNE.replace("strategy.static", "strategy.statc"),
        ["mine.toml", "'statc'", "did you mean 'static'"],
    ),
    "zero orders": (
        'benchmark = "cifar10_lt"\n[order]\norders = 0\n',
        ["mine.toml", "order.orders"],
    ),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_bad_file_is_refused_by_a_sentence_that_names_it_and_what_is_wrong(
    case: str, write: Write
) -> None:
    text, words = BAD[case]
    name = write(text)
    with pytest.raises(UserError) as refused:
        expand(load(name)) if "[grid]" in text and "[space" not in text else load(name)
    said = str(refused.value)
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said
    assert said.count("mine.toml") == 1, said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"settings": ["train.lr"]}, "--set 'train.lr' is not of the form key=value"),
        ({"settings": ["=3"]}, "--set '=3'"),
        ({"settings": ["train.lr=0.5"]}, "'train.lr' is an axis of the grid"),
        ({"settings": ["train.epoch=3"]}, "did you mean 'train.epochs'"),
        ({"settings": ["strategy=static"]}, "--strategies"),
        ({"scale": "big"}, "no scale called 'big'"),
        ({"over": "cifar10_l"}, "did you mean 'cifar10_lt'"),
        ({"strategies": ["sttic"]}, "did you mean 'static'"),
        ({"strategies": ["static", "static"]}, "repeats itself"),
        ({"seeds": [-1]}, "-1"),
        ({"seeds": [1, 1]}, "repeats itself"),
    ],
)
def test_what_is_given_beside_the_file_is_checked_with_it(
    given: dict[str, Any], says: str, write: Write
) -> None:
    with pytest.raises(UserError, match=says):
        expand(load(write(GRID), **given))


def test_an_objective_may_be_any_metric_of_val_there_is(write: Write) -> None:
    for metric in ("val/worst_group_acc", "val/adjusted_few_acc", "val/wise_adjusted_macro_f1"):
        found = load(write(_tuned(f'objective = ["{metric}"]')))
        assert found.tune is not None
        assert found.tune.objective == [metric]


def test_an_objective_beside_the_usual_metrics_is_named_in_the_benchmark(write: Write) -> None:
    tuned = _tuned('objective = ["val/macro_f1_all"]')
    with pytest.raises(UserError) as raised:
        load(write(tuned))
    said = str(raised.value)
    assert "objective 'val/macro_f1_all' is not computed in" in said
    assert "add metrics.extra = ['macro_f1_all'] to the sweep's [set]" in said
    assert load(write(f"{tuned}\n[set]\nmetrics.extra = ['macro_f1_all']\n")).tune is not None


def test_seeds_are_not_given_to_a_study(write: Write) -> None:
    with pytest.raises(UserError, match=r"tune.seeds = \[0, 1, 2\]"):
        load(write(TUNE), seeds=[5])


def test_an_unknown_sweep_shows_the_nearest() -> None:
    with pytest.raises(UserError, match="no sweep called 'tune_sttic'; did you mean 'tune_static'"):
        load("tune_sttic")


def test_losses_are_compared_without_the_label_smoothing_that_one_of_them_has() -> None:
    losses = {str(point.experiment.benchmark.loss) for point in expand(load("losses"))}
    assert len(losses) == 6
    assert not any("0.1" in loss for loss in losses)

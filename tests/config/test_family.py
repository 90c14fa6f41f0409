import copy
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.config import load as loading
from discl.config import toml
from discl.config.benchmark import MAKERS, Benchmark
from discl.config.experiment import Experiment, experiments
from discl.config.identity import FOLD_MODELS, PROBE, SCHEMA, SOURCE
from discl.config.load import BenchmarkVariants, available, load, scales
from discl.config.part_cache import PartCache
from discl.config.stages.start import identity_of
from discl.core.errors import UserError
from discl.core.hashing import canonical, short
from discl.core.levels import PHOTO
from discl.core.registry import Bound, singular
from tests.properties import examples

ELSEWHERE = "scorer={name='open_clip', model='ViT-B-32', pretrained='openai'}"
HERE = [
    "dataset.name=cifar10_lt",
    "prompts.name=dataset",
    "generator.name=blend",
    ELSEWHERE,
]  # what needs neither a download nor a folder of one's own
SHIPPED = [(name, scale) for name in available() for scale in scales(name)]


def _words(settings: Mapping[str, Any]) -> list[str]:
    """As `--set` takes them, the names of parts first."""
    return [
        f"{path}={json.dumps(settings[path])}"
        for path in sorted(settings, key=lambda path: (not path.endswith(".name"), path))
    ]


def _plainly(experiment: Experiment) -> dict[str, Any]:
    """The identity, with every part built for it."""
    bench = experiment.benchmark

    def whole(kind: Any) -> dict[str, Any]:
        return bench.part(kind).identity() | bench.part(kind).build().identity()

    strategy, bank = bench.chosen_strategy(experiment.strategy), bench.bank
    levels = strategy.build().uses(tuple(sorted(bench.levels)))
    hard_rule = bench.part("hard_rules").identity()
    if models := bench.part("hard_rules").build().models:
        hard_rule["models"] = {
            "version": FOLD_MODELS,
            "folds": models.folds,
            "epochs": models.epochs or bench.train.epochs,
            "seed": models.seed,
        }
    described = {
        "schema": SCHEMA,
        "dataset": whole("datasets"),
        "backbone": whole("backbones"),
        "loss": bench.part("losses").identity(),
        "hard_rule": hard_rule,
        "sampling": bench.sampling.model_dump(exclude_defaults=True),
        "train": bench.train.model_dump(
            exclude_defaults=True,
            exclude={"channels_last", "compile", "workers", "checkpoint_seconds", "start"},
        ),
        "select": bench.select.model_dump(exclude_defaults=True),
        "strategy": strategy.identity(),
        "seed": experiment.seed,
    }
    if bench.train.transform:  # recorded: version 0.1 read the middle square
        described["train"]["whole_photos"] = bench.train.whole_photos
    if bench.train.random_resized_crop:
        described["train"]["crop_ratio"] = bench.train.crop_ratio
    if bench.train.schedule == "poly":
        described["train"]["poly_power"] = bench.train.poly_power
    if start := identity_of(bench):
        described["start"] = start
    if metrics := bench.metrics.model_dump(exclude_defaults=True):
        described["metrics"] = metrics
    if any(level != PHOTO for level in levels):
        numbers = bank.model_dump(include={"variants", "best_of", "threshold", "seed"})
        described["images"] = (
            {singular(kind): whole(kind) for kind in MAKERS} | numbers | {"levels": levels}
        )
        described["images"] |= {"size": bank.size} if bank.size else {}
        if getattr(bench.part("datasets").build(), "has_originals", False):
            described["images"]["source"] = SOURCE
        if strategy.build().probe and bank.threshold > -1:  # with every image it is as in 0.1
            described["probe"] = PROBE
    return dict(canonical(described))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "train.lr": st.floats(1e-5, 1.0),
    "train.curriculum_epochs": st.integers(0, 1) | st.floats(0, 1),
    "train.mixup": st.sampled_from([0, 0.0, 0.2, 1.0]),
    "train.workers": st.integers(0, 3),
    "sampling.tail_share": st.sampled_from(["classes", 0.25, 0.5]),
    "bank.threshold": st.floats(-1, 1),
    "bank.size": st.sampled_from([[], [24, 24]]),
    "hard_rule.exclude": st.sampled_from([[], ["cat"]]),
    "metrics.shots": st.sampled_from(["kang", "oltr"]),
    "loss.name": st.sampled_from(["ce", "balanced_softmax", "logit_adjusted"]),
    "backbone.name": st.just("timm"),
    "backbone.model": st.sampled_from(["resnet18", "resnet34"]),
    "levels": st.sampled_from([[0, 50, 100], [30, 70, 100]]),
    "strategy.adaptive.burst": st.sampled_from([0.2, 0.5]),
    "strategy": st.sampled_from(
        ["static", "adaptive", "all_levels", "real_only", "real_rebalanced"]
    ),
    "seed": st.integers(0, 2),
}
variations = st.fixed_dictionaries(
    {key: VALUES[key] for key in ("strategy", "seed")},
    optional={key: value for key, value in VALUES.items() if key not in ("strategy", "seed")},
)


@examples(40)
@given(st.sampled_from(SHIPPED), st.lists(variations, min_size=1, max_size=4))
def test_a_family_names_its_experiments_as_each_alone_is_named(
    shipped: tuple[str, str], varied: list[dict[str, Any]]
) -> None:
    base = [*HERE, "strategies=['real_only']", "strategy={}"]
    each_alone = []
    for variation in varied:
        words = _words(
            {path: value for path, value in variation.items() if path not in ("strategy", "seed")}
        )
        with suppress(UserError):  # not all settings go together, such as a loss of texts and mixup
            bench = load(*shipped, [*base, *words])
            alone = Experiment(bench, variation["strategy"], variation["seed"])
            each_alone.append((variation, alone))
    varied = [variation for variation, _ in each_alone]
    for (_, alone), experiment in zip(
        each_alone, BenchmarkVariants(*shipped, base).experiments(varied), strict=True
    ):
        assert (experiment, experiment.id(), experiment.identity()) == (
            alone,
            alone.id(),
            alone.identity(),
        )


@pytest.mark.parametrize(("name", "scale"), SHIPPED)
def test_every_shipped_benchmark_keeps_its_ids(name: str, scale: str) -> None:
    bench = load(name, scale, HERE)
    family = BenchmarkVariants(name, scale, HERE).experiments(
        {"strategy": each, "seed": 0} for each in bench.strategies
    )
    for strategy, experiment in zip(bench.strategies, family, strict=True):
        plain = _plainly(Experiment(bench, strategy, 0))
        assert (experiment.identity(), experiment.id()) == (plain, short(plain))


@pytest.mark.parametrize(
    "settings",
    [
        {"hard_rule.name": "low_confidence", "hard_rule.fraction": 0.1},
        {"hard_rule": {"name": "low_confidence", "threshold": 0.5}, "hard_rule.epochs": 8},
        {"backbone.name": "open_clip", "loss.name": "flyp", "dataset.pool": 2500},
        {"generator.name": "img2img", "generator.steps": 30},
    ],
)
def test_what_is_learned_from_is_named_as_before(settings: dict[str, Any]) -> None:
    [experiment] = BenchmarkVariants("cifar10_lt").experiments(
        [{**settings, "strategy": "static", "seed": 1}]
    )
    assert experiment.identity() == _plainly(experiment)
    assert experiment.id() == short(_plainly(experiment))
    assert short(experiment.comparison()) == short(
        {k: v for k, v in _plainly(experiment).items() if k not in ("strategy", "seed", "images")}
    )


def test_a_thousand_variations_of_ten_settings_are_ten_benchmarks_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, checked, built = Counter[str](), Counter[str](), Counter[str]()
    reading, checking, building = toml.read, loading.check_benchmark, Bound.build

    def count_read(path: Path) -> dict[str, Any]:
        read[path.stem] += 1
        return reading(path)

    def count_checked(bench: Benchmark, parts: PartCache) -> None:
        checked[f"{bench.train.lr:g}"] += 1
        checking(bench, parts)

    def count_built(bound: Bound) -> Any:
        built[f"{bound.kind} {bound.name}"] += 1
        return building(bound)

    monkeypatch.setattr(toml, "read", count_read)
    monkeypatch.setattr(loading, "check_benchmark", count_checked)
    monkeypatch.setattr(Bound, "build", count_built)
    grid = [
        {"train.lr": lr / 1000, "strategy": strategy, "seed": seed}
        for lr in range(1, 11)
        for strategy in ("static", "adaptive", "all_levels", "real_only", "real_rebalanced")
        for seed in range(20)
    ]
    expanded = list(BenchmarkVariants("cifar10_lt_ir10", settings=HERE).experiments(grid))
    assert len({experiment.id() for experiment in expanded}) == 1000
    assert read == {"default": 1, "cifar10_lt": 1, "cifar10_lt_ir10": 1}
    assert len(checked) == 10
    assert set(checked.values()) == {1}
    assert len({id(experiment.benchmark) for experiment in expanded}) == 10
    # for what it says of itself, for how it counts levels, and for its identity
    assert max(built.values()) <= 3


def test_the_name_of_a_part_counts_before_its_parameters_whatever_the_order() -> None:
    varied = {
        "backbone.templates": ["a {name}"],
        "backbone.head": "linear",
        "backbone.name": "open_clip",
    }
    for settings in (varied, dict(reversed(varied.items()))):
        made = BenchmarkVariants("cifar10_lt").benchmark(settings).backbone
        assert made == {"name": "open_clip", "head": "linear", "templates": ["a {name}"]}


def test_a_path_into_a_strategy_is_no_choice_of_one() -> None:
    family = BenchmarkVariants("cifar10_lt")
    plain, longer, other = family.experiments(
        [
            {"strategy": "static", "seed": 0},
            {"strategy": "static", "seed": 0, "strategy.static.lengths": [2, 1, 1, 1, 1]},
            {"strategy": "reverse", "seed": 0, "strategy.static.lengths": [2, 1, 1, 1, 1]},
        ]
    )
    assert longer.id() != plain.id()
    assert other.id() == next(
        each.id() for each in experiments(load("cifar10_lt")) if each.strategy == "reverse"
    )


@pytest.mark.parametrize(
    ("variation", "says"),
    [
        (
            {"train.epoch": 2},
            (
                r"no key called 'train.epoch'; did you mean 'train.epochs'\? \(where train.epoch ="
                r" 2, strategy = 'static', seed = 0\)"
            ),
        ),
        ({"trian.epochs": 2}, "did you mean 'train'"),
        ({"train.lr": -1.0}, "train.lr = -1.0: .* greater than 0"),
        ({"train.lr": float("inf")}, "train.lr = inf: .* finite"),
        ({"loss.smoothing": float("nan")}, "smoothing = nan has no identity"),
        ({"train.epochs.x": 2}, "train.epochs.x: 'epochs' is a value, not a table"),
        (
            {"backbone.modle": "resnet34"},
            "no parameter of backbone 'timm' called 'modle'; did you mean 'model'",
        ),
        (
            {"backbone.name": "open_clip", "backbone.stem_stride": 1},
            "no parameter of backbone 'open_clip' called 'stem_stride'",
        ),
        ({"strategy.adaptive.brst": 0.1}, "did you mean 'burst'"),
        ({"strategy.sttic.lengths": [1]}, "did you mean 'static'"),
        ({"strategy": "sttic"}, "did you mean 'static'"),
        ({"strategy": "fixed", "strategy.fixed.level": 99}, "no denoising step"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": True}, "seed = True"),
        ({"seeds": [0, 1]}, "each has one 'seed'"),
        ({"scale": "small"}, "chosen for all experiments"),
    ],
)
def test_a_bad_variation_is_answered_with_its_values(variation: dict[str, Any], says: str) -> None:
    good = {"strategy": "static", "seed": 0}
    walk = BenchmarkVariants("cifar10_lt", settings=["strategies=['real_only']"]).experiments(
        [good, {**good, **variation}]
    )
    assert next(walk).strategy == "static"
    order = {**variation, **{key: value for key, value in good.items() if key not in variation}}
    with pytest.raises(UserError, match=says):
        list(
            BenchmarkVariants("cifar10_lt", settings=["strategies=['real_only']"]).experiments(
                [order]
            )
        )
    with pytest.raises(UserError):
        next(walk)


def test_a_variation_says_which_strategy_and_which_seed() -> None:
    with pytest.raises(
        UserError, match=r"needs a seed; add seed = ... \(where strategy = 'static'\)"
    ):
        list(BenchmarkVariants("cifar10_lt").experiments([{"strategy": "static"}]))


def test_a_strategy_that_the_benchmark_does_not_list_is_held_to_what_its_weights_saw() -> None:
    walk = BenchmarkVariants("cifar10_lt_ir10").experiments(
        {"strategy": each, "seed": 0} for each in ("real_only", "static")
    )
    assert next(walk).strategy == "real_only"
    with pytest.raises(
        UserError, match="generator 'img2img' were trained on photos of dataset 'cifar10_lt'"
    ):
        next(walk)


def test_numbers_of_another_type_are_another_setting() -> None:
    family = BenchmarkVariants("cifar10_lt")
    assert family.benchmark({"loss.smoothing": 0.5}) is family.benchmark({"loss.smoothing": 0.5})
    assert family.benchmark({"train.curriculum_epochs": 1}).train.curriculum_epochs == 1
    assert (
        family.benchmark({"train.curriculum_epochs": 1.0}).train.curriculum_epochs
        == load("cifar10_lt").train.epochs
    )
    assert family.benchmark({"backbone.stem_stride": 1}).backbone["stem_stride"] == 1
    with pytest.raises(UserError, match="takes a int"):
        family.benchmark({"backbone.stem_stride": True})


def test_floats_are_used_as_precisely_as_they_are_named() -> None:
    third = BenchmarkVariants("cifar10_lt").benchmark({"train.lr": 1 / 3}).train.lr
    assert third == 0.333333333333 == load("cifar10_lt", settings=[f"train.lr={1 / 3!r}"]).train.lr


def test_a_file_that_changes_makes_another_run_for_whoever_looks_again(tmp_path: Path) -> None:
    captions = tmp_path / "captions.json"
    variation = {
        "prompts.name": "descriptions",
        "prompts.file": str(captions),
        "strategy": "static",
        "seed": 0,
    }

    def named() -> Experiment:
        captions.write_text(
            json.dumps({"cat": ["a cat"]})
            if not captions.exists()
            else json.dumps({"cat": ["a dog"]})
        )
        [experiment] = BenchmarkVariants("cifar10_lt").experiments([variation])
        assert experiment.id() == Experiment(experiment.benchmark, "static", 0).id()
        return experiment

    first, second = named(), named()
    assert first == second
    assert first.id() != second.id()
    assert copy.copy(first).id() == second.id()  # an id is told by the machine that runs it


def test_a_changed_copy_is_named_anew() -> None:
    [experiment] = BenchmarkVariants("cifar10_lt").experiments([{"strategy": "static", "seed": 0}])
    first, bench = experiment.id(), experiment.benchmark
    faster = bench.model_copy(update={"train": bench.train.model_copy(update={"lr": 0.5})})
    assert (
        replace(experiment, benchmark=faster).id()
        == Experiment(load("cifar10_lt", settings=["train.lr=0.5"]), "static", 0).id()
        != first
    )
    assert replace(experiment, seed=1).id() != first
    assert copy.deepcopy(experiment) == experiment
    assert "identity_json" not in bench.train.model_dump()

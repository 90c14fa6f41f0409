import pytest

from discl.config.load import load
from discl.config.setting_paths import Setting, check_path
from discl.core.errors import UserError
from discl.core.registry import names


def test_a_path_tells_the_type_the_bounds_and_what_holds_without_it() -> None:
    bench = load("cifar10_lt")
    assert check_path("train.lr", bench) == Setting(
        "train.lr", (float,), bench.train.lr, above=0, most=1000
    )
    assert check_path("sampling.tail_share") == Setting(
        "sampling.tail_share", (float, str), None, ("classes", "photos", "union"), above=0, below=1
    )
    assert check_path("hard_rule.folds") == Setting("hard_rule.folds", (int,), 3)
    assert check_path("metric.acc", bench).path == "metric.acc"
    assert check_path("bank.threshold", bench) == Setting(
        "bank.threshold", (float,), -1.0, least=-1, most=1
    )
    assert check_path("train.curriculum_epochs", bench).types == (int, float)
    assert check_path("levels", bench) == Setting("levels", (list,), bench.levels)
    assert check_path("train.schedule").choices == (
        "cosine",
        "tanh",
        "poly",
        "step",
        "multistep",
        "constant",
    )
    assert check_path("seed") == Setting("seed", (int,), least=0, most=2**32 - 1)


def test_a_path_into_a_part_is_that_of_the_chosen_part_or_of_any() -> None:
    bench = load("cifar10_lt")
    assert check_path("dataset.largest", bench).default == bench.dataset["largest"]
    assert check_path("generator.steps", bench) == Setting("generator.steps", (int,), 12)
    assert check_path("loss.tau") == Setting("loss.tau", (float,), 1.0)
    assert check_path("backbone.name", bench) == Setting(
        "backbone.name", (str,), "timm", ("open_clip", "timm")
    )
    assert check_path("strategy").choices == tuple(sorted(names("strategies")))
    assert check_path("strategy.adaptive.burst", bench) == Setting(
        "strategy.adaptive.burst", (float,), 0.2
    )
    with pytest.raises(UserError, match="no parameter of loss 'ce' called 'tau'"):
        check_path("loss.tau", bench)


@pytest.mark.parametrize(
    "path",
    [
        "train.transform.RandomErasing",
        "backbone.arguments.drop_path_rate",
        "strategy.static",
        "hard_rule",
        "prompts",
    ],
)
def test_tables_are_paths_and_open_ones_take_any_key(path: str) -> None:
    assert check_path(path).path == path
    assert check_path(path, load("cifar10_lt")).path == path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("train.epoch", "no key called 'train.epoch'; did you mean 'train.epochs'"),
        ("trian.lr", "did you mean 'train'"),
        ("sead", "did you mean 'seed'"),
        ("backbone.modle", "no parameter of any backbone called 'modle'; did you mean 'model'"),
        ("strategy.sttic.lengths", "no strategy called 'sttic'; did you mean 'static'"),
        ("strategy.adaptive.brst", "did you mean 'burst'"),
        ("train.lr.low", "leads into 'train.lr', which is a value, not a table"),
        ("backbone.model.x", "leads into 'backbone.model'"),
        ("seed.x", "leads into 'seed'"),
        ("train.shift", "was renamed in 0.2; write train.random_translate"),
        ("hard.below", "was renamed in 0.2; write hard_rule.max_class_images"),
        ("metric.accc.x", "no metric called 'accc'; did you mean 'acc'"),
        ("strategies", "each has one 'strategy'"),
        ("name", "that of the benchmark's file"),
    ],
)
def test_a_path_that_leads_nowhere_is_answered_with_the_nearest(path: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_path(path)

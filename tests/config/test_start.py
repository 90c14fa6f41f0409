"""What [train.start] may say, and what it changes in the identity of a run."""

from pathlib import Path

import pytest

from discl.config.benchmark import Benchmark
from discl.config.commands import of_run
from discl.config.experiment import Experiment
from discl.config.load import available, load, scales
from discl.config.setting_paths import check_path
from discl.config.stages.start import benchmark_of, control_sentence, identity_of
from discl.core.errors import UserError

REAL = "train.start.strategy=real_only"


def _spec(*settings: str) -> Benchmark:
    return load("cifar10_lt", settings=settings)


def _id(*settings: str, strategy: str = "static") -> str:
    return Experiment(_spec(*settings), strategy, 0).id()


def test_a_start_is_in_the_identity_of_runs_only_where_there_is_one() -> None:
    plain = Experiment(_spec(), "static", 0)
    assert "start" not in plain.identity()
    assert "start" not in plain.identity()["train"]
    warm = Experiment(_spec(REAL), "static", 0).identity()
    assert {key: value for key, value in warm.items() if key != "start"} == plain.identity()
    assert warm["start"]["strategy"]["name"] == "real_only"
    assert _id(REAL) != _id(REAL, "train.start.settings={lr=0.5}")
    # what the start has anyway is no other start
    lr = _spec().train.lr
    assert _id(REAL) == _id(REAL, f"train.start.settings={{lr={lr}}}")
    assert _id(REAL) == _id(REAL, "store.weights=last")


def test_the_recipe_of_a_start_is_that_of_the_runs_but_for_its_settings() -> None:
    spec = _spec(REAL, "train.start.settings={epochs=18, lr=0.07}", "second_stage.name=ncm")
    made_by = benchmark_of(spec)
    assert (made_by.train.epochs, made_by.train.lr) == (18, 0.07)
    assert made_by.train.curriculum_epochs == made_by.train.evaluate_every == 18
    assert made_by.train.weight_decay == spec.train.weight_decay
    assert made_by.second_stage == {"name": "none"}
    assert made_by.train.start.strategy == ""
    assert identity_of(spec)["train"]["epochs"] == 18


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (["train.start.strategy=real_onyl"], "train.start.strategy.* did you mean 'real_only'"),
        (["train.start.strategy=static"], "'static' learns from images, which 'real_only'"),
        (["train.start.settings={lr=0.1}"], 'add train.start.strategy = "real_only"'),
        ([REAL, "train.start.weights=a.pth"], "exclude each other"),
        ([REAL, "train.start.head=new"], "is for a checkpoint"),
        (["train.start.weights=nowhere.pth"], "there is no file nowhere.pth; give a .safetensors"),
        ([REAL, "train.start.settings={epoch=3}"], "called 'epoch'; did you mean 'epochs'"),
        ([REAL, "train.start.settings={epochs=0}"], "train.start.settings.epochs = 0: "),
        ([REAL, "train.start.settings={lr='high'}"], "train.start.settings.lr = 'high': "),
        ([REAL, "train.start.settings={start={}}"], "it has no start of its own"),
        ([REAL, "train.start.settings={curriculum_epochs=1}"], "its strategy decides every epoch"),
        ([REAL, "train.start.settings={epochs=2, warmup_epochs=2}"], "of the run that makes the"),
        ([REAL, "train.start.seed=1"], "train.start.seed"),
        (["train.start=real_only"], "train.start"),
    ],
)
def test_a_start_that_cannot_be_is_refused_before_any_work(settings: list[str], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        _spec(*settings)


def test_the_settings_of_a_start_are_settings_of_sweeps() -> None:
    assert check_path("train.start.strategy").types == (str,)
    assert check_path("train.start.head").choices == ("keep", "new")
    assert check_path("train.start.settings.lr").path == "train.start.settings.lr"
    with pytest.raises(UserError, match=r"did you mean 'train.start.settings'"):
        check_path("train.start.setting")


def test_the_command_of_a_run_says_its_start() -> None:
    spec = _spec(REAL, "train.start.settings={epochs=18}")
    command = of_run(Experiment(spec, "static", 0))
    given = [command[i + 1] for i, word in enumerate(command) if word == "--set"]
    assert Experiment(_spec(*given), "static", 0).id() == Experiment(spec, "static", 0).id()


def test_a_table_without_the_start_continued_says_so() -> None:
    start = identity_of(_spec(REAL))
    assert "No real_only among the strategies" in control_sentence(start, ["static"])
    assert control_sentence(start, ["static", "real_only"]) == ""
    assert control_sentence(None, ["static"]) == ""


@pytest.mark.parametrize("name", ["imagenet_lt", "cifar100_lt", "inaturalist2018"])
def test_the_presets_of_algorithm_1_begin_from_photos_alone(name: str) -> None:
    for scale in scales(name):
        spec = load(name, scale)
        begins = spec.train.start.strategy
        assert begins == ("real_only" if scale == "paper" else ""), scale
        if begins:
            assert "real_only" in spec.strategies
            assert benchmark_of(spec).train.epochs == 65


def test_every_benchmark_with_a_start_has_its_control() -> None:
    for name in available():
        for scale in scales(name):
            spec = load(name, scale)
            assert control_sentence(identity_of(spec), spec.strategies) == "", (name, scale)


def test_a_checkpoint_counts_by_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.pth", tmp_path / "other.pth"
    one.write_bytes(b"a")
    other.write_bytes(b"a")
    assert _id(f"train.start.weights={one}") == _id(f"train.start.weights={other}")
    other.write_bytes(b"bc")
    assert _id(f"train.start.weights={one}") != _id(f"train.start.weights={other}")

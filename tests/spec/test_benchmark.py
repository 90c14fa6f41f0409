import shutil
from pathlib import Path

import pytest

from discl.spec.benchmark import available, experiments, folder, load, scales, title
from discl.spec.errors import UserError


def test_every_benchmark_loads_at_every_scale_it_has() -> None:
    assert "cifar10_lt" in available()
    for scale in ("smoke", "small", "paper"):
        assert load("cifar10_lt", scale).scale == scale


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["train.epoch=2"], r"no key called 'train.epoch'; did you mean 'train.epochs'\?"),
        (["trian.epochs=2"], "did you mean 'train'"),
        (["train.epochs=many"], r"train.epochs = 'many'"),
        (["train.epochs=0"], "train.epochs = 0"),
        (["train.lr=-1"], "train.lr = -1"),
        (["dataset.name=cifr10_lt"], "did you mean 'cifar10_lt'"),
        (["backbone.name=tim"], "did you mean 'timm'"),
        (["strategies=['sttic']"], "did you mean 'static'"),
        (["strategies=['static','static']"], "repeats itself"),
        (["strategy.fixd.level=3"], "did you mean 'fixed'"),
        (["strategy.fixed.level=200"], "200"),
        (["strategies=['fixed']", "strategy.fixed.level=99"], "no denoising step"),
        (["levels=[0, 120]"], "120"),
        (["levels=[50, 51]"], "both start"),
        (["levels=[]"], "levels"),
        (["generator.steps=0"], "generator.steps = 0"),
        (["generator.stps=3"], "did you mean 'steps'"),
        (["select.metric=test/macro_acc"], "not a val/ metric"),
        (["train.curriculum_epochs=100"], "exceeds"),
        (["metrics.shots=kangg"], r"no rule for many, medium and few called 'kangg'; did you mean 'kang'\?"),
        (["metrics.also=['macro_f1_uni']"], "no further metric called 'macro_f1_uni'; did you mean 'macro_f1_union'"),
        (["metrics.least_group=0"], "metrics.least_group = 0"),
        (["seeds=[0,0]"], "repeats itself"),
        (["nonsense"], "key=value"),
        (["trackers=['wandbb']"], "did you mean 'wandb'"),
        (["bank.threshold=2"], "bank.threshold"),
        (["sampling.tail_share=1.5"], "sampling.tail_share"),
    ],
)
def test_bad_settings_are_answered_before_any_work(settings: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        load("cifar10_lt", settings=settings)


def test_unknown_benchmark_and_scale() -> None:
    with pytest.raises(UserError, match="did you mean 'cifar10_lt'"):
        load("cifar10lt")
    with pytest.raises(UserError, match="did you mean 'small'"):
        load("cifar10_lt", "smal")


def test_naming_another_part_drops_the_parameters_of_the_first() -> None:
    bench = load("cifar10_lt", settings=["generator.steps=30", "generator.name=blend"])
    assert bench.generator == {"name": "blend"}


def _ids(settings: list[str]) -> dict[str, str]:
    return {e.strategy: e.id() for e in experiments(load("cifar10_lt", settings=settings))}


def test_an_id_changes_with_what_changes_the_answer_and_with_nothing_else() -> None:
    base = _ids([])
    assert _ids(["bank.batch=7", "trackers=[]", "dataset.root=/tmp"]) == base
    for setting in ("train.epochs=41", "dataset.largest=400", "sampling.tail_share=0.2", "loss.name=balanced_softmax"):
        changed = _ids([setting])
        assert all(changed[name] != base[name] for name in base)


def test_a_run_without_generated_images_does_not_depend_on_how_they_are_made() -> None:
    base, other = _ids([]), _ids(["generator.steps=30", "bank.variants=2"])
    assert {name for name in base if base[name] == other[name]} == {"real_only", "real_rebalanced"}


def test_no_two_experiments_share_an_id() -> None:
    expanded = experiments(load("cifar10_lt", settings=["seeds=[0,1,2]"]))
    assert len({e.id() for e in expanded}) == len(expanded) == 27


def _folder_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """A benchmarks/ folder of ours and these files, as one finds it in a folder of one's own."""
    (tmp_path / "benchmarks").mkdir()
    for path in folder().glob("*.toml"):
        shutil.copy(path, tmp_path / "benchmarks")
    for name, text in files.items():
        (tmp_path / "benchmarks" / f"{name}.toml").write_text(text)
    monkeypatch.chdir(tmp_path)


def test_a_benchmark_based_on_another_says_only_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder_with(
        tmp_path,
        monkeypatch,
        mine='based_on = "cifar10_lt"\ntitle = "Mine"\n[train]\nepochs = 99\n[scale.small.train]\nepochs = 70\ncurriculum_epochs = 7\n',
    )
    base = load("cifar10_lt").model_dump()
    mine = load("mine").model_dump()
    differing = {key for key in base if base[key] != mine[key]}
    assert differing == {"name", "title", "train"}
    # its own [train] beats the base's [scale.smoke.train], and its own scale beats both
    assert mine["train"] == {**base["train"], "epochs": 99}
    assert (load("mine", "small").train.epochs, load("mine", "small").train.curriculum_epochs) == (70, 7)
    assert (scales("mine"), title("mine")) == (scales("cifar10_lt"), "Mine")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"mine": 'based_on = "cifar10lt"'}, "did you mean 'cifar10_lt'"),
        ({"mine": 'based_on = "other"', "other": 'based_on = "cifar10_lt"'}, "only one step"),
        ({"mine": 'based_on = "cifar10_lt"\n[scale.smal]'}, "did you mean 'small'"),
    ],
)
def test_a_base_that_cannot_be_one_is_answered(files: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _folder_with(tmp_path, monkeypatch, **files)
    with pytest.raises(UserError, match=says):
        load("mine")

import re
from pathlib import Path
from typing import Any

import pytest

from discl.config.experiment import Experiment, experiments
from discl.config.identity import fold_models_identity
from discl.config.load import available, load, scales, title
from discl.config.renamed import KEYS
from discl.core.errors import UserError


def test_every_benchmark_loads_at_every_scale_it_has() -> None:
    assert scales("cifar10_lt") == ["smoke", "small", "paper"]
    assert {
        "iwildcam",
        "imagenet_lt",
        "places_lt",
        "inaturalist2018",
        "cifar100_lt",
        "folder",
    } <= set(available())
    for name in available():
        for scale in scales(name):
            assert (load(name, scale).name, load(name, scale).scale) == (name, scale)


def test_weights_that_saw_a_datasets_photos_make_no_images_for_it() -> None:
    for smallest in ("ir10", "ir50", "ir100"):
        with pytest.raises(
            UserError, match=r"generator 'img2img' were trained on photos of dataset 'cifar10_lt'"
        ):
            load(f"cifar10_lt_{smallest}", settings=["strategies=['static', 'real_only']"])
    with pytest.raises(UserError, match=r"scorer 'open_clip' were trained on"):
        load("cifar10_lt_ir10", settings=["strategies=['static']", "generator.name=blend"])
    with pytest.raises(UserError, match=r"backbone 'open_clip' were trained on"):
        load("cifar10_lt_ir10", settings=["backbone.name=open_clip"])
    assert load("cifar10_lt_ir10").strategies == ["real_only", "real_rebalanced"]
    elsewhere = [
        "strategies=['static']",
        "generator.checkpoint='owner/name'",
        "scorer.model='ViT-B-32'",
        "scorer.pretrained='openai'",
    ]
    assert load("cifar10_lt_ir10", settings=elsewhere).dataset["pool"] == 0


def test_the_released_codes_imagenet_lt_differs_from_the_papers_where_it_says_so() -> None:
    paper, code = (
        load("imagenet_lt", "paper").model_dump(),
        load("imagenet_lt_as_code", "paper").model_dump(),
    )
    differing = {key for key in paper if paper[key] != code[key]}
    assert differing == {
        "name",
        "title",
        "levels",
        "strategy",
        "prompts",
        "bank",
        "sampling",
        "train",
        "metrics",
    }
    assert {key for key in paper["train"] if paper["train"][key] != code["train"][key]} == {
        "curriculum_epochs"
    }
    assert code["levels"] == [10, 30, 50, 100]
    assert code["train"]["epochs"] - sum(code["strategy"]["static"]["lengths"]) == 4
    # 5,392 tail images, the photos among them, beside 30 % of those that are not hard
    assert round(code["sampling"]["images"] * code["sampling"]["tail_share"]) == 5393
    assert code["sampling"]["images"] - 5392 == int(0.3 * (115_846 - 1_643))


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
        (["levels=0,50,100"], r"it takes a list, e\.g\. --set 'levels=\[0, 50, 100\]'"),
        (["generator.lora=/a"], r"--set 'generator\.lora=\[\{file="),
        (["levels=[50, 51]"], "set generator.steps = 13, the fewest above 12 that tell all"),
        (["levels_as=power"], "levels_as = 'power': input should be 'steps' or 'signal'"),
        (["levels_as=signal", "generator.name=blend"], "generator 'blend' does not know how"),
        (["levels_as=signal", "generator.levels_as=steps"], "differ; leave the latter out"),
        (["generator.steps=0"], "generator.steps = 0"),
        (["generator.stps=3"], "did you mean 'steps'"),
        (["select.metric=test/macro_acc"], "not a val/ metric"),
        (["train.curriculum_epochs=100"], "exceeds"),
        (["train.head_only_epochs=90"], "leaves no epoch of .* for the whole network"),
        (
            ["train.head_only_epochs=1", "backbone.frozen=true"],
            r"no effect with backbone\.frozen = true",
        ),
        (
            ["train.curriculum_epochs=1.5"],
            (
                r"train.curriculum_epochs = 1.5: with a point it is a share of train.epochs, 0.0"
                r" to 1.0"
            ),
        ),
        (["train.curriculum_epochs=-0.5"], "with a point it is a share"),
        (["train.curriculum_epochs=nan"], "no setting takes that; give a finite number"),
        (["train.curriculum_epochs=0.5", "train.epochs=many"], "train.epochs = 'many'"),
        (["train.lr=inf"], "train.lr = inf"),
        (["loss.smoothing=inf"], "loss.smoothing = inf: no setting takes that; give a finite"),
        (["strategies=['real_only']", "strategy.adaptive.brst=0.1"], "did you mean 'burst'"),
        (
            ["metrics.shots=kangg"],
            r"no rule for many, medium and few called 'kangg'; did you mean 'kang'\?",
        ),
        (
            ["metrics.extra=['macro_f1_uni']"],
            "no metric called 'macro_f1_uni'; did you mean 'macro_f1_union'",
        ),
        (["metrics.min_group_size=0"], "metrics.min_group_size = 0"),
        (["seeds=[0,0]"], "repeats itself"),
        (["nonsense"], "key=value"),
        (["trackers=['wandbb']"], "did you mean 'wandb'"),
        (["bank.threshold=2"], "bank.threshold"),
        (["sampling.tail_share=1.5"], "sampling.tail_share"),
        (["sampling.synthetic_per_real=2"], 'has no effect unless sampling.tail_share = "photos"'),
        (["generator.text_guidance_at={55=2.0}"], "text_guidance_at.55 has no effect with levels"),
        (["bank.size=[32]"], r"takes \[height, width\]"),
        (["bank.size=[24, 40]", "generator.size=[24, 40]"], "two sizes for one image"),
        (["hard_rule.name=tial"], "did you mean 'tail'"),
        (["hard_rule.fraction=0.1"], "no parameter of hard_rule 'tail' called 'fraction'"),
        (["hard_rule.name=low_confidence"], "needs hard_rule.fraction .* or hard_rule.threshold"),
        (
            ["hard_rule.name=low_confidence", "hard_rule.fraction=0.1", "hard_rule.threshold=0.1"],
            "exclude each other",
        ),
        (["hard_rule.name=low_confidence", "hard_rule.fraction=0"], "hard_rule.fraction = 0"),
        (["hard_rule.name=low_confidence", "hard_rule.fraction=1.5"], "hard_rule.fraction = 1.5"),
        (
            ["hard_rule.name=low_confidence", "hard_rule.fraction=0.1", "hard_rule.folds=1"],
            "hard_rule.folds = 1",
        ),
        (["hard_rule.max_class_images=0"], "hard_rule.max_class_images = 0"),
        (["metric.macro_f1_union.x=1"], "macro_f1_union is not computed"),
        (["metric.acc.x=1"], "no parameter of metric 'acc' called 'x'"),
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
    for setting in (
        "train.epochs=41",
        "dataset.largest=400",
        "sampling.tail_share=0.2",
        "loss.name=balanced_softmax",
    ):
        changed = _ids([setting])
        assert all(changed[name] != base[name] for name in base)


@pytest.mark.parametrize("strategy", ["adaptive", "bandit", "static"])
def test_a_probe_gives_new_ids_only_where_the_threshold_may_leave_images_out(strategy: str) -> None:
    def identity(threshold: float) -> dict[str, Any]:
        bench = load("cifar10_lt", "smoke", [f"bank.threshold={threshold}"])
        return Experiment(bench, strategy, 0).identity()

    assert "probe" not in identity(-1.0)  # as in version 0.1, whose probe measured the same images
    assert identity(0.25).get("probe") == (None if strategy == "static" else 2)


def test_only_a_head_alone_under_an_optimiser_with_a_fallback_has_new_ids() -> None:
    """Before, no parameter of such a head was found by its name in the whole network."""

    def version(*settings: str) -> int | None:
        bench = load("cifar10_lt", settings=settings)
        return Experiment(bench, "static", 0).identity().get("frozen_head")

    assert version() is None
    assert version("backbone.frozen=true", "train.optimiser_arguments={}") is None
    assert version("backbone.frozen=true") == 2


def test_a_head_of_another_name_that_the_recipe_means_is_in_the_id() -> None:
    """Before, muon trained such a head: no parameter was found by the name of a ResNet's."""

    def heads(*settings: str) -> list[str] | None:
        bench = load("cifar10_lt", settings=settings)
        return Experiment(bench, "static", 0).identity().get("head")

    other = "backbone.model=mobilenetv3_small_100"
    assert heads() is None
    assert heads(other, "train.optimiser_arguments={}") is None
    assert heads(other) == ["classifier.*"]


def test_a_run_without_generated_images_does_not_depend_on_how_they_are_made() -> None:
    base, other = _ids([]), _ids(["generator.steps=30", "bank.variants=2"])
    assert {name for name in base if base[name] == other[name]} == {"real_only", "real_rebalanced"}


@pytest.mark.parametrize(
    ("epochs", "share", "whole"),
    [
        (30, "0.8", 24),
        (7, "1.0", 7),
        (7, "1", 1),
        (7, "0.0", 0),
        (5, "0.5", 3),
        (100, "0.145", 15),
        (40, "0.01", 0),
    ],
)
def test_a_curriculum_may_be_a_share_of_the_epochs(epochs: int, share: str, whole: int) -> None:
    said, counted = (
        [f"train.epochs={epochs}", f"train.curriculum_epochs={length}"] for length in (share, whole)
    )
    assert load("cifar10_lt", settings=said) == load("cifar10_lt", settings=counted)
    assert _ids(said) == _ids(counted)


def test_a_share_in_a_file_is_one_of_the_epochs_that_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder_with(
        tmp_path,
        monkeypatch,
        mine=(
            'based_on = "cifar10_lt"\n[train]\ncurriculum_epochs = 0.5\n[scale.small.train]\nepochs'
            " = 70\n"
        ),
    )
    assert load("mine", "small").train.curriculum_epochs == 35
    assert load("mine", "smoke", ["train.epochs=10"]).train.curriculum_epochs == 5


def test_no_two_experiments_share_an_id() -> None:
    expanded = experiments(load("cifar10_lt", settings=["seeds=[0,1,2]"]))
    assert len({e.id() for e in expanded}) == len(expanded) == 27


def _folder_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """A folder of one's own with these benchmarks; the others are found where they come with the
    project.
    """
    (tmp_path / "benchmarks").mkdir()
    for name, text in files.items():
        (tmp_path / "benchmarks" / f"{name}.toml").write_text(text)
    monkeypatch.chdir(tmp_path)


def test_a_benchmark_based_on_another_says_only_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder_with(
        tmp_path,
        monkeypatch,
        base=(
            'title = "Base"\n[dataset]\nname = "cifar10_lt"\n[train]\nwarmup_epochs = 2\n'
            "[scale.smoke.train]\nepochs = 30\ncurriculum_epochs = 25\n"
            "[scale.small.train]\nepochs = 80\n"
        ),
        mine=(
            'based_on = "base"\ntitle = "Mine"\n[train]\nepochs ='
            " 99\n[scale.small.train]\nepochs = 70\ncurriculum_epochs = 7\n"
        ),
    )
    base = load("base").model_dump()
    mine = load("mine").model_dump()
    differing = {key for key in base if base[key] != mine[key]}
    assert differing == {"name", "title", "train"}
    # its own [train] beats the base's [scale.smoke.train], and its own scale beats both
    assert mine["train"] == {**base["train"], "epochs": 99}
    assert (load("mine", "small").train.epochs, load("mine", "small").train.curriculum_epochs) == (
        70,
        7,
    )
    assert (scales("mine"), title("mine")) == (["smoke", "small"], "Mine")
    assert {"base", "mine", "cifar10_lt", "folder"} <= set(available())


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"mine": 'based_on = "cifar10lt"'}, "did you mean 'cifar10_lt'"),
        ({"mine": 'based_on = "other"', "other": 'based_on = "cifar10_lt"'}, "only one step"),
        ({"mine": 'based_on = "cifar10_lt"\n[scale.smal]'}, "did you mean 'small'"),
    ],
)
def test_a_base_that_cannot_be_one_is_answered(
    files: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _folder_with(tmp_path, monkeypatch, **files)
    with pytest.raises(UserError, match=says):
        load("mine")


def test_the_rule_for_hard_photos_has_parameters_of_its_own() -> None:
    rule = ["hard_rule.name=low_confidence", "hard_rule.fraction=0.1"]
    base, with_models = _ids([]), _ids(rule)
    assert load("cifar10_lt").part("hard_rules").identity()["parameters"] == {}
    assert all(with_models[name] != base[name] for name in base)
    epochs = load("cifar10_lt").train.epochs  # what hard_rule.epochs is where nobody says it
    assert _ids([*rule, f"hard_rule.epochs={epochs}"]) == with_models
    for setting in (
        "hard_rule.folds=4",
        f"hard_rule.epochs={epochs - 1}",
        "hard_rule.seed=1",
        "hard_rule.fraction=0.2",
        "hard_rule.exclude=['cat']",
    ):
        assert all(changed != with_models[name] for name, changed in _ids([*rule, setting]).items())


def _models(settings: list[str]) -> dict[str, Any]:
    bench = load("cifar10_lt", settings=["hard_rule.name=low_confidence", *settings])
    return fold_models_identity(bench, bench.part("hard_rules").build().models)


def test_out_of_fold_models_do_not_depend_on_what_is_selected() -> None:
    base = _models(["hard_rule.fraction=0.1"])
    for selection in (
        ["hard_rule.fraction=0.2"],
        ["hard_rule.threshold=0.1"],
        ["hard_rule.fraction=0.1", "hard_rule.exclude=['cat']"],
    ):
        others = ["train.curriculum_epochs=3", "generator.name=blend"]
        assert _models([*selection, *others]) == base
    for other in (
        "loss.name=balanced_softmax",
        "train.lr=0.1",
        "dataset.largest=400",
        "backbone.model=resnet34",
        "hard_rule.folds=2",
    ):
        assert _models(["hard_rule.fraction=0.1", other]) != base


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.shift=4", "train.shift was renamed in 0.2; write train.random_translate"),
        ("train={shift=4}", "train.shift was renamed in 0.2; write train.random_translate"),
        ("hard.below=5", "hard.below was renamed in 0.2; write hard_rule.max_class_images"),
        ("hard={below=5}", "hard was renamed in 0.2; write hard_rule"),
    ],
)
def test_a_setting_of_0_1_is_refused_with_the_new_one_named(setting: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"--set {setting!r}: {says}")):
        load("cifar10_lt", settings=[setting])


@pytest.mark.parametrize("setting", ["scale=paper", "scale.smoke.train.epochs=2"])
def test_a_setting_of_the_scale_is_refused_since_it_would_change_nothing(setting: str) -> None:
    with pytest.raises(UserError, match="'scale' is no setting; use --scale"):
        load("cifar10_lt", settings=[setting])


@pytest.mark.parametrize("old", [path for path in KEYS if "." in path])
@pytest.mark.parametrize("scale", ["", "scale.smoke."])
def test_a_file_of_0_1_is_refused_with_the_new_key_named(
    old: str, scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, key = old.split(".")
    text = f'based_on = "cifar10_lt"\n[{scale}{table}]\n{key} = 1\n'
    _folder_with(tmp_path, monkeypatch, mine=text)
    new = KEYS[old].split(".")[1]
    says = rf"benchmarks/mine.toml: \[{table}\] {key} was renamed in 0.2; write .*{new}"
    with pytest.raises(UserError, match=says):
        load("mine")


def test_the_page_on_0_1_has_every_renamed_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "migrate.md").read_text("utf-8")
    for old, new in KEYS.items():
        assert re.search(rf"\b{re.escape(old.rpartition('.')[2])}\b", page), old
        assert re.search(rf"\b{re.escape(new.rpartition('.')[2])}\b", page), new


CROPPED = "train.random_resized_crop=[0.35, 1.0]"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([CROPPED, "backbone.frozen=true"], "random_resized_crop = .* backbone.frozen = true"),
        (["train.color_jitter=[0.0, 0.2, 0.0]", "backbone.frozen=true"], "color_jitter = .* no ef"),
        ([CROPPED, "train.transform={scale = [0.5, 1.0]}"], "no effect with train.transform"),
        (["train.transform_with='torch'"], "no effect without train.transform"),
        (["train.crop_ratio=[0.5, 2.0]"], "crop_ratio = .* without train.random_resized_crop"),
    ],
)
def test_augmentation_that_would_not_be_made_is_refused(settings: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        load("cifar10_lt", settings=settings)
    assert load("cifar10_lt", settings=[CROPPED, "train.crop_ratio=[0.5, 2.0]"])

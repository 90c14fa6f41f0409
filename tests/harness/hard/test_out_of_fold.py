"""Hard photos by out-of-fold models: trained once, and all that depends on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.cli import main
from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Ints, Progress, Split
from discl.files.disk import home
from discl.harness.bank.hard_examples import summary
from discl.harness.bank.references import find_references
from discl.harness.run import assembly
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.cost import estimate_cost
from discl.harness.sweep.sequential import sweep

COLOURS = ("red", "green", "blue", "grey")
COUNTS = (40, 30, 20, 1)
WRONG = [3, 17, 44, 60, 75]  # rows whose label is not what they show


def _quiet(*_: Any) -> None:
    return None


def _split(name: str, shown: Ints, labels: Ints) -> Split:
    rng = np.random.default_rng(len(name))
    colours = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200), (120, 120, 120)])[shown]
    pixels = (
        (colours[:, None, None, :] + rng.normal(0, 25, (len(shown), 8, 8, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )
    return Split(
        np.array([f"{name}{i}" for i in range(len(shown))]), labels, np.zeros_like(labels), pixels
    )


class Colours:
    """Photos of one colour; a few training photos carry another colour's label."""

    version, classes, ready = 1, COLOURS, True
    splits = ("train", "val")

    def identity(self) -> dict[str, Any]:
        return {}

    def prepare(self, progress: Progress) -> None:
        return None

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"something {COLOURS[label]}",)

    def split(self, name: str) -> Split:
        shown = np.repeat(np.arange(4), COUNTS if name == "train" else (5, 5, 5, 5))
        labels = shown.copy()
        if name == "train":
            labels[WRONG] = (shown[WRONG] + 1) % 3
        return _split(name, shown, labels)


LOW = (
    "hard_rule.name=low_confidence",
    "hard_rule.folds=3",
    "generator.name=blend",
    "levels=[0,50,100]",
    "bank.variants=1",
    "train.epochs=12",
    "train.warmup_epochs=0",
    "train.curriculum_epochs=1",
    "train.batch=16",
    "train.side=0",  # photos have 8 px
    "train.optimiser=adamw",
    "train.optimiser_arguments={}",
    "train.random_translate=0",
    "train.lr=0.01",
    "backbone.stem_stride=1",
    "trackers=[]",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8]}",
)


def _bench(*settings: str) -> Bench:
    bench = Bench(load("cifar10_lt", settings=[*LOW, *(settings or ("hard_rule.fraction=0.05",))]))
    bench.dataset = Colours()
    return bench


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the out-of-fold models of the colours are trained."""
    trained_home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCL_HOME", str(trained_home))
        _bench().find_hard(_quiet)
    return trained_home


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Ints, Ints]]:
    """(rows seen, rows held out) of every out-of-fold model that is trained."""
    models: list[tuple[Ints, Ints]] = []
    fit_fold = assembly.fit_fold

    def watched(*arguments: Any) -> Any:
        seen, held_out = arguments[5:7]
        models.append((seen, held_out))
        return fit_fold(*arguments)

    monkeypatch.setattr(assembly, "fit_fold", watched)
    return models


# ---------------------------------------------------------------- training and predicting


def test_photos_with_a_wrong_label_come_out_hardest(
    trained_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(trained_home))
    bench = _bench(f"hard_rule.fraction={len(WRONG) / 90}", "hard_rule.exclude=['grey']")
    assert bench.hard.tolist() == WRONG
    hard = summary(bench)
    assert [photo.predicted for photo in hard.photos] != [photo.class_name for photo in hard.photos]
    assert hard.out_of_fold is not None
    assert (
        min(value or 0 for value in hard.out_of_fold.validation) >= 0.7
    )  # three of four classes: of the fourth there is one photo


def test_the_single_photo_of_a_class_is_predicted_by_a_model_that_has_not_seen_the_class(
    trained_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(trained_home))
    bench = _bench("hard_rule.fraction=0.1")
    assert 90 in bench.hard
    models = summary(bench).out_of_fold
    assert models is not None
    assert (models.unseen_class, models.folds) == (1, [31, 30, 30])


def test_no_photo_is_seen_by_its_model_and_a_second_bench_trains_nothing(
    trained: list[tuple[Ints, Ints]],
) -> None:
    progress: list[str] = []
    bench = _bench("hard_rule.fraction=0.05", "hard_rule.epochs=1")
    bench.find_hard(lambda what, done, total: progress.append(f"{what} {done}/{total}"))
    assert all(
        not np.intersect1d(seen, held).size and len(seen) + len(held) == 91
        for seen, held in trained
    )
    assert np.array_equal(np.sort(np.concatenate([held for _, held in trained])), np.arange(91))
    assert progress[:3] == [
        "training out-of-fold model 1 of 3 0/1",
        "training out-of-fold model 1 of 3 1/1",
        "training out-of-fold model 2 of 3 0/1",
    ]
    for view in (
        ["hard_rule.fraction=0.2"],
        ["hard_rule.fraction=0.1", "hard_rule.exclude=['red']"],
        ["hard_rule.threshold=0.3"],
    ):
        again = _bench(*view, "hard_rule.epochs=1")
        again.find_hard(_quiet)
        assert len(again.hard) > 0
    assert len(trained) == 3
    _bench("hard_rule.fraction=0.05", "hard_rule.epochs=1", "hard_rule.seed=1").find_hard(_quiet)
    assert len(trained) == 6


def test_models_of_0_1_are_not_trained_a_second_time(trained: list[tuple[Ints, Ints]]) -> None:
    bench = _bench("hard_rule.fraction=0.1", "hard_rule.epochs=1")
    assert bench.hard_photos.out_of_fold is not None
    old = bench.hard_photos.out_of_fold.folder.with_name("0123456789abcdef")
    old.mkdir(parents=True)
    (old / "judges.json").write_text("{}", "utf-8")
    with pytest.raises(UserError, match="out-of-fold models of discl 0.1; `discl migrate`"):
        bench.find_hard(_quiet)
    assert trained == []


def test_a_stop_loses_the_model_in_training_and_no_other(trained: list[tuple[Ints, Ints]]) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("training out-of-fold model 2") and done:
            raise KeyboardInterrupt

    settings = ("hard_rule.fraction=0.1", "hard_rule.epochs=1")
    with pytest.raises(KeyboardInterrupt):
        _bench(*settings).find_hard(stop)
    stopped = _bench(*settings)
    assert stopped.hard_photos.out_of_fold is not None
    assert stopped.hard_photos.out_of_fold.missing() == [1, 2]
    stopped.find_hard(_quiet)
    assert len(trained) == 2 + 2
    folder = stopped.hard_photos.out_of_fold.folder
    predictions = stopped.hard_photos.out_of_fold.predictions()
    assert {path.name for path in folder.iterdir()} == {".lock", "models.json", "photos.parquet"}
    (folder / "photos.parquet").unlink()
    (folder / "fold-0.npz").write_bytes(b"torn")
    again = _bench(*settings)
    again.find_hard(_quiet)
    assert again.hard_photos.out_of_fold is not None
    assert len(trained) == 4 + 3
    for before, after in zip(predictions, again.hard_photos.out_of_fold.predictions(), strict=True):
        assert np.array_equal(before, after)


def test_a_loss_that_corrects_for_counts_bears_a_class_its_model_has_not_seen() -> None:
    bench = _bench(
        "hard_rule.fraction=0.1",
        "hard_rule.epochs=1",
        "hard_rule.folds=2",
        "loss.name=balanced_softmax",
    )
    bench.find_hard(_quiet)
    assert np.isfinite(bench.hard_photos.predictions.probability).all()


def test_models_of_a_frozen_trunk_are_trained_on_its_features(trained: list[Any]) -> None:
    bench = _bench(
        "hard_rule.fraction=0.1", "hard_rule.epochs=1", "hard_rule.folds=2", "backbone.frozen=true"
    )
    bench.find_hard(_quiet)
    assert len(trained) == 2
    assert len(bench.hard) == 9
    assert list((home() / "features").rglob("*.npy"))


def test_a_table_that_cannot_be_read_says_so() -> None:
    bench = _bench()
    assert bench.hard_photos.out_of_fold is not None
    bench.hard_photos.out_of_fold.table.parent.mkdir(parents=True)
    bench.hard_photos.out_of_fold.table.write_bytes(b"torn")
    with pytest.raises(UserError, match="photos.parquet cannot be read .* delete it"):
        _ = bench.hard


# ---------------------------------------------------------------- excluding, also by class


def test_excluded_classes_are_never_hard() -> None:
    bench = Bench(
        load("cifar10_lt", settings=["hard_rule.max_class_images=25", "hard_rule.exclude=['blue']"])
    )
    bench.dataset = Colours()
    assert {COLOURS[label] for label in bench.train.labels[bench.hard]} == {"grey"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("hard_rule.exclude=['bleu']", "did you mean 'blue'"),
        ("hard_rule.exclude=['red','green','blue','grey']", "leaves no photo to choose from"),
        ("hard_rule.fraction=0.001", "selects none"),
    ],
)
def test_what_cannot_be_selected_is_said_before_a_model_is_trained(
    setting: str, says: str, trained: list[Any]
) -> None:
    with pytest.raises(UserError, match=says):
        _bench("hard_rule.fraction=0.1", setting).find_hard(_quiet)
    assert trained == []


def test_a_rule_that_selects_no_photo_is_named_before_images_are_made() -> None:
    settings = ["generator.name=blend", "hard_rule.max_class_images=1", "levels=[50,100]"]
    bench = Bench(load("cifar10_lt", settings=settings))
    bench.dataset = Colours()
    with pytest.raises(UserError, match=r"rule 'tail' selects no photo .*max_class_images"):
        bench.fill([50], _quiet)


# ---------------------------------------------------------------- before and after

TINY = (
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=2",
    "train.epochs=2",
    "train.warmup_epochs=0",
    "train.curriculum_epochs=1",
    "train.evaluate_every=2",
    "train.batch=32",
    "backbone.stem_stride=4",
    "trackers=[]",
    "levels=[0,50,100]",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8]}",
    "hard_rule.name=low_confidence",
    "hard_rule.folds=2",
)


def _tiny(*settings: str) -> Benchmark:
    return load("cifar10_lt", settings=[*TINY, *settings])


def test_before_training_plan_says_what_it_will_cost_and_trains_nothing(trained: list[Any]) -> None:
    before = estimate_cost(
        experiments(_tiny("hard_rule.fraction=0.25", "strategies=['static']")),
        Store(),
        _quiet,
        timed=False,
    )
    # 159 photos: 40 hard ones, two images each at levels 0 and 50 of a grid of 20; two models see
    # 64 of 79 or 80 photos twice
    assert (before.fold_models, before.hard, before.images, before.denoising_steps) == (
        2,
        40,
        160,
        80 * 20 + 80 * 10,
    )
    assert before.trained_images == 2 * 128 + 2 * 2 * 64
    unknown = estimate_cost(
        experiments(_tiny("hard_rule.threshold=0.1", "strategies=['static']")),
        Store(),
        _quiet,
        timed=False,
    )
    assert (unknown.fold_models, unknown.hard, unknown.images) == (2, None, 0)
    assert trained == []
    assert not (home() / "hard").exists()
    with pytest.raises(
        UserError, match=r"not known yet; run `discl hard cifar10_lt` .* trains 2 models"
    ):
        _ = Bench(_tiny("hard_rule.fraction=0.25")).bank_id


@pytest.mark.usefixtures("one_benchmark")
def test_before_training_no_bank_of_the_dataset_is_taken_for_unused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any]
) -> None:
    (tmp_path / "benchmarks").mkdir()
    benchmark = (
        'title = "Mine"\n[dataset]\nname = "cifar10_lt"\n[generator]\nname ='
        ' "blend"\n[scale.smoke]\n'
    )
    benchmark += '[hard_rule]\nname = "low_confidence"\nfraction = 0.1\n'
    (tmp_path / "benchmarks" / "mine.toml").write_text(benchmark)
    monkeypatch.chdir(tmp_path)
    known = find_references()
    blend = load("mine").part("generators").identity()
    assert (
        "does not say which bank it needs (which photos of mine are hard is not known yet"
        in known.reason_to_keep("c" * 16, "cifar10_lt", blend)
    )
    assert known.reason_to_keep("c" * 16, "toy", blend) == ""
    assert trained == []


@pytest.mark.slow  # test_cams.py runs a bench by this rule
def test_a_whole_bench_by_low_confidence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rule = (
        "hard_rule.fraction=0.25",
        "sampling.tail_share='photos'",
        "sampling.tail_weighting='photos'",
        "sampling.synthetic_per_real=2",
        "strategies=['adaptive']",
    )
    spec = _tiny(*rule)
    (result,) = sweep(spec, Store(), CompositeTracker.of([]))
    bench = Bench(spec)
    assert len(bench.hard) == 40
    assert len(set(bench.train.labels[bench.hard])) > 3
    assert bench.bank.count() == {0: 80, 50: 80}
    assert result.comparability["bank"] == bench.bank_id
    after = estimate_cost(
        experiments(spec.model_copy(update={"seeds": [1]})), Store(), _quiet, timed=False
    )
    assert (after.fold_models, after.hard, after.images) == (0, 40, 0)

    command = [
        "hard",
        "cifar10_lt",
        *(word for setting in (*TINY, *rule) for word in ("--set", setting)),
    ]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--format", "json", "--sheet", str(tmp_path / "sheet.png")])
    assert ended.value.code == 0
    facts = json.loads(capsys.readouterr().out)
    assert (
        facts["hard_photos"],
        facts["training_photos"],
        facts["images"],
    ) == (40, 159, 160)
    assert [photo["id"] for photo in facts["photos"]] != sorted(
        photo["id"] for photo in facts["photos"]
    )
    assert sorted(photo["id"] for photo in facts["photos"]) == sorted(
        bench.train.ids[bench.hard].tolist()
    )
    probabilities = [photo["probability"] for photo in facts["photos"]]
    assert probabilities == sorted(probabilities)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(SystemExit) as ended:
        main(command)
    printed = capsys.readouterr().out
    assert "40 of 159 training photos are hard (hard_rule: name = low_confidence," in printed
    assert "out-of-fold models: 2, val/macro_acc" in printed
    with pytest.raises(SystemExit) as ended:
        main([*command, "--set", "hard_rule.exclude=['catt']"])
    assert ended.value.code == 2
    assert "did you mean 'cat'" in capsys.readouterr().err


def test_the_tail_rule_is_shown_without_models(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(
            [
                "hard",
                "cifar10_lt",
                *(
                    word
                    for setting in (*TINY[:3], *TINY[4:5], "levels=[0,50,100]")
                    for word in ("--set", setting)
                ),
            ]
        )
    printed = capsys.readouterr().out
    assert (
        "66 of 159 training photos are hard (hard_rule: name = tail, max_class_images = 20)"
        in printed
    )
    assert "the bank needs 264 images of them, 3,960 denoising steps" in printed
    assert "out-of-fold" not in printed

"""A benchmark with groups and a test split at home, from photos to the table."""

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.config.metrics import built
from discl.core.errors import UserError
from discl.core.interfaces import Progress, Split
from discl.core.registry import names
from discl.harness.bank.dataset_overview import count_photos
from discl.harness.leaderboard.formats import as_markdown
from discl.harness.leaderboard.stored import stored_results
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.wording import header
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from tests.metrics import all_metrics

SHARES = {"train": (40, 20, 6), "val": (6, 6, 6), "id_test": (12, 12, 0), "ood/cameras": (8, 8, 8)}
SETTINGS = [
    "dataset.name=toy_cameras",
    "generator.name=blend",
    "bank.variants=1",
    "levels=[50,100]",
    "train.epochs=2",
    "train.warmup_epochs=1",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "train.batch=16",
    "train.random_translate=1",
    "backbone.stem_stride=4",
    "trackers=['console']",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8]}",
    "strategies=['real_rebalanced','real_only']",
    "select.metric=val/macro_f1",
]


class ToyCameras:
    """Three classes of different colour, seen by two cameras a split; nobody at home ever meets the
    third class.
    """

    version = 1
    classes = ("hare", "fox", "lynx")
    splits = tuple(SHARES)
    ready = True

    def identity(self) -> dict[str, Any]:
        return {}

    def prepare(self, progress: Progress) -> None: ...

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of a {self.classes[label]}",)

    def split(self, name: str) -> Split:
        labels = np.repeat(np.arange(3), SHARES[name])
        noise = np.random.default_rng(list(SHARES).index(name)).normal(
            0, 20, (len(labels), 16, 16, 3)
        )
        pixels = (np.eye(3)[labels][:, None, None] * 120 + 60 + noise).clip(0, 255).astype(np.uint8)
        groups = np.arange(len(labels)) % 4 // 3 + 10 * list(SHARES).index(
            name
        )  # every fourth photo is from the second camera
        return Split(np.array([f"{name}-{i}" for i in range(len(labels))]), labels, groups, pixels)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        names("datasets"),
        "toy_cameras",
        EntryPoint("toy_cameras", f"{__name__}:ToyCameras", "discl.datasets"),
    )


def _spec(*settings: str) -> Benchmark:
    return load("cifar10_lt", settings=[*SETTINGS, *settings])


def test_worst_groups_and_the_home_split_reach_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec, store = _spec("metrics.min_group_size=6", "metrics.extra=['classes_scored']"), Store()
    results = [*sweep(spec, store, CompositeTracker.of(spec.trackers))]
    assert "real_only-s0, last epoch: id_test " in capsys.readouterr().err.replace("\n", " ")
    for result in results:
        assert result.class_recalls[2] is None
        assert result.metrics["id_test/classes_scored"] == 2
        assert (
            result.metrics["id_test/groups_scored"],
            result.metrics["id_test/smallest_group"],
        ) == (2, 6)
        assert (
            result.metrics["ood/worst_group_macro_f1"]
            == result.metrics["ood/cameras/worst_group_macro_f1"]
        )
        saved = store.predictions(store.folder(result))
        assert (
            saved["ood/cameras/groups"].tolist()
            == ToyCameras().split("ood/cameras").groups.tolist()
        )
        measured = built(spec.bound_metrics())
        assert all_metrics(saved, np.array(result.counts), measured) == result.metrics
    made = board(spec, stored_results(spec, store))
    assert header(made)[3:9] == [
        "all",
        "medium",
        "worst group",
        "ood",
        "worst group, ood",
        "all, adjusted",
    ]
    assert "2 of them, the smallest of 6" in as_markdown(made)
    others = [
        *sweep(
            _spec("metrics.min_group_size=7", "strategies=['real_only']"),
            store,
            CompositeTracker.of([]),
        )
    ]
    with pytest.raises(UserError, match="cannot stand in one table: definitions is"):
        board(spec, [*results, *others])


def test_a_dataset_without_test_photos_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ToyCameras, "splits", ("train", "val", "ood/cameras"))
    store = Store()
    with pytest.raises(UserError, match="neither a test nor an id_test split"):
        next(iter(sweep(_spec(), store, CompositeTracker.of([]))))
    assert not list(store.root.glob("*/[0-9]*"))


def test_photos_per_class_are_labelled_by_the_same_rule_as_the_metrics() -> None:
    rows = count_photos(ToyCameras()).rows  # type: ignore[arg-type]
    assert [(name, group, counts[0]) for name, group, counts in rows] == [
        ("hare", "medium", 40),
        ("fox", "medium", 20),
        ("lynx", "few", 6),
    ]
    assert [group for _, group, _ in count_photos(ToyCameras(), "oltr").rows] == [
        "medium",
        "few",
        "few",
    ]  # type: ignore[arg-type]

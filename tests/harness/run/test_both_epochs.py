"""Every run keeps what it predicts at its last epoch and at the one that val chooses."""

from pathlib import Path

import numpy as np
import pytest

from discl.config.load import load
from discl.core.result import Result
from discl.engine.evaluation.confusion import predictions_digest
from discl.harness.run.events import events
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from tests.metrics import all_metrics

SMALL = [
    "train.epochs=2",
    "train.warmup_epochs=1",
    "train.curriculum_epochs=1",
    "train.evaluate_every=1",
    "train.batch=32",
    "sampling.images=64",
    "backbone.stem_stride=4",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=4}",
    "strategies=['real_only']",
    "trackers=[]",
]
# some class is never right after so little training, and of equal epochs the first one is chosen
FIRST = "select.metric=val/worst_class_acc"


def _run(photos: Path, *settings: str) -> Result:
    spec = load("cifar100_lt", settings=[*SMALL, f"dataset.root={photos}", *settings])
    (result,) = sweep(spec, Store(), CompositeTracker.of([]))
    return result


def _saved(result: Result) -> dict[str, np.ndarray]:
    store = Store()
    return store.predictions(store.folder(result), result.predictions_file)


def test_a_run_keeps_both_epochs_and_training_does_not_know_which_is_read(
    cifar100_photos: Path,
) -> None:
    early = _run(cifar100_photos, FIRST)
    last = early.under("last")
    assert (early.chosen_epoch, last.chosen_epoch) == (0, 1)
    for view in (early, last):
        saved = _saved(view)
        assert predictions_digest(saved) == view.predictions
        assert all_metrics(saved, np.array(view.counts)) == view.metrics
    assert early.predictions != last.predictions
    recorded = list(events(Store().folder(early)))
    assert recorded[-1]["metrics"] == last.metrics  # what trackers are told is of select.epoch
    assert _run(cifar100_photos, FIRST, "select.epoch=val").id == early.id

    longer = _run(cifar100_photos)  # chosen by another metric, so under another id
    assert longer.under("last").predictions == last.predictions


@pytest.mark.parametrize(
    ("setting", "cost", "arrays"),
    [
        ("select.wise_ft_alphas=[0.0, 1.0]", {"wise_alpha"}, {"logits", "wise_logits"}),
        ("second_stage.name=tau_norm", {"second_stage_steps"}, {"logits"}),
    ],
)
def test_weights_are_mixed_or_finished_at_both_epochs(
    setting: str, cost: set[str], arrays: set[str], cifar100_photos: Path
) -> None:
    early = _run(cifar100_photos, FIRST, setting)
    last = early.under("last")
    for view in (early, last):
        assert cost <= view.cost.keys()
        assert {f"test/{name}" for name in arrays} <= _saved(view).keys()
    assert not np.array_equal(_saved(early)["test/logits"], _saved(last)["test/logits"])
    assert last.last["cost"].keys() >= cost
    assert early.cost["steps"] == last.cost["steps"]


def test_one_epoch_is_stored_once(cifar100_photos: Path) -> None:
    whole = _run(cifar100_photos, "train.evaluate_every=2")  # val sees the last epoch alone
    assert whole.last == {"epoch": 1}
    assert whole.under("last").metrics == whole.metrics
    assert not (Store().folder(whole) / "last_predictions.npz").exists()


@pytest.mark.parametrize("given", ["lst", "best"])
def test_an_unknown_rule_is_refused_at_load(given: str) -> None:
    with pytest.raises(Exception, match=f"no rule for the epoch that is read called '{given}'"):
        load("cifar100_lt", settings=[f"select.epoch={given}"])

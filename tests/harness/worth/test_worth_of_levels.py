"""The worth of levels, read from runs that the store has."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.core.errors import UserError
from discl.harness.run.store import Store
from discl.harness.worth.figure import draw_worth
from discl.harness.worth.levels import LEVEL, read_worth, worth_json, worth_points, worth_sweep
from tests import results

SETTINGS = ["trackers=[]", "train.evaluate_every=1"]


def test_every_candidate_and_the_photo_are_trained_on_alone_and_equally_long() -> None:
    sweep = worth_sweep("cifar10_lt", "smoke", SETTINGS, [50, 0, 100], [0, 1], epochs=4)
    points = worth_points(sweep)
    assert [(point.at[LEVEL], point.at["seed"]) for point in points] == [
        (0, 0), (50, 0), (100, 0), (0, 1), (50, 1), (100, 1),
    ]  # fmt: skip
    trains = [point.experiment.benchmark.train for point in points]
    # no photos at the end
    assert {(train.epochs, train.curriculum_epochs) for train in trains} == {(4, 4)}
    assert [point.experiment.used_levels() for point in points[:3]] == [(0,), (50,), (100,)]


def test_another_candidate_makes_no_run_again() -> None:
    few, more = ([0, 50], [0, 20, 50])
    of_few = worth_points(worth_sweep("cifar10_lt", "smoke", SETTINGS, few, [0, 1]))
    of_more = worth_points(worth_sweep("cifar10_lt", "smoke", SETTINGS, more, [0, 1]))
    assert {p.experiment.id() for p in of_few} < {p.experiment.id() for p in of_more}


def _read(levels: Mapping[int, float], spread: float = 0.0) -> Any:
    """The curve of stored runs whose last epochs have these few-shot accuracies."""
    sweep = worth_sweep("cifar10_lt", "smoke", SETTINGS, [*levels], [0, 1, 2], epochs=2)
    points = worth_points(sweep)
    store = Store()
    stored = {}
    for point in points:
        few = levels[point.at[LEVEL]] + spread * (point.at["seed"] - 1)
        result = results.store(point.experiment, to=store, skill=20 * few)
        stored[result.id] = result
    return read_worth(sweep, points, stored, store)


def test_the_last_epoch_on_val_is_what_a_level_is_worth(tmp_path: Path) -> None:
    curve = _read({0: 0.4, 50: 0.2, 100: 0.1}, 0.01)
    assert [row.level for row in curve.levels] == [0, 50, 100]
    # the stored records say 0.1 + skill / 20 + epoch / 1000 over all classes, two epochs long
    macro = [row.metrics["val/macro_acc"].mean for row in curve.levels]
    assert macro == pytest.approx([0.501, 0.301, 0.201])
    # and one value of few-shot classes for all: the proposal goes by it, and tells none apart
    assert curve.metric == "val/few_acc"
    assert not curve.proposal.by_worth
    assert curve.proposal.levels == (0, 25, 50, 75, 100)
    assert worth_json(curve)["levels"][0]["metrics"]["val/macro_acc"]["n"] == 3
    assert draw_worth(curve, tmp_path / "worth.svg").stat().st_size > 1000


def test_without_a_record_the_stored_last_epoch_is_read_and_no_other() -> None:
    sweep = worth_sweep("cifar10_lt", "smoke", SETTINGS, [0, 50], [0, 1], epochs=2)
    points, store = worth_points(sweep), Store()
    stored = {}
    for point in points:
        result = results.store(point.experiment, to=store)
        (store.folder(result) / "events.jsonl").unlink()
        by_val = {**result.metrics, "val/few_acc": 0.9, "val/macro_acc": 0.9}
        at_end = {**by_val, "val/few_acc": 0.2}
        last = {"epoch": 1, "metrics": at_end, "cost": {}}
        stored[result.id] = replace(result, metrics=by_val, chosen_epoch=0, last=last)
    curve = read_worth(sweep, points, stored, store)
    assert [row.metrics["val/few_acc"].mean for row in curve.levels] == pytest.approx([0.2] * 3)
    old = {id: replace(result, last={}) for id, result in stored.items()}
    with pytest.raises(UserError, match="keeps no last epoch"):
        read_worth(sweep, points, old, store)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seeds", "0"], "takes two different ones"),
        (["--seeds", "1,1"], "takes two different ones"),
        (["--candidates", "0,41,42"], "41 and 42 both start"),
        (["--candidates", "0,0,50"], "listed twice"),
        (["--candidates", "0,100"], "two levels below 100"),
        (["--candidates", "0,130"], "outside 0..100"),
        (["--candidates", "0,x"], "whole numbers"),
        (["--set", "levels=[0,50,100]"], "decide this themselves; give --candidates"),
        (["--set", "train.curriculum_epochs=3"], "no photos alone; leave it out, or give --epochs"),
        (["-o", "worth.doc"], "a picture is a"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_before_any_work(words: list[str], says: str) -> None:
    said = CliRunner().invoke(main, ["levels", "cifar10_lt", *words])
    assert said.exit_code == 2
    assert says in said.output


def test_one_seed_gives_no_spread() -> None:
    with pytest.raises(UserError, match="two different ones"):
        worth_sweep("cifar10_lt", "smoke", SETTINGS, [0, 50], [3])

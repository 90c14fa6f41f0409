"""A result is read at the last epoch or at the one that val chose, and is stored once."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from discl.config.experiment import experiments
from discl.core.conventions import EPOCH_RULES, LAST, VAL, epoch_rule
from discl.core.errors import UserError
from discl.core.result import Result
from tests import results

RUN = experiments(results.spec())[0]
TWO = results.result(RUN, 2.0, last=1.0)  # worse at its last epoch than where val stopped it
ONE = results.result(RUN)  # val chose the last epoch


def test_a_view_has_the_numbers_of_its_epoch_and_the_rest_of_the_run() -> None:
    view = TWO.under("last")
    alone = results.result(RUN, 1.0)
    assert view.metrics == alone.metrics != TWO.metrics
    assert view.class_recalls == alone.class_recalls
    assert view.predictions == alone.predictions
    assert view.chosen_epoch == RUN.benchmark.train.epochs - 1 > TWO.chosen_epoch
    assert (view.rule, TWO.rule) == (LAST, VAL)
    assert (view.id, view.identity, view.seen) == (TWO.id, TWO.identity, TWO.seen)
    assert view.under("val") is TWO
    assert view.under("last").metrics == view.metrics


def test_the_cost_of_a_view_counts_what_was_done_for_its_epoch() -> None:
    done = replace(
        TWO,
        cost={**TWO.cost, "wise_alpha": 0.5},
        last={**TWO.last, "cost": {"wise_alpha": 0.75}},
    )
    assert done.under("last").cost == {**TWO.cost, "wise_alpha": 0.75}


def test_a_view_is_stored_as_what_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(TWO.under("last").to_json())
    assert Result.read(tmp_path / "result.json") == TWO
    assert "whole" not in json.loads((tmp_path / "result.json").read_text())


def test_one_epoch_that_both_rules_read_is_stored_once() -> None:
    assert ONE.last == {"epoch": RUN.benchmark.train.epochs - 1}
    assert ONE.under("last").metrics == ONE.metrics
    files = [each.predictions_file for each in (ONE, ONE.under("last"), TWO, TWO.under("last"))]
    assert files == ["predictions.npz"] * 3 + ["last_predictions.npz"]


def test_a_result_of_before_keeps_its_bytes_and_is_refused_by_name_at_its_last_epoch() -> None:
    old = replace(ONE, last={})
    assert "last" not in json.loads(old.to_json())
    assert old.rules == (VAL,)
    assert old.under("val") is old
    with pytest.raises(UserError, match=rf"{old.name} .* keeps no last epoch, .*--epoch val"):
        old.under("last")


def test_an_unknown_rule_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="'lst'; did you mean 'last'"):
        epoch_rule("lst")
    with pytest.raises(UserError, match="did you mean 'val'"):
        TWO.under("vall")
    assert {epoch_rule(name).name for name in EPOCH_RULES} == {"last", "val"}


def test_a_file_that_says_it_is_a_view_is_none_of_a_run(tmp_path: Path) -> None:
    stored = json.loads(TWO.to_json())
    stored.pop("seal", None)
    (tmp_path / "result.json").write_text(json.dumps(stored | {"whole": None}))
    with pytest.raises(UserError, match="view of a result"):
        Result.read(tmp_path / "result.json")

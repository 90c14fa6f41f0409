"""A table reads all its results by one rule, shows the other, and warns where signs disagree."""

import csv
import io
import json
from dataclasses import replace

import pytest

from discl.cli.render.boards import print_board
from discl.config.experiment import experiments
from discl.core.conventions import LAST, VAL
from discl.core.errors import UserError
from discl.core.result import Result
from discl.harness.leaderboard.epochs import read
from discl.harness.leaderboard.formats import as_csv, as_html, as_json, as_markdown
from discl.harness.leaderboard.table import Board, board
from discl.harness.leaderboard.wording import disagreements, warning
from tests import results

SPEC = results.spec().model_copy(
    update={"strategies": ["static", "real_rebalanced"], "seeds": [0, 1, 2]}
)


def _made(static: float = 1.0, rebalanced: float = 1.6) -> list[Result]:
    """static is ahead where val stops it, and ends with the skill `static`."""
    skills = {"static": (2.4, static), "real_rebalanced": (1.6, rebalanced)}
    made = []
    for run in experiments(SPEC):
        by_val, at_last = skills[run.strategy]
        made.append(results.result(run, by_val, last=at_last))
    return made


RESULTS = _made()


def _by_val() -> Board:
    return board(SPEC.model_copy(update={"select": _select("val")}), RESULTS)


def _select(epoch: str) -> object:
    return SPEC.select.model_copy(update={"epoch": epoch})


def test_the_rule_is_a_view_and_no_part_of_a_runs_identity() -> None:
    other = SPEC.model_copy(update={"select": _select("val")})
    pairs = zip(experiments(SPEC), experiments(other), strict=True)
    assert all(a.id() == b.id() and a.comparison() == b.comparison() for a, b in pairs)


def test_one_rule_ranks_and_the_other_stands_beside() -> None:
    last, by_val = board(SPEC, RESULTS), _by_val()
    assert (last.rule, by_val.rule) == (LAST, VAL)
    assert [row.strategy for row in last.rows] == ["real_rebalanced", "static"]
    assert [row.strategy for row in by_val.rows] == ["static", "real_rebalanced"]
    for row in last.rows:
        twin = next(each for each in by_val.rows if each.strategy == row.strategy)
        for metric in last.differences:
            assert row.beside[metric].mean == twin.metrics[metric].mean.mean
            assert twin.beside[metric].mean == row.metrics[metric].mean.mean


def test_a_sign_that_hangs_on_the_rule_is_warned_of_everywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = board(SPEC, RESULTS)
    found = {(one.metric, one.strategy, one.base): one for one in disagreements(made)}
    one = found["test/macro_acc", "static", "real_rebalanced"]
    assert one.here.mean < 0 < one.there.mean
    told = warning(made)
    assert f"static to real_rebalanced in all: {100 * one.here.mean:+.1f} here" in told
    print_board(made)
    shown = capsys.readouterr().out
    assert "at the last epoch" in shown
    assert told in shown
    assert "**Warning.** The sign hangs on" in as_markdown(made)
    assert "<b>Warning.</b> The sign hangs on" in as_html(made)
    assert json.loads(as_json(made))["warning"] == told


def test_rules_that_agree_are_not_warned_of() -> None:
    made = board(SPEC, _made(static=2.0, rebalanced=1.0))
    assert warning(made) == ""
    assert "Warning" not in as_markdown(made)


def test_programs_get_both_rules() -> None:
    made = board(SPEC, RESULTS)
    lines = [
        line for line in csv.DictReader(io.StringIO(as_csv(made))) if line["metric"] == made.first
    ]
    static = next(row for row in made.rows if row.strategy == "static")
    (line,) = [line for line in lines if line["strategy"] == "static"]
    assert (line["epoch"], line["other_epoch"]) == ("last", "val")
    assert float(line["other_epoch_mean"]) == static.beside[made.first].mean
    told = json.loads(as_json(made))
    assert told["epoch"] == "last"
    assert {row["strategy"]: set(row["other_epoch"]) for row in told["rows"]} == {
        name: set(made.differences) for name in ("static", "real_rebalanced")
    }


@pytest.mark.parametrize("asked", [None, "last"])
def test_a_result_that_keeps_one_epoch_is_left_out_and_named(asked: str | None) -> None:
    some = [replace(RESULTS[0], last={}), *RESULTS[1:]]
    made = board(SPEC, some, epoch=asked)
    assert made.rule is LAST
    assert made.other  # what is shown has both rules
    row = next(row for row in made.rows if row.strategy == RESULTS[0].strategy)
    assert (row.seeds, row.complete) == ([1, 2], False)
    said = f"Left out: {RESULTS[0].name} ({RESULTS[0].id}), which keeps no last epoch"
    assert said in made.epoch_note
    assert said in as_markdown(made)
    assert board(SPEC, some, epoch="val").epoch_note == ""


def test_a_baseline_that_keeps_one_epoch_is_missed_with_the_reason() -> None:
    some = [replace(run, last={}) if run.strategy == "static" else run for run in RESULTS]
    with pytest.raises(UserError, match=r"'static'.*Left out: .* and 2 more, which keep no last"):
        board(SPEC, some, ["static"])


def test_where_no_result_keeps_its_last_epoch_all_are_read_by_val_and_a_line_says_so() -> None:
    made = board(SPEC, [replace(run, last={}) for run in RESULTS])
    assert made.rule is VAL
    assert made.other == {}
    assert made.rows[0].strategy == "static"
    said = "No result here keeps its last epoch"
    assert said in made.epoch_note
    assert said in as_markdown(made)


def test_a_rule_that_is_asked_for_and_not_kept_is_refused_by_name() -> None:
    old = [replace(run, last={}) for run in RESULTS]
    with pytest.raises(UserError, match=rf"{old[0].name} .*run it again, or read it .*--epoch val"):
        board(SPEC, old, epoch="last")
    assert board(SPEC, old, epoch="val").epoch_note == ""
    with pytest.raises(UserError, match="called 'lasst'; did you mean 'last'"):
        board(SPEC, RESULTS, epoch="lasst")


def test_read_gives_views_of_both_rules() -> None:
    at = read(RESULTS, "val")
    assert {result.rule for result in at.results} == {VAL}
    assert {result.rule for result in at.other} == {LAST}
    assert read([], "last").results == []

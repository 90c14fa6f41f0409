"""Numbers from before a correction are shown, never ranked; all strategies with runs are shown."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.experiment import experiments
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.result import Result
from discl.harness.leaderboard import corrections
from discl.harness.leaderboard.ages import by_age
from discl.harness.leaderboard.corrections import Correction, PartBefore
from discl.harness.leaderboard.formats import as_csv, as_json, as_markdown
from discl.harness.leaderboard.publish import publish, verify_published
from discl.harness.leaderboard.stored import runs_of
from discl.harness.leaderboard.table import BoardRow, board, by_strategy
from discl.harness.leaderboard.wording import placed
from discl.harness.report.comparison import Comparison
from discl.harness.report.histories import Histories, load_histories
from discl.harness.report.page import page
from discl.harness.report.section import draw_section
from discl.harness.run.store import Store
from tests import results

NAMES = ["static", "all_levels", "real_rebalanced"]
SPEC = results.spec().model_copy(update={"strategies": NAMES, "seeds": [0, 1, 2]})
FEW = "test/few_acc"
STATIC = PartBefore("strategy", 2, "static")
WHOLE = Correction("static-order", "it had no order", (STATIC,))
PART = Correction("few-shots", "few was counted otherwise", (STATIC,), ("*few_acc",))


@pytest.fixture(scope="module")
def runs() -> list[Result]:
    return [results.result(each, 2.5) for each in experiments(SPEC)]


@pytest.fixture
def touched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Correction:
    correction: Correction = getattr(request, "param", WHOLE)
    monkeypatch.setattr(corrections, "CORRECTIONS", (correction,))
    return correction


def _static(runs: list[Result]) -> BoardRow:
    return by_strategy(board(SPEC, runs))["static"]


@pytest.mark.usefixtures("touched")
def test_a_row_from_before_a_correction_is_shown_without_a_place(runs: list[Result]) -> None:
    made = board(SPEC, runs)
    assert [row.strategy for row in made.rows][-1] == "static"
    row = made.rows[-1]
    assert (placed(row), row.corrections, row.differences) == ("before 0.2", ("static-order",), {})
    assert row.old[FEW].mean.n == 3
    assert made.values(FEW)["static"] == {}
    assert max(row.places[1] for row in made.rows if row.places) == 2
    assert "| before 0.2 | static |" in as_markdown(made)
    assert "from before a correction (static-order)" in as_markdown(made)
    assert json.loads(as_json(made))["rows"][-1]["before"] is True
    lines = csv.DictReader(io.StringIO(as_csv(made)))
    assert {line["place"] for line in lines if line["corrections"]} == {"before 0.2"}


@pytest.mark.usefixtures("touched")
def test_the_report_compares_no_row_from_before(runs: list[Result]) -> None:
    compared = Comparison(board(SPEC, runs), Histories())
    assert compared.headline.best == "all_levels"
    assert all("static" not in step.strategy for step in compared.gain_steps[FEW])
    section = draw_section(compared)
    drawn = {row.get("strategy") for chart in section.charts for row in chart.rows}
    assert "all_levels" in drawn
    assert "static" not in drawn
    text = page([section], "")
    (row,) = re.findall(r'<tr data-strategy="static"[^>]*><td.*?</tr>', text, re.DOTALL)
    assert "before 0.2" in row
    assert "seeds missing" not in row


@pytest.mark.parametrize("touched", [PART], indirect=True)
def test_a_correction_of_one_metric_leaves_the_others_ranked(
    touched: Correction, runs: list[Result]
) -> None:
    row = _static(runs)
    assert (row.before, row.places is None, row.corrections) == (False, False, (touched.name,))
    assert list(row.old) == [FEW]
    assert "(before 0.2) |" in as_markdown(board(SPEC, runs))
    against = row.differences["real_rebalanced"]
    assert (against["test/macro_acc"].mean.n, against[FEW].mean.n) == (3, 0)


@pytest.mark.usefixtures("touched")
def test_an_old_run_needs_no_key_in_common_and_asks_for_no_seed(runs: list[Result]) -> None:
    old = [
        replace(each, comparability={**each.comparability, "bank": "of before"})
        for each in runs
        if each.strategy == "static"
    ]
    rows = by_strategy(board(SPEC, [*old, *(each for each in runs if each.strategy != "static")]))
    assert rows["static"].before
    assert rows["all_levels"].complete


@pytest.mark.parametrize("touched", [PART], indirect=True)
def test_with_another_key_a_run_is_old_as_a_whole(touched: Correction, runs: list[Result]) -> None:
    moved = [
        replace(each, comparability={**each.comparability, "comparison": "of before"})
        if each.strategy == "static"
        else each
        for each in runs
    ]
    assert {each.strategy for each in by_age(moved).before} == {"static"}
    redefined = [
        replace(each, comparability={**each.comparability, "definitions": "of before"})
        if each.strategy == "static"
        else each
        for each in runs
    ]
    assert by_age(redefined).before == []
    assert _static(redefined).corrections == (touched.name,)


def _before(result: Result) -> Result:
    """The same run, as an earlier version of its loss made it."""
    identity = {**result.identity, "loss": {**result.identity["loss"], "version": 0}}
    return replace(result, identity=identity, id=short(identity))


def _into(store: Store, result: Result) -> None:
    _, folder = store.new_attempt(result.id)
    store.finish(folder, result)


def test_a_store_shows_runs_from_before_until_they_are_run_again(
    runs: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        corrections, "CORRECTIONS", (Correction("loss", "it was wrong", (PartBefore("loss", 1),)),)
    )
    store = Store(tmp_path / "runs")
    for run in runs:
        _into(store, _before(run))
    found, old = runs_of(SPEC, store)
    assert {row.strategy: row.before for row in board(found, old).rows} == dict.fromkeys(
        NAMES, True
    )
    again = [run for run in runs if run.strategy == "static" and run.seed < 2]
    for run in again:
        _into(store, run)
    found, both = runs_of(SPEC, store)
    assert found.seeds == [0, 1]  # of the runs that count
    rows = by_strategy(board(found, both))
    assert (rows["static"].before, rows["static"].complete, rows["static"].seeds) == (
        False,
        True,
        [0, 1],
    )
    assert rows["all_levels"].before
    elsewhere = replace(runs[0], identity={**_before(runs[0]).identity, "seed": 7}, id="f" * 16)
    _into(store, elsewhere)  # no run of these settings
    assert elsewhere.id not in {run.id for run in runs_of(SPEC, store)[1]}


def _asked(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["--debug", *arguments, "--set", "generator.name=blend"])
    assert done.exit_code == 0, done.output
    return done.stdout


def _by_another_package(result: Result) -> Result:
    identity = {**result.identity, "strategy": {"name": "dawn", "version": 1, "parameters": {}}}
    return replace(result, strategy="dawn", identity=identity, id=short(identity))


def test_every_strategy_with_runs_is_shown_and_the_command_names_them(
    tmp_path: Path, runs: list[Result]
) -> None:
    for run in runs:
        _into(Store(), run)
        if run.strategy == "static":
            _into(Store(), _by_another_package(run))  # which is not installed here
    listed = ("--set", "strategies=['static','real_rebalanced']")
    shown = json.loads(_asked("leaderboard", "cifar10_lt", *listed, "--format", "json"))
    assert {row["strategy"] for row in shown["rows"]} == {*NAMES, "dawn"}
    assert "--strategies all_levels,real_rebalanced,static,dawn --seeds" in shown["command"]
    two = ("--strategies", "static,real_rebalanced")
    shown = json.loads(_asked("leaderboard", "cifar10_lt", *two, "--format", "json"))
    assert {row["strategy"] for row in shown["rows"]} == {"static", "real_rebalanced"}
    target = tmp_path / "report.html"
    _asked("report", "cifar10_lt", *listed, "--no-pictures", "-o", str(target))
    assert 'value="dawn"' in target.read_text("utf-8")


def test_verify_names_the_correction_that_makes_a_result_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.sweep(NAMES, (0, 1, 2))
    root = tmp_path / "leaderboards"
    publish(SPEC, Store(), root)
    assert verify_published(root, Store()).old == []
    monkeypatch.setattr(corrections, "CORRECTIONS", (WHOLE, PART))
    checked = verify_published(root, Store())
    assert (checked.faults, len(checked.old)) == ([], 3)
    assert all(
        "static-order makes all numbers old; few-shots makes" in line for line in checked.old
    )
    (path,) = {line.partition(":")[0] for line in checked.old[:1]}
    _forge(Path(path), "test/few_acc")  # defined anew, so today's definition says nothing of it
    assert verify_published(root, Store()).faults == []
    _forge(Path(path), "test/macro_acc")
    assert len(verify_published(root, Store()).faults) == 1
    shown = CliRunner().invoke(main, ["leaderboard", "verify", "--root", str(root)])
    assert shown.exit_code == 1
    assert "3 results are from before a correction" in shown.output


def _forge(path: Path, metric: str) -> None:
    stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
    stored["metrics"][metric] += 0.01
    path.write_text(json.dumps(stored), "utf-8")


def test_no_curve_of_a_stray_run_stands_beside_published_rows() -> None:
    runs = results.sweep(("static", "real_only"), (0, 1))
    spec = SPEC.model_copy(update={"strategies": ["static", "real_only"], "seeds": [0, 1]})
    published = board(spec, runs)
    assert set(load_histories(published, Store(), published=True).epochs) == {"static", "real_only"}
    stray = [
        replace(run, predictions="0" * 64) if (run.strategy, run.seed) == ("static", 1) else run
        for run in runs
    ]
    beside = load_histories(board(spec, stray), Store(), published=True)
    assert set(beside.epochs) == {"real_only"}


def test_a_damaged_run_beside_published_rows_is_said_in_a_sentence() -> None:
    runs = results.sweep(("static", "real_only"), (0, 1))
    spec = SPEC.model_copy(update={"strategies": ["static", "real_only"], "seeds": [0, 1]})
    published, path = board(spec, runs), Store().folder(runs[0]) / "result.json"
    stored = json.loads(path.read_text("utf-8"))
    del stored["seal"]
    path.write_text(json.dumps({**stored, "predictions": 7}), "utf-8")
    with pytest.raises(UserError, match="predictions .* it is not what a run stores"):
        load_histories(published, Store(), published=True)

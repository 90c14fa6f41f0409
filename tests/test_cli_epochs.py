"""--epoch reads boards, reports and runs at the last epoch or at the one that val chose."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from discl.cli import main
from discl.config.experiment import experiments
from tests import results

SPEC = results.spec().model_copy(
    update={"strategies": ["static", "real_rebalanced"], "seeds": [0, 1]}
)
BLEND = ["--set", "generator.name=blend"]


def _discl(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def _json(*words: str) -> Any:
    done = _discl(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def both() -> list[str]:
    """Ids of runs that end worse than where val stops them; static more so."""
    return [
        results.store(run, 2.4, last=0.8 if run.strategy == "static" else 2.0).id
        for run in experiments(SPEC)
    ]


@pytest.mark.usefixtures("both")
def test_a_board_is_read_by_the_rule_that_is_asked_for(tmp_path: Path) -> None:
    last = _json("leaderboard", "cifar10_lt", *BLEND)
    by_val = _json("leaderboard", "cifar10_lt", *BLEND, "--epoch", "val")
    assert (last["epoch"], by_val["epoch"]) == ("last", "val")
    metric = next(iter(last["columns"]))
    for row in last["rows"]:
        (twin,) = [each for each in by_val["rows"] if each["strategy"] == row["strategy"]]
        assert row["other_epoch"][metric]["mean"] == twin["metrics"][metric]["mean"]
        assert row["metrics"][metric]["mean"] < twin["metrics"][metric]["mean"]
    by_setting = _json("leaderboard", "cifar10_lt", *BLEND, "--set", "select.epoch=val")
    assert by_setting["rows"] == by_val["rows"]
    page = tmp_path / "report.html"
    words = ["report", "cifar10_lt", *BLEND, "--no-pictures", "-o", str(page)]
    assert _discl(*words, "--epoch", "val").exit_code == 0
    assert "At the epoch that val chooses: " in page.read_text("utf-8")
    assert "all, last epoch" in page.read_text("utf-8")


def test_runs_are_listed_shown_and_compared_at_one_epoch(both: list[str]) -> None:
    rows = {rule: _json("runs", "ls", "--epoch", rule) for rule in ("last", "val")}
    assert _json("runs", "ls") == rows["last"]
    assert {row["epoch"] for row in rows["val"]} == {"val"}
    assert rows["last"][0]["main"]["all"]["value"] < rows["val"][0]["main"]["all"]["value"]

    shown = {rule: _json("runs", "show", both[0], "--epoch", rule) for rule in ("last", "val")}
    assert shown["last"]["chosen_epoch"] > shown["val"]["chosen_epoch"]
    assert shown["last"]["metrics"] != shown["val"]["metrics"]
    assert shown["last"]["epochs"] == ["last", "val"]
    assert "the last epoch" in _discl("runs", "show", both[0]).output

    gaps = [
        next(
            each["difference"]
            for each in _json("runs", "diff", both[0], both[1], "--epoch", rule)["metrics"]
            if each["metric"] == "test/macro_acc"
        )
        for rule in ("last", "val")
    ]
    assert gaps[0] > gaps[1]
    assert "both at the last epoch" in _discl("runs", "diff", both[0], both[1]).output


def test_a_run_that_keeps_one_epoch_is_shown_there_and_refused_at_the_other() -> None:
    run, other = experiments(SPEC)[:2]
    old = results.store(run).id
    folder = next(Path(results.Store().root).glob("*/000"))
    stored = json.loads((folder / "result.json").read_text("utf-8"))
    for name in ("last", "seal"):
        stored.pop(name, None)
    (folder / "result.json").write_text(json.dumps(stored), "utf-8")
    results.store(other, 2.0, last=1.0)
    assert "No result here keeps its last epoch" in _discl("runs", "show", old).output
    assert {row["epoch"] for row in _json("runs", "ls")} == {"val"}
    assert "1 of 2 results keep no last epoch" in _discl("runs", "ls").output
    refused = _discl("runs", "show", old, "--epoch", "last")
    assert refused.exit_code == 2
    assert "keeps no last epoch" in refused.output
    board = _discl("leaderboard", "cifar10_lt", *BLEND, "--epoch", "last")
    assert board.exit_code == 0
    assert f"Left out: {run.name} ({old})" in " ".join(board.output.split())


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize(
    "words",
    [
        ["leaderboard", "cifar10_lt", "--epoch", "lst"],
        ["leaderboard", "cifar10_lt", "--set", "select.epoch=lst"],
        ["report", "cifar10_lt", "--epoch", "lst"],
        ["runs", "ls", "--epoch", "lst"],
    ],
)
def test_an_unknown_rule_is_told_with_the_nearest_one(words: list[str]) -> None:
    refused = _discl(*words)
    assert refused.exit_code == 2
    assert "called 'lst'; did you mean 'last'?" in refused.output

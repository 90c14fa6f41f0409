import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.core.errors import UserError
from discl.harness.leaderboard.publish import publish, stale, submit, verify_published
from discl.harness.leaderboard.verify import verify
from discl.harness.run.store import Store
from tests import results

SPEC = results.spec('strategies=["static", "real_rebalanced"]', "seeds=[0, 1]")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    results.sweep(("static", "real_rebalanced"), (0, 1))
    publish(SPEC, Store(), tmp_path / "leaderboards")
    return tmp_path / "leaderboards"


def _one(root: Path) -> Path:
    return sorted((root / "results/cifar10_lt/smoke").glob("*.json"))[0]


def test_what_is_published_verifies_from_outcomes_and_from_predictions(root: Path) -> None:
    verification = verify_published(root, Store())
    assert (verification.results, verification.from_predictions, verification.faults) == (4, 4, [])
    assert verification.numbers > 4 * 50
    assert stale(root) == []
    elsewhere = verify_published(root, Store(root / "nothing"))
    assert (elsewhere.from_predictions, elsewhere.faults) == (0, [])


def _metric(stored: dict[str, Any]) -> None:
    stored["metrics"]["test/few_acc"] += 0.01


def _lost(stored: dict[str, Any]) -> None:
    del stored["metrics"]["ood/macro_acc"]


def _identity(stored: dict[str, Any]) -> None:
    stored["identity"]["train"]["lr"] = 0.1


def _strategy(stored: dict[str, Any]) -> None:
    stored["strategy"] = "reverse"


def _recall(stored: dict[str, Any]) -> None:
    stored["class_recalls"][9] = 0.99


def _definitions(stored: dict[str, Any]) -> None:
    stored["comparability"]["definitions"] = "0" * 16


def _old(stored: dict[str, Any]) -> None:
    stored["confusion_counts"] = {}


def _outcomes(stored: dict[str, Any]) -> None:
    stored["confusion_counts"]["test"][""] = stored["confusion_counts"]["test"]["adjusted_"]


def _strange(stored: dict[str, Any]) -> None:
    stored["surprise"] = 1


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (_metric, "metrics says test/few_acc = "),
        (_lost, "metrics lacks ood/macro_acc"),
        (_identity, "what it says was run is not what was run"),
        (_strategy, "it calls itself reverse"),
        (_recall, "class_recalls says of class 9 = 0.99"),
        (_definitions, "its comparability key says definitions 0000000000000000"),
        (_old, "it is of an older version"),
        (_outcomes, "what was predicted gives"),
        (_strange, "is not a result of this version"),
    ],
)
def test_an_edited_result_is_named_and_refused(
    root: Path, edit: Callable[[dict[str, Any]], None], expected: str
) -> None:
    path = _one(root)
    stored = json.loads(path.read_text("utf-8"))
    edit(stored)
    path.write_text(json.dumps(stored), "utf-8")
    verification = verify([path], Store())
    assert verification.faults
    assert any(expected in fault for fault in verification.faults), verification.faults
    assert all(str(path) in fault for fault in verification.faults)
    shown = CliRunner().invoke(main, ["leaderboard", "check", "--root", str(root)])
    assert shown.exit_code == 2
    assert CliRunner().invoke(main, ["leaderboard", "verify", "--root", str(root)]).exit_code == 1


def test_what_does_not_verify_replaces_nothing(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for experiment in results.experiments(SPEC)[:1]:
        results.store(experiment, metrics=results.result(experiment, skill=9.0).metrics)
    for replace in (publish, submit):
        with pytest.raises(UserError, match="faults, so nothing is written; the first: .*metrics"):
            replace(SPEC, Store(), root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_forged_result_that_fits_itself_is_caught_by_the_predictions(root: Path) -> None:
    path = _one(root)
    stored = json.loads(path.read_text("utf-8"))
    (experiment,) = [each for each in results.experiments(SPEC) if each.id() == stored["id"]]
    forged = results.result(experiment, skill=9.0, predictions=stored["predictions"])
    path.write_text(forged.to_json(), "utf-8")
    faults = verify([path], Store()).faults
    assert any("are not those of its saved predictions" in fault for fault in faults)


def test_both_epochs_of_a_result_verify_and_either_is_caught(tmp_path: Path) -> None:
    for experiment in results.experiments(SPEC):
        results.store(experiment, 2.0, last=1.0)
    root = tmp_path / "leaderboards"
    publish(SPEC, Store(), root)
    verification = verify_published(root, Store())
    assert (verification.results, verification.from_predictions, verification.faults) == (4, 4, [])
    assert verification.numbers > 2 * 4 * 50
    assert stale(root) == []

    path = _one(root)
    stored = json.loads(path.read_text("utf-8"))
    stored["last"]["metrics"]["test/few_acc"] += 0.01
    faults = _faults_of(path, stored)
    assert "at the last epoch: metrics says test/few_acc" in faults[0]

    (experiment,) = [each for each in results.experiments(SPEC) if each.id() == stored["id"]]
    forged = results.result(experiment, 2.0, last=9.0)
    forged.last["predictions"] = stored["last"]["predictions"]
    path.write_text(forged.to_json(), "utf-8")
    (*_, told) = verify([path], Store()).faults
    assert "at the last epoch: its confusion counts" in told

    stored = json.loads(results.result(experiment, 2.0, last=1.0).to_json())
    stored["last"]["epoch"] -= 1
    epochs = SPEC.train.epochs
    assert f"its last epoch is {epochs - 1}, of {epochs}" in _faults_of(path, stored)[0]
    del stored["last"]["errors"]
    assert "last holds" in _faults_of(path, stored)[0]


def _faults_of(path: Path, stored: dict[str, Any]) -> list[str]:
    stored = {key: value for key, value in stored.items() if key != "seal"}
    path.write_text(json.dumps(stored), "utf-8")
    return verify([path], Store()).faults


def test_a_submission_adds_rows_and_says_what_it_did(root: Path) -> None:
    added = SPEC.model_copy(update={"strategies": ["all_levels"]})
    for experiment in results.experiments(added):
        results.store(experiment)
    paths, text = submit(added, Store(), root)
    assert len(list((root / "results/cifar10_lt/smoke").glob("*.json"))) == 6
    assert paths[-1] == root / "cifar10_lt.md"
    assert "`all_levels`: place" in text
    assert "| all_levels |" in paths[-1].read_text("utf-8")
    assert stale(root) == []


def test_a_submission_of_uncommitted_code_or_of_too_few_seeds_is_refused(root: Path) -> None:
    added = SPEC.model_copy(update={"strategies": ["all_levels"]})
    first, second = results.experiments(added)
    results.store(first, provenance={**results.PROVENANCE, "commit": "0123456789ab+"})
    with pytest.raises(UserError, match="made by code that is in no commit"):
        submit(added, Store(), root)
    results.store(first)
    with pytest.raises(UserError, match=r"all_levels has no complete run of seeds \[1\]"):
        submit(added, Store(), root)
    assert not (root / "results/cifar10_lt/smoke" / f"{second.id()}.json").exists()


def test_a_submission_that_does_not_compare_is_refused_before_anything_is_written(
    root: Path,
) -> None:
    added = SPEC.model_copy(update={"strategies": ["all_levels"], "seeds": [0]})
    (experiment,) = results.experiments(added)
    whole = results.result(experiment)
    results.store(experiment, comparability={**whole.comparability, "bank": "another bank    "})
    before = sorted(root.rglob("*.json"))
    with pytest.raises(UserError, match="cannot stand in one table: bank is"):
        submit(added, Store(), root)
    assert sorted(root.rglob("*.json")) == before


def test_every_format_reaches_the_terminal_and_a_file(root: Path, tmp_path: Path) -> None:
    asked = [
        "leaderboard",
        "cifar10_lt",
        "--strategies",
        "static,real_rebalanced",
        "--set",
        "generator.name=blend",
    ]
    shown = CliRunner().invoke(main, asked)
    assert shown.exit_code == 0, shown.output
    assert "published, not re-run" not in shown.output
    papers = CliRunner().invoke(main, [*asked, "--papers"])
    assert "published, not re-run, and on other data" in papers.output.replace("\n", " ")
    for form in ("md", "latex", "csv", "json", "html"):
        target = tmp_path / f"board.{form}"
        done = CliRunner().invoke(main, [*asked, "--format", form, "-o", str(target)])
        assert done.exit_code == 0, done.output
        assert (
            target.read_text("utf-8") == CliRunner().invoke(main, [*asked, "--format", form]).stdout
        )
    refused = CliRunner().invoke(main, [*asked, "-o", str(tmp_path / "board.txt")])
    assert refused.exit_code == 2
    assert "takes a format that is for files" in refused.output

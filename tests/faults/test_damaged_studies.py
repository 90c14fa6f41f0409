"""Studies that are damaged, or that others wrote: told in a sentence, by whatever reads them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from discl.cli import main
from discl.cli.completion import PROGRAM, VARIABLE
from discl.files.disk import home
from tests.faults import damage

DEFINITIONS: dict[str, Any] = {
    "foreign": None,
    "of_a_list": [1, 2],
    "mine/b/smoke/static": {"benchmark": "b", "scale": "smoke", "objective": ["val/acc"]},
    "other/b/smoke/static": {"benchmark": [1], "scale": {}, "objective": 3},
}


def _sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        opened = sqlite3.connect(path)
        opened.execute(statement)
        opened.commit()
        opened.close()

    return change


def _text(path: Path) -> None:
    path.write_text("no database " * 500)


DAMAGE: dict[str, Callable[[Path], None]] = {
    **damage.KINDS,
    "nothing": lambda path: None,
    "text": _text,
    "broken attributes": _sql("UPDATE study_user_attributes SET value_json = '{'"),
    "unknown states": _sql("UPDATE trials SET state = 'FOO'"),
    "a table is gone": _sql("DROP TABLE trials"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path_factory.mktemp("studies") / "studies.db"
    for name, definition in DEFINITIONS.items():
        study = optuna.create_study(study_name=name, storage=f"sqlite:///{path}")
        study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs={"slot": "x"}))
        if definition is not None:
            study.set_user_attr("discl", definition)
    return path


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_or_foreign_studies_are_told(
    kind: str, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # `verify` counts all published results of the source tree again
    path = home() / "studies" / "studies.db"
    path.parent.mkdir(parents=True)
    shutil.copy(written, path)
    DAMAGE[kind](path)
    for words in (
        ["study", "ls"],
        ["study", "show", "mine/b"],
        ["study", "show", "foreign"],
        ["study", "plot", "other", "-o", str(tmp_path / "plot.png")],
        ["verify"],
    ):
        outcome = CliRunner().invoke(main, words)
        assert "defect" not in outcome.output, outcome.output
        assert outcome.exit_code in ((0, 1) if words == ["verify"] else (0, 2))
    ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions(["study", "show"], "")


@pytest.mark.parametrize("kind", damage.KINDS)
def test_completion_offers_runs_beside_damaged_ones(kind: str) -> None:
    record = home() / "runs" / "0123456789abcdef" / "000" / "events.jsonl"
    record.parent.mkdir(parents=True)
    record.write_text('{"name": "b/smoke/static/0"}\n' * 50)
    damage.KINDS[kind](record)
    offered = ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions(["runs", "show"], "")
    assert [item.value for item in offered] == ["0123456789abcdef"]

"""Files of stored runs with anything in them: commands show them, or name what they cannot read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from discl.cli import main
from discl.core.seals import KEY
from discl.harness.run.store import Store
from tests import results
from tests.faults.hostile import JSON_VALUES, damaged_texts, damaged_trees
from tests.properties import examples

FILES = ("result.json", "events.jsonl", "experiment.json", "failures.jsonl")
FAILURE = {"kind": "error", "why": "it broke", "details": "", "peak_bytes": 5, "date": ""}
BOARD = ("cifar10_lt", "--set", "generator.name=blend")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The attempt of one of four stored runs."""
    root = tmp_path_factory.mktemp("fuzz") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCL_HOME", str(root.parent))
        stored = results.sweep(("static", "real_only"), (0, 1))
        yield Store(root).folder(stored[0])


def _file(run: Path, name: str) -> Path:
    return (run.parent if name == "failures.jsonl" else run) / name


def _whole(run: Path, name: str) -> str:
    path = _file(run, name)
    return json.dumps(FAILURE) + "\n" if name == "failures.jsonl" else path.read_text("utf-8")


@st.composite
def _damaged(draw: st.DrawFn, whole: str) -> str:
    """A file of JSON, or of a JSON in each line, with other content; its seal left out."""
    if draw(st.integers(0, 3)) == 0:
        return draw(damaged_texts(whole))
    lines = [whole] if whole.startswith("{\n") else whole.splitlines()
    chosen = draw(st.integers(0, min(len(lines), 4) - 1))
    tree = {key: value for key, value in json.loads(lines[chosen]).items() if key != KEY}
    lines[chosen] = json.dumps(draw(damaged_trees(tree, JSON_VALUES)))
    return "\n".join(lines) + "\n"


@given(data=st.data(), name=st.sampled_from(FILES))
@examples(160)
def test_stored_runs_are_shown_or_named(run: Path, name: str, data: st.DataObject) -> None:
    id = run.parent.name
    commands = (
        ["runs", "ls"],
        ["runs", "ls", "--format", "json"],
        ["runs", "show", id],
        ["runs", "show", id, "--format", "json"],
        ["runs", "diff", id, "cifar10_lt-smoke-timm-real_only-s0"],
        ["leaderboard", *BOARD],
    )
    whole = _whole(run, name)
    path = _file(run, name)
    text = data.draw(_damaged(whole))
    command = data.draw(st.sampled_from(commands))
    path.write_text(text, "utf-8", "surrogatepass")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISCL_HOME", str(run.parents[2]))
            outcome = CliRunner().invoke(main, command)
    finally:
        path.write_text(whole, "utf-8")
    assert outcome.exit_code in (0, 2), outcome.output
    assert "Traceback" not in outcome.output


def test_the_runs_that_are_damaged_here_are_sound(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(run.parents[2]))
    for command in (["runs", "show", run.parent.name], ["leaderboard", *BOARD]):
        assert CliRunner().invoke(main, command).exit_code == 0

"""Pipes and folders where files are expected: told, and never waited for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core.errors import UserError
from discl.files.captions import read_captions
from discl.harness.run.store import Store
from tests import results

KINDS = pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])


@KINDS
def test_a_benchmark_file_that_is_none(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    make(tmp_path / "benchmarks" / "piped.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"piped.toml is no file; put a TOML file there"):
        load("piped")
    assert CliRunner().invoke(main, ["list", "benchmarks"]).exit_code == 0


@KINDS
def test_a_file_of_captions_that_is_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "captions.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_captions(str(tmp_path / "captions.json"), "prompts.file")


@KINDS
@pytest.mark.parametrize("name", ["result.json", "events.jsonl", "experiment.json"])
def test_a_file_of_a_run_that_is_none(name: str, make: Callable[[Path], None]) -> None:
    stored = results.sweep(("static",), (0,))[0]
    folder = Store().folder(stored)
    (folder / name).unlink()
    make(folder / name)
    for words in (["runs", "ls"], ["runs", "show", stored.id], ["bank", "gc", "--dry-run"]):
        assert CliRunner().invoke(main, words).exit_code in (0, 2)
    shutil.rmtree(folder)

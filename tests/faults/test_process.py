"""A process that lacks something: standard output, a working folder, file handles, a home."""

from __future__ import annotations

import errno
import importlib
import os
import py_compile
import resource
import sqlite3
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.engine.bank.catalogue import MADE, Catalogue, ImageRecord
from discl.harness.doctor import diagnosis
from discl.harness.doctor.finding import Finding


def _ends_with(words: list[str], output: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command whose standard output is a file handle."""
    with os.fdopen(output, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        with pytest.raises(SystemExit) as ended:
            main(words)
    return int(str(ended.value.code))


@pytest.mark.parametrize("words", [["list", "strategies"], ["--help"], ["runs", "ls"]])
def test_a_full_standard_output_is_told_and_the_exit_code_says_so(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _ends_with(words, os.open("/dev/full", os.O_WRONLY), monkeypatch) == 2
    said = capsys.readouterr().err
    assert "standard output cannot be written (No space left on device)" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["list", "strategies"], ["--help"], ["list", "strategies", "-h"]]
)
def test_a_reader_who_has_read_enough_is_no_failure(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert _ends_with(words, writer, monkeypatch) == 0
    assert not capsys.readouterr().err


def test_a_reader_who_has_read_enough_changes_no_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setitem(
        diagnosis.LOCAL, "disk", lambda: iter([Finding("problem", "no space", "free some")])
    )
    assert _ends_with(["doctor", "disk"], writer, monkeypatch) == 1
    assert not capsys.readouterr().err


def test_a_full_standard_error_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(SystemExit) as ended:
            main(["plan", "nothing"])
        monkeypatch.undo()
        assert ended.value.code == 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # what is left of it


def test_a_compiled_module_that_a_full_disk_cut_off_is_removed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "cut_off_module.py"
    source.write_text("ANSWER = 42\n", "utf-8")
    compiled = Path(py_compile.compile(str(source), doraise=True) or "")
    compiled.write_bytes(compiled.read_bytes()[:40])
    monkeypatch.syspath_prepend(tmp_path)

    @click.command("cut-off")
    def cut_off() -> None:
        importlib.import_module("cut_off_module")

    main.add_command(cut_off)
    try:
        first, second = (CliRunner().invoke(main, ["cut-off"]) for _ in range(2))
    finally:
        main.commands.pop("cut-off")
    assert (first.exit_code, second.exit_code) == (2, 0)
    assert f"{compiled} is damaged" in first.stderr


def test_a_removed_working_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["list", "benchmarks"], ["plan", "cifar10_lt"], ["doctor"]):
        outcome = CliRunner().invoke(main, words)
        assert outcome.exit_code == 2
        assert "the folder that this shell works in was removed" in outcome.output


def test_commands_that_read_need_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_benchmark: None
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("DISCL_HOME", str(in_the_way / "home"))  # can be read and made by nobody
    for words in (["list", "strategies"], ["bank", "ls"], ["--help"]):
        assert CliRunner().invoke(main, words).exit_code == 0
    outcome = CliRunner().invoke(main, ["study", "ls"])
    assert outcome.exit_code == 2
    assert "there are no studies" in outcome.output
    monkeypatch.setenv("DISCL_HOME", "~nobody-of-this-name/home")
    outcome = CliRunner().invoke(main, ["runs", "ls"])
    assert outcome.exit_code == 2
    assert "leads to no folder" in outcome.output


READING = (
    ["list", "strategies"],
    ["bank", "ls"],
    ["bank", "gc", "--dry-run"],
    ["runs", "ls"],
    ["runs", "show", "x"],
    ["verify"],
    ["study", "ls"],
    ["study", "show", "x"],
    ["leaderboard", "show", "cifar10_lt"],
)


@pytest.mark.parametrize("words", READING)
def test_commands_that_read_make_no_home(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_benchmark: None
) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "nothing"))
    outcome = CliRunner().invoke(main, words)
    assert outcome.exit_code in (0, 2)
    assert outcome.output
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "nothing").exists()


def test_a_bank_that_may_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalogue.sqlite"
    made = Catalogue(path)
    record = ImageRecord("a", 50, 0, "k", 1, "p", "c", 7, 15, 0.25, None, MADE, "", 0, 9, "s")
    made.add("0.shard", [record])
    made.close()
    connect = sqlite3.connect

    def refused(address: str | Path, *rest: Any, uri: bool = False, **named: Any) -> Any:
        if not uri:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY
            raise error
        return connect(address, *rest, uri=True, **named)

    monkeypatch.setattr(sqlite3, "connect", refused)
    read = Catalogue(path)
    read.check()
    assert read.fetch("SELECT source, level FROM images") == [("a", 50)]
    with pytest.raises(OSError, match="readonly"):
        read.add("1.shard", [record])
    read.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["catalogue.sqlite"]


def test_few_file_handles_are_told_with_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    outcome = CliRunner().invoke(main, ["list", "strategies"])
    assert outcome.exit_code == 2
    assert "only 20 files may be open at once (`ulimit -n`)" in outcome.output


def test_an_error_that_few_handles_caused_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> None:
        try:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "photo.png")
        except OSError as error:
            raise ValueError("photo.png is no image") from error

    monkeypatch.setattr("discl.harness.run.store.Store.check_version", lambda _: none_left())
    outcome = CliRunner().invoke(main, ["leaderboard", "cifar10_lt"])
    assert outcome.exit_code == 2
    assert "files may be open at once" in outcome.output

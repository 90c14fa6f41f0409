"""Manifests that nobody reads any more go by way of the trash."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.files.disk import data_home
from discl.harness.bank.old_manifests import UNUSED_S, old_manifests, trash_folder
from discl.parts.datasets.folder import Folder
from tests.make_mini import make


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISCL_DATA", raising=False)


def _gc(*words: str) -> str:
    outcome = CliRunner().invoke(main, ["bank", "gc", *words])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def _age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_what_nobody_reads_goes_to_the_trash_and_then_for_good(one_benchmark: None) -> None:
    old, new = (data_home() / "manifests" / name for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "manifest.parquet").write_bytes(b"rows")
    _age(old, UNUSED_S + 60)
    assert "1 that nobody has read for 30 days" in _gc()
    assert old.exists()  # it was only listed
    _gc("--yes")
    assert not old.exists()
    assert new.exists()
    (waiting,) = trash_folder().glob("*/old")
    assert (waiting / "manifest.parquet").read_bytes() == b"rows"  # and can be moved back
    _gc("--yes")
    assert not trash_folder().exists()
    assert "manifests" not in _gc()


def test_a_manifest_that_is_read_is_young_again(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make("folder", photos, images=12)
    _age(photos, 3600)  # what changes as it is listed is not stored
    assert Folder(str(photos)).classes
    (folder,) = (data_home() / "manifests").glob("*")
    _age(folder, UNUSED_S + 60)
    assert old_manifests().folders == [folder]
    assert Folder(str(photos)).classes
    assert not old_manifests().folders

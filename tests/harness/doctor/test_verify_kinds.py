"""`discl verify` covers every kind of stored thing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.core.seals import sealed_line, sealed_text
from discl.files.disk import data_home, home, write_text
from discl.files.sealed import save_archive, save_array, seal
from discl.harness.doctor import caches
from discl.harness.run.store import FAILURES, Failure, Store
from discl.harness.wandb.sent_log import NAME, SentRecord, locked_log, sent_records
from tests.faults import damage

# a file of each kind of cache, and what it is in
KINDS = {
    "banks/ab/cache/level-050.npy": "array",
    "banks/ab/cache/gap-1.json": "json",
    "features/ab/splits/val.npy": "array",
    "hard/ab/fold-0.npz": "archive",
    "paces.json": "json",
    "data/manifests/ab/manifest.parquet": "sealed",
    "data/contents/ab/digests.arrow": "sealed",
    "data/alike/ab.json": "json",
    "data/decoded/ab/pixels": "sealed",
    "data/cifar10-v1/labels.npy": "array",
}


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DISCL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)  # there is nothing published here


def _verify(*words: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(main, ["verify", *words])
    return outcome.exit_code, outcome.output


def _make(place: str, kind: str) -> Path:
    path = home() / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "array":
        save_array(path, np.arange(5_000))
    elif kind == "archive":
        save_archive(path, {"a": np.arange(5_000)}, "ab 0")
    elif kind == "json":
        write_text(path, sealed_text({"accuracy": 0.5, "key": "of something"}))
    else:
        if path.name == "pixels":
            write_text(path.parent / "done.json", sealed_text({"unreadable": {}}))
        path.write_bytes(bytes(range(256)) * 40)
        seal(path, path.name)
    return path


@pytest.mark.parametrize("place", KINDS)
def test_a_damaged_cache_of_each_kind_is_told_and_removed(place: str) -> None:
    path = _make(place, KINDS[place])
    assert _verify()[0] == 0
    damage.flip_bit(path)
    code, said = _verify("--dry-run")
    assert code == 1
    assert path.name in said.replace("\n", "")
    assert path.exists()
    assert _verify()[0] == 1
    assert not path.exists()


def test_every_kind_of_cache_is_named_once() -> None:
    for place, kind in KINDS.items():
        _make(place, kind)
    found = [path for kind in caches.kinds() for path in kind.files()]
    assert {home() / place for place in KINDS} <= set(found)
    assert len(found) == len(set(found))


def test_damaged_studies_are_told_and_stay() -> None:
    path = home() / "studies" / "studies.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE studies (name TEXT)")
        opened.executemany("INSERT INTO studies VALUES (?)", [("n" * 500,)] * 50)
    opened.close()
    assert _verify()[0] == 0
    for kind in ("cut off", "empty", "a page of zeros"):
        before = path.read_bytes()
        damage.KINDS[kind](path)
        code, said = _verify()
        assert code == 1 or kind == "empty"  # an empty file is a database without tables
        assert "Traceback" not in said
        path.write_bytes(before)
    assert data_home() == home() / "data"


def _failing(store: Store) -> Path:
    for why in ("first", "second"):
        store.note("run", Failure("error", why))
    return store.root / "run" / FAILURES


@pytest.mark.parametrize("left", [0, 1, 20, -1])
def test_a_failure_that_a_kill_cut_off_takes_no_other_with_it(left: int) -> None:
    store = Store()
    path = _failing(store)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:left])
    store.note("run", Failure("error", "third"))
    whole = ["second"] if left == -1 else []  # it lacks its end of line alone
    assert [failure.why for failure in store.failures("run")] == ["first", *whole, "third"]
    assert _verify()[0] == 0


@pytest.mark.parametrize("kind", damage.KINDS)
def test_a_damaged_failure_is_never_shown(kind: str) -> None:
    store = Store()
    path = _failing(store)
    assert [failure.why for failure in store.failures("run")] == ["first", "second"]
    damage.KINDS[kind](path)
    assert {failure.why for failure in store.failures("run")} <= {"first", "second"}


def test_a_changed_failure_is_told_and_set_aside() -> None:
    path = _failing(Store())
    path.write_text(path.read_text().replace("second", "fourth"))
    code, said = _verify()
    assert code == 1
    assert "line 2" in " ".join(said.split())
    assert path.with_name(f"{FAILURES}.damaged").exists()
    old = json.dumps({"kind": "error", "why": "of an earlier version"})
    path.write_text(f"{old}\n{sealed_line({'kind': 'error', 'why': 'of this one'})}\n")
    assert len(Store().failures("run")) == 2


@pytest.mark.parametrize("kind", damage.KINDS)
def test_of_a_damaged_log_of_what_was_sent_nothing_is_believed(kind: str, tmp_path: Path) -> None:
    with locked_log(tmp_path) as log:
        log.write("offline", SentRecord("000", 3, True))
    assert sent_records(tmp_path) == {"offline": SentRecord("000", 3, True)}
    damage.KINDS[kind](tmp_path / NAME)
    assert sent_records(tmp_path) in ({}, {"offline": SentRecord("000", 3, True)})

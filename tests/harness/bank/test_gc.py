"""Banks and leftovers that nothing refers to go; everything else stays."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Cell, ImageRecord
from discl.engine.bank.leases import Builder
from discl.files import shards
from discl.files.disk import home
from discl.files.disks.leftovers import held_file
from discl.harness.bank.gc import RemovalPlan, plan_removals, remove
from discl.harness.bank.references import PossibleReference, References
from tests.banks import CELLS, put, referred, toy_bank


def _quiet(*_: Any) -> None:
    return None


def _plan(references: References) -> RemovalPlan:
    """As for one who gives --recent: banks of tests are young."""
    return plan_removals(references, _quiet, recent=True)


def _going(plan: RemovalPlan) -> list[str]:
    return [removal.what.partition(":")[0] for removal in plan.removals]


def test_a_bank_nobody_refers_to_goes_and_the_others_stay() -> None:
    bank, other = toy_bank(), toy_bank("other")
    for each in (bank, other):
        put(each, CELLS)
        each.close()
    plan = _plan(referred(bank))
    assert _going(plan) == ["the whole bank"]
    assert plan.kept == [(bank.id, "toy/smoke")]
    assert plan.moved >= sum(path.stat().st_size for path in other.shards.iterdir())
    assert other.folder.exists()  # looking removes nothing
    digest = other.digest()
    other.close()
    removed = remove(plan)
    assert (removed.freed, removed.moved, removed.failures) == (0, plan.moved, [])
    assert not other.folder.exists()
    (removed.trash / other.id).rename(other.folder)  # moved back, it is as it was
    assert toy_bank("other").digest() == digest
    trash = remove(_plan(referred(bank))).trash
    plan = _plan(referred(bank))
    assert [removal.paths for removal in plan.removals] == [(trash,)]
    assert remove(plan).freed == plan.freed > 0
    assert [path.name for path in (home() / "banks").iterdir()] == [bank.id]
    assert list(toy_bank().verify()) == []
    assert _plan(referred(bank)).removals == []


def test_a_bank_in_doubt_is_kept_and_says_why() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    plan = _plan(References(possible=[PossibleReference("toy", "who knows")]))
    assert plan.removals == []
    assert plan.kept == [(bank.id, "perhaps: who knows")]


def test_maps_of_the_images_that_are_there_stay_at_whatever_size() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    sizes = [
        Bank(
            bank.folder.parent,
            {key: value for key, value in bank.process.items() if key != "schema"},
            size,
        )
        for size in ((2, 3), (5, 5))
    ]
    for each in (bank, *sizes):
        each.pixels(50)
    assert _plan(referred(bank)).removals == []
    bank.drop([CELLS[1]])
    assert len(_plan(referred(bank)).removals[0].paths) == 3


def test_what_killed_writers_left_in_caches_goes_and_what_the_living_write_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path))
    folder = tmp_path / "decoded" / "0123"
    folder.mkdir(parents=True)
    left, held = folder / ".done.json.0123abcd.tmp", folder / ".small.0123abcd.tmp"
    left.write_bytes(b"half")
    with held_file(held):
        assert remove(_plan(References())).failures == []
        assert not left.exists()
        assert held.exists()


def test_where_dead_builders_left_nothing_but_locks_no_trash_is_left() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    dead = bank.folder / "builders" / "0123"
    dead.parent.mkdir(exist_ok=True)
    dead.touch()
    assert remove(_plan(referred(bank))).failures == []
    assert not dead.exists()
    assert not (bank.folder.parent / "trash").exists()


def test_a_kept_bank_loses_its_leftovers_and_no_image() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    bank.pixels(50)
    old_map = next((bank.folder / "cache").iterdir())
    bank.drop([CELLS[1], CELLS[2]])
    replaced = put(bank, [Cell("c", 50, 0)], shade=9)
    bank.drop([Cell("c", 50, 0)])
    put(bank, [CELLS[1], CELLS[2]], shade=20)
    bank.pixels(50)
    unfinished, fresh = bank.shards / ".x.0123.tmp", bank.shards / ".y.0123.tmp"
    for path in (
        unfinished,
        fresh,
        bank.folder / "damaged-1-catalogue.sqlite",
        bank.folder / "notes.txt",
    ):
        path.write_bytes(b"123")
    os.utime(unfinished, (0, 0))
    dead = bank.folder / "builders" / "0123"
    dead.parent.mkdir(exist_ok=True)
    dead.touch()
    with bank.catalogue.writing() as db:
        db.execute(
            "INSERT INTO leases (source, level, variant, builder) VALUES ('c', 0, 0, '0123')"
        )
    unentered = bank.shards / shards.write(
        bank.shards, ImageRecord._fields, [], [b"of a killed builder"]
    )
    digest = bank.digest()
    plan = _plan(referred(bank))
    assert {path for removal in plan.removals for path in removal.paths} == {
        old_map,
        replaced,
        unfinished,
        bank.folder / "damaged-1-catalogue.sqlite",
        dead,
    }
    assert remove(plan).failures == []
    assert bank.catalogue.fetch("SELECT * FROM leases") == []
    assert not any(path.exists() for removal in plan.removals for path in removal.paths)
    assert all(path.exists() for path in (fresh, unentered, bank.folder / "notes.txt"))
    assert bank.digest() == digest
    assert list(bank.verify())[1:] == []  # but for the shard that nobody entered
    assert len(list((bank.folder / "cache").iterdir())) == 1
    bank.repair()
    assert bank.digest() == digest


def test_a_shard_that_is_used_again_in_between_stays() -> None:
    bank = toy_bank()
    shard = put(bank, CELLS[:1])
    bank.drop(CELLS[:1])
    plan = _plan(referred(bank))
    assert len(plan.removals) == 1
    assert put(bank, CELLS[:1]) == shard
    remove(plan)
    assert list(bank.verify()) == []


def test_a_bank_that_is_being_filled_is_left_alone() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    (bank.folder / "damaged-1-catalogue.sqlite").touch()
    before = _plan(References())
    with Builder(bank.catalogue):
        plan = _plan(References())
        assert plan.removals == []
        assert "being filled" in plan.kept[0][1]
        removed = remove(before)  # it began after the look
        assert removed.moved == 0
        assert "is being filled" in removed.failures[0]
    assert bank.folder.exists()
    assert remove(_plan(References())).failures == []
    assert not bank.folder.exists()


def test_a_bank_that_is_open_for_work_is_left_alone_and_noted_as_used() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    before = _plan(References())
    bank.hold()
    plan = _plan(References())
    assert plan.removals == []
    assert "in use" in plan.kept[0][1]
    assert "is in use; try again" in remove(before).failures[0]  # it was opened after the look
    bank.close()
    assert _going(_plan(References())) == ["the whole bank"]
    assert bank.folder.exists()


def test_a_bank_that_was_used_within_a_day_needs_a_second_word() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    plan = plan_removals(References(), _quiet)
    assert plan.removals == []
    assert "used within the last hour; --recent takes it, too" in plan.kept[0][1]
    for path in (*bank.folder.rglob("*"), bank.folder):
        os.utime(path, (0, time.time() - 23 * 3600 - 5))
    assert "used 23 hours ago" in plan_removals(References(), _quiet).kept[0][1]
    for path in (*bank.folder.rglob("*"), bank.folder):
        os.utime(path, (0, time.time() - 24 * 3600 - 5))
    assert _going(plan_removals(References(), _quiet)) == ["the whole bank"]
    bank.hold()
    bank.close()
    assert plan_removals(References(), _quiet).removals == []


def test_a_bank_moved_away_before_it_is_held_is_made_again() -> None:
    bank = toy_bank()
    assert remove(_plan(References())).failures == []
    assert not bank.folder.exists()
    bank.hold()
    put(bank, CELLS)
    assert list(bank.verify()) == []
    assert _plan(References()).kept[0] == (bank.id, "it is in use, so nothing in it is removed")
    bank.close()


@pytest.mark.parametrize("how", ["torn", "gone"])
def test_without_its_catalogue_a_kept_bank_is_not_looked_into_and_another_one_goes(
    how: str,
) -> None:
    bank = toy_bank()
    put(bank, CELLS)
    bank.close()
    (bank.folder / "damaged-1-catalogue.sqlite").touch()
    path = bank.folder / "catalogue.sqlite"
    path.write_bytes(b"not a database" * 100) if how == "torn" else path.unlink()
    assert _plan(referred(bank)).removals == []
    assert remove(_plan(References())).failures == []
    assert not bank.folder.exists()


def test_what_is_no_bank_is_not_touched() -> None:
    stranger = home() / "banks" / "my notes"
    stranger.mkdir(parents=True)
    assert _plan(References()).removals == []

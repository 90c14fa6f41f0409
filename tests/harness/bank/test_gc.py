"""Banks and leftovers that nothing refers to go; everything else stays."""

import os
from pathlib import Path
from typing import Any

import pytest

from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Cell, ImageRecord
from discl.engine.bank.leases import Builder
from discl.files import shards
from discl.files.disk import home
from discl.harness.bank import gc
from discl.harness.bank.gc import RemovalPlan, plan_removals, remove
from discl.harness.bank.inventory import bank_summaries
from discl.harness.bank.references import PossibleReference, References
from tests.banks import CELLS, put, referred, toy_bank


def _quiet(*_: Any) -> None:
    return None


def _going(plan: RemovalPlan) -> list[str]:
    return [removal.what.partition(":")[0] for removal in plan.removals]


def test_a_bank_nobody_refers_to_goes_and_the_others_stay() -> None:
    bank, other = toy_bank(), toy_bank("other")
    for each in (bank, other):
        put(each, CELLS)
        each.close()
    plan = plan_removals(referred(bank), _quiet)
    assert _going(plan) == ["the whole bank"]
    assert plan.kept == [(bank.id, "toy/smoke")]
    assert plan.bytes >= sum(path.stat().st_size for path in other.shards.iterdir())
    assert other.folder.exists()  # looking removes nothing
    freed, stayed = remove(plan)
    assert (freed, stayed) == (plan.bytes, [])
    assert [path.name for path in (home() / "banks").iterdir()] == [bank.id]
    assert list(toy_bank().verify()) == []
    assert plan_removals(referred(bank), _quiet).removals == []


def test_a_bank_in_doubt_is_kept_and_says_why() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    plan = plan_removals(References(possible=[PossibleReference("toy", "who knows")]), _quiet)
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
    assert plan_removals(referred(bank), _quiet).removals == []
    bank.drop([CELLS[1]])
    assert len(plan_removals(referred(bank), _quiet).removals[0].paths) == 3


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
    unentered = bank.shards / shards.write(
        bank.shards, ImageRecord._fields, [], [b"of a killed builder"]
    )
    digest = bank.digest()
    plan = plan_removals(referred(bank), _quiet)
    assert {path for removal in plan.removals for path in removal.paths} == {
        old_map,
        replaced,
        unfinished,
        bank.folder / "damaged-1-catalogue.sqlite",
    }
    assert remove(plan)[1] == []
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
    plan = plan_removals(referred(bank), _quiet)
    assert len(plan.removals) == 1
    assert put(bank, CELLS[:1]) == shard
    remove(plan)
    assert list(bank.verify()) == []


def test_a_bank_that_is_being_filled_is_left_alone() -> None:
    bank = toy_bank()
    put(bank, CELLS)
    (bank.folder / "damaged-1-catalogue.sqlite").touch()
    before = plan_removals(References(), _quiet)
    with Builder(bank.catalogue):
        plan = plan_removals(References(), _quiet)
        assert plan.removals == []
        assert "being filled" in plan.kept[0][1]
        freed, stayed = remove(before)  # it began after the look
        assert freed == 0
        assert "is being filled" in stayed[0]
    assert bank.folder.exists()
    assert remove(plan_removals(References(), _quiet))[1] == []
    assert not bank.folder.exists()


def test_a_removal_that_is_killed_leaves_trash_and_the_next_one_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = toy_bank()
    put(bank, CELLS)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(gc.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(plan_removals(References(), _quiet))
    assert not bank.folder.exists()
    (trash,) = (home() / "banks").iterdir()
    assert trash.name.startswith(f".trash-{bank.id}-")
    assert list(bank_summaries(References())) == []
    plan = plan_removals(References(), _quiet)
    assert _going(plan) == ["left by a removal that was stopped"]
    assert remove(plan) == (plan.bytes, [])
    assert list((home() / "banks").iterdir()) == []


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
    assert plan_removals(referred(bank), _quiet).removals == []
    assert remove(plan_removals(References(), _quiet))[1] == []
    assert not bank.folder.exists()


def test_what_is_no_bank_is_not_touched() -> None:
    stranger = home() / "banks" / "my notes"
    stranger.mkdir(parents=True)
    assert plan_removals(References(), _quiet).removals == []

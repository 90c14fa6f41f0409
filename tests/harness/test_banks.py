"""Banks on disk: listed, referred to, cleaned."""

import hashlib
import json
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.config.load import load, scales
from discl.core import search_path
from discl.core.registry import find
from discl.engine.bank.bank import SCHEMA, Bank
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.engine.bank.generate import key_of
from discl.engine.bank.leases import Builder
from discl.files import shards
from discl.files.disk import home
from discl.files.fetch import offline
from discl.files.photos import encode
from discl.harness.bank import gc
from discl.harness.bank.gc import Cleaning, clean, look
from discl.harness.bank.inventory import References, Unsure, references, summaries
from discl.harness.run.assembly import Bench
from discl.parts.datasets.base.photo_files import Listed


def _quiet(*_: Any) -> None:
    return None


def _bank(dataset: str = "toy") -> Bank:
    return Bank(
        home() / "banks",
        {
            "dataset": {"name": dataset},
            "generator": {"name": "blend"},
            "prompts": {"name": "template"},
        },
    )


def _put(bank: Bank, cells: Sequence[Cell], shade: int = 0) -> Path:
    """Images into one shard of a bank; at level 99 they fail."""
    blobs = [
        b"" if cell.level == 99 else encode(np.full((4, 4, 3), shade + i, np.uint8))
        for i, cell in enumerate(cells)
    ]
    ends = np.cumsum([0, *map(len, blobs)]).tolist()
    rows = [
        ImageRecord(
            *cell,
            key_of(bank.id, cell),
            0,
            "a cat",
            "a cat",
            1,
            6,
            None,
            None,
            MADE if data else FAILED,
            "",
            end,
            len(data),
            _sha256(data),
        )
        for cell, data, end in zip(cells, blobs, ends, strict=False)
    ]
    name = shards.write(bank.shards, ImageRecord._fields, rows, blobs)
    bank.catalogue.add(name, rows)
    return bank.shards / name


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


CELLS = [Cell("a", 0, 0), Cell("a", 50, 0), Cell("b", 50, 0), Cell("b", 99, 0)]


def _kept(bank: Bank) -> References:
    return References(benchmarks={bank.id: ["toy/smoke"]})


def _run(id: str, bank: str | None, text: str = "") -> None:
    folder = home() / "runs" / id / "000"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(text or json.dumps({"comparability": {"bank": bank}}))


def _going(plan: Cleaning) -> list[str]:
    return [removal.what.partition(":")[0] for removal in plan.removals]


# ---------------------------------------------------------------- listed


def test_a_bank_is_summed_up(tmp_path: Path) -> None:
    bank, empty = _bank(), _bank("other")
    _put(bank, CELLS)
    bank.pixels(50)
    known = References(benchmarks={bank.id: ["toy/smoke"]})
    known.runs.update([bank.id, bank.id])
    one, other = sorted(summaries(known), key=lambda summary: -sum(summary.images.values()))
    assert (one.id, one.dataset, one.generator, one.prompts) == (
        bank.id,
        "toy",
        "blend",
        "template",
    )
    assert (one.images, one.failed, one.benchmarks, one.runs, one.problem) == (
        {0: 1, 50: 2},
        1,
        ["toy/smoke"],
        2,
        "",
    )
    assert one.bytes.shards == sum(path.stat().st_size for path in bank.shards.iterdir())
    assert one.bytes.cache == sum(path.stat().st_size for path in (bank.folder / "cache").iterdir())
    assert abs(one.written - time.time()) < 60
    assert other.id == empty.id
    assert "no catalogue" in other.problem
    assert not (empty.folder / "catalogue.sqlite").exists()


def test_a_bank_that_cannot_be_read_is_listed_all_the_same() -> None:
    torn, old = _bank("torn"), home() / "banks" / ("0" * 16)
    (torn.folder / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    old.mkdir()
    (old / "bank.json").write_text(json.dumps({"schema": SCHEMA - 1, "dataset": "toy"}))
    (old / "catalogue.sqlite").touch()
    problems = {summary.id: summary.problem for summary in summaries(References())}
    assert "is damaged" in problems[torn.id]
    assert f"schema {SCHEMA - 1}" in problems[old.name]
    assert sorted(path.name for path in old.iterdir()) == ["bank.json", "catalogue.sqlite"]


# ---------------------------------------------------------------- referred to


def test_every_scale_of_every_benchmark_refers_to_its_bank_and_no_folder_is_made() -> None:
    known = references()
    # not known where the photos are files that are not here, where the weights are not, or before
    # hard photos were looked for
    assert all(
        issubclass(find("datasets", unsure.dataset or ""), Listed)
        or "generator.checkpoint" in unsure.why
        or "hard is not known yet" in unsure.why
        for unsure in known.unsure
    )
    assert {f"cifar10_lt/{scale}" for scale in scales("cifar10_lt")} <= {
        name for names in known.benchmarks.values() for name in names
    }
    assert not (home() / "banks").exists()
    assert Bench(load("cifar10_lt")).bank.id in known.benchmarks


def test_a_complete_run_refers_to_its_bank() -> None:
    _run("0" * 16, "b" * 16)
    _run("1" * 16, None)
    (home() / "runs" / ("2" * 16) / "000").mkdir(parents=True)  # not complete
    known = references()
    assert known.runs == {"b" * 16: 1}
    assert known.keep("b" * 16, "toy") == "1 run"
    assert known.keep("c" * 16, "toy") == ""


def test_a_run_that_cannot_be_read_may_refer_to_any_bank() -> None:
    _run("0" * 16, None, "torn")
    assert "result.json cannot be read" in references().keep("c" * 16, "toy")


def test_photos_that_are_not_here_leave_only_the_banks_of_their_dataset_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "nothing"))
    known = references()
    assert known.benchmarks == {}
    assert "needs the photos of cifar10_lt, which are not on this machine" in known.keep(
        "c" * 16, "cifar10_lt"
    )
    assert known.keep("c" * 16, "toy") == ""
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        "[scale.smoke]\nunknown = 3\n",
        "[scale.huge]\n[scale.smoke]\n",
        "[scale.smoke.dataset]\nname = 'elsewhere'\n",
    ],
)
def test_a_benchmark_that_does_not_load_may_refer_to_any_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mine.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert references().keep("c" * 16, "toy").startswith("perhaps: ")


def test_a_benchmark_of_another_generator_leaves_no_doubt() -> None:
    mine, other = (
        {"name": "img2img", "version": 2, "parameters": {}},
        {"name": "img2img", "version": 2, "parameters": {"checkpoint": "a/b"}},
    )
    known = References(unsure=[Unsure("toy", "its weights are not here", other)])
    assert known.keep("c" * 16, "toy", {**mine, "weights": "0" * 16}) == ""
    assert (
        known.keep("c" * 16, "toy", {**other, "weights": "0" * 16})
        == known.keep("c" * 16, "toy")
        == "perhaps: its weights are not here"
    )


def test_a_checkpoint_of_the_hub_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: pytest.fail("somebody asks for the network")
    )
    with offline():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    (tmp_path / "benchmarks").mkdir()
    for path in search_path.shipped("benchmarks").glob("*.toml"):
        (tmp_path / "benchmarks" / path.name).write_text(
            path.read_text().replace('name = "img2img"', 'name = "img2img"\ncheckpoint = "a/b"')
        )
    monkeypatch.chdir(tmp_path)
    known = references()
    assert "does not say which bank it needs" in known.keep("c" * 16, "cifar10_lt")
    assert known.keep("c" * 16, "toy") == ""


# ---------------------------------------------------------------- cleaned


def test_a_bank_nobody_refers_to_goes_and_the_others_stay() -> None:
    bank, other = _bank(), _bank("other")
    for each in (bank, other):
        _put(each, CELLS)
        each.close()
    plan = look(_kept(bank), _quiet)
    assert _going(plan) == ["the whole bank"]
    assert plan.kept == [(bank.id, "toy/smoke")]
    assert plan.bytes >= sum(path.stat().st_size for path in other.shards.iterdir())
    assert other.folder.exists()  # looking removes nothing
    freed, stayed = clean(plan)
    assert (freed, stayed) == (plan.bytes, [])
    assert [path.name for path in (home() / "banks").iterdir()] == [bank.id]
    assert list(_bank().verify()) == []
    assert look(_kept(bank), _quiet).removals == []


def test_a_bank_in_doubt_is_kept_and_says_why() -> None:
    bank = _bank()
    _put(bank, CELLS)
    plan = look(References(unsure=[Unsure("toy", "who knows")]), _quiet)
    assert plan.removals == []
    assert plan.kept == [(bank.id, "perhaps: who knows")]


def test_maps_of_the_images_that_are_there_stay_at_whatever_size() -> None:
    bank = _bank()
    _put(bank, CELLS)
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
    assert look(_kept(bank), _quiet).removals == []
    bank.drop([CELLS[1]])
    assert len(look(_kept(bank), _quiet).removals[0].paths) == 3


def test_a_kept_bank_loses_its_leftovers_and_no_image() -> None:
    bank = _bank()
    _put(bank, CELLS)
    bank.pixels(50)
    old_map = next((bank.folder / "cache").iterdir())
    bank.drop([CELLS[1], CELLS[2]])
    replaced = _put(bank, [Cell("c", 50, 0)], shade=9)
    bank.drop([Cell("c", 50, 0)])
    _put(bank, [CELLS[1], CELLS[2]], shade=20)
    bank.pixels(50)
    half, fresh = bank.shards / ".x.0123.half", bank.shards / ".y.0123.half"
    for path in (
        half,
        fresh,
        bank.folder / "damaged-1-catalogue.sqlite",
        bank.folder / "notes.txt",
    ):
        path.write_bytes(b"123")
    os.utime(half, (0, 0))
    unentered = bank.shards / shards.write(
        bank.shards, ImageRecord._fields, [], [b"of a killed builder"]
    )
    digest = bank.digest()
    plan = look(_kept(bank), _quiet)
    assert {path for removal in plan.removals for path in removal.paths} == {
        old_map,
        replaced,
        half,
        bank.folder / "damaged-1-catalogue.sqlite",
    }
    assert clean(plan)[1] == []
    assert not any(path.exists() for removal in plan.removals for path in removal.paths)
    assert all(path.exists() for path in (fresh, unentered, bank.folder / "notes.txt"))
    assert bank.digest() == digest
    assert list(bank.verify())[1:] == []  # but for the shard that nobody entered
    assert len(list((bank.folder / "cache").iterdir())) == 1
    bank.repair()
    assert bank.digest() == digest


def test_a_shard_that_is_used_again_in_between_stays() -> None:
    bank = _bank()
    shard = _put(bank, CELLS[:1])
    bank.drop(CELLS[:1])
    plan = look(_kept(bank), _quiet)
    assert len(plan.removals) == 1
    assert _put(bank, CELLS[:1]) == shard
    clean(plan)
    assert list(bank.verify()) == []


def test_a_bank_that_is_being_filled_is_left_alone() -> None:
    bank = _bank()
    _put(bank, CELLS)
    (bank.folder / "damaged-1-catalogue.sqlite").touch()
    before = look(References(), _quiet)
    with Builder(bank.catalogue):
        plan = look(References(), _quiet)
        assert plan.removals == []
        assert "being filled" in plan.kept[0][1]
        freed, stayed = clean(before)  # it began after the look
        assert freed == 0
        assert "is being filled" in stayed[0]
    assert bank.folder.exists()
    assert clean(look(References(), _quiet))[1] == []
    assert not bank.folder.exists()


def test_a_removal_that_is_killed_leaves_trash_and_the_next_one_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = _bank()
    _put(bank, CELLS)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(gc.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            clean(look(References(), _quiet))
    assert not bank.folder.exists()
    (trash,) = (home() / "banks").iterdir()
    assert trash.name.startswith(f".trash-{bank.id}-")
    assert list(summaries(References())) == []
    plan = look(References(), _quiet)
    assert _going(plan) == ["left by a removal that was stopped"]
    assert clean(plan) == (plan.bytes, [])
    assert list((home() / "banks").iterdir()) == []


@pytest.mark.parametrize("how", ["torn", "gone"])
def test_without_its_catalogue_a_kept_bank_is_not_looked_into_and_another_one_goes(
    how: str,
) -> None:
    bank = _bank()
    _put(bank, CELLS)
    bank.close()
    (bank.folder / "damaged-1-catalogue.sqlite").touch()
    path = bank.folder / "catalogue.sqlite"
    path.write_bytes(b"not a database" * 100) if how == "torn" else path.unlink()
    assert look(_kept(bank), _quiet).removals == []
    assert clean(look(References(), _quiet))[1] == []
    assert not bank.folder.exists()


def test_what_is_no_bank_is_not_touched() -> None:
    stranger = home() / "banks" / "my notes"
    stranger.mkdir(parents=True)
    assert look(References(), _quiet).removals == []

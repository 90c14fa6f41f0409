"""The summaries of the banks on this machine."""

import json
import time
from pathlib import Path

from discl.engine.bank.bank import SCHEMA
from discl.files.disk import home
from discl.harness.bank.inventory import bank_summaries
from discl.harness.bank.references import References
from tests.banks import CELLS, put, toy_bank


def test_a_bank_is_summed_up(tmp_path: Path) -> None:
    bank, empty = toy_bank(), toy_bank("other")
    put(bank, CELLS)
    bank.pixels(50)
    known = References(benchmarks={bank.id: ["toy/smoke"]})
    known.runs.update([bank.id, bank.id])
    one, other = sorted(bank_summaries(known), key=lambda summary: -sum(summary.images.values()))
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
    torn, old = toy_bank("torn"), home() / "banks" / ("0" * 16)
    (torn.folder / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    old.mkdir()
    (old / "bank.json").write_text(json.dumps({"schema": SCHEMA - 1, "dataset": "toy"}))
    (old / "catalogue.sqlite").touch()
    problems = {summary.id: summary.problem for summary in bank_summaries(References())}
    assert "is damaged" in problems[torn.id]
    assert f"schema {SCHEMA - 1}" in problems[old.name]
    assert sorted(path.name for path in old.iterdir()) == ["bank.json", "catalogue.sqlite"]

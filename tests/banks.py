"""Small banks on disk, made without a generator, and the plainest executor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.engine.bank.generate import key_of
from discl.files import shards
from discl.files.disk import home
from discl.files.photos import encode
from discl.harness.bank.references import References


class InlineExecutor:
    """Runs every item in the process of the caller."""

    version = 1

    def run(self, prepare: Any, items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        work = prepare()
        return ((item, work(item)) for item in items)


def toy_bank(dataset: str = "toy") -> Bank:
    return Bank(
        home() / "banks",
        {
            "dataset": {"name": dataset},
            "generator": {"name": "blend"},
            "prompts": {"name": "template"},
        },
    )


def put(bank: Bank, cells: Sequence[Cell], shade: int = 0) -> Path:
    """Write images into one shard of a bank; at level 99 they fail."""
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


def referred(bank: Bank) -> References:
    return References(benchmarks={bank.id: ["toy/smoke"]})

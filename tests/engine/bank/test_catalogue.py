"""The catalogue under Ctrl-C at any instruction, and the sentences of a disk that refuses."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.engine.bank.catalogue import Catalogue, DamagedCatalogueError

_INTERRUPTED = {"writing", "__enter__", "__exit__", "_write"}  # the functions on the way


@contextmanager
def _ctrl_c_at(instruction: int) -> Iterator[list[str]]:
    """Raise KeyboardInterrupt at one instruction of the functions above; tells which it was."""
    left, told = instruction, list[str]()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_name not in _INTERRUPTED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                told.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        yield told
    finally:
        sys.settrace(None)


def _write(catalogue: Catalogue, name: str) -> None:
    with catalogue.writing() as db:
        db.execute("INSERT INTO shards VALUES (?)", (name,))


def test_ctrl_c_at_any_instruction_of_a_transaction_leaves_no_transaction(tmp_path: Path) -> None:
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as catalogue:
        places = set()
        for instruction in range(1, 10_000):
            name = str(instruction)
            try:
                with _ctrl_c_at(instruction) as told:
                    _write(catalogue, name)
            except KeyboardInterrupt:
                # while it is handled: what was interrupted still lives in the traceback
                _write(catalogue, f"after {name}")
            written = {shard for (shard,) in catalogue.fetch("SELECT name FROM shards")}
            if not told:
                break
            places.update(told)
            assert f"after {name}" in written, told
        assert len({place for place in places if place.startswith("writing")}) > 4
        assert name in written


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_FULL, OSError),
        (sqlite3.SQLITE_READONLY, OSError),
        (sqlite3.SQLITE_IOERR | 10 << 8, OSError),  # a finer code: reading failed
        (sqlite3.SQLITE_BUSY, UserError),
        (sqlite3.SQLITE_CORRUPT, DamagedCatalogueError),
        (sqlite3.SQLITE_NOTADB, DamagedCatalogueError),
        (sqlite3.SQLITE_ERROR, DamagedCatalogueError),
        (None, sqlite3.OperationalError),  # none of SQLite's own
    ],
)
def test_an_error_of_sqlite_is_told_by_its_code(
    tmp_path: Path, code: int | None, error: type[Exception]
) -> None:
    told = sqlite3.OperationalError("the words do not matter")
    if code is not None:
        told.sqlite_errorcode = code
    with ExitStack() as stack:
        catalogue = stack.enter_context(closing(Catalogue(tmp_path / "catalogue.sqlite")))
        stack.enter_context(pytest.raises(error))
        with catalogue.writing():
            raise told

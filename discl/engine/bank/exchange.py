"""Takes a bank to other people and back, every column with it.

Beside the images lie `bank.json` (the process: whoever imports must have the same) and
`failed.jsonl` (cells that could not be made). The stored bytes travel as they are, so a round trip
gives the same digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import FAILED, MADE, ImageRecord
from discl.engine.bank.generate import key_of
from discl.engine.bank.leases import Builder
from discl.files import shards, tables
from discl.files.disk import atomic_folder, clear_disk_errors

PILE = 256
PILE_BYTES = 16 << 20  # images held in memory at a time: a row group, a record batch, a shard
_TYPES = {str: "string", int: "int64", float | None: "float64"}
_COLUMNS = {name: _TYPES[kind] for name, kind in get_type_hints(ImageRecord).items()}
_MAY_LACK = {"text_score", "photo_score"}  # a bank without a scorer has none

Pile = list[tuple[ImageRecord, bytes]]


class SetAside(NamedTuple):
    """A row that was not taken."""

    name: str
    why: str


class Imported(NamedTuple):
    """What an import found; cells that could not be made count like images."""

    new: int
    there: int  # left as they are
    differing: int  # of those: have other bytes than the ones offered
    set_aside: list[SetAside]


def _piles(images: Iterable[tuple[ImageRecord, bytes]]) -> Iterator[Pile]:
    """Images in bounded number and size, whichever is reached first."""
    pile: Pile = []
    size = 0
    for row, data in images:
        if pile and (len(pile) == PILE or size + len(data) > PILE_BYTES):
            yield pile
            pile = []
            size = 0
        pile.append((row, data))
        size += len(data)
    if pile:
        yield pile


# ---------------------------------------------------------------- out


def export_bank(
    bank: Bank, classes: Sequence[str], folder: Path, form: str, progress: Progress
) -> int:
    """Write all images made into a new `folder`, whole or not at all; returns how many.

    Holds one pile in memory.
    """
    total = sum(bank.count().values())
    if not total:
        raise UserError(
            f"bank {bank.id} holds no image yet; make some with `discl bank build` first"
        )
    columns = {"bank": "string", "class_name": "string", **_COLUMNS}
    done = 0

    def batches() -> Iterator[list[tables.Record]]:
        nonlocal done
        for pile in _piles(_stored(bank)):
            progress("exporting images", done, max(total, done + 1))
            yield [
                {
                    tables.PICTURE: {"bytes": data, "path": f"{row.key}.webp"},
                    **_described(bank.id, classes, row),
                }
                for row, data in pile
            ]
            done += len(pile)

    with atomic_folder(folder) as tmp:
        tables.write(tmp, form, columns, batches())
        with (tmp / "failed.jsonl").open("w", encoding="utf-8") as opened:
            opened.writelines(
                json.dumps(_described(bank.id, classes, row)) + "\n"
                for row in bank.records(status=FAILED)
            )
        (tmp / "bank.json").write_text(
            json.dumps(bank.process, indent=1, sort_keys=True) + "\n", "utf-8"
        )
    progress("exporting images", done, done)
    return done


def _stored(bank: Bank) -> Iterator[tuple[ImageRecord, bytes]]:
    for level in bank.count():  # a query a level: SQLite would sort all levels at once
        for row, data in bank.encoded(level):
            if hashlib.sha256(data).hexdigest() != row.sha256:
                raise UserError(
                    f"{_name(row)} of bank {bank.id} is damaged; run `discl bank verify`, then"
                    " `discl bank build`"
                )
            yield row, data


def _described(bank: str, classes: Sequence[str], row: ImageRecord) -> dict[str, Any]:
    return {"bank": bank, "class_name": classes[row.label], **row._asdict()}


def _name(row: ImageRecord) -> str:
    return f"{row.source} level {row.level} variant {row.variant}"


# ---------------------------------------------------------------- in


def import_bank(bank: Bank, folder: Path, progress: Progress) -> Imported:
    """Enter what an export of the same process holds, each image checked; what the bank has stays
    as it is.
    """
    _check_process(bank, folder)
    total = tables.count(folder)
    new = 0
    there = 0
    differing = 0
    aside: list[SetAside] = []
    bank.repair()
    progress("importing images", 0, total)
    with clear_disk_errors("writing images", bank.folder), Builder(bank.catalogue):
        for pile in _piles(_sound(bank.id, chain(_offered(folder), _failed(folder, aside)), aside)):
            known = [_known(bank, row) for row, _ in pile]
            fresh = [image for image, sha256 in zip(pile, known, strict=True) if sha256 is None]
            if fresh:
                _publish(bank, fresh)
            new, there = new + len(fresh), there + len(pile) - len(fresh)
            differing += sum(
                sha256 not in (None, row.sha256)
                for (row, _), sha256 in zip(pile, known, strict=True)
            )
            progress("importing images", min(new + there, total - 1), total)
    progress("importing images", total, total)
    return Imported(new, there, differing, aside)


def _check_process(bank: Bank, folder: Path) -> None:
    path = folder / "bank.json"
    try:
        theirs = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{folder} holds no bank.json; give a folder that `discl bank export` wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); get the folder again") from error
    if found := list(_differences(theirs, bank.process)):
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(
            f"{folder} is another bank: {'; '.join(found[:3])}{more}. Give the --scale and --set it"
            " was made with"
        )


def _differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours}):
            yield from _differences(theirs.get(key), ours.get(key), f"{path}.{key}".lstrip("."))
    elif theirs != ours:
        yield f"{path or 'the process'} is {_brief(theirs)} there and {_brief(ours)} here"


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _offered(folder: Path) -> Iterator[tuple[dict[str, Any], bytes, str]]:
    """(columns, bytes, the status it must have) of every image."""
    for batch in tables.read(folder, _COLUMNS):
        for record in batch:
            picture = record.pop(tables.PICTURE) or {}
            yield record, picture.get("bytes") or b"", MADE


def _failed(folder: Path, aside: list[SetAside]) -> Iterator[tuple[dict[str, Any], bytes, str]]:
    """The same of every cell that could not be made."""
    path = folder / "failed.jsonl"
    if not path.exists():
        aside.append(
            SetAside(path.name, "it is missing: cells that could not be made are not known")
        )
        return
    with path.open(encoding="utf-8", errors="replace") as opened:
        for number, line in enumerate(opened, 1):
            try:
                record = json.loads(line)
                yield {name: record[name] for name in _COLUMNS}, b"", FAILED
            except (ValueError, KeyError, TypeError):
                aside.append(SetAside(f"{path.name} line {number}", "it is torn"))


def _sound(
    bank: str, offered: Iterable[tuple[dict[str, Any], bytes, str]], aside: list[SetAside]
) -> Iterator[tuple[ImageRecord, bytes]]:
    for record, data, status in offered:
        row = ImageRecord(**record)
        if why := _fault(bank, row, data, status):
            aside.append(SetAside(_name(row), why))
        else:
            yield row, data


def _fault(bank: str, row: ImageRecord, data: bytes, status: str) -> str:
    """Why an image is not taken; "" where nothing is wrong."""
    for name, value in row._asdict().items():
        fits = isinstance(value, _PYTHON[_COLUMNS[name]]) and not (
            isinstance(value, int) and value.bit_length() > 63
        )
        if not fits and not (value is None and name in _MAY_LACK):
            return f"its {name} is {value!r}"
    if row.key != key_of(bank, row.cell):
        return "its key is not that of this image in this bank"
    if row.sha256 != hashlib.sha256(data).hexdigest():
        return "its bytes are not those its sha256 names"
    if row.status != status or (status == MADE) == (not data):
        return f"its status is {row.status!r} and it has {len(data)} bytes"
    return ""


_PYTHON: dict[str, type | tuple[type, ...]] = {"string": str, "int64": int, "float64": (int, float)}


def _known(bank: Bank, row: ImageRecord) -> str | None:
    """The hash of the bytes the bank has for a cell."""
    found = bank.catalogue.fetch(
        "SELECT sha256 FROM images WHERE source = ? AND level = ? AND variant = ?", row.cell
    )
    return str(found[0][0]) if found else None


def _publish(bank: Bank, pile: Pile) -> None:
    """One shard, then its rows: a kill in between leaves a shard that the next build enters."""
    rows = []
    end = 0
    for row, data in pile:
        rows.append(row._replace(offset=end, length=len(data)))
        end += len(data)
    bank.catalogue.add(
        shards.write(bank.shards, ImageRecord._fields, rows, [data for _, data in pile]), rows
    )

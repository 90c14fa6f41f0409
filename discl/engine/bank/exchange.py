"""Exports a bank to a folder that others can read, and imports it, every column with it.

Beside the images lie `bank.json` (the process: that of the importing bank must be the same) and
`failed.jsonl` (cells that could not be made). The stored bytes are copied as they are, so a round
trip gives the same digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.engine.bank.leases import Builder
from discl.engine.bank.rules import ImageRules
from discl.files import shards
from discl.files.disk import atomic_folder, clear_disk_errors, flush, scratch_folder
from discl.files.formats import tables

BATCH_IMAGES = 256
BATCH_BYTES = 16 << 20  # of images in memory at a time: a row group, a record batch, a shard
_TYPES = {str: "string", int: "int64", float | None: "float64"}
_COLUMNS = {name: _TYPES[kind] for name, kind in get_type_hints(ImageRecord).items()}

Image = tuple[ImageRecord, bytes]
Offer = tuple[dict[str, Any], bytes, str]  # columns, bytes, and the status the image must have


class Rejected(NamedTuple):
    """A row at fault, for which nothing was taken."""

    name: str
    why: str


class ImportReport(NamedTuple):
    """Result of an import; cells that could not be made count like images."""

    new: int  # 0 where one is rejected
    existing: int  # left as they are
    differing: int  # of those: have other bytes than the ones offered
    rejected: list[Rejected]


def _batches(images: Iterable[Image]) -> Iterator[list[Image]]:
    """Images in bounded number and size, whichever is reached first."""
    batch: list[Image] = []
    size = 0
    for record, data in images:
        if batch and (len(batch) == BATCH_IMAGES or size + len(data) > BATCH_BYTES):
            yield batch
            batch = []
            size = 0
        batch.append((record, data))
        size += len(data)
    if batch:
        yield batch


# ---------------------------------------------------------------- export


def export_bank(
    bank: Bank,
    classes: Sequence[str],
    folder: Path,
    form: str,
    progress: Progress,
    target_of: Callable[[ImageRecord], int] | None = None,
) -> int:
    """Write all images made into a new `folder`, whole or not at all; returns how many.

    `class_name` is the class of the photo; where images were edited towards others, `target_of`
    tells which, and `target_name` is a column, too. Holds one batch in memory. Raises UserError
    where the bank holds no image, or one is damaged.
    """
    total = sum(bank.count().values())
    if not total and bank.failures():
        raise bank.no_image()
    if not total:
        raise UserError(
            f"bank {bank.id} holds no image yet; make some with `discl bank build` first"
        )
    columns = {"bank": "string", "class_name": "string", **_COLUMNS}
    if target_of:
        columns["target_name"] = "string"
    done = 0

    def described(record: ImageRecord) -> dict[str, Any]:
        target = {"target_name": classes[target_of(record)]} if target_of else {}
        return {"bank": bank.id, "class_name": classes[record.label], **record._asdict(), **target}

    def batches() -> Iterator[list[tables.Record]]:
        nonlocal done
        for batch in _batches(_undamaged(bank)):
            progress("exporting images", done, max(total, done + 1))
            yield [_exported(record, data, described(record)) for record, data in batch]
            done += len(batch)

    with atomic_folder(folder) as tmp:
        tables.write(tmp, form, columns, batches())
        with open_file(tmp / "failed.jsonl", "w") as opened:
            for record in bank.records(status=FAILED):
                opened.write(json.dumps(described(record)) + "\n")
        process = json.dumps(bank.process, indent=1, sort_keys=True) + "\n"
        (tmp / "bank.json").write_text(process, "utf-8")
    progress("exporting images", done, done)
    return done


def _undamaged(bank: Bank) -> Iterator[Image]:
    """All images; raises UserError at the first damaged one."""
    for level in bank.count():  # a query a level: SQLite would sort all levels at once
        yield from bank.encoded(level)


def _exported(record: ImageRecord, data: bytes, described: dict[str, Any]) -> tables.Record:
    picture = {"bytes": data, "path": f"{record.key}.webp"}
    return {tables.PICTURE: picture, **described}


def _name(of: ImageRecord | Cell) -> str:
    return f"{of.source} level {of.level} variant {of.variant}"


# ---------------------------------------------------------------- import


def import_bank(
    bank: Bank, folder: Path, progress: Progress, rules: ImageRules | None = None
) -> ImportReport:
    """Enter all that an export of the same process holds, or nothing where a row is at fault.

    Every row is checked by `rules`, and images are decoded; then all are entered. What the bank has
    stays as it is. Raises UserError where the export is of another process, or cannot be read.
    """
    _check_process(bank, folder)
    total = tables.count(folder)
    rejected: list[Rejected] = []
    bank.repair()
    rules = rules or ImageRules(bank.id)
    rules.size = bank.image_size()
    progress("importing images", 0, total)
    offers = chain(_images_of(folder), _failures_of(folder, rejected))
    with (
        clear_disk_errors("writing images", bank.folder),
        Builder(bank.catalogue),
        scratch_folder(bank.folder / "import") as aside,
    ):
        new = 0
        existing = 0
        differing = 0
        names = []
        for batch in _batches(_accepted(rules, offers, rejected)):
            known = [_stored_sha256(bank, record) for record, _ in batch]
            fresh = [image for image, sha256 in zip(batch, known, strict=True) if sha256 is None]
            if fresh and not rejected:
                names.append(_written(aside, fresh))
            new += len(fresh)
            existing += len(batch) - len(fresh)
            differing += sum(
                sha256 not in (None, record.sha256)
                for (record, _), sha256 in zip(batch, known, strict=True)
            )
            progress("importing images", min(new + existing, total - 1), total)
        rejected += [Rejected(_name(cell), why) for cell, why in rules.odd_ones()]
        if not rejected:
            _publish(bank, aside, names)
    progress("importing images", total, total)
    return ImportReport(0 if rejected else new, existing, differing, rejected)


def _check_process(bank: Bank, folder: Path) -> None:
    path = folder / "bank.json"
    try:
        theirs = parsed_json(plain_text(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{folder} holds no bank.json; give a folder that `discl bank export` wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); get the folder again") from error
    differences = list(_differences(theirs, bank.process))
    if differences:
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise UserError(
            f"{folder} is another bank: {'; '.join(differences[:3])}{more}. Give the --scale and"
            " --set it was made with"
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


def _images_of(folder: Path) -> Iterator[Offer]:
    for batch in tables.read(folder, _COLUMNS):
        for columns in batch:
            picture = columns.pop(tables.PICTURE) or {}
            yield columns, picture.get("bytes") or b"", MADE


def _failures_of(folder: Path, rejected: list[Rejected]) -> Iterator[Offer]:
    """Cells that could not be made."""
    path = folder / "failed.jsonl"
    if not path.exists():
        why = "it is missing: cells that could not be made are not known"
        rejected.append(Rejected(path.name, why))
        return
    with open_file(path, encoding="utf-8", errors="replace") as opened:
        for number, line in enumerate(opened, 1):
            try:
                columns = parsed_json(line)
                yield {name: columns[name] for name in _COLUMNS}, b"", FAILED
            except (ValueError, KeyError, TypeError):
                rejected.append(Rejected(f"{path.name} line {number}", "it is torn"))


def _accepted(
    rules: ImageRules, offers: Iterable[Offer], rejected: list[Rejected]
) -> Iterator[Image]:
    """The images without a fault; the others are added to `rejected`."""
    seen: set[Cell] = set()
    for columns, data, status in offers:
        record = ImageRecord(**columns)
        why = rules.fault(record, data)
        if not why and record.status != status:
            why = f"its status is {record.status!r}, and it stands among those {status}"
        if not why and record.cell in seen:
            why = "it is there twice"
        if why:
            rejected.append(Rejected(_name(record), why))
        else:
            seen.add(record.cell)
            yield record, data


def _stored_sha256(bank: Bank, record: ImageRecord) -> str | None:
    """The hash of the bytes the bank has for a cell; None where it has none."""
    query = "SELECT sha256 FROM images WHERE source = ? AND level = ? AND variant = ?"
    rows = bank.catalogue.fetch(query, record.cell)
    return str(rows[0][0]) if rows else None


def _written(folder: Path, images: list[Image]) -> str:
    """The name of a shard in `folder` that holds these images."""
    records = []
    offset = 0
    for record, data in images:
        records.append(record._replace(offset=offset, length=len(data)))
        offset += len(data)
    return shards.write(folder, ImageRecord._fields, records, [data for _, data in images])


def _publish(bank: Bank, aside: Path, names: Sequence[str]) -> None:
    """Move shards into the bank, then enter them.

    A kill in between leaves shards that the next build enters; all in them is checked.
    """
    for name in names:
        os.replace(shards.path_of(aside, name), shards.path_of(bank.shards, name))
    flush(bank.shards)
    for name in names:
        _, rows = shards.read_index(bank.shards, name)
        bank.catalogue.add(name, [ImageRecord(*row) for row in rows])

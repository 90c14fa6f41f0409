"""Reads long arrays of records from large JSON files, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from discl.core.compute.collector import without_collector
from discl.core.errors import UserError
from discl.core.plain_files import open_file, parsed_json

Record = dict[str, Any]
T = TypeVar("T")

_CHUNK = 25_000  # records at a time
_BLOCK = 1 << 23
_BEGINNING = 4096  # bytes in which a key, blanks and the beginning of its value lie
# of which the arrays and objects at the top of files are read
_KEYS = ("images", "annotations", "categories", "predictions", "detection_categories", "splits")
_MOST_BRACES = 4  # that are tried as the end of a block's last record
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# a long list of classes may stand before the first photo
_MOST_OF_HEAD = 1 << 24
# what Python writes and JSON does not know
_NOT_JSON = re.compile(rb"(?<=[:\[,\s])(?:NaN|-?Infinity)(?=\s*[,\]}])")


class _BrokenJsonError(Exception):
    """A file that is no JSON, or ends too early; after so many values."""

    def __init__(self, problem: str, values: int) -> None:
        super().__init__(problem)
        self.values = values


class _NoRecordError(Exception):
    """Something else than a record in an array of records."""


def head(path: Path, arrays: tuple[str, ...]) -> dict[str, Record]:
    """The first record of each of the `arrays` at the top of a file, as far as its beginning shows.

    Reads on only until one of them has begun with a record; {} where the file is none of JSON with
    an object at its top. An array that has begun, but holds no record, gives {}.
    """
    import ijson

    seen: dict[str, Record] = {}
    array = ""
    builder: Any = None
    try:
        with open_file(path, "rb") as opened:
            source = _Nulled(_Begun(opened, (), _MOST_OF_HEAD))
            for prefix, event, value in ijson.parse(source):
                array, _, rest = prefix.partition(".")
                if array not in arrays:
                    if prefix == "" and event not in ("start_map", "map_key"):
                        break
                    continue
                if event == "start_array" and not rest:
                    seen[array] = {}
                elif rest == "item" and event == "start_map":
                    builder = ijson.ObjectBuilder()
                if builder is not None:
                    builder.event(event, value)
                    if rest == "item" and event == "end_map":
                        seen[array] = builder.value
                        break
    except (OSError, ijson.JSONError, UnicodeDecodeError):
        # it is read as far as needed; whether all of it can be is known when it is
        if builder is not None:
            seen[array] = builder.value
    return seen


def read_records(
    path: Path,
    name: str,
    array: str,
    convert: Callable[[list[Record], int], T],
    block: int = _BLOCK,
) -> list[T]:
    """What `convert` makes of each chunk of records of an array at the top of a JSON file.

    `convert` is given the records and the number of the first, counted from 1. `name`: the file in
    messages. About `block` bytes are in memory at a time, as text and as records. NaN and
    infinities may be read as null. Raises UserError for a file that is cut off or no
    JSON, and for an array that holds something else than records.
    """
    spans = _spans(path, array)
    problem = ""
    for span, exact in [*((span, False) for span in spans), (None, True)]:
        done = list[T]()
        read = 0
        try:
            with without_collector():
                for chunk in _chunks(path, array, span, exact, block):
                    done.append(convert(chunk, read + 1))
                    read += len(chunk)
            return done
        except _BrokenJsonError as error:
            # the last try reads the whole file, and counts from its first record
            problem = f"after number {error.values:,} of {array}: {error}"
        except _NoRecordError as error:
            raise UserError(
                f"{name}: {array} holds {error}, which is no record of a photo; correct it"
            ) from error
    raise UserError(
        f"{name} cannot be read as JSON ({problem}); it was cut off or damaged: get it again"
    )


def read_value(path: Path, name: str, key: str) -> Any:
    """The value of a short entry at the top of a JSON file; None where it has none.

    `name`: the file in messages. Raises UserError for a file that is cut off or no JSON.
    """
    import ijson

    for exact in (False, True):
        for span in [*_spans(path, key), None]:
            with suppress(_BrokenJsonError), open_file(path, "rb") as opened:
                values = _values(ijson, _stream(opened, span, exact), key, exact)
                return next(values, None)
    raise UserError(f"{name} cannot be read as JSON; it was cut off or damaged: get it again")


def _chunks(
    path: Path, array: str, span: tuple[int, int] | None, exact: bool, block: int
) -> Iterator[list[Record]]:
    import ijson

    with open_file(path, "rb") as opened:
        if span is not None:
            opened.seek(span[0])
            is_array = re.match(rb'"[^"]*"\s*:\s*\[', opened.read(_BEGINNING)) is not None
        stream = _stream(opened, span, exact)
        if span is not None and is_array:
            rest = yield from _whole_records(stream, block)
            stream = _Begun(opened, (b'{"%s":[' % array.encode() + rest,), *stream.left())
        records = _values(ijson, stream, f"{array}.item", exact)
        while chunk := list(islice(records, _CHUNK)):
            yield _checked(chunk)


def _whole_records(stream: _Begun, block: int) -> Generator[list[Record], None, bytes]:
    """Yields the records of each block that can be read by itself; gives what is left.

    Text from the beginning of a record to a closing brace that is JSON in square brackets is a row
    of whole records, whatever follows. `json` is faster than a parser that may stop anywhere. A
    block in which the array ends, or in which braces are no ends of records, is left.
    """
    text = b""
    while len(text) < block and (more := stream.read(block)):
        text += more
    text = text[text.index(b"[") + 1 :]
    while len(text) >= block // 2:
        end = len(text)
        for _ in range(_MOST_BRACES):
            end = text.rfind(b"}", 0, end)
            if end < 0:
                return text
            with suppress(ValueError):
                records = parsed_json(b"[" + text[: end + 1] + b"]")
                break
        else:
            return text
        yield _checked(records)
        # the comma may begin the next block
        text = (text[end + 1 :] + stream.read(block)).lstrip().removeprefix(b",")
    return text


def _checked(records: list[Any]) -> list[Record]:
    if set(map(type, records)) <= {dict}:
        return records
    raise _NoRecordError(f"{next(one for one in records if type(one) is not dict)!r}"[:40])


def _values(ijson: Any, stream: Any, prefix: str, exact: bool) -> Iterator[Any]:
    number = 0
    try:
        for value in ijson.items(stream, prefix, use_float=not exact, buf_size=1 << 20):
            number += 1
            yield value
    except (ijson.JSONError, UnicodeDecodeError) as error:
        first = str(error).removeprefix("b'").strip().splitlines() or ["damaged"]
        problem = first[0].split("\\n")[0].removeprefix("parse error: ").rstrip(".")
        raise _BrokenJsonError(problem, number) from error


def _spans(path: Path, key: str) -> list[tuple[int, int] | None]:
    """Where the value of a key may be read without the rest of the file; then the whole file.

    Long arrays are read once each instead of with everything before and after them. Where a key
    stands more than once in the file, it is not known which is the one at the top.
    """
    places = _places(path)
    found = places.get(key, [])
    if len(found) != 1:
        return [None]
    begin = found[0]
    later = [at[0] for at in places.values() if len(at) == 1 and at[0] > begin]
    return [(begin, min(later, default=-1)), None]


_PLACES: dict[Any, dict[str, list[int]]] = {}


def _places(path: Path) -> dict[str, list[int]]:
    """Where each of `_KEYS` stands in a file with an array or object; at most two of each."""
    status = path.stat()
    asked = (path, status.st_size, status.st_mtime_ns)
    if asked not in _PLACES:
        while len(_PLACES) > 50:
            _PLACES.pop(next(iter(_PLACES)))
        _PLACES[asked] = _found_places(path)
    return _PLACES[asked]


def _found_places(path: Path) -> dict[str, list[int]]:
    quoted = {key: f'"{key}"'.encode() for key in _KEYS}
    places: dict[str, list[int]] = {key: [] for key in _KEYS}
    with open_file(path, "rb") as opened:
        start, tail = 0, b""
        while block := opened.read(_BLOCK):
            text = tail + block
            for key, word in quoted.items():
                if len(places[key]) < 2 and word in text:  # far faster than the pattern
                    pattern = re.compile(word + rb"\s*:\s*[\[{]")
                    at = [start + found.start() for found in pattern.finditer(text)]
                    new = [place for place in at if place not in places[key]]
                    places[key] = (places[key] + new)[:2]
            tail = text[-_BEGINNING:]
            start += len(text) - len(tail)
    return places


def _stream(opened: BinaryIO, span: tuple[int, int] | None, exact: bool) -> Any:
    if span is None:
        whole = _Begun(opened, (), None)
        return _Nulled(whole) if exact else whole
    begin, end = span
    opened.seek(begin)
    return _Begun(opened, (b"{",), None if end < 0 else end - begin, b"" if end < 0 else b'"":0}')


class _Begun:
    """A file from where it stands, with bytes before and after; without a byte order mark."""

    def __init__(
        self, opened: BinaryIO, before: tuple[bytes, ...], size: int | None, after: bytes = b""
    ) -> None:
        self._opened = opened
        self._waiting = list(before)
        self._size = size
        self._after = after
        if not before:
            first = opened.read(len(_BYTE_ORDER_MARK))
            self._waiting = [] if first == _BYTE_ORDER_MARK else [first]

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        if self._waiting:
            return self._waiting.pop(0)
        wanted = _BLOCK if size < 0 else size
        block = self._opened.read(wanted if self._size is None else min(wanted, self._size))
        if self._size is not None:
            self._size -= len(block)
        if not block:
            block, self._after = self._after, b""
        return block

    def left(self) -> tuple[int | None, bytes]:
        """(bytes of the file to come, bytes after them)."""
        return self._size, self._after


class _Nulled:
    """A JSON file with NaN and infinities as null."""

    def __init__(self, inner: _Begun) -> None:
        self._inner = inner
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        while block := self._inner.read(max(size, 1 << 12)):
            text = self._tail + block
            # a word at the end may go on in the next block
            keep = min(64, len(text))
            replaced = _NOT_JSON.sub(b"null", text)
            self._tail = replaced[-keep:]
            if out := replaced[:-keep]:
                return out
        rest, self._tail = self._tail, b""
        return _NOT_JSON.sub(b"null", rest)

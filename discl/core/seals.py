"""Seals of text: a digest that stored JSON carries of itself, so that damage is noticed.

A seal finds what disks and slips of the hand do. It is no signature: who changes a file on purpose
can seal it again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xxhash import xxh3_128_hexdigest

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain_bytes

KEY = "seal"
_IN_LINE = re.compile(rb', "seal": "([0-9a-f]{32})"\}$')
_IN_TEXT = re.compile(rb'\n "seal": "([0-9a-f]{32})",?(?=\n)')
_NONE = f'"{"0" * 32}"'


class DamagedFileError(UserError):
    """A stored file is not as it was written: empty, cut off, changed, or in another's place."""


def sealed_text(content: Mapping[str, Any]) -> str:
    """`content` as the text of a JSON file whose field `seal` is the digest of all the rest."""
    text = json.dumps({**content, KEY: "0" * 32}, indent=1, sort_keys=True) + "\n"
    seal = xxh3_128_hexdigest(_IN_TEXT.sub(b"", text.encode(), count=1))
    return text.replace(f'"{KEY}": {_NONE}', f'"{KEY}": "{seal}"', 1)


def sealed_line(content: Mapping[str, Any]) -> str:
    """`content` as one line of JSON that ends with its seal, without a line break."""
    line = json.dumps(content)
    seal = xxh3_128_hexdigest(line.encode())
    return f'{line[:-1]}, "{KEY}": "{seal}"}}' if content else line


def is_sealed(path: Path) -> bool:
    """Whether a JSON file carries a seal, right or wrong; False where it cannot be read."""
    try:
        return _IN_TEXT.search(plain_bytes(path)) is not None
    except OSError:
        return False


def read_sealed(path: Path, way_out: str) -> dict[str, Any]:
    """The object in a JSON file, without its seal; one that was written without is taken as it is.

    Raises DamagedFileError, which ends with `way_out`, where the file cannot be read or its content
    is not what was sealed.
    """
    try:
        data = plain_bytes(path)
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})", way_out) from error
    try:
        return opened_text(data)
    except ValueError as error:
        raise damaged(path, str(error), way_out) from error


def opened_text(data: bytes) -> dict[str, Any]:
    """The object in the bytes of `sealed_text`, without its seal; without one it is taken as is.

    Raises ValueError, which says what is wrong, where it is not what was sealed.
    """
    if not data:
        raise ValueError("is empty")
    found = _IN_TEXT.search(data)
    if found is not None:
        rest = data[: found.start()] + data[found.end() :]
        if xxh3_128_hexdigest(rest).encode() != found[1]:
            raise ValueError("was changed after it was written (its seal does not fit)")
    try:
        content = parsed_json(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError("is JSON of another kind")
    content.pop(KEY, None)
    return content


def opened_line(line: str) -> dict[str, Any] | None:
    """The object in a line of `sealed_line`, without its seal; a line without one is taken as is.

    None where the line is cut off or no object. Raises ValueError where its seal does not fit.
    """
    data = line.encode()
    found = _IN_LINE.search(data)
    if found is not None and xxh3_128_hexdigest(data[: found.start()] + b"}").encode() != found[1]:
        raise ValueError("its seal does not fit")
    try:
        content = parsed_json(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    content.pop(KEY, None)
    return content


def damaged(path: Path, fault: str, way_out: str) -> DamagedFileError:
    """The error for a damaged file, as one sentence."""
    return DamagedFileError(f"{path} {fault}; {way_out}")

"""Caption files: JSON, a name to one text or a list of texts."""

from __future__ import annotations

from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain_bytes


def read_captions(file: str, key: str) -> dict[str, tuple[str, ...]]:
    """Texts by name, stripped.

    Raises UserError, which names the setting `key`, where the file cannot be read or is not right.
    """
    path = Path(file).expanduser()
    try:
        content = parsed_json(plain_bytes(path).decode("utf-8"))
    except RecursionError as error:
        raise UserError(f"{key} = {file!r} is nested too deep to be read") from error
    except OSError as error:
        raise UserError(
            f"{key} = {file!r} cannot be read ({error.strerror}); give a JSON file"
        ) from error
    except ValueError as error:
        raise UserError(f"{key} = {file!r} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{key} = {file!r} must hold an object, name to texts, and holds a"
            f" {type(content).__name__}"
        )
    lists = {str(name): tuple(_texts(value)) for name, value in content.items()}
    for name, texts in lists.items():
        if not texts or not all(texts):
            raise UserError(
                f"{key} = {file!r}: {name!r} has an empty text, or none; write one or drop the"
                " entry"
            )
    return lists


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [text.strip() if isinstance(text, str) else "" for text in listed]

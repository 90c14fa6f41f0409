"""English from the names people give to folders and columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_SYNSET = re.compile(r"^n\d{8}[ _.-]*")
_INDEX = re.compile(r"^\d+[ _.-]+(?=[^\W\d])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SAID_WITH_Y_OR_W = re.compile(
    r"(uni(?!n|m[pb])|us[aeiu]|ut[ei]|uk|ur[aeiou]|eu|ew|one\b|once\b)", re.IGNORECASE
)
_SILENT_H = re.compile(r"(hour|honest|honou?r|heir)", re.IGNORECASE)


def photo_of(name: str) -> str:
    """a photo of a tench, a photo of an owl."""
    return f"a photo of {article(name)} {name}"


def article(name: str) -> str:
    """`a` or `an`, by the sound as far as the spelling tells."""
    vowel = name[:1].lower() in "aeiou" and not _SAID_WITH_Y_OR_W.match(name)
    return "an" if vowel or _SILENT_H.match(name) else "a"


def class_names(folders: Sequence[str]) -> tuple[str, ...]:
    """English names of class folders: `n01440764_tench`, `017.tench`, `GiantPanda`, `sea-lion` lose
    what is no word.

    Numbers in front are dropped only where every folder has one: what stands before `737-MAX` may
    be part of a name. Names that would become equal stay as they are.
    """
    cleaned = [_words(name) for name in _without(_INDEX, _without(_SYNSET, folders))]
    return tuple(
        short if short and cleaned.count(short) == 1 else name
        for name, short in zip(folders, cleaned, strict=True)
    )


def _without(start: re.Pattern[str], names: Sequence[str]) -> list[str]:
    stripped = [start.sub("", name) for name in names]
    return (
        stripped
        if all(short and short != name for name, short in zip(names, stripped, strict=True))
        else list(names)
    )


def _words(name: str) -> str:
    words = re.sub(r"[\W_]+", " ", _CAMEL.sub(" ", name)).split()
    lowered: Callable[[str], str] = lambda word: (
        word if word.isupper() and len(word) > 1 else word.lower()
    )  # noqa: E731 - acronyms stay
    return " ".join(map(lowered, words))

"""English class names and captions from names of folders and columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SYNSET = re.compile(r"^n\d{8}[ _.-]*")
_NUMBER = re.compile(r"^\d+[ _.-]+(?=[^\W\d])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VOWEL_SPELT_CONSONANT = re.compile(
    r"(uni(?!n|m[pb])|us[aeiu]|ut[ei]|uk|ur[aeiou]|eu|ew|one\b|once\b)", re.IGNORECASE
)
_SILENT_H = re.compile(r"(hour|honest|honou?r|heir)", re.IGNORECASE)


def photo_of(name: str) -> str:
    """`a photo of a tench`, `a photo of an owl`."""
    return f"a photo of {article(name)} {name}"


def article(name: str) -> str:
    """`a` or `an`, by the sound as far as the spelling shows it."""
    vowel = name[:1].lower() in "aeiou" and not _VOWEL_SPELT_CONSONANT.match(name)
    return "an" if vowel or _SILENT_H.match(name) else "a"


def class_names(folders: Sequence[str]) -> tuple[str, ...]:
    """English names of class folders, such as `n01440764_tench`, `017.tench` or `GiantPanda`.

    Leading numbers are dropped only where every folder has one: the number in `737-MAX` may be part
    of the name. Names that would become equal stay as they are.
    """
    names = [_words(name) for name in _without(_NUMBER, _without(_SYNSET, folders))]
    return tuple(
        name if name and names.count(name) == 1 else folder
        for folder, name in zip(folders, names, strict=True)
    )


def _without(start: re.Pattern[str], names: Sequence[str]) -> list[str]:
    """Names without a start that matches, where every name has one; else the names."""
    stripped = [start.sub("", name) for name in names]
    every = all(short and short != name for name, short in zip(names, stripped, strict=True))
    return stripped if every else list(names)


def _words(name: str) -> str:
    """Lower-case words; words in capitals are acronyms and stay."""
    words = re.sub(r"[\W_]+", " ", _CAMEL.sub(" ", name)).split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)

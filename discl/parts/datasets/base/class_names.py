"""English class names and captions from names of folders and columns."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SYNSET = re.compile(r"^n\d{8}[ _.-]+")
_NUMBER = re.compile(r"^\d+[ _.-]+(?=[^\W\d])")
_EXPLANATION = re.compile(r"[ _]*\([^()]*\)$")  # Zebra_(animal)
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
    of the name; of `Jaguar (animal)` the explanation, unless it tells names apart. Names that would
    become equal stay as they are.
    """
    starts = _without(_NUMBER, [_SYNSET.sub("", name) or name for name in folders])
    short = [_EXPLANATION.sub("", name) or name for name in starts]
    keys = Counter(map(_words, short))
    names = [
        _words(name if keys[_words(name)] == 1 else start)
        for name, start in zip(short, starts, strict=True)
    ]
    occurrences = Counter(names)
    return tuple(
        name if name and occurrences[name] == 1 else folder
        for folder, name in zip(folders, names, strict=True)
    )


def _without(start: re.Pattern[str], names: Sequence[str]) -> list[str]:
    """Names without a start that matches, where every name has one; else the names."""
    stripped = [start.sub("", name) for name in names]
    every = all(short and short != name for name, short in zip(names, stripped, strict=True))
    return stripped if every else list(names)


def _words(name: str) -> str:
    """Lower-case words; words in capitals are acronyms and stay, as apostrophes in a word do."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", name).replace("\u2019", "'"))
    letters = "".join(char if _is_of_a_word(char) else " " for char in spaced)
    words = re.sub(r"(?<!\w)'|'(?!\w)", " ", letters).split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


def _is_of_a_word(char: str) -> bool:
    """Letters, digits and the marks that scripts put on them."""
    return char == "'" or unicodedata.category(char)[0] in "LMN"

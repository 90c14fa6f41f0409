"""Whether the name of a class says anything to a model that reads English."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# words that number classes instead of naming them: class 3, label_12, species 7
_NUMBERING = frozenset(
    [
        *("class", "classes", "cls", "label", "lbl", "category", "target", "tag", "type", "kind"),
        *("cluster", "group", "concept", "synset", "node", "subject", "sample", "item"),
        *("object", "obj", "id", "identity", "idx", "index", "no", "nr", "number"),
    ]
)
_LETTERS = re.compile(r"[^\W\d_]+")


def without_words(names: Sequence[str]) -> list[str]:
    """The names in which there is no English word, as far as the spelling shows it.

    Numbers, ids and codes (`17`, `n02391049`, `c3`, `class 3`), single letters, letters without a
    vowel, and other scripts than the Latin one. An abbreviation with a vowel passes for a word.
    """
    return [name for name in names if not _has_word(name)]


def _has_word(name: str) -> bool:
    tokens = re.split(r"[\W_]+", name)
    return any(_is_word(token) for token in tokens if token.lower() not in _NUMBERING)


def _is_word(token: str) -> bool:
    """Letters only, with a vowel among them; of letters with digits, those that come to a word."""
    plain = unicodedata.normalize("NFD", token)
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    if not letters or not all(_is_latin(char) for char in letters if char.isalpha()):
        return False
    longest = max(_LETTERS.findall(letters), key=len, default="")
    fewest = 2 if len(longest) == len(letters) else 4  # zebra2 is a word with a number, c3 is not
    if longest.lower() in _NUMBERING:
        return False
    return len(longest) >= fewest and any(char in "aeiouy" for char in longest.lower())


def _is_latin(char: str) -> bool:
    return char.isascii() or unicodedata.name(char, "").startswith("LATIN")

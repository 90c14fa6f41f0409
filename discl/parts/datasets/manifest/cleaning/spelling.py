"""How a name is written, apart from what it says: blanks, case and Unicode forms."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# zero-width blanks, byte order marks, soft hyphens, marks of writing direction
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_JOINERS = re.compile("[\u200c\u200d]")  # part of some scripts; no reason to tell names apart
_ENTITY = re.compile(r"&(#\d+|#[xX][0-9a-fA-F]+|\w+);")
_QUOTES = re.compile(r"""(["'`])(.+)\1""", re.DOTALL)
_PERHAPS_UNTIDY = r"^\s|\s$|\s\s|[^\x20-\x7e]|&|^[\"'`]"
_HYPHENS = re.compile("[\u2010-\u2015\u2212]")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def tidy(text: str) -> str:
    """A name as it is meant: in Unicode's NFC, one blank between words, none around them.

    HTML entities are resolved, characters that nobody sees and quotes around the whole are dropped.
    """
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))
    text = " ".join(text.split())
    quoted = _QUOTES.fullmatch(text)
    return " ".join(quoted[2].split()) if quoted and quoted[1] not in quoted[2] else text


def are_tidy(texts: pa.Array) -> bool:
    """Whether `tidy` surely leaves all of them as they are; told without a loop over texts."""
    import pyarrow.compute as pc

    return not pc.any(pc.match_substring_regex(texts, _PERHAPS_UNTIDY)).as_py()


def spelling_key(text: str) -> str:
    """Equal for names that differ only in case, blanks, underscores, hyphens or Unicode form.

    A single character is its own key: where characters are the classes, `A` is not `a`.
    """
    if len(text) <= 1:
        return text
    key = _JOINERS.sub("", unicodedata.normalize("NFKC", text)).replace("\u2019", "'")
    key = unicodedata.normalize("NFKC", key.casefold())
    key = _HYPHENS.sub("-", key)
    sign = "-" if re.match(r"-\d", key) else ""
    return sign + _BETWEEN_WORDS.sub(" ", key).strip() if _BETWEEN_WORDS.sub("", key) else text


def camel_key(text: str) -> str:
    """The key of a name whose words are told apart by capitals, such as `GiantPanda`."""
    return spelling_key(_CAMEL.sub(" ", text))

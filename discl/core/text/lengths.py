"""Whether texts fit what a text encoder reads, as far as that is known without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_MARKS = 3  # tokens beside those of a text: of its begin, its end, and a space put before it
_GROWTH = 4  # times the bytes that cleaning and normalising make of a text, at most


def are_read_whole(texts: Sequence[str], most: int, vocabulary: Path | None = None) -> bool:
    """Whether none of `texts` is known to have more than `most` tokens, or could have.

    A token is at least one byte. `vocabulary` is the tokenizer.json that the encoder uses, if it
    has one: plain texts that could be too long are then counted, which takes milliseconds. False
    where only the encoder's own tokenizer can tell.
    """
    doubtful = [text for text in texts if _bytes(text) + _MARKS > most]
    if not doubtful:
        return True
    if vocabulary is None or not vocabulary.is_file() or not all(map(_is_plain, doubtful)):
        return False
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return all(len(tokenizer.encode(text)) <= most for text in doubtful)


def _bytes(text: str) -> int:
    """Of the text once it is cleaned, at most."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return size if _is_plain(text) else _GROWTH * size


def _is_plain(text: str) -> bool:
    """Whether cleaning may only take something away: no letter or entity is replaced."""
    return text.isascii() and "&" not in text

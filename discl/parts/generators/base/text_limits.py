"""What the text encoders of a checkpoint read of prompts; only their tokenizers are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from discl.core.interfaces import TextsRead
from discl.core.plain_files import check_folder, parsed_json, plain_text
from discl.core.text.lengths import are_read_whole
from discl.parts.generators.base.adapters.textual_inversion import Word, spelt_out

_NAMES = ("tokenizer", "tokenizer_2", "tokenizer_3")


def texts_read(folder: Path, texts: Sequence[str], words: Sequence[Word] = ()) -> TextsRead | None:
    """What the encoders of a checkpoint in diffusers' format read of texts [n].

    Of several encoders, what the one reads that reads most. None where all texts are read whole.
    Each of `words` counts as the pieces that it is read as.
    """
    texts = [spelt_out(text, words) for text in texts]
    pieces = tuple(piece for word in words for piece in word.pieces)
    found = [folder / name for name in _NAMES if (folder / name).is_dir()]
    limits = _limits(folder)
    if any(_reads_whole(path, texts, limits.get(path.name)) for path in found):
        return None
    read = [_read(_tokenizer(path, pieces), texts, limits.get(path.name)) for path in found]
    return max(read, key=lambda by_one: by_one.most)


def _limits(folder: Path) -> Mapping[str, int]:
    """Tokenizer -> tokens that a family reads, where that is less than the tokenizer allows."""
    if not (folder / "transformer").is_dir():
        return {}
    from discl.parts.generators.base.families import FAMILIES

    try:
        name = parsed_json(plain_text(folder / "model_index.json"))["_class_name"]
        return FAMILIES[name].reads
    except (OSError, ValueError, TypeError, KeyError):  # said in a sentence where it is loaded
        return {}


def _read(tokenizer: Any, texts: Sequence[str], limit: int | None) -> TextsRead:
    most = min(int(tokenizer.model_max_length), limit or int(tokenizer.model_max_length))
    # not verbose: what is cut is told in our words
    whole = tokenizer(list(texts), verbose=False)["input_ids"]
    read = tokenizer(list(texts), truncation=True, max_length=most)["input_ids"]
    return TextsRead(most, tuple(map(tuple, read)), tuple(len(numbers) > most for numbers in whole))


def _reads_whole(folder: Path, texts: Sequence[str], limit: int | None) -> bool:
    """Whether an encoder is known to read all of each text, without its library."""
    try:
        config = parsed_json(plain_text(folder / "tokenizer_config.json"))
        most = config["model_max_length"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if isinstance(most, int) and limit is not None:
        most = min(most, limit)
    return isinstance(most, int) and are_read_whole(texts, most, folder / "tokenizer.json")


@cache
def _tokenizer(folder: Path, pieces: tuple[str, ...]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(check_folder(folder)), local_files_only=True)
    tokenizer.add_tokens(list(pieces))
    return tokenizer

"""What the text encoders of a checkpoint read of prompts; only their tokenizers are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from discl.core.interfaces import TextsRead

_NAMES = ("tokenizer", "tokenizer_2")


def texts_read(folder: Path, texts: Sequence[str]) -> TextsRead:
    """What the encoders of a checkpoint in diffusers' format read of texts [n].

    Of two encoders, what the one reads that reads most.
    """
    found = [folder / name for name in _NAMES if (folder / name).is_dir()]
    read = [_read(_tokenizer(path), texts) for path in found]
    return max(read, key=lambda by_one: by_one.most)


def _read(tokenizer: Any, texts: Sequence[str]) -> TextsRead:
    most = int(tokenizer.model_max_length)
    # not verbose: what is cut is told in our words
    whole = tokenizer(list(texts), verbose=False)["input_ids"]
    read = tokenizer(list(texts), truncation=True, max_length=most)["input_ids"]
    return TextsRead(most, tuple(map(tuple, read)), tuple(len(numbers) > most for numbers in whole))


@cache
def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

"""The list of words that `discl embed` learned: one a class, each in a file beside the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.seals import read_sealed

LIST = "words.json"


class LearnedWord(NamedTuple):
    """A word and where its vectors lie."""

    name: str  # of the class
    token: str  # as prompts write it
    file: str  # of safetensors, in the folder
    sha256: str  # of that file
    label: int | None = None  # of the class; older lists do not say it


class LearnedWords(NamedTuple):
    """A folder of words."""

    folder: Path
    words: tuple[LearnedWord, ...]  # by label
    description: dict[str, Any]  # all that they were learned from


def read_words(folder: str | Path, setting: str) -> LearnedWords:
    """The words of a folder that `discl embed` names, or of the list in it.

    Raises UserError, which names the setting, where there is no such list, or it is damaged.
    """
    given = Path(folder).expanduser()
    path = given if given.name == LIST else given / LIST
    if not path.is_file():
        raise UserError(
            f"{setting} = {str(folder)!r} holds no {LIST}; give the folder that `discl embed`"
            " prints when it has learned a benchmark's words"
        )
    way_out = "run `discl embed` again, which learns what is missing"
    content = read_sealed(path, way_out)
    try:
        words = tuple(LearnedWord(**word) for word in content["words"])
        return LearnedWords(path.parent, words, dict(content["description"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no list of words ({error}); {way_out}") from error

"""A list of descriptions for each class, from a file, as a language model would write them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from discl.core.errors import unknown
from discl.core.hashing import digest
from discl.core.interfaces import CaptionContext
from discl.files.captions import read_captions


class Descriptions:
    """Descriptions by class.

    `file` is JSON, {"class name": ["a description", ...]}; a class may also be named by its label
    ("657"), which tells classes of one name apart. In `caption`, {name} is the class's name and
    {folder} what a folder of it is called: up to a slash, with underscores. Images are made from
    `prefix` and one of the descriptions, and scored against `caption`. (The paper: ten
    descriptions a class by GPT-3.5, prefix "a 8k real photo: ", caption "a photo of {name}".)
    """

    version = 1
    not_hashed = ("file",)

    def __init__(self, file: str, prefix: str = "", caption: str = "a photo of {name}") -> None:
        """Settings:

        `file`: JSON with a list of descriptions for each class name.
        `prefix`: words before each description.
        `caption`: the sentence that images are scored against; {name} is the class's name.
        """
        self.file = file
        self.prefix = prefix
        self._caption = caption

    @cached_property
    def _lists(self) -> dict[str, tuple[str, ...]]:
        return read_captions(self.file, "prompts.file")

    def identity(self) -> dict[str, Any]:
        return {"descriptions": digest(self._lists)}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """The class's descriptions with the prefix; raises UserError where the file has none."""
        texts = self._lists.get(str(context.label)) or self._lists.get(context.name)
        if not texts:
            raise unknown(f"class in {self.file}", context.name, self._lists)
        return tuple(self.prefix + text for text in texts)

    def caption(self, context: CaptionContext) -> str:
        folder = context.name.partition("/")[0].strip().replace(" ", "_")
        return self._caption.replace("{name}", context.name).replace("{folder}", folder)

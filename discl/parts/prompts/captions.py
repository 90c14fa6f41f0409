"""Captions of single photos, from a file."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import CaptionContext
from discl.files.captions import read_captions


class Captions:
    """Captions by photo id.

    `file` is JSON, {"photo id": "a caption" or ["a caption", ...]}. Images are scored against
    `caption`.
    """

    version = 1
    not_hashed = ("file",)

    def __init__(self, file: str, caption: str = "a photo of {name}") -> None:
        """Settings:

        `file`: JSON with a caption, or a list of them, for each photo id.
        `caption`: the sentence that images are scored against; {name} is the class's name.
        """
        self.file = file
        self._caption = caption

    @cached_property
    def _lists(self) -> dict[str, tuple[str, ...]]:
        return read_captions(self.file, "prompts.file")

    def identity(self) -> dict[str, Any]:
        return {"captions": digest(self._lists)}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """The photo's captions; raises UserError where the file has none."""
        captions = self._lists.get(context.source)
        if not captions:
            raise UserError(
                f"{self.file} has no caption of photo {context.source!r} ({context.name}); add one,"
                " or take other prompts"
            )
        return captions

    def caption(self, context: CaptionContext) -> str:
        return self._caption.replace("{name}", context.name)

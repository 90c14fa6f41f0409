"""Captions of single photos, from a file."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import Subject
from discl.files.captions import read_captions


class Captions:
    """`file` is JSON, {"photo id": "a caption" or ["a caption", ...]}. Images are scored against
    `caption`.
    """

    version = 1
    unhashed = ("file",)

    def __init__(self, file: str, caption: str = "a photo of {name}") -> None:
        self.file, self._caption = file, caption

    @cached_property
    def _lists(self) -> dict[str, tuple[str, ...]]:
        return read_captions(self.file, "prompts.file")

    def identity(self) -> dict[str, Any]:
        return {"captions": digest(self._lists)}

    def choices(self, subject: Subject) -> tuple[str, ...]:
        found = self._lists.get(subject.source)
        if not found:
            raise UserError(
                f"{self.file} has no caption of photo {subject.source!r} ({subject.name}); add one,"
                " or take other prompts"
            )
        return found

    def caption(self, subject: Subject) -> str:
        return self._caption.replace("{name}", subject.name)

"""The dataset's own captions of each class."""

from __future__ import annotations

from typing import Any

from discl.core.interfaces import Subject


class OfDataset:
    """Images are made from any of the captions and scored against the first."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def choices(self, subject: Subject) -> tuple[str, ...]:
        return subject.usual

    def caption(self, subject: Subject) -> str:
        return subject.usual[0]

"""The dataset's own captions of each class."""

from __future__ import annotations

from typing import Any

from discl.core.interfaces import CaptionContext


class DatasetCaptions:
    """Images are made from any of the captions and scored against the first."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        return context.dataset_captions

    def caption(self, context: CaptionContext) -> str:
        return context.dataset_captions[0]

"""Descriptions of scenes that any class may stand in, as ALIA edits photos by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext

SCENES = (
    "a photo of a {name} in snow",
    "a photo of a {name} in rain",
    "a photo of a {name} in fog",
    "a photo of a {name} at night",
)


class Domains:
    """The class stays and its surroundings change: one of some sentences with the class's name.

    The idea is ALIA's (Dunlap et al. 2023): a language model sums up the captions of the photos in
    a few descriptions of where they were taken, and each photo is edited by them. With the
    generator `img2img` they are prompts of the picture that shall come out, such as "a photo of a
    {name} in snow"; an instruction pipeline takes them as commands, such as "put the {name} into
    snow". Images are scored against `caption`, in which there is no scene.
    """

    version = 1

    def __init__(
        self, templates: Sequence[str] = SCENES, caption: str = "a photo of a {name}"
    ) -> None:
        """Settings:

        `templates`: the sentences that images are made from; {name} is the class's name.
        `caption`: the sentence they are scored against.
        """
        self.templates = tuple(templates)
        self._caption = caption
        if isinstance(templates, str) or not self.templates:
            raise UserError(
                f"prompts.templates = {templates!r} is no list of sentences; write"
                ' ["a photo of a {name} in snow", "a photo of a {name} at night"]'
            )
        for text in (*self.templates, caption):
            if "{name}" not in text:
                raise UserError(
                    f"{text!r}, of [prompts], has no {{name}} in it, so all classes would share one"
                    " prompt"
                )

    def identity(self) -> dict[str, Any]:
        return {}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """The class in each of the scenes."""
        return tuple(text.replace("{name}", context.name) for text in self.templates)

    def caption(self, context: CaptionContext) -> str:
        return self._caption.replace("{name}", context.name)

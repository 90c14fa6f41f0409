"""One sentence with the class's name in it."""

from __future__ import annotations

from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext


class Template:
    """One sentence for all classes, such as "a photo of {name} in the wild" (the paper's iWildCam).

    `template` is what images are made from, `caption` what they are scored against; an empty
    `caption` is the template. Raises UserError where one of them has no {name}.
    """

    version = 1

    def __init__(self, template: str = "a photo of {name}", caption: str = "") -> None:
        """Settings:

        `template`: the sentence that images are made from; {name} is the class's name.
        `caption`: the sentence they are scored against; empty is `template`.
        """
        self.template = template
        self._caption = caption or template
        for text in (self.template, self._caption):
            if "{name}" not in text:
                raise UserError(
                    f"prompts.template = {text!r} has no {{name}} in it, so all classes would share"
                    " one prompt"
                )

    def identity(self) -> dict[str, Any]:
        return {}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        return (self.template.replace("{name}", context.name),)

    def caption(self, context: CaptionContext) -> str:
        return self._caption.replace("{name}", context.name)

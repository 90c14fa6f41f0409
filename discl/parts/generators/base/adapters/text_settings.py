"""Guidance that differs by level, and negative prompts that differ by class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from discl.core.errors import UserError, shown
from discl.core.hashing import digest
from discl.core.levels import PHOTO
from discl.core.plain_files import parsed_json, plain_text
from discl.files.disk import resource
from discl.parts.generators.base.setting_checks import check_text_guidance

_NAMES = 4  # in a sentence
OTHERS = "*"  # the key of classes that have no negative prompt of their own


def guidance_by_level(given: Mapping[str, Any] | None) -> dict[int, float]:
    """`[generator.text_guidance_at]` by level.

    Raises UserError for a key that is no level, and a value that is no weight of guidance.
    """
    weights = dict[int, float]()
    for key, weight in (given or {}).items():
        if not re.fullmatch(r"\d{1,2}", str(key)):
            raise UserError(
                f"generator.text_guidance_at has {shown(str(key))}: it takes levels from 0 to"
                f" {PHOTO - 1}, as in {{ 0 = 3.0, 50 = 1.5 }}"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise UserError(
                f"generator.text_guidance_at.{key} = {shown(weight)}: it takes a number"
            )
        check_text_guidance(weight, f"text_guidance_at.{key}")
        weights[int(key)] = float(weight)
    return weights


class NegativePrompts:
    """Negative prompts by class, from a JSON file {name of a class: negative prompt}.

    A prompt gets that of the class whose name it holds as words, the longest of them; then that of
    the key "*"; then `default`. So an image still depends on its request alone.
    """

    def __init__(self, file: str, default: str) -> None:
        """`file` may be `pkg://package/path`; "" = all prompts get `default`."""
        self.file = file
        self.default = default

    def identity(self) -> dict[str, Any]:
        """What images depend on; {} without a file."""
        return {"negative_prompts": digest(self.by_class)[:16]} if self.file else {}

    @cached_property
    def by_class(self) -> dict[str, str]:
        """The content of the file; raises UserError where it is no such file."""
        if not self.file:
            return {}
        setting = f"generator.negative_prompts = {self.file!r}"
        try:
            content = parsed_json(plain_text(resource(self.file)))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{setting} cannot be read ({error}); write a JSON file with"
                ' {"cat": "dog, blurry"}'
            ) from error
        if not isinstance(content, dict) or not all(isinstance(x, str) for x in content.values()):
            raise UserError(
                f"{setting} holds {shown(content)}, no texts by class; write"
                ' {"cat": "dog, blurry"}, with "*" for all other classes'
            )
        return content

    def unused_by(self, prompts: Sequence[str]) -> list[str]:
        """The classes of the file whose names no prompt holds."""
        return sorted(
            name
            for name, pattern in self._patterns.items()
            if not any(pattern.search(prompt) for prompt in prompts)
        )

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        """The longest names first, so that a zebra finch is no zebra."""
        names = sorted((name for name in self.by_class if name != OTHERS), key=len, reverse=True)
        return {
            name: re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in names
        }

    def of(self, prompt: str) -> str:
        """The negative prompt of a prompt."""
        if not self.file:
            return self.default
        for name, pattern in self._patterns.items():
            if pattern.search(prompt):
                return self.by_class[name]
        return self.by_class.get(OTHERS, self.default)


def unused(
    prompts: Sequence[str], words: Sequence[str], negative: NegativePrompts
) -> Iterator[str]:
    """Sentences about `words` of textual inversion, and classes of a file, that no prompt uses."""
    if unused_words := [word for word in words if not any(word in prompt for prompt in prompts)]:
        first = unused_words[0]
        yield (
            f"{len(unused_words)} of {len(words)} words of generator.textual_inversion are in no"
            f" prompt ({', '.join(unused_words[:_NAMES])}), so they change no image; write them"
            f' into the prompts, e.g. "a photo of {first}"'
        )
    if names := negative.unused_by(prompts):
        yield (
            f"{len(names)} of {len(negative.by_class)} keys of generator.negative_prompts ="
            f" {negative.file!r} are in no prompt ({', '.join(names[:_NAMES])}): a prompt gets the"
            " negative prompt of the class whose name it holds; correct the names, or use"
            f" {OTHERS!r}"
        )

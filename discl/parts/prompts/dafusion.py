"""One sentence with the word that `discl embed` learned for the class (DA-Fusion)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext
from discl.files.networks.learned_words import LearnedWord, read_words


class DaFusion:
    """Prompts of DA-Fusion (Trabucco et al. 2023): each class has a word of its own.

    `words` is the folder that `discl embed` prints; the generator reads the words by
    `generator.textual_inversion.file`, the same folder. Images are made from `template`, and scored
    against `caption`, since a scorer does not know the words. Raises UserError where one of the two
    sentences has no place for its word.
    """

    version = 1
    not_hashed = ("words",)

    def __init__(
        self,
        words: str,
        template: str = "a photo of {token}",
        caption: str = "a photo of {name}",
    ) -> None:
        """Settings:

        `words`: the folder that `discl embed` prints.
        `template`: the sentence that images are made from; {token} is the class's word.
        `caption`: the sentence they are scored against; {name} is the class's name.
        """
        self.words = words
        self.template = template
        self._caption = caption
        for key, text, place in (("template", template, "{token}"), ("caption", caption, "{name}")):
            if place not in text:
                raise UserError(
                    f"prompts.{key} = {text!r} has no {place} in it, so all classes would share one"
                    " prompt"
                )

    @cached_property
    def _words(self) -> dict[str, list[LearnedWord]]:
        """Words by the name of their class, which several classes may have."""
        found = dict[str, list[LearnedWord]]()
        for word in read_words(self.words, "prompts.words").words:
            found.setdefault(word.name, []).append(word)
        return found

    @property
    def learned_words(self) -> tuple[str, ...]:
        """The words that prompts are written with, which a generator has to be told of."""
        return tuple(word.token for words in self._words.values() for word in words)

    def identity(self) -> dict[str, Any]:
        tokens = {name: words[-1].token for name, words in self._words.items()}
        alike = [word for words in self._words.values() if len(words) > 1 for word in words]
        by_label = {"labels": [[word.label, word.token] for word in alike]} if alike else {}
        return {"tokens": tokens, **by_label}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """One prompt; raises UserError where no word was learned for the class."""
        words = self._words.get(context.name, [])
        if len(words) > 1:  # classes of one name are told apart by their labels
            words = [word for word in words if word.label == context.label]
        if not words:
            raise UserError(
                f"prompts.words = {self.words!r} has no word for {context.name!r}; run `discl"
                " embed` for this benchmark: its hard photos are of other classes than those it was"
                " run for"
            )
        return (self.template.replace("{token}", words[0].token),)

    def caption(self, context: CaptionContext) -> str:
        return self._caption.replace("{name}", context.name)

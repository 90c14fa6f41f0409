"""Prompts of other classes than the photo's, for images with soft labels (Diff-Mix)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError, unknown
from discl.core.hashing import seed_of
from discl.core.interfaces import CaptionContext

MOST = 32  # targets that a photo has; of more classes these are drawn by its id


class _Targets(NamedTuple):
    """The classes that photos may be edited towards."""

    classes: tuple[str, ...]  # what they were found of
    captions: tuple[tuple[str, ...], ...]
    prompts: dict[int, str]  # label -> the prompt that asks for it, which no other class has
    labels: dict[str, int]  # the other way round


class DiffMix:
    """A photo of one class is edited towards another, drawn for each photo and variant.

    The idea is Diff-Mix's (Wang et al. 2024): background and pose of one class, the object of
    another. At level L, which is an edit of strength s = 1 - L / 100, the image has the soft label
    s ** gamma of the class asked for, and the rest is the photo's class; gamma is
    `sampling.soft_label_power`. An image is made from the first of the dataset's captions of the
    class asked for, or from `template`, and scored against the same. A class whose prompt another
    class has too is no target, since no model could tell them apart. Of more than 32 targets each
    photo has 32, drawn by its id.
    """

    version = 1

    def __init__(self, targets: Sequence[str] = (), template: str = "") -> None:
        """Settings:

        `targets`: names of the classes that photos are edited towards; [] is all of them.
        `template`: the sentence images are made from and scored against, with {name} for the class
        asked for; "" is the first caption that the dataset has of it.
        """
        self.targets = tuple(targets)
        self.template = template
        if template and "{name}" not in template:
            raise UserError(
                f"prompts.template = {template!r} has no {{name}} in it, so all classes would share"
                " one prompt"
            )
        if isinstance(targets, str) or len(set(self.targets)) < len(self.targets):
            raise UserError(
                f"prompts.targets = {targets!r} is no list of different names of classes; write"
                " ['cat', 'dog'], or [] for all"
            )
        self._found: _Targets | None = None

    def identity(self) -> dict[str, Any]:
        return {}

    def choices(self, context: CaptionContext) -> tuple[str, ...]:
        """One prompt for each class that the photo may be edited towards.

        Raises UserError where there is none.
        """
        prompts = self._of(context).prompts
        labels = [label for label in prompts if label != context.label]
        if not labels:
            raise UserError(
                f"prompts.targets = {list(self.targets)} leaves no class that a photo of"
                f" {context.name!r} could be edited towards; name another one, or [] for all"
            )
        if len(labels) > MOST:
            rng = np.random.default_rng(seed_of("targets", context.source))
            labels = sorted(rng.choice(labels, MOST, replace=False).tolist())
        return tuple(prompts[label] for label in labels)

    def target(self, context: CaptionContext, prompt: str) -> int | None:
        """The label of the class that a prompt asks for; None = it asks for no other class."""
        asked = self._of(context).labels.get(prompt)
        return None if asked == context.label else asked

    def caption(self, context: CaptionContext) -> str:
        """Of the class of the context: the photo's, or the one asked for."""
        return self._prompt(context.name, context.dataset_captions)

    def _prompt(self, name: str, captions: Sequence[str]) -> str:
        return self.template.replace("{name}", name) if self.template else captions[0]

    def _of(self, context: CaptionContext) -> _Targets:
        """The targets among the classes of a context; found once for those of a dataset."""
        found = self._found
        is_known = found is not None and found.classes is context.classes
        if found is None or not is_known or found.captions is not context.captions:
            found = self._found = self._find(context.classes, context.captions)
        return found

    def _find(self, classes: tuple[str, ...], captions: tuple[tuple[str, ...], ...]) -> _Targets:
        for name in self.targets:
            if name not in classes:
                raise unknown("class in prompts.targets", name, classes)
        prompts = [self._prompt(*each) for each in zip(classes, captions, strict=True)]
        users = Counter(prompts)
        own = {
            label: prompt
            for label, prompt in enumerate(prompts)
            if users[prompt] == 1 and (not self.targets or classes[label] in self.targets)
        }
        return _Targets(classes, captions, own, {prompt: label for label, prompt in own.items()})

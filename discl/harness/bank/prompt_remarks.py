"""In sentences: prompts that say nothing, and prompts that text encoders do not read to the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.identity import used_levels
from discl.config.part_cache import PartCache
from discl.core.class_words import without_words
from discl.core.errors import UserError
from discl.core.interfaces import TextsRead
from discl.core.levels import PHOTO
from discl.core.registry import settings
from discl.harness.run.assembly import Bench

MOST_PHOTOS = 20_000  # whose prompts are looked at
_NAMES = 4  # in a sentence
_SHOWN = 60  # characters of a prompt


class _Texts(NamedTuple):
    """Texts of one use, with the class that each is first used for."""

    classes: Mapping[str, int | None]  # text -> label; None = it is of no class
    what: str  # one of them is, such as "prompt"
    reader: str  # such as "the generator"
    part: Any  # that reads them


def prompt_remarks(bench: Bench) -> Iterator[str]:
    """What is to be said of the texts that images are made from and scored against.

    Of the hard photos, or of all training photos while those are not known; of very many, of a
    sample spread evenly.
    """
    models = bench.hard_photos.out_of_fold
    known = models is None or not models.missing()
    rows = bench.hard if known else np.arange(len(bench.train))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST_PHOTOS, len(rows))).astype(int))]
    sources = bench.sources_of(rows)
    prompts: dict[str, int | None] = {}
    captions: dict[str, int | None] = {}
    of_class: dict[int, set[str]] = defaultdict(set)
    for position, label in enumerate(sources.labels.tolist()):
        choices = sources.choices(position)
        if not sources.have_targets:
            captions.setdefault(sources.caption(position), label)
        for text in choices:
            asked = sources.target(position, text) if sources.have_targets else label
            of_class[asked].add(text)
            prompts.setdefault(text, asked)
            if sources.have_targets:
                captions.setdefault(sources.caption_of(position, text), asked)
    _check_words(bench, [*prompts])
    yield from _without_words(bench, of_class)
    yield from _cut(bench, _Texts(prompts, "prompt", "the generator", bench.generator))
    yield from _of_generator(bench, [*prompts])
    negative = getattr(bench.generator, "negative_prompt", "")
    if texts := getattr(bench.generator, "negative_texts", (negative,) if negative else ()):
        negatives = dict.fromkeys(texts)
        yield from _cut(
            bench, _Texts(negatives, "negative prompt", "the generator", bench.generator)
        )
    yield from _cut(bench, _Texts(captions, "caption", "the scorer", bench.scorer))


def _check_words(bench: Bench, prompts: Sequence[str]) -> None:
    """Raises UserError for words that were learned for prompts and the generator does not know."""
    part: Any = bench.spec.part("prompts").build()
    used = [
        word
        for word in getattr(part, "learned_words", ())
        if any(word in prompt for prompt in prompts)
    ]
    try:
        known = getattr(bench.generator, "words", ())
    except UserError:  # a file cannot be read, which is said where it is used
        return
    if missing := [word for word in used if word not in known]:
        raise UserError(
            f"{len(missing)} of {len(used)} words of prompts.words = {part.words!r} are none to the"
            f" generator ({_some(missing)}), which would read them in pieces; set"
            " generator.textual_inversion.file to that folder as well, with a generator that takes"
            " it, such as 'img2img'"
        )


def _of_generator(bench: Bench, prompts: Sequence[str]) -> Iterator[str]:
    """What the generator itself has to say of prompts."""
    remarks = getattr(bench.generator, "remarks", None)
    try:
        yield from () if remarks is None else remarks(prompts)
    except UserError:  # a file cannot be read, which is said where it is used
        return


def prompt_lines(spec: Benchmark) -> tuple[str, ...]:
    """`prompt_remarks` of a benchmark whose data are prepared; none where it makes no image."""
    return tuple(prompt_remarks(Bench(spec))) if _levels(spec) else ()


def remarks_before_images(bench: Bench) -> Iterator[str]:
    """`prompt_remarks` where images of the benchmark's strategies are still to be made."""
    levels = _levels(bench.spec)
    models = bench.hard_photos.out_of_fold
    unknown = models is not None and bool(models.missing())
    if levels and (unknown or next(bench.bank.missing(bench.wanted([*levels])), None)):
        yield from prompt_remarks(bench)


def _levels(spec: Benchmark) -> set[int]:
    """Levels of which images are made."""
    parts = PartCache()
    used = {level for name in spec.strategies for level in used_levels(spec, name, parts)}
    return used - {PHOTO}


def _without_words(bench: Bench, of_class: Mapping[int, set[str]]) -> Iterator[str]:
    """The sentence about classes whose prompts say no more than a name that is no word."""
    classes = bench.dataset.classes
    silent = set(without_words([classes[label] for label in of_class]))
    labels = [
        label
        for label, texts in of_class.items()
        if classes[label] in silent and all(classes[label] in text for text in texts)
    ]
    if not labels:
        return
    first = classes[labels[0]]
    named = _some([classes[label] for label in labels])
    yield (
        f"{len(labels)} of {len(of_class)} classes that images are made of have names that are no"
        f" English words ({named}): images are made from {min(of_class[labels[0]])!r};"
        f" {_way_out(bench, first)}"
    )


def _way_out(bench: Bench, name: str) -> str:
    """Which file to write, for a dataset that takes names and for the others."""
    if "names" in settings("datasets", bench.spec.part("datasets").name):
        return (
            f'write names.json with {{"{name}": "plains zebra", ...}}, and set dataset.names ='
            ' "names.json"'
        )
    return (
        f'write prompts.json with {{"{name}": ["a photo of a plains zebra"], ...}}, and set'
        ' [prompts] name = "descriptions", file = "prompts.json"'
    )


def _cut(bench: Bench, texts: _Texts) -> Iterator[str]:
    """Sentences about texts that are longer than what is read of them."""
    reads = getattr(texts.part, "texts_read", None)
    listed = [*texts.classes]
    if reads is None or not listed:
        return
    try:
        read: TextsRead | None = reads(listed)
    except UserError:  # it cannot be loaded here, which is said where it is used
        return
    if read is None:
        return
    cut = [text for text, is_cut in zip(listed, read.cut, strict=True) if is_cut]
    if not cut:
        return
    label = texts.classes[cut[0]]
    name = "" if label is None else f"{bench.dataset.classes[label]}: "
    if getattr(texts.part, "long_prompts", "cut") == "refuse":
        shown = "; ".join(map(_short, cut[:_NAMES]))
        raise UserError(
            f'generator.long_prompts = "refuse": {len(cut)} of {len(listed)} {texts.what}s'
            f" {'is' if len(cut) == 1 else 'are'} longer than the {read.most} tokens that"
            f" {texts.reader} reads ({name}{shown}{'; ...' if len(cut) > _NAMES else ''}); shorten"
            ' them, or set it to "cut"'
        )
    yield (
        f"{len(cut)} of {len(listed)} {texts.what}s {'is' if len(cut) == 1 else 'are'} longer than"
        f" the {read.most} tokens that {texts.reader} reads, and cut ({name}{_short(cut[0])});"
        " shorten them, or put what matters first"
    )
    alike = defaultdict(list)
    for text, tokens in zip(listed, read.tokens, strict=True):
        alike[tokens].append(text)
    same = [members for members in alike.values() if len(members) > 1]
    if same:
        labels = {texts.classes[text] for members in same for text in members}
        names = {bench.dataset.classes[label] for label in labels if label is not None}
        yield (
            f"{sum(map(len, same))} of them differ only behind the cut: to {texts.reader} they are"
            f" {len(same)} {texts.what}{'s' if len(same) > 1 else ''} ({_some(sorted(names))})"
        )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN].rstrip()}..."


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NAMES], *(["..."] if len(names) > _NAMES else [])])

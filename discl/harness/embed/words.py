"""Learns one word a class, resumes where it was stopped, and keeps them under the home folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import Ints, Photos, Progress
from discl.core.seals import DamagedFileError, sealed_text
from discl.core.text import counted
from discl.files.disk import atomic_write, folder_lock, home, write_text
from discl.files.fetch import sha256_file
from discl.files.networks.learned_words import LIST, LearnedWord, LearnedWords
from discl.files.sealed import load_archive, save_archive, told
from discl.harness.hard.hard_photos import photo_lines

if TYPE_CHECKING:
    from discl.harness.embed.inversion import InversionRecipe, WordTrainer
    from discl.harness.run.assembly import Bench

VERSION = 1  # raised when the same description would give other words
SAVE_SECONDS = 5.0  # of training that a stop may cost
_STATE = "state of a word"


@dataclass(frozen=True)
class _ClassPhotos:
    """A class and the photos that its word is learned from."""

    label: int
    name: str
    token: str
    positions: Ints  # [n] in the bench's source photos

    @property
    def stem(self) -> str:
        """Of the names of its files."""
        return self.token.strip("<>")


class Embedding:
    """The words of one benchmark: which there are to be, and which have been learned."""

    def __init__(self, bench: Bench, recipe: InversionRecipe) -> None:
        """Raises UserError for a recipe or a generator that learns no words, and without photos."""
        recipe.check()
        self.bench = bench
        self.recipe = recipe
        generator: Any = bench.generator
        if not hasattr(type(generator), "family"):
            raise UserError(
                f"generator {bench.spec.generator['name']!r} has no text encoder that could learn a"
                " word; set generator.name = 'img2img' or 'inpaint'"
            )
        for name in ("ip_adapter", "controlnet"):
            if getattr(generator.additions, name):
                raise UserError(
                    f"generator.{name} shows the denoiser the photo that a word is to be learned"
                    " from; leave it out where words are learned, and set it where images are made"
                )
        if not len(bench.hard):
            raise UserError(
                f"the hard rule {bench.hard_photos.bound.name!r} selects no photo of"
                f" {bench.spec.dataset['name']}, so there is nothing to learn from; change"
                " [hard_rule]"
            )

    @cached_property
    def classes(self) -> tuple[_ClassPhotos, ...]:
        """Those with hard photos, by label."""
        sources = self.bench.sources
        labels = np.unique(sources.labels)
        tokens = _tokens([sources.classes[label] for label in labels.tolist()])
        return tuple(
            _ClassPhotos(
                int(label), sources.classes[label], token, np.flatnonzero(sources.labels == label)
            )
            for label, token in zip(labels, tokens, strict=True)
        )

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that the words depend on."""
        bench = self.bench
        sources = bench.sources
        contents = None if bench.train.contents is None else bench.train.contents[sources.rows]
        photos = photo_lines(np.array(sources.ids), sources.labels, contents)
        rule = bench.source_rule
        generator: Any = bench.generator
        return {
            "version": VERSION,
            "weights": generator.identity()["weights"],
            **_changed(generator),
            "scale": list(getattr(generator, "size", None) or ()),
            "photos": digest(photos),
            "size": [list(rule.size), rule.originals],
            "classes": {each.token: each.name for each in self.classes},
            "recipe": asdict(self.recipe),
        }

    @property
    def folder(self) -> Path:
        """Where the words are kept, by all that they depend on."""
        return home() / "words" / digest(self.description)[:16]

    @property
    def steps(self) -> int:
        """Training steps of all words."""
        return self.recipe.steps * len(self.classes)

    @property
    def is_learned(self) -> bool:
        """Whether all words were learned before."""
        return (self.folder / LIST).is_file()

    def learn(self, progress: Progress) -> LearnedWords:
        """Learn the words that are missing; at once where none is.

        Goes on where it was stopped, to the same words. Raises UserError where training diverges.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(self.folder):
            words = []
            for place, each in enumerate(self.classes):
                tell = partial(self._tell, progress, place * self.recipe.steps)
                words.append(self._learned(each, tell))
            content = {"description": self.description, "words": [w._asdict() for w in words]}
            write_text(self.folder / LIST, sealed_text(content))
            for state in self.folder.glob("*.state.npz"):
                state.unlink()
        return LearnedWords(self.folder, tuple(words), self.description)

    def _tell(self, progress: Progress, before: int, step: int) -> None:
        progress(f"learning {counted(len(self.classes), 'word')}", before + step, self.steps)

    def _learned(self, each: _ClassPhotos, stepped: Callable[[int], None]) -> LearnedWord:
        path = self.folder / f"{each.stem}.safetensors"
        seal = self.folder / f"{each.stem}.json"
        known = _kept_digest(path, seal)
        if known is None:
            self._train(each, path, stepped)
            known = sha256_file(path)
            write_text(seal, sealed_text({"sha256": known}))
        else:
            stepped(self.recipe.steps)
        return LearnedWord(each.name, each.token, path.name, known, each.label)

    def _train(self, each: _ClassPhotos, path: Path, stepped: Callable[[int], None]) -> None:
        from safetensors.torch import save_file

        from discl.core.compute.precision import true_float32

        state = self.folder / f"{each.stem}.state.npz"
        with true_float32():
            trainer = self._trainer(each)
            _restore(trainer, state)
            saved = time.monotonic()
            for _ in trainer.train():
                stepped(trainer.step)
                if time.monotonic() - saved >= SAVE_SECONDS:
                    save_archive(state, trainer.state(), _STATE)
                    saved = time.monotonic()
        with atomic_write(path) as tmp:
            save_file(trainer.vectors(), tmp)

    def _trainer(self, each: _ClassPhotos) -> WordTrainer:
        import torch

        from discl.harness.embed.inversion import WordTrainer

        generator: Any = self.bench.generator
        family = generator.family
        family.to_dtype(torch.float32)
        photos = np.asarray(self.bench.sources.photos[each.positions])
        return WordTrainer(
            family, each.token, each.name, _resized(photos, generator.size), self.recipe
        )


def _changed(generator: Any) -> dict[str, Any]:
    """What a word depends on beside the checkpoint's files: adapters and roundings of its weights.

    {} where there are none of them.
    """
    changed = dict[str, Any]()
    if added := generator.additions.identity():
        changed["added"] = added
    if way := generator.additions.quantised.way:
        changed["quantised"] = way
    if generator.dtype != "float32":
        changed["dtype"] = generator.dtype
    return changed


def _restore(trainer: WordTrainer, state: Path) -> None:
    """Go on from a stored state; one that is damaged is left out, and its training begins anew."""
    if not state.exists():
        return
    try:
        trainer.restore(load_archive(state, "its word is learned from the start", _STATE))
    except DamagedFileError as error:
        told(error)


def _kept_digest(path: Path, seal: Path) -> str | None:
    """The digest of a word's file, as it was when it was written; None where it is to be made."""
    from discl.core.seals import read_sealed

    if not path.is_file() or not seal.is_file():
        return None
    way_out = "its word is learned again"
    try:
        known = str(read_sealed(seal, way_out).get("sha256"))
    except DamagedFileError as error:
        told(error)
        return None
    if sha256_file(path) == known:
        return known
    told(DamagedFileError(f"{path} was changed after it was written; {way_out}"))
    return None


def _resized(photos: Photos, size: Sequence[int] | None) -> Photos:
    """Photos [n, h, w, 3] at the generator's (width, height), where it has one."""
    if size is None or photos.shape[1:3] == (size[1], size[0]):
        return photos
    from PIL import Image

    images = [
        Image.fromarray(photo).resize((size[0], size[1]), Image.Resampling.LANCZOS)
        for photo in photos
    ]
    return np.stack([np.asarray(image) for image in images])


def _tokens(names: Sequence[str]) -> Iterator[str]:
    """`<american-crow>` of each name, all different, in letters that every tokenizer keeps."""
    used: set[str] = set()
    for place, name in enumerate(names):
        words = re.findall(r"[a-z0-9]+", name.lower())
        stem = "-".join(words)[:60] or f"class-{place}"
        while stem in used:  # "a-2" may be the name of another class
            stem = f"{stem}-{place}"
        used.add(stem)
        yield f"<{stem}>"


def usage(words: LearnedWords) -> Mapping[str, str]:
    """The settings that make images with the words."""
    return {
        "generator.textual_inversion.file": str(words.folder),
        "prompts.name": "dafusion",
        "prompts.words": str(words.folder),
    }

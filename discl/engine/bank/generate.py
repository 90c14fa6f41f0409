"""Makes images: prompts and noise from a cell's name, pixels from the generator, scores from the
scorer, bytes into a shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.hashing import digest, seed_of
from discl.core.interfaces import (
    CaptionContext,
    Floats,
    Generated,
    Generator,
    Ints,
    Photos,
    Prompts,
    Request,
    Scorer,
)
from discl.core.levels import denoising_steps
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.files import shards
from discl.files.disk import clear_disk_errors
from discl.files.photos import PhotoRows, encode

REMEMBERED = 4096  # embeddings of photos kept at a time


@dataclass(frozen=True)
class SourceImages:
    """The photos images are made from, in the order of their ids."""

    ids: tuple[str, ...]
    labels: Ints  # [n]
    photos: Photos | PhotoRows  # [n, h, w, 3]
    classes: tuple[str, ...]
    dataset_captions: tuple[tuple[str, ...], ...]  # [classes], the dataset's own captions
    prompts: Prompts

    @cached_property
    def place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.ids)}

    def context(self, place: int) -> CaptionContext:
        label = int(self.labels[place])
        return CaptionContext(
            label, self.classes[label], self.dataset_captions[label], self.ids[place]
        )

    def choices(self, place: int) -> tuple[str, ...]:
        """Captions the images of a photo may be made from."""
        return self.prompts.choices(self.context(place))

    def caption(self, place: int) -> str:
        """The caption the images of a photo are judged by."""
        return self.prompts.caption(self.context(place))


def key_of(bank: str, cell: Cell) -> str:
    """The name of an image, within all banks."""
    return digest([bank, *cell])[:32]


def request_of(bank: str, cell: Cell, choices: Sequence[str]) -> Request:
    """Prompt and noise of a cell.

    Both are shared by the levels of one photo and variant, so that a spectrum is one picture fading
    into another, and by nothing else: two photos never share noise.
    """
    seed = seed_of("noise", bank, cell.source, cell.variant)
    return Request(
        cell.level, choices[seed_of("prompt", bank, cell.source, cell.variant) % len(choices)], seed
    )


class ShardWritten(NamedTuple):
    """A published shard, on its way into the catalogue."""

    shard: str
    rows: list[ImageRecord]


class ImageMaker:
    """Turns a lease of cells into a published shard.

    Needs no catalogue, so it works wherever the bank's folder can be seen.
    """

    def __init__(
        self,
        bank: str,
        folder: Path,
        sources: SourceImages,
        generator: Generator,
        scorer: Scorer | None,
    ) -> None:
        self.bank = bank
        self.folder = folder
        self.sources = sources
        self.generator = generator
        self.scorer = scorer
        self._captions: dict[str, Floats] = {}
        self._photos: dict[int, Floats] = {}

    def __call__(self, cells: tuple[Cell, ...]) -> ShardWritten:
        places = [self.sources.place[cell.source] for cell in cells]
        requests = [
            request_of(self.bank, cell, self.sources.choices(place))
            for cell, place in zip(cells, places, strict=True)
        ]
        drawn = self.generator.make(requests, self.sources.photos[places])
        text, photo = self._scores(drawn, places)
        blobs = [
            b"" if i in drawn.failed else encode(image) for i, image in enumerate(drawn.images)
        ]
        ends = np.cumsum([0, *map(len, blobs)]).tolist()
        rows = [
            ImageRecord(
                *cell,
                key_of(self.bank, cell),
                int(self.sources.labels[place]),
                request.prompt,
                self.sources.caption(place),
                request.seed,
                denoising_steps(cell.level, self.generator.steps),
                text[i],
                photo[i],
                FAILED if i in drawn.failed else MADE,
                drawn.failed.get(i, ""),
                ends[i],
                len(blobs[i]),
                hashlib.sha256(blobs[i]).hexdigest(),
            )
            for i, (cell, place, request) in enumerate(zip(cells, places, requests, strict=True))
        ]
        with clear_disk_errors("writing images", self.folder):
            return ShardWritten(shards.write(self.folder, ImageRecord._fields, rows, blobs), rows)

    def _scores(
        self, drawn: Generated, places: list[int]
    ) -> tuple[list[float | None], list[float | None]]:
        """Cosines of the images with caption and photo; None where there is no scorer, or no image."""
        text: list[float | None] = [None] * len(places)
        photo: list[float | None] = [None] * len(places)
        good = [i for i in range(len(places)) if i not in drawn.failed]
        if self.scorer is None or not good:
            return text, photo
        images = self.scorer.embed_images(drawn.images[good])
        captions, photos = self._embedded([places[i] for i in good], self.scorer)
        for i, to_text, to_photo in zip(
            good, (images * captions).sum(1), (images * photos).sum(1), strict=True
        ):
            text[i], photo[i] = round(float(to_text), 6), round(float(to_photo), 6)
        return text, photo

    def _embedded(self, places: list[int], scorer: Scorer) -> tuple[Floats, Floats]:
        """Embeddings of captions and photos; a caption or photo met before is not embedded again."""
        captions = [self.sources.caption(place) for place in places]
        if new := sorted(set(captions) - set(self._captions)):
            self._captions.update(zip(new, scorer.embed_texts(new), strict=True))
        if fresh := sorted(set(places) - set(self._photos)):
            self._photos.update(
                zip(fresh, scorer.embed_images(self.sources.photos[fresh]), strict=True)
            )
        found = (
            np.stack([self._captions[caption] for caption in captions]),
            np.stack([self._photos[place] for place in places]),
        )
        while len(self._photos) > REMEMBERED:
            self._photos.pop(next(iter(self._photos)))
        return found

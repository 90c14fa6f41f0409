"""Makes images and publishes them as shards: prompt and noise are decided by the cell's name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.hashing import digest, seed_of
from discl.core.interfaces import (
    Box,
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
from discl.core.levels import Counting, counting_of, denoising_steps
from discl.core.progress import DENOISING, PartOfWork, counting
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.files import shards
from discl.files.disk import clear_disk_errors
from discl.files.photos import PhotoRows, encode

MAX_PHOTO_EMBEDDINGS = 4096  # kept in memory at a time


@dataclass(frozen=True)
class SourceImages:
    """The photos that images are made from, in the order of their ids."""

    ids: tuple[str, ...]  # [n]
    rows: Ints  # [n], rows in the training split
    labels: Ints  # [n]
    photos: Photos | PhotoRows  # [n, h, w, 3]
    classes: tuple[str, ...]
    dataset_captions: tuple[tuple[str, ...], ...]  # [classes], the dataset's own captions
    prompts: Prompts
    # position -> boxes within the photo, where images depend on them
    boxes: Callable[[int], tuple[Box, ...]] | None = None

    @cached_property
    def position(self) -> dict[str, int]:
        """Photo id -> position in the columns above."""
        return {name: i for i, name in enumerate(self.ids)}

    def context(self, position: int) -> CaptionContext:
        """All that prompts may know of a photo."""
        label = int(self.labels[position])
        return self._context(label, self.ids[position])

    def _context(self, label: int, source: str) -> CaptionContext:
        return CaptionContext(
            label,
            self.classes[label],
            self.dataset_captions[label],
            source,
            self.classes,
            self.dataset_captions,
        )

    def choices(self, position: int) -> tuple[str, ...]:
        """Captions the images of a photo may be made from."""
        return self.prompts.choices(self.context(position))

    def caption(self, position: int) -> str:
        """The caption the images of a photo are scored against, where they stay of its class."""
        return self.prompts.caption(self.context(position))

    @property
    def have_targets(self) -> bool:
        """Whether the prompts may ask for another class than the photo's."""
        return hasattr(self.prompts, "target")

    def target(self, position: int, prompt: str) -> int:
        """The label of the class that a prompt of a photo asks for: most often the photo's own.

        Raises UserError where the prompts name a class that there is not.
        """
        label = int(self.labels[position])
        ask = getattr(self.prompts, "target", None)
        asked: int | None = ask(self.context(position), prompt) if ask else None
        if asked is None:
            return label
        if not 0 <= asked < len(self.classes):
            raise UserError(
                f"the prompts ask for class {asked} by {prompt!r}, and there are"
                f" {len(self.classes)}, from 0 on; correct `target` of"
                f" {type(self.prompts).__name__}"
            )
        return asked

    def target_of(self, record: ImageRecord) -> int:
        """The class that an image was to become; its own where its photo is not here."""
        position = self.position.get(record.source)
        return record.label if position is None else self.target(position, record.prompt)

    def targets(self, records: Iterable[ImageRecord]) -> Ints:
        """`target_of` images, [n]."""
        return np.fromiter(map(self.target_of, records), np.int64)

    def caption_of(self, position: int, prompt: str) -> str:
        """The caption that an image made from `prompt` is scored against.

        At every level that of the class it was to become: the threshold is there to leave out
        images that did not, and most of a soft label is that class.
        """
        target = self.target(position, prompt)
        return self.prompts.caption(self._context(target, self.ids[position]))


def key_of(bank: str, cell: Cell) -> str:
    """The name of an image, within all banks."""
    return digest([bank, *cell])[:32]


def request_of(
    bank: str, cell: Cell, choices: Sequence[str], boxes: tuple[Box, ...] = ()
) -> Request:
    """Prompt and noise of a cell, and the boxes of its photo.

    Prompt and noise are shared by the levels of one photo and variant, so that a spectrum is one
    picture fading into another, and by nothing else: two photos never share noise.
    """
    draw = (bank, cell.source, cell.variant)
    prompt = choices[seed_of("prompt", *draw) % len(choices)]
    return Request(cell.level, prompt, seed_of("noise", *draw), boxes)


def _no_boxes(position: int) -> tuple[Box, ...]:
    return ()


class ShardWritten(NamedTuple):
    """A published shard, to be entered into the catalogue."""

    shard: str
    records: list[ImageRecord]
    seconds: float  # that the images took


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
        self._captions: dict[str, Floats] = {}  # caption -> embedding
        self._photos: dict[int, Floats] = {}  # position -> embedding

    @cached_property
    def counting(self) -> Counting:
        """How the generator counts levels, with these photos."""
        height, width = self.sources.photos.shape[1:3]
        return counting_of(self.generator, (height, width))

    def __call__(self, cells: tuple[Cell, ...]) -> ShardWritten:
        return self.begin(cells)()

    def begin(self, cells: tuple[Cell, ...]) -> Callable[[], ShardWritten]:
        """Make the images of a lease; the function returned scores, encodes and publishes them.

        That one needs no denoiser, and may run in a thread while the next lease is made; two of
        them must not run at once.
        """
        started = time.monotonic()
        positions = [self.sources.position[cell.source] for cell in cells]
        # read once a lease, however many images are made of each
        distinct, of_cell = np.unique(positions, return_inverse=True)
        boxes_of = self.sources.boxes or _no_boxes
        boxes = {position: boxes_of(position) for position in distinct.tolist()}
        requests = [
            request_of(self.bank, cell, self.sources.choices(position), boxes[position])
            for cell, position in zip(cells, positions, strict=True)
        ]
        photos = np.asarray(self.sources.photos[distinct])
        generated = self._generated(requests, photos[of_cell])
        seconds = time.monotonic() - started
        made = _Made(
            cells,
            positions,
            requests,
            dict(zip(distinct.tolist(), photos, strict=True)),
            generated,
            seconds,
        )
        return partial(self._published, made)

    def _published(self, made: _Made) -> ShardWritten:
        started = time.monotonic()
        failed = made.generated.failed
        scores = self._scores(made)
        encoded = [
            b"" if i in failed else encode(image) for i, image in enumerate(made.generated.images)
        ]
        records = []
        offset = 0
        for i, data in enumerate(encoded):
            record = self._record(made.cells[i], made.positions[i], made.requests[i], scores[i])
            if i in failed:
                record = record._replace(status=FAILED, why=failed[i])
            sha256 = hashlib.sha256(data).hexdigest()
            records.append(record._replace(offset=offset, length=len(data), sha256=sha256))
            offset += len(data)
        with clear_disk_errors("writing images", self.folder):
            shard = shards.write(self.folder, ImageRecord._fields, records, encoded)
        seconds = made.seconds + time.monotonic() - started
        return ShardWritten(shard, records, seconds)

    def _generated(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of `photos` [b, h, w, 3]; their denoising steps are told, by us or as they go."""
        steps = sum(denoising_steps(request.level, self.counting) for request in requests)
        part = PartOfWork(DENOISING, steps)
        with counting(part):
            generated = self.generator.make(requests, photos)
        part.reach(steps)
        return generated

    def _record(self, cell: Cell, position: int, request: Request, scores: _Scores) -> ImageRecord:
        """All but where the bytes are."""
        return ImageRecord(
            *cell,
            key=key_of(self.bank, cell),
            label=int(self.sources.labels[position]),
            prompt=request.prompt,
            caption=self.sources.caption_of(position, request.prompt),
            seed=request.seed,
            denoising_steps=denoising_steps(cell.level, self.counting),
            text_score=scores.text,
            photo_score=scores.photo,
            status=MADE,
            why="",
            offset=0,
            length=0,
            sha256="",
        )

    def _scores(self, made: _Made) -> list[_Scores]:
        """Of each image, by its caption and the photo it is made from.

        Without numbers where there is no scorer, or no image.
        """
        scores = [_Scores(None, None)] * len(made.positions)
        rows = [i for i in range(len(made.positions)) if i not in made.generated.failed]
        if self.scorer is None or not rows:
            return scores
        images = self.scorer.embed_images(made.generated.images[rows])
        captions, sources = self._embedded(made, rows, self.scorer)
        text = (images * captions).sum(1)
        photo = (images * sources).sum(1)
        for k, i in enumerate(rows):
            scores[i] = _Scores(round(float(text[k]), 6), round(float(photo[k]), 6))
        return scores

    def _embedded(self, made: _Made, rows: Sequence[int], scorer: Scorer) -> tuple[Floats, Floats]:
        """Embeddings [n, d] of the captions and photos of some images, each computed once."""
        positions = [made.positions[i] for i in rows]
        captions = [
            self.sources.caption_of(made.positions[i], made.requests[i].prompt) for i in rows
        ]
        new_captions = sorted(set(captions) - set(self._captions))
        if new_captions:
            embeddings = scorer.embed_texts(new_captions)
            self._captions.update(zip(new_captions, embeddings, strict=True))
        new_photos = sorted(set(positions) - set(self._photos))
        if new_photos:
            embeddings = scorer.embed_images(np.stack([made.photos[i] for i in new_photos]))
            self._photos.update(zip(new_photos, embeddings, strict=True))
        caption_embeddings = np.stack([self._captions[caption] for caption in captions])
        photo_embeddings = np.stack([self._photos[position] for position in positions])
        while len(self._photos) > MAX_PHOTO_EMBEDDINGS:
            self._photos.pop(next(iter(self._photos)))
        return caption_embeddings, photo_embeddings


class _Made(NamedTuple):
    """Images of a lease, not yet stored."""

    cells: tuple[Cell, ...]
    positions: list[int]  # of the photo that each is made from
    requests: list[Request]
    photos: Mapping[int, Photos]  # position -> [h, w, 3]
    generated: Generated
    seconds: float  # that making them took


class _Scores(NamedTuple):
    """Cosines of an image with its caption and with its photo."""

    text: float | None
    photo: float | None

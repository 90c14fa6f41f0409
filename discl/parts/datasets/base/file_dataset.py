"""Base class of datasets whose photos are files: found, listed, checked, and decoded once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Box, Listing, Photos, Progress, Split
from discl.core.plain_files import plain_bytes
from discl.core.progress import showing, shown_progress
from discl.core.text import typed
from discl.files import decoded
from discl.files.contents import ContentDigests, Digests, digest_of, stamp_of
from discl.files.disk import data_home
from discl.files.photos import AS_STORED, Reading, decode, decode_square, shortened, size_of
from discl.files.sources import ByHand, Source, format_bytes, obtain, safe_path
from discl.parts.datasets.base import duplicates
from discl.parts.datasets.base.known_photos import KnownPhotos
from discl.parts.datasets.base.photo_contents import (
    Look,
    Place,
    SplitContents,
    digest_of_part,
    look,
)
from discl.parts.datasets.base.survey import (
    Survey,
    as_arrays,
    check_listings,
    examples,
    files_state,
    photo_folders,
    picture_files,
    split_remarks,
)
from discl.parts.datasets.manifest.photo_boxes import PhotoBoxes

_MIN_PUBLISHED_SHARE = 0.9  # of the published photos; a smaller listing is meant to be a part


class FileDataset(ABC):
    """Base of a dataset (see `discl.core.interfaces.InFiles`) whose photos are files on the disk.

    `root` is the folder with the dataset; empty, it is $DISCL_DATA/<folder_name>. `side`: photos
    are seen as squares of so many pixels, cut from the middle. `most_unreadable`: share of a
    split's photos that may be missing or unreadable; they are left out and counted, and beyond it
    nothing runs.
    """

    version = 1
    # boxes change no photo: images that depend on them have them in their own identity
    not_hashed: tuple[str, ...] = ("root", "most_unreadable", "boxes", "boxes_confidence")

    folder_name: str  # where it is looked for, below $DISCL_DATA
    layout: str = ""  # what lies in its folder, for people, such as "metadata.csv and train/*.jpg"
    sources: tuple[Source, ...] = ()  # where it can be had, in order
    published: Mapping[str, int] = {}  # split -> photos, as published
    published_classes: int = 0  # 0 = not stated
    published_tail: Mapping[
        int, int
    ] = {}  # see `discl.parts.datasets.base.known_photos.KnownPhotos.tail`
    has_originals: bool = True  # see `discl.core.interfaces.Dataset`
    allow_equal: bool = True  # whether photos of train may be in a test split, as published
    grouped: bool = False  # whether its metadata has a group column
    licence: str = ""  # what its publisher allows
    homepage: str = ""
    citation: str = ""
    # a file with a detector's boxes, which generators that take boxes get; "" = there are none
    boxes: str = ""
    boxes_confidence: float = 0.2  # from which on a box counts

    def __init__(self, root: str, side: int, most_unreadable: float = 0.001) -> None:
        if not 8 <= side <= 1024:
            raise UserError(f"dataset.side = {side}: takes 8 to 1024 pixels")
        if not 0 <= most_unreadable < 1:
            raise UserError(
                f"dataset.most_unreadable = {most_unreadable}: takes a share from 0 to below 1"
            )
        self.root = root
        self.side = side
        self.most_unreadable = most_unreadable

    # -- a subclass must define these

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """English names, index = label. May read `folder`."""

    @abstractmethod
    def holds(self, root: Path) -> bool:
        """Whether `root` is the dataset's folder; must be fast."""

    @abstractmethod
    def listings(self, root: Path) -> Mapping[str, Listing]:
        """The listing of every split, in order.

        Raises UserError where the metadata contradicts itself.
        """

    @abstractmethod
    def prompts(self, label: int) -> tuple[str, ...]:
        """Captions of a class."""

    # -- a subclass may override these

    def read(self, root: Path, ref: str) -> bytes:
        """The bytes of a photo's file."""
        return plain_bytes(root / safe_path(ref))

    def places(self, root: Path, refs: Sequence[str]) -> Sequence[Place]:
        """The file each photo lies in, and where in it."""
        return [Place(ref) for ref in refs]

    @property
    def reading(self) -> Reading:
        """How the photos are read where their files leave it open."""
        return AS_STORED

    def decode(self, data: bytes, ref: str, least_side: int = 0) -> Photos:
        """The pixels [h, w, 3] of a photo, of its file's bytes; see `discl.files.photos.decode`.

        A photo whose `places` names a part is that part.
        """
        return decode(data, ref, least_side, self.reading)

    def square(self, data: bytes, ref: str, side: int) -> Photos:
        """The middle square [side, side, 3] of what `decode` gives."""
        return decode_square(data, ref, side, self.reading)

    def size(self, data: bytes, ref: str) -> tuple[int, int]:
        """(height, width) of what `decode` gives; nothing is decoded where that can be told so."""
        return size_of(data, ref)

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        """The contents of all rows of a table that `places` names, None where a row has none."""
        return ()

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        """(which of the photos [n] have no file, how many picture files beside them have no row).

        Lists folders and opens nothing.
        """
        listed = refs.tolist()
        folders = sorted({ref.rpartition("/")[0] for ref in listed})
        pictures = {path for folder in folders for path in picture_files(root, folder)}
        # a listed file may have an ending that is none of a picture
        absent = {ref for ref in set(listed) - pictures if not (root / ref).is_file()}
        extra = len(pictures - set(listed))
        return np.array([ref in absent for ref in listed], bool), extra

    def remarks(self) -> Sequence[str]:
        """Sentences to add to the notes; asked after `listings`."""
        return ()

    def check_published(self, listings: Mapping[str, Listing]) -> None:
        """Raise UserError where a complete listing has other counts than the published one."""
        counts = {split: len(listing.refs) for split, listing in listings.items()}
        if not any(
            counts.get(split, 0) >= _MIN_PUBLISHED_SHARE * published
            for split, published in self.published.items()
        ):
            return
        for split, published in self.published.items():
            if counts.get(split, 0) != published:
                raise UserError(
                    f"split {split} of {self.name} lists {counts.get(split, 0):,} photos,"
                    f" {published:,} are published; the metadata in {self.folder} is damaged or of"
                    " another version: get it again"
                )

    def known_photos(self) -> KnownPhotos | None:
        """The published counts, which no photo is needed for; None where none are stated."""
        if not (self.published and self.published_classes):
            return None
        return KnownPhotos(self.published, self.published_classes, tail=self.published_tail)

    # -- the interface Dataset

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def identity(self) -> dict[str, Any]:
        """A digest of what is listed and of every photo's content, the side, and how it is read."""
        reading = self.reading._asdict().items() - AS_STORED._asdict().items()
        told = {"reading": dict(sorted(reading))} if reading else {}
        return {"photos": self._contents.digest, "side": self.side, **told}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._survey.listings)

    @property
    def ready(self) -> bool:
        return self._find() is not None

    def split(self, name: str) -> Split:
        """The photos of a split, uint8 [n, side, side, 3]; `original` reads a file at full size.

        Raises UserError for a split that does not exist.
        """
        self.listing(name)  # says which splits there are
        opened = self._open_photos(name, shown_progress())
        photos = self._contents.splits[name]
        refs = photos.listing.refs[opened.rows]
        contents = photos.contents[opened.rows]
        originals = _Originals(self, refs, contents)
        labels, groups = (column[opened.rows] for column in photos.listing[1:])
        return Split(
            photos.ids[opened.rows],
            labels,
            groups,
            opened.pixels,
            original=originals,
            whole=_WholePhotos(self, refs, contents),
            reduced=originals.reduced,
            original_size=originals.size,
            contents=contents,
            boxes=_Boxes(self, Listing(refs, labels, groups)) if self.boxes else None,
        )

    @property
    def has_boxes(self) -> bool:
        """Whether `boxes` names a file; it may be missing."""
        return bool(self.boxes)

    @property
    def boxes_digest(self) -> str:
        """Stands for all boxes. Raises UserError for a missing file."""
        return self.photo_boxes.digest

    @cached_property
    def photo_boxes(self) -> PhotoBoxes:
        """The boxes of the file that `boxes` names."""
        return PhotoBoxes(self.folder, self.boxes, self.boxes_confidence)

    def prepare(self, progress: Progress) -> None:
        """Fetch what may be fetched unasked, list the files, and decode every split."""
        self._find_or_fetch(progress)
        with showing(progress):
            progress(f"listing {self.name}", 0, 1)
            names = self.splits
            progress(f"listing {self.name}", 1, 1)
            splits = [self._decoded(split) for split in names]
        decoded.check_room([photos for photos in splits if photos.open() is None], data_home())
        for split in self.splits:
            self._open_photos(split, progress)

    # -- the interface InFiles

    def fetch(self, progress: Progress) -> Path:
        """The dataset's folder, downloaded whatever its size where it is not here yet."""
        return self._find() or self._fetch(progress, asked=True)

    def listing(self, name: str) -> Listing:
        """The rows of a split whose files exist; no photo is read.

        Raises UserError for a split that does not exist.
        """
        if name not in self._survey.listings:
            raise unknown(f"split of {self.name}", name, self.splits)
        return self._survey.listings[name]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the files: where they are, terms, oddities; no photo is read."""
        terms = [("licence", self.licence), ("cite", self.citation), ("see", self.homepage)]
        unreadable = []
        bytes_to_decode = 0
        for split in self.splits:
            photos = self._decoded(split)
            opened = photos.open()
            if opened is None:
                bytes_to_decode += photos.bytes
            elif opened.unreadable:
                unreadable.append(
                    f"{split}: {len(opened.unreadable)} unreadable photo(s) left out"
                    f" ({self._by_class(split, list(opened.unreadable))}:"
                    f" {examples(opened.unreadable)}); each with its reason in"
                    f" {photos.folder / 'unreadable.txt'}"
                )
            if opened is not None and opened.cut_off:
                unreadable.append(
                    f"{split}: {len(opened.cut_off)} cut-off photo(s) are read as far as they go,"
                    f" grey below ({self._by_class(split, opened.cut_off)})"
                )
        found = self._contents
        notes = [f"files: {self.folder}", *(f"{what}: {text}" for what, text in terms if text)]
        notes.append(f"digest of the photos and of what is listed: {found.digest}")
        notes += [*self._survey.notes, *unreadable]
        if self.boxes:
            listings = self._survey.listings
            notes += [self.photo_boxes.remark("train", listings["train"], self.classes)]
        near = self._near
        notes += duplicates.remarks(found.splits, near or (), self.classes)
        if near is None:
            notes.append("photos that look alike are told once they are decoded")
        if bytes_to_decode:
            notes.append(
                f"not decoded yet: the first run writes {format_bytes(bytes_to_decode)} at"
                f" {self.side} px"
                f" to {data_home()}"
            )
        return tuple(notes)

    def check_splits(self) -> None:
        """Raise UserError where photos of train are in a test split, unless that is allowed."""
        if self.allow_equal:
            return
        leaks = [
            pair
            for pair in duplicates.equal_across(self._contents.splits)
            if pair.other == "train" and duplicates.is_test(pair.split)
        ]
        for pair in leaks:
            raise UserError(
                f"{len(pair.rows):,} of {len(self._contents.splits[pair.split].ids):,} photos of"
                f" {pair.split} are in train too, byte for byte"
                f" ({duplicates.shown(self._contents.splits, pair)}), so that a test on them says"
                f" nothing; remove them from one of the two in {self.folder}, or set"
                " dataset.allow_equal = true to go on, which the table then says"
            )

    def overlaps(self) -> dict[str, int]:
        """How many photos of test splits are in train, too: byte for byte, and by their looks.

        Decodes the photos where they are not yet.
        """
        found = self._contents
        if self._near is None:
            self.prepare(shown_progress())
            self.__dict__.pop("_near")
        equal = duplicates.equal_across(found.splits)
        return {
            "equal_photos": duplicates.tests_in_train(equal),
            "near_equal_photos": duplicates.tests_in_train(self._near or ()),
        }

    @cached_property
    def _near(self) -> list[duplicates.Pair] | None:
        """Photos that look like one of train; None where not all are decoded."""
        found = self._contents
        maps = {split: self._decoded(split) for split in found.splits}
        if any(photos.open() is None for photos in maps.values()):
            return None
        return duplicates.stored_alike(
            data_home() / "alike",
            [photos.folder.name for photos in maps.values()],
            found.splits,
            lambda: {split: photos.small() for split, photos in maps.items()},
        )

    @cached_property
    def folder(self) -> Path:
        """The folder with the dataset, fetched where that may be done unasked."""
        return self._find_or_fetch(shown_progress())

    # -- finding the files

    def _candidates(self) -> list[Path]:
        """Folders in which the dataset is looked for."""
        return [Path(self.root).expanduser() if self.root else data_home() / self.folder_name]

    def _find(self) -> Path | None:
        """The dataset's folder on this machine: a candidate, or a folder in one."""
        for candidate in self._candidates():
            if not candidate.is_dir():
                continue
            if self.holds(candidate):
                return candidate.absolute()
            for inner in self._inner_folders(candidate):
                if self.holds(inner):
                    return inner.absolute()
        return None

    def _inner_folders(self, folder: Path) -> list[Path]:
        """Folders in a candidate that may hold the dataset: many archives contain one folder."""
        return sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )

    def _find_or_fetch(self, progress: Progress) -> Path:
        return self._find() or self._fetch(progress, asked=False)

    def _fetch(self, progress: Progress, asked: bool) -> Path:
        """Download the dataset; unless `asked`, only from sources that are small."""
        if self.root:
            raise UserError(self._not_found())
        folder = data_home() / self.folder_name
        if not asked and not any(source.automatic for source in self.sources):
            raise UserError(self._not_found())
        try:
            obtain(self.sources, folder, progress, asked)
        except UserError as error:
            raise UserError(f"{self._not_found()}\nTried just now: {error}") from error
        dataset_folder = self._find()
        if dataset_folder is None:
            raise UserError(
                f"what was fetched into {folder} is not {self.name}; it should hold"
                f" {self.layout or 'its metadata'}"
            )
        return dataset_folder

    def _not_found(self) -> str:
        """Why there is no dataset, and how to get it."""
        candidates = ", ".join(str(folder.absolute()) for folder in self._candidates())
        root = data_home().absolute()
        sought = f" for {self.layout}" if self.layout else ""
        lines = [f"{self.name} is not on this machine. Looked in {candidates}{sought}."]
        if self.sources:
            lines.append("It can be had from")
            for source in self.sources:
                lines += [f"  - {source}", *(f"    {detail}" for detail in source.details)]
        if any(not isinstance(source, ByHand) for source in self.sources):
            lines.append(
                f"`{typed('discl', 'data', 'fetch', self.name)}` downloads it and goes on where it"
                f" broke off; an archive that you have already goes into {root / 'downloads'}."
            )
        result = f", so that there is {self.layout}" if self.layout else ""
        lines.append(
            f"Or put it into {root / self.folder_name}{result}, or set dataset.root to its folder."
        )
        return "\n".join(lines)

    # -- what is listed

    @property
    def _key(self) -> tuple[Any, ...]:
        parameters = tuple((key, repr(value)) for key, value in sorted(self.__getstate__().items()))
        return (type(self), str(self.folder), parameters)

    @cached_property
    def _survey(self) -> Survey:
        """Cached in the process for equal parameters until files change: every run id needs it."""
        survey = _SURVEYS.get(self._key)
        if survey is None or survey.state != files_state(self.folder, survey.folders):
            survey = _SURVEYS[self._key] = self._make_survey()
        return survey

    @cached_property
    def _contents(self) -> Look:
        """The photos' contents, cached in the process where looking again would take long."""
        listings = self._survey.listings
        found = _LOOKS.get(self._key)
        if found is None or not found.holds(listings):
            found = _LOOKS[self._key] = look(
                ContentDigests(data_home(), self.folder),
                listings,
                partial(self.places, self.folder),
                partial(self.cells, self.folder),
                (self.classes, getattr(self, "group_names", ())),
                f"reading the photos of {self.name}",
                shown_progress(),
            )
        return found

    def _make_survey(self) -> Survey:
        listings = {
            split: as_arrays(listing) for split, listing in self.listings(self.folder).items()
        }
        check_listings(listings, len(self.classes), self.name, self.folder)
        self.check_published(listings)
        notes = [*self.remarks(), *split_remarks(listings, self.classes, self.grouped)]
        absent, extra = self.missing(
            self.folder, np.concatenate([listing.refs for listing in listings.values()])
        )
        existing = dict[str, Listing]()
        start = 0
        for split, (refs, labels, groups) in listings.items():
            exists = ~absent[start : start + len(refs)]
            start += len(refs)
            existing[split] = Listing(refs[exists], labels[exists], groups[exists])
            if gone := refs[~exists].tolist():
                self._check_share(split, "listed but not there", gone, len(refs))
                notes.append(
                    f"{split}: {len(gone)} row(s) without a file left out ({examples(gone)})"
                )
        if extra:
            notes.append(
                f"{extra} picture file(s) lie in the folders of listed photos without a row of"
                " their own, and are not used"
            )
        folders = photo_folders(listings.values())
        state = files_state(self.folder, folders)
        return Survey(existing, tuple(notes), folders, state)

    def _check_share(self, split: str, problem: str, refs: Sequence[str], count: int) -> None:
        """Raise UserError where more photos than `most_unreadable` have a problem."""
        if len(refs) > self.most_unreadable * count:
            raise UserError(
                f"{len(refs)} of {count} photos of split {split} of {self.name} are {problem}"
                f" ({examples(refs)}), more than dataset.most_unreadable = {self.most_unreadable}"
                f" allows; complete the files in {self.folder}, or raise it to go on without them"
            )

    # -- the pixels

    def _decoded(self, split: str) -> decoded.DecodedPhotos:
        photos: SplitContents = self._contents.splits[split]
        return decoded.DecodedPhotos(
            data_home() / "decoded",
            str(self.folder),
            photos.listing.refs,
            photos.contents,
            self.side,
            _DatasetFiles(self, self.folder),
            photos.reading,
            photos.stamps,
        )

    def _open_photos(self, split: str, progress: Progress) -> decoded.OpenedPhotos:
        """The decoded photos of a split, decoded first where they are not."""
        photos = self._decoded(split)
        opened = photos.open()
        if opened is None:
            decoded.check_room([photos], data_home())
            title = f"decoding {split} photos at {self.side} px ({format_bytes(photos.bytes)})"
            opened = photos.build(title, progress)
        first = next(iter(opened.unreadable.values()), "")
        listed = photos.folder / "unreadable.txt"
        cut_off = [ref for ref, why in opened.unreadable.items() if "cut off" in why]
        told = f", cut off: {self._by_class(split, cut_off)}" if cut_off else ""
        unreadable = list(opened.unreadable)
        counts = self._by_class(split, unreadable)
        problem = f"unreadable ({counts}{told}; listed in {listed}; the first: {first})"
        self._check_share(split, problem, unreadable, len(photos.refs))
        return opened

    def _by_class(self, split: str, refs: Sequence[str]) -> str:
        """How many of the photos each class has, most first: `mink 3, otter 1`."""
        listing = self._survey.listings[split]
        some = np.isin(listing.refs, np.array(refs, np.str_))
        counts = np.bincount(listing.labels[some], minlength=len(self.classes))
        order = [label for label in np.argsort(-counts, kind="stable").tolist() if counts[label]]
        return ", ".join(f"{self.classes[label]} {counts[label]}" for label in order[:8])

    def __getstate__(self) -> dict[str, Any]:
        """Only the parameters: caches are not sent to other processes."""
        return {
            key: value
            for key, value in vars(self).items()
            if not isinstance(getattr(type(self), key, None), cached_property)
        }


class _DatasetFiles:
    """Reads the files of a dataset, as `decoded.PhotoFiles`."""

    def __init__(self, dataset: FileDataset, root: Path) -> None:
        self._dataset = dataset
        self._root = root

    @property
    def how(self) -> str:
        reading = self._dataset.reading
        return "" if reading == AS_STORED else repr(reading)

    def read(self, ref: str) -> bytes:
        return self._dataset.read(self._root, ref)

    def stamp(self, ref: str) -> tuple[int, ...]:
        (place,) = self._dataset.places(self._root, [ref])
        return stamp_of((self._root / place.path).stat())

    def digest(self, ref: str, data: bytes) -> bytes:
        (place,) = self._dataset.places(self._root, [ref])
        return digest_of_part(digest_of(data), place.part)

    def square(self, ref: str, data: bytes, side: int) -> Photos:
        return self._dataset.square(data, ref, side)


class _Boxes:
    """The boxes of a split's photos, by row; their file is read when one is asked for."""

    def __init__(self, dataset: FileDataset, listing: Listing) -> None:
        self._dataset = dataset
        self._listing = listing

    def __call__(self, row: int) -> tuple[Box, ...]:
        return self._each[row]

    @cached_property
    def _each(self) -> list[tuple[Box, ...]]:
        return self._dataset.photo_boxes.of(self._listing, self._dataset.classes)


class _Originals:
    """Photos at full size, by row; raises UserError for a file that has changed meanwhile."""

    def __init__(self, dataset: FileDataset, refs: NDArray[np.str_], contents: Digests) -> None:
        self._dataset = dataset
        self._files = _DatasetFiles(dataset, dataset.folder)
        self._refs = refs
        self._contents = contents

    def __call__(self, row: int) -> Photos:
        return self.reduced(row, 0)

    def reduced(self, row: int, side: int) -> Photos:
        """A photo; a large JPEG may come smaller, neither side shorter than `side`."""
        return self._dataset.decode(self._bytes(row), str(self._refs[row]), side)

    def size(self, row: int) -> tuple[int, int]:
        """(height, width) of a photo, read from the header of its file."""
        return self._dataset.size(self._bytes(row), str(self._refs[row]))

    def _bytes(self, row: int) -> bytes:
        ref = str(self._refs[row])
        try:
            data = self._files.read(ref)
        except OSError as error:
            raise UserError(
                f"{ref} cannot be read any more ({error.strerror or error}); put it back into"
                f" {self._dataset.folder}"
            ) from error
        if self._files.digest(ref, data) != self._contents[row]:
            raise UserError(
                f"{ref} has changed since the photos were decoded; run the same again when nothing"
                f" writes to {self._dataset.folder}"
            )
        return data


class _WholePhotos(_Originals):
    """Photos with their aspect kept, the shorter side at training size, by row."""

    def __call__(self, row: int) -> Photos:
        side = self._dataset.side
        return shortened(self.reduced(row, 2 * side), side)


_SURVEYS: dict[tuple[Any, ...], Survey] = {}
_LOOKS: dict[tuple[Any, ...], Look] = {}

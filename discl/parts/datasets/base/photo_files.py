"""Datasets whose photos lie in the user's files: found, listed, checked, and decoded once at
training size.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Listing, Photos, Progress, Split
from discl.files import decoded
from discl.files.disk import data_home
from discl.files.photos import decode
from discl.files.sources import ByHand, Source, contained, obtain, size

__all__ = ["PICTURES", "Listed", "Listing", "few"]

PICTURES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".jp2",
    ".avif",
)
_FULL = 0.9  # share of the published photos from which a listing is taken for the published one
_NAMED = 3  # examples in a message


class Survey(NamedTuple):
    """What a look at the metadata and the folders gave; no photo is read for it."""

    listings: dict[str, Listing]  # without the photos whose files are missing
    digest: str
    notes: tuple[str, ...]
    folders: tuple[str, ...]  # with photos
    state: tuple[Any, ...]  # of what was looked at: another state, another survey


class Listed(ABC):
    """Base of a dataset (see `discl.core.interfaces.InFiles`) made of files: its subclass says
    where they are and what they show.

    `root` is the folder with the dataset; empty, it is $DISCL_DATA/<folder_name>. `side`: the
    photos are seen as squares of so many pixels, the middle of each. `most_unreadable`: share of a
    split's photos that may be missing or unreadable; they are left out and counted, and beyond it
    nothing runs.
    """

    version = 1
    not_hashed: tuple[str, ...] = ("root", "most_unreadable")

    folder_name: str  # where it is looked for, below $DISCL_DATA
    layout: str = ""  # what lies in its folder, for people, such as "metadata.csv and train/*.jpg"
    sources: tuple[Source, ...] = ()  # where it can be had, in order
    published: Mapping[str, int] = {}  # split -> photos, as published
    grouped: bool = False  # whether its metadata has a group column
    licence: str = ""  # what its publisher allows
    homepage: str = ""
    citation: str = ""

    def __init__(self, root: str, side: int, most_unreadable: float = 0.001) -> None:
        if not 8 <= side <= 1024:
            raise UserError(f"dataset.side = {side}: takes 8 to 1024 pixels")
        if not 0 <= most_unreadable < 1:
            raise UserError(
                f"dataset.most_unreadable = {most_unreadable}: takes a share from 0 to below 1"
            )
        self.root, self.side, self.most_unreadable = root, side, most_unreadable

    # -- what a subclass says

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """English names, index = label. May read `place`."""

    @abstractmethod
    def holds(self, root: Path) -> bool:
        """Whether the dataset's metadata is here; answered at once."""

    @abstractmethod
    def listings(self, root: Path) -> Mapping[str, Listing]:
        """Every split, in order; raises UserError where the metadata contradicts itself."""

    @abstractmethod
    def prompts(self, label: int) -> tuple[str, ...]:
        """Captions of a class."""

    def read(self, root: Path, ref: str) -> bytes:
        """The bytes of a photo's file."""
        return (root / contained(ref)).read_bytes()

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        """(size, time in ns) of the file a photo lies in. Raises OSError where there is none."""
        state = (root / ref).stat()
        return state.st_size, state.st_mtime_ns

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        """(which photos have no file, how many picture files in the same folders have no row).

        Lists folders, opens nothing.
        """
        names = refs.tolist()
        folders = sorted({name.rpartition("/")[0] for name in names})
        there = {path for folder in folders for path in _pictures(root, folder)}
        listed = set(names)
        absent = {
            name for name in listed - there if not (root / name).is_file()
        }  # such as one with another ending
        return np.array([name in absent for name in names], bool), len(there - listed)

    def remarks(self) -> Sequence[str]:
        """Sentences to show beside what this class notices itself; asked after `listings`."""
        return ()

    def check_published(self, listings: Mapping[str, Listing]) -> None:
        """Raise where a listing that is as large as the published one is not the published one."""
        found = {name: len(listing.refs) for name, listing in listings.items()}
        if not any(found.get(name, 0) >= _FULL * count for name, count in self.published.items()):
            return
        for name, count in self.published.items():
            if found.get(name, 0) != count:
                raise UserError(
                    f"split {name} of {self.name} lists {found.get(name, 0):,} photos, {count:,}"
                    f" are published; the metadata in {self.place} is damaged or of another"
                    " version: get it again"
                )

    # -- the promises of a dataset

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def identity(self) -> dict[str, Any]:
        """What the metadata lists and the folders hold; a picture that was changed under its old
        name is not noticed here.
        """
        return {"photos": self._survey.digest, "side": self.side}

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._survey.listings)

    @property
    def ready(self) -> bool:
        return self._found() is not None

    def split(self, name: str) -> Split:
        """The photos of one split at training size; `original` reads the file itself."""
        if name not in self._survey.listings:
            raise unknown(f"split of {self.name}", name, self.splits)
        listing = self._survey.listings[name]
        opened = self._opened(name, _silent)
        refs = listing.refs[opened.rows]
        return Split(
            refs,
            listing.labels[opened.rows],
            listing.groups[opened.rows],
            opened.pixels,
            _Originals(self, refs),
        )

    def prepare(self, progress: Progress) -> None:
        self._place_with(progress)
        progress(f"listing {self.name}", 0, 1)
        maps = [self._map(name) for name in self.splits]
        progress(f"listing {self.name}", 1, 1)
        decoded.check_room([each for each in maps if each.open() is None], data_home())
        for name in self.splits:
            self._opened(name, progress)

    # -- beyond those promises

    def fetch(self, progress: Progress) -> Path:
        """The dataset's folder, filled by whatever download it takes."""
        return self._found() or self._obtained(progress, asked=True)

    def listing(self, name: str) -> Listing:
        """The rows of a split whose files are there; no photo is read."""
        if name not in self._survey.listings:
            raise unknown(f"split of {self.name}", name, self.splits)
        return self._survey.listings[name]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about these files, a sentence each; no photo is read."""
        maps = {name: self._map(name) for name in self.splits}
        opened = {name: each.open() for name, each in maps.items()}
        broken = {
            name: each for name, each in opened.items() if each is not None and each.unreadable
        }
        said = [
            f"{name}: {len(each.unreadable)} unreadable photo(s) left out ({few(each.unreadable)});"
            f" each with its reason in {maps[name].folder / 'unreadable.txt'}"
            for name, each in broken.items()
        ]
        todo = sum(maps[name].bytes for name, each in opened.items() if each is None)
        later = (
            [
                f"not decoded yet: the first run writes {size(todo)} at {self.side} px to"
                f" {data_home()}"
            ]
            if todo
            else []
        )
        terms = [
            f"{what}: {text}"
            for what, text in (
                ("licence", self.licence),
                ("cite", self.citation),
                ("see", self.homepage),
            )
            if text
        ]
        return (f"files: {self.place}", *terms, *self._survey.notes, *said, *later)

    @cached_property
    def place(self) -> Path:
        """The folder with the dataset, fetched where it may be without being asked for."""
        return self._place_with(_silent)

    # -- finding the files

    def _places(self) -> list[Path]:
        return [Path(self.root).expanduser() if self.root else data_home() / self.folder_name]

    def _found(self) -> Path | None:
        """A folder with the dataset on this machine: where it is looked for, or a folder in there."""
        for place in self._places():
            if not place.is_dir():
                continue
            if self.holds(place):
                return place.absolute()
            for inside in self._inside(place):
                if self.holds(inside):
                    return inside.absolute()
        return None

    def _inside(self, place: Path) -> list[Path]:
        """Folders of a place in which the dataset may lie: archives often bring one."""
        return sorted(
            path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")
        )

    def _place_with(self, progress: Progress) -> Path:
        return self._found() or self._obtained(progress, asked=False)

    def _obtained(self, progress: Progress, asked: bool) -> Path:
        if self.root:
            raise UserError(self._absent())
        folder = data_home() / self.folder_name
        if not asked and not any(source.unasked for source in self.sources):
            raise UserError(self._absent())
        try:
            obtain(self.sources, folder, progress, asked)
        except UserError as error:
            raise UserError(f"{self._absent()}\nTried just now: {error}") from error
        found = self._found()
        if found is None:
            raise UserError(
                f"what was fetched into {folder} is not {self.name}; it should hold"
                f" {self.layout or 'its metadata'}"
            )
        return found

    def _absent(self) -> str:
        looked = ", ".join(str(place.absolute()) for place in self._places())
        wanted = data_home().absolute() / self.folder_name
        lines = [
            f"{self.name} is not on this machine. Looked in {looked}"
            + (f" for {self.layout}." if self.layout else ".")
        ]
        lines += (
            ["It can be had from", *(f"  - {source}" for source in self.sources)]
            if self.sources
            else []
        )
        if any(not isinstance(source, ByHand) for source in self.sources):
            lines.append(
                f"`discl data fetch {self.name}` downloads it and goes on where it broke off; an"
                f" archive that you have already goes into {data_home().absolute() / 'downloads'}."
            )
        so_that = f", so that there is {self.layout}" if self.layout else ""
        lines.append(f"Or put it into {wanted}{so_that}, or set dataset.root to its folder.")
        return "\n".join(lines)

    # -- what is listed

    @cached_property
    def _survey(self) -> Survey:
        """Made once a process for equal parameters, as long as what it looked at stays as it was:
        every run's id asks for it.
        """
        parameters = tuple((key, repr(value)) for key, value in sorted(self.__getstate__().items()))
        key = (type(self), str(self.place), parameters)
        known = _SURVEYS.get(key)
        if known is None or known.state != _state(self.place, known.folders):
            known = _SURVEYS[key] = self._surveyed()
        return known

    def _surveyed(self) -> Survey:
        listings = {name: _typed(listing) for name, listing in self.listings(self.place).items()}
        self._check(listings)
        self.check_published(listings)
        notes = [*self.remarks(), *_remarks(listings, self.classes, self.grouped)]
        absent, extra = self.missing(
            self.place, np.concatenate([listing.refs for listing in listings.values()])
        )
        kept = dict[str, Listing]()
        start = 0
        for name, (refs, labels, groups) in listings.items():
            there = ~absent[start : start + len(refs)]
            start += len(refs)
            kept[name] = Listing(refs[there], labels[there], groups[there])
            if gone := refs[~there].tolist():
                self._tolerate(name, "listed but not there", gone, len(refs))
                notes.append(f"{name}: {len(gone)} row(s) without a file left out ({few(gone)})")
        if extra:
            notes.append(
                f"{extra} picture file(s) lie in the folders of listed photos without a row of"
                " their own, and are not used"
            )
        folders = tuple(
            sorted(
                {
                    ref.rpartition("/")[0]
                    for listing in listings.values()
                    for ref in listing.refs.tolist()
                }
            )
        )
        whole = hashlib.sha256()
        for name, listing in kept.items():
            whole.update("\n".join([name, *listing.refs.tolist()]).encode())
            whole.update(listing.labels.tobytes() + listing.groups.tobytes())
        return Survey(
            kept, whole.hexdigest()[:16], tuple(notes), folders, _state(self.place, folders)
        )

    def _check(self, listings: Mapping[str, Listing]) -> None:
        """Raise where the metadata cannot be meant."""
        for name in ("train", "val"):
            if name not in listings:
                raise UserError(
                    f"{self.place} gives {self.name} no {name} split; it has"
                    f" {', '.join(listings) or 'none'}"
                )
        owners: dict[str, str] = {}
        for name, (refs, labels, _) in listings.items():
            if not len(refs):
                raise UserError(
                    f"split {name} of {self.name} is empty; see what lies in {self.place}"
                )
            if wrong := np.flatnonzero((labels < 0) | (labels >= len(self.classes))).tolist():
                raise UserError(
                    f"{len(wrong)} row(s) of split {name} have a label out of range:"
                    f" {refs[wrong[0]]} has {labels[wrong[0]]}, where {len(self.classes)} classes"
                    f" are numbered from 0; correct the metadata in {self.place}"
                )
            for ref in refs.tolist():
                if ref in owners:
                    both = (
                        f"twice in split {name}"
                        if owners[ref] == name
                        else f"in {owners[ref]} and in {name}"
                    )
                    raise UserError(
                        f"photo {ref} is listed {both}; each photo may stand once in {self.place}'s"
                        " metadata"
                    )
                owners[ref] = name

    def _tolerate(self, split: str, what: str, which: Sequence[str], count: int) -> None:
        if len(which) > self.most_unreadable * count:
            raise UserError(
                f"{len(which)} of {count} photos of split {split} of {self.name} are {what}"
                f" ({few(which)}), more than dataset.most_unreadable = {self.most_unreadable}"
                f" allows; complete the files in {self.place}, or raise it to go on without them"
            )

    # -- the pixels

    def _map(self, name: str) -> decoded.Map:
        listing = self._survey.listings[name]
        return decoded.Map(
            data_home() / "decoded",
            str(self.place),
            listing.refs,
            self.side,
            _Reader(self, self.place),
        )

    @cached_property
    def _known(self) -> dict[str, decoded.Opened]:
        """Maps that were opened: a dataset sees one state of its files."""
        return {}

    def _opened(self, name: str, progress: Progress) -> decoded.Opened:
        if name in self._known:
            return self._known[name]
        each = self._map(name)
        opened = each.open()
        if opened is None:
            decoded.check_room([each], data_home())
            opened = each.build(
                f"decoding {name} photos at {self.side} px ({size(each.bytes)})", progress
            )
        first = next(iter(opened.unreadable.values()), "")
        self._tolerate(
            name,
            f"unreadable (listed in {each.folder / 'unreadable.txt'}; the first: {first})",
            list(opened.unreadable),
            len(each.refs),
        )
        return opened

    def __getstate__(self) -> dict[str, Any]:
        """Travels to other processes as its parameters."""
        return {
            key: value
            for key, value in vars(self).items()
            if not isinstance(getattr(type(self), key, None), cached_property)
        }


class _Reader:
    """The files of a dataset in its folder."""

    def __init__(self, dataset: Listed, place: Path) -> None:
        self._dataset, self._place = dataset, place

    def read(self, ref: str) -> bytes:
        return self._dataset.read(self._place, ref)

    def stamp(self, ref: str) -> tuple[int, int]:
        return self._dataset.stamp(self._place, ref)


class _Originals:
    """Photos as they were taken, by row."""

    def __init__(self, dataset: Listed, refs: NDArray[np.str_]) -> None:
        self._dataset, self._refs = dataset, refs

    def __call__(self, row: int) -> Photos:
        ref = str(self._refs[row])
        try:
            return decode(self._dataset.read(self._dataset.place, ref), ref)
        except OSError as error:
            raise UserError(
                f"{ref} cannot be read any more ({error.strerror or error}); put it back into"
                f" {self._dataset.place}"
            ) from error


_SURVEYS: dict[tuple[Any, ...], Survey] = {}


def _typed(listing: Listing) -> Listing:
    refs = np.asarray(listing.refs, np.str_)
    for ref in refs.tolist():
        if not ref or ref[0] == "/" or "\\" in ref or (".." in ref and ".." in ref.split("/")):
            raise UserError(
                f"the metadata names a photo {ref!r}, which does not lie in the dataset's folder;"
                " correct it"
            )
    return Listing(refs, np.asarray(listing.labels, np.int64), np.asarray(listing.groups, np.int64))


def _remarks(
    listings: Mapping[str, Listing], classes: Sequence[str], grouped: bool
) -> Iterable[str]:
    """What is odd about the splits, but may be meant."""
    counts = {
        name: np.bincount(listing.labels, minlength=len(classes))
        for name, listing in listings.items()
    }
    if empty := [classes[label] for label in np.flatnonzero(counts["train"] == 0).tolist()]:
        yield (
            f"train has no photo of {len(empty)} of {len(classes)} classes ({few(empty)}): they"
            " cannot be learned"
        )
    if lacking := [
        classes[label]
        for label in np.flatnonzero((counts["val"] == 0) & (counts["train"] > 0)).tolist()
    ]:
        yield (
            f"val has no photo of {len(lacking)} of {len(classes)} classes ({few(lacking)}): they"
            " have no say in the choice of the epoch"
        )
    groups = np.unique(np.concatenate([listing.groups for listing in listings.values()]))
    if len(groups) == 1 and (grouped or groups[0] != 0):
        yield "all photos are of one group: there is no worst group to report"


def few(names: Iterable[str]) -> str:
    """The first of them, for a message."""
    listed = list(names)
    return ", ".join(listed[:_NAMED]) + (", ..." if len(listed) > _NAMED else "")


def _pictures(root: Path, folder: str) -> list[str]:
    """Picture files directly in a folder, as refs."""
    try:
        names = os.listdir(root / folder)
    except OSError:
        return []
    start = f"{folder}/" if folder else ""
    return [start + name for name in names if name.lower().endswith(PICTURES)]


def _state(place: Path, folders: Iterable[str]) -> tuple[Any, ...]:
    """Of the dataset's own folder entry by entry, and of the folders with photos: changes when
    files come, go or are renamed.
    """
    entries = sorted(
        (entry.name, state.st_size, state.st_mtime_ns)
        for entry in os.scandir(place)
        for state in [entry.stat()]
    )
    return (
        *entries,
        *(
            (folder, (place / folder).stat().st_mtime_ns)
            for folder in folders
            if (place / folder).is_dir()
        ),
    )


def _silent(what: str, done: int, total: int) -> None:
    return None

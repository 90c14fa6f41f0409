"""Which column of a list says what: by the user's word, by usual names, by what the cells hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.text import counted, listed
from discl.parts.datasets.manifest.columns import some
from discl.parts.datasets.manifest.lists.list_boxes import box_columns
from discl.parts.datasets.manifest.lists.lookup import Finder, joined
from discl.parts.datasets.manifest.lists.reading import SAMPLE, Columns
from discl.parts.datasets.manifest.rows import Decision, ReadOptions
from discl.parts.datasets.manifest.usual_names import (
    CAPTION_COLUMNS,
    FOLDER_COLUMNS,
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    NUMBERED_SPLITS,
    RANKS,
    SEQUENCE_COLUMNS,
    SPLIT_COLUMNS,
    SPLIT_FLAGS,
    is_missing,
    plain_name,
    split_of,
)

_MOST_TRIED = 200  # cells of a column
_MOST_CLASSES = 0.8  # of the cells; more distinct ones describe photos
_MOST_UNUSUAL = 0.5  # share of cells that must name pictures where a column has no usual name
# columns that are no classes though their cells repeat
_MEASURES = (
    "width", "height", "size", "filesize", "file_size", "age", "year", "month", "day", "hour",
    "date", "time", "datetime", "timestamp", "latitude", "longitude", "lat", "lon", "lng", "depth",
    "elevation", "temperature", "xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max",
    "x1", "y1", "x2", "y2", "count", "confidence", "score", "fold", "index",
)  # fmt: skip
# words in the names of such columns
_MEASURE_WORDS = frozenset(
    ["rank", "number", "num", "no", "nr", "idx", "index", "frame", "count", "quality", "flag"]
)
_PATH = re.compile(r"://|\.(jpe?g|png|tiff?|bmp|webp|heic)$", re.IGNORECASE)
# how names of columns of classes end
_ENDS = frozenset(["species", "class", "label", "category"])
_YES = frozenset(["1", "1.0", "true", "yes", "y", "t"])
_NO = frozenset(["0", "0.0", "false", "no", "n", "f"])


class ListColumns(NamedTuple):
    """Names of a list's columns; "" = there is none."""

    image: str
    labels: tuple[str, ...] = ()  # several = a column of 0 and 1 for each class
    names: str = ""  # of the classes, where the label is a number
    split: str = ""
    group: str = ""
    sequence: str = ""
    caption: str = ""
    box: tuple[str, ...] = ()  # left, top, right, bottom, and the photo's width and height
    folder: str = ""  # of the photo, where the other column has its name alone
    guessed: bool = False  # whether the class has no usual name, and the user did not name it
    decisions: tuple[Decision, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def used(self) -> list[str]:
        """Every column that is read."""
        alone = (
            self.image,
            self.folder,
            self.names,
            self.split,
            self.group,
            self.sequence,
            self.caption,
        )
        return list(dict.fromkeys(name for name in (*alone, *self.labels, *self.box) if name))


class AmbiguousColumnsError(UserError):
    """Several columns could be it, or the one that the user names is not there."""


def found_columns(
    sample: Columns,
    where: str,
    options: ReadOptions,
    finders: Sequence[Finder],
    image: str = "",
) -> ListColumns | None:
    """The columns of a list from a sample of its rows; None where none names a picture.

    `finders` look for the picture that a cell names; the next is asked where one finds none.
    `image` is the column with the photos where that is known. A list without a class has no
    `labels`. Raises UserError for a column that the user names and that is not there, and
    `AmbiguousColumnsError` where several could be the class.
    """
    return _ColumnSearch(sample, where, options, finders).columns(image)


class _ColumnSearch:
    """Columns are taken one after the other; what is taken is no candidate any more."""

    def __init__(
        self,
        sample: Columns,
        where: str,
        options: ReadOptions,
        finders: Sequence[Finder],
    ) -> None:
        self.sample = sample
        self.where = where
        self.options = options
        self.finders = finders
        self.free = list(sample)
        self.decisions = list[Decision]()
        self.remarks = list[str]()
        self.guessed = False

    def columns(self, image: str) -> ListColumns | None:
        folder = ""
        if not image:
            image, folder = self._image(self._named("image"))
        if not image:
            return None
        self._take(image)
        for role in ("label", "split", "group", "sequence", "caption"):
            self._take(self._named(role))
        split = self._named("split") or self._split()
        group = self._named("group") or self._usual("group", GROUP_COLUMNS)
        sequence = self._named("sequence") or self._usual("sequence", SEQUENCE_COLUMNS)
        caption = self._named("caption") or self._usual("caption", CAPTION_COLUMNS, least=1)
        labels = self._labels()
        names = self._names(labels[0]) if len(labels) == 1 else ""
        found = ListColumns(
            image,
            labels,
            names,
            split,
            group,
            sequence,
            caption,
            self._box(),
            folder,
            self.guessed,
        )
        told = " ".join([*self.remarks, *(f"{each.choice} {each.why}" for each in self.decisions)])
        unread = [name for name in self.sample if name.strip() and name not in found.used]
        if unread := [name for name in unread if not re.search(rf"\b{re.escape(name)}\b", told)]:
            self.remarks.append(
                f"{counted(len(unread), 'column')} of {self.where} not used: {some(unread)}"
            )
        return found._replace(decisions=tuple(self.decisions), remarks=tuple(self.remarks))

    # -- by the user's word

    def _named(self, role: str) -> str:
        """The column that the user names for a role; "" = none."""
        key = f"{role}_column"
        asked = getattr(self.options, key)
        if not asked:
            return ""
        name = asked if asked in self.sample else self._alike(asked)
        if not name:
            raise AmbiguousColumnsError(
                f"dataset.{key} = {asked!r}: {self.where} has the columns {', '.join(self.sample)}"
            )
        decision = Decision(role, f"column {name} of {self.where}", f"dataset.{key}")
        if decision not in self.decisions:
            self.decisions.append(decision)
        return name

    def _alike(self, asked: str) -> str:
        """The only column of a name but for capitals, blanks and underscores."""
        alike = [name for name in self.sample if plain_name(name) == plain_name(asked)]
        return alike[0] if len(alike) == 1 else ""

    # -- by names and contents

    def _image(self, named: str) -> tuple[str, str]:
        """(the column that names the photos, the column with their folder); "" = there is none."""
        usual = _usual(list(self.sample), IMAGE_COLUMNS)
        for finds in self.finders:
            shares = {name: self._pictures(name, finds) for name in self.sample}
            able = [
                name
                for name, share in shares.items()
                if share >= _MOST_UNUSUAL or (share and name in usual)
            ]
            order = [*usual, *able]
            best = min(able, key=lambda name: (-shares[name], order.index(name)), default="")
            alone = shares.get(named or best, 0.0)
            image, folder, share = self._in_folders(named, finds) if alone < 1 else ("", "", 0.0)
            if share > alone:
                self._take(image)
                why = f"{share:.0%} of its cells name a picture in the folder of column {folder}"
                self._decide("image", image, why, [])
                return image, folder
            if best and not named:
                others = [name for name in able if name in usual]
                self._decide(
                    "image", best, f"{shares[best]:.0%} of its cells name a picture", others
                )
                return best, ""
        return named, ""

    def _in_folders(self, named: str, finds: Finder) -> tuple[str, str, float]:
        """(column of names, column of their folders, share that names a picture)."""
        images = [named] if named else _usual(list(self.sample), IMAGE_COLUMNS)
        images = images or [name for name in self.sample if self._are_paths(name)]
        folders = _usual(
            list(self.sample),
            (*FOLDER_COLUMNS, *GROUP_COLUMNS, *SEQUENCE_COLUMNS, *LABEL_COLUMNS),
        )
        best = ("", "", 0.0)
        for image in images:
            for folder in folders:
                if folder == image or not any(self.sample[folder]) or self._are_paths(folder):
                    continue
                share = self._pictures(image, finds, folder)
                if share >= _MOST_UNUSUAL and share > best[2]:
                    best = (image, folder, share)
        return best

    def _pictures(self, name: str, finds: Finder, folder: str = "") -> float:
        """The share of a column's cells that name a picture, by a few hundred of them."""
        names = self.sample[name]
        if folder:
            names = [joined(*pair) for pair in zip(self.sample[folder], names, strict=True)]
        cells = list(dict.fromkeys(cell for cell in names if cell))
        cells = cells[:: max(1, len(cells) // _MOST_TRIED)]
        return sum(finds(cell) is not None for cell in cells) / len(cells) if cells else 0.0

    def _are_paths(self, name: str) -> bool:
        """Whether the cells of a column are paths or addresses of files."""
        cells = self._cells(name)[:_MOST_TRIED]
        return (
            bool(cells) and sum(_PATH.search(cell) is not None for cell in cells) > len(cells) / 2
        )

    def _split(self) -> str:
        usual = [name for name in _usual(self.free, SPLIT_COLUMNS) if self._cells(name)]
        able = [name for name in usual if any(map(split_of, self._cells(name)))]
        able += [name for name in usual if are_numbered_splits(name, Counter(self._cells(name)))]
        for name in usual:
            if name not in able:
                values = sorted(set(self._cells(name)))[:4]
                self.remarks.append(
                    f"column {name} of {self.where} holds no split's name ({', '.join(values)}) and"
                    " is not used"
                )
        flags = [name for name in self.free if plain_name(name) in SPLIT_FLAGS]
        flags = [name for name in flags if self._are_flags(name)]
        by_content = [
            name
            for name in self.free
            if all(map(split_of, self._cells(name)))
            and "train" in {split_of(cell) for cell in self._cells(name)}
            and len(set(self._cells(name))) > 1
        ]
        for found, why in (
            (able, "a usual name"),
            (flags, "it says yes or no"),
            (by_content, "its cells are splits"),
        ):
            if found:
                self._decide("split", found[0], why, found)
                return self._take(found[0])
        return ""

    def _box(self) -> tuple[str, ...]:
        columns, remark = box_columns(self.sample)
        if remark:
            self.remarks.append(f"{self.where}: {remark}")
        if columns:
            self.decisions.append(
                Decision("box", f"columns {listed(columns)} of {self.where}", "usual names")
            )
        return columns

    def _are_flags(self, name: str) -> bool:
        return set(map(str.lower, self._cells(name))) <= _YES | _NO

    def _usual(self, role: str, names: Sequence[str], least: int = 2) -> str:
        """The first column of a usual name with at least so many distinct cells.

        In a list that is longer than its sample one will do: it may be sorted by that column.
        """
        usual = [name for name in _usual(self.free, names) if not self._are_paths(name)]
        if any(len(cells) >= SAMPLE for cells in self.sample.values()):
            least = 1
        able = [name for name in usual if len(set(self._cells(name))) >= least]
        if not able:
            for name in usual:
                value = next(iter(self._cells(name)), "")
                told = f"the same everywhere, {value}," if value else "empty"
                self.remarks.append(f"column {name} of {self.where} is {told} and is no {role}")
            return ""
        self._decide(role, able[0], "a usual name", able)
        return self._take(able[0])

    # -- the class

    def _labels(self) -> tuple[str, ...]:
        if named := self._named("label"):
            return (named,)
        usual = [name for name in _usual(self.free, LABEL_COLUMNS) if self._cells(name)]
        usual = [name for name in usual if len(set(self._cells(name))) > 1] or usual
        usual = self._without_ranks(usual)
        if usual:
            self._decide("label", usual[0], "a usual name", usual)
            return (usual[0],)
        ending = [
            name
            for name in self.free
            if could_name_classes(name) and len(set(self._cells(name))) > 1
        ]
        if len(ending) == 1:
            self._decide("label", ending[0], "its name ends as that of a class", [])
            return (ending[0],)
        flags = [name for name in self.free if set(self._cells(name)) <= _YES | _NO]
        flags = [name for name in flags if set(self._cells(name))]
        if len(flags) > 1 and self._are_classes(flags):
            self.decisions.append(
                Decision(
                    "label",
                    f"columns {listed(flags)} of {self.where}",
                    "they hold 0 and 1, a column for each class",
                )
            )
            return tuple(flags)
        able = [name for name in self.free if self._could_be_class(name)]
        self.guessed = bool(able)
        if len(able) > 1:
            raise AmbiguousColumnsError(
                f"{self.where} has the columns {', '.join(self.sample)}: which of them is the"
                f" class ({' or '.join(able)})? set dataset.label_column"
            )
        if able:
            self._decide("label", able[0], "the only column whose cells could be classes", able)
        return tuple(able)

    def _without_ranks(self, usual: list[str]) -> list[str]:
        """Columns of classes without those of a taxonomy's ranks, if others are left.

        `class` beside `order` and `family` is Mammalia; `species` beside `genus` may be the second
        half of a name, vulpes.
        """
        plain = {name: plain_name(name) for name in self.sample}
        if len(RANKS & set(plain.values())) < 2:
            return usual
        others = [name for name in usual if plain[name] != "class"]
        halves = "genus" in plain.values() and not any(
            " " in cell.strip()
            for name in usual
            if plain[name] == "species"
            for cell in self._cells(name)
        )
        whole = [name for name in others if not (halves and plain[name] == "species")]
        return whole or others or usual

    def _are_classes(self, flags: Sequence[str]) -> bool:
        """Whether nearly every row has a class in one of the columns of 0 and 1."""
        rows = list(zip(*(self.sample[name] for name in flags), strict=True))
        marked = sum(any(str(cell).lower() in _YES for cell in row) for row in rows)
        return marked >= 0.9 * len(rows)

    def _could_be_class(self, name: str) -> bool:
        cells = self._cells(name)
        distinct = len(set(cells))
        if plain_name(name) in _MEASURES or _MEASURE_WORDS & set(plain_name(name).split("_")):
            return False
        if len(self.sample) == 2:  # photo and class
            return 0 < distinct <= max(2, _MOST_CLASSES * len(cells))
        return 2 <= distinct <= len(cells) / 2 and not all(map(_is_fraction, set(cells)))

    def _names(self, label: str) -> str:
        """The column with the words of a column of numbers."""
        if not self._is_numbers(label):
            return ""
        usual = _usual([name for name in self.free if name != label], (*LABEL_COLUMNS, "name"))
        able = [name for name in usual if self._cells(name) and not self._is_numbers(name)]
        able = [name for name in able if self._are_paired(label, name)]
        if able:
            self._decide("class names", able[0], f"it names the numbers of {label}", able)
            return able[0]
        return ""

    def _are_paired(self, numbers: str, words: str) -> bool:
        """Whether nearly every number goes with one word and every word with one number."""
        pairs = [
            pair for pair in zip(self.sample[numbers], self.sample[words], strict=True) if all(pair)
        ]
        distinct = set(pairs)
        firsts = {number for number, _ in distinct}
        seconds = {word for _, word in distinct}
        return len(distinct) - len(firsts) <= 0.1 * len(pairs) and len(seconds) > 0.5 * len(firsts)

    # -- small ones

    def _cells(self, name: str) -> list[str]:
        """The cells of a column that hold something."""
        return [cell for cell in self.sample[name] if cell and not is_missing(cell)]

    def _is_numbers(self, name: str) -> bool:
        return all(is_number(cell) for cell in set(self._cells(name)))

    def _take(self, name: str) -> str:
        if name in self.free:
            self.free.remove(name)
        return name

    def _decide(self, role: str, best: str, why: str, able: Sequence[str]) -> None:
        others = [name for name in able if name != best]
        could = f"; {listed(others)} could be it, too" if others else ""
        self.decisions.append(Decision(role, f"column {best} of {self.where}", why + could))


def is_header(cells: Sequence[str]) -> bool:
    """Whether a row holds usual names of columns."""
    usual = {*IMAGE_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS}
    return any(plain_name(cell) in usual for cell in cells)


def is_number(cell: str) -> bool:
    """Whether a class is written as a whole number, as `3` or `3.0`."""
    return cell.strip().removesuffix(".0").lstrip("-").isdecimal()


def are_numbered_splits(name: str, values: Mapping[str, int]) -> bool:
    """Whether the values 0, 1 and 2 of a column, with their counts, are train, val and test.

    Most are 0 then; folds are no splits.
    """
    if plain_name(name) not in SPLIT_COLUMNS or plain_name(name) == "fold":
        return False
    counts = {value.strip().removesuffix(".0"): count for value, count in values.items()}
    return counts.keys() == NUMBERED_SPLITS.keys() and counts["0"] == max(counts.values())


def could_name_classes(name: str) -> bool:
    """Whether a column's name is that of a class, or ends so: question__species."""
    plain = plain_name(name)
    return plain in LABEL_COLUMNS or plain.split("_")[-1] in _ENDS


def is_yes(cell: str | None) -> bool | None:
    """What a cell of 0 and 1, or of yes and no, says; None = neither."""
    text = (cell or "").strip().lower()
    return True if text in _YES else False if text in _NO else None


def _is_fraction(cell: str) -> bool:
    """Whether a cell is a measurement, such as `0.25` or `12,5`."""
    try:
        return not float(cell.replace(",", ".")).is_integer()
    except (ValueError, OverflowError):
        return False


def _usual(names: Sequence[str] | dict[str, float], usual: Sequence[str]) -> list[str]:
    """Those of the names that are usual, in the order of `usual`."""
    ranks = {name: usual.index(plain_name(name)) for name in names if plain_name(name) in usual}
    return sorted(ranks, key=ranks.__getitem__)

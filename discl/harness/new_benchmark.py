"""A benchmark file for a folder of photos, with what was understood of them beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from discl.config import toml
from discl.config.load import load
from discl.core import search_path
from discl.core.errors import UserError
from discl.core.interfaces import InFiles, Ints
from discl.core.registry import bind, names
from discl.core.text import listed, printable, typed
from discl.files.disk import write_text
from discl.files.disks.errors import clear_disk_errors
from discl.parts.datasets.base.cutting import is_far
from discl.parts.datasets.manifest.held_out import share_of

HARD_BELOW = (20, 50, 100)  # training photos of a class
LONGEST_NAME = 100  # letters; names of files that are made of it are longer, and may have 255
_MOST_GROUPS = 10  # that are named in the file
_MOST_REMARKS = 30
_HELD_OUT = 0.2  # of the groups, as a suggestion


def benchmark_name(folder: Path, into: Path = Path("benchmarks")) -> str:
    """A name for the benchmark of a folder: its own in lower case, and none that is taken."""
    name = _name_of(folder)
    return f"my_{name}" if name in _taken(into) else name


def _name_of(folder: Path) -> str:
    """The name of a folder in the letters that a benchmark's name may have."""
    plain = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_")
    name = plain if plain[:1].isalpha() else f"photos_{plain}".rstrip("_")
    return name[:LONGEST_NAME].rstrip("_")


def new_path(name: str, into: Path = Path("benchmarks")) -> Path:
    """The file of a new benchmark; UserError where the name is no name, taken, or in use."""
    if len(name) > LONGEST_NAME:
        raise UserError(
            f"--name '{name[:20]}...' has {len(name)} letters; give one of at most {LONGEST_NAME}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _taken(into):
        why = "is taken" if name in _taken(into) else "takes lower-case letters, digits and _"
        raise UserError(f"--name {name!r} {why}; give another, e.g. --name my_photos")
    path = into / f"{name}.toml"
    if path.exists():
        raise _there_already(path)
    return path


def _there_already(path: Path) -> UserError:
    return UserError(
        f"{path} is there already; edit it, remove it, or give another --name to start anew"
    )


@contextmanager
def written_new(path: Path, text: str) -> Iterator[None]:
    """A new benchmark file, kept unless the block raises.

    Of two that write it at once one does, and the other gets a UserError.
    """
    with clear_disk_errors("writing", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise _there_already(path) from None
    try:
        write_text(path, text)
        yield
    except BaseException:
        path.unlink()
        raise


def write_benchmark(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    into: Path = Path("benchmarks"),
    others: Mapping[str, Any] | None = None,
) -> Path:
    """Write `into`/`name`.toml for the photos of `folder`, read with `settings`; returns its path.

    `others` are tables and values beside the dataset's, which the file keeps. Raises UserError
    where the photos cannot be understood, a setting is wrong, the name is no name or taken, or the
    file exists.
    """
    path = new_path(name, into)
    dataset = bind("datasets", "folder", {**settings, "root": str(folder)}).build()
    text = "\n".join(_lines(folder, name, settings, dataset, others or {})) + "\n"
    try:
        with written_new(path, text):
            load(name)
    except UnicodeEncodeError as error:
        raise UserError(
            f"{printable(str(folder))}: the folder's name is no UTF-8, which a benchmark file must"
            " be; make a link to it with another name"
        ) from error
    return path


def _taken(into: Path) -> set[str]:
    """Names of datasets, and of benchmarks that lie elsewhere."""
    ours = search_path.shipped("benchmarks")
    elsewhere = [] if into.resolve() == ours else [path.stem for path in ours.glob("*.toml")]
    return {*names("datasets"), *elsewhere, "default"}


def _lines(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    dataset: InFiles,
    others: Mapping[str, Any],
) -> Iterator[str]:
    yield f"# The photos of {printable(str(folder))}, as `discl init` understood them."
    yield f"# `{typed('discl', 'data', 'info', name)}` shows the same with every count; what is"
    yield "# wrong is set below, e.g. label_column."
    yield "#"
    yield from _understood(dataset)
    yield 'based_on = "folder"'
    if "title" not in others:
        # a name of one's own tells apart what several benchmarks of one folder show
        own = printable(folder.absolute().name) if name == _name_of(folder) else name
        yield f"title = {toml.to_toml(own)}"
    tables = {key: value for key, value in others.items() if isinstance(value, Mapping)}
    yield from toml.lines({key: value for key, value in others.items() if key not in tables})
    yield ""
    yield "[dataset]"
    yield f"root = {toml.to_toml(str(folder.absolute()))}"
    yield from (f"{key} = {toml.to_toml(value)}" for key, value in settings.items())
    yield from _suggested(dataset, settings)
    rule = tables.pop("hard_rule", {})
    yield ""
    yield "[hard_rule]"
    if not {"name", "max_class_images"} & rule.keys():
        yield from _hard(dataset)
    yield from toml.lines(rule)
    for table, values in tables.items():
        yield from ("", f"[{table}]", *toml.lines(values))
    if "batch" not in tables.get("train", {}):
        yield from _batch(dataset)


def _understood(dataset: InFiles) -> Iterator[str]:
    for what, choice, why in getattr(dataset, "decisions", ()):
        yield f"# {printable(what)}: {printable(choice)} ({printable(why)})"
    for split in dataset.splits:
        labels = dataset.listing(split).labels
        photos, classes = len(labels), len(np.unique(labels))
        yield (
            f"# {split}: {photos:,} photo{'s' * (photos != 1)} of {classes:,}"
            f" class{'es' * (classes != 1)}"
        )
    remarks = [printable(remark) for remark in dataset.notes]
    yield from (f"# - {remark}" for remark in remarks[:_MOST_REMARKS])
    if len(remarks) > _MOST_REMARKS:
        yield f"# - and {len(remarks) - _MOST_REMARKS} more"
    yield ""


def _suggested(dataset: InFiles, settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings that people often want next, as comments."""
    groups = getattr(dataset, "group_names", ())
    if groups and "ood_groups" not in settings:
        photos = _photos_of_groups(dataset, len(groups))
        named = [
            f"{printable(group)} ({count:,} photos)"
            for group, count in zip(groups[:_MOST_GROUPS], photos, strict=False)
        ]
        more = ["more"] if len(groups) > _MOST_GROUPS else []
        chosen, value = _to_hold_out(groups, photos)
        held = sum(photos[groups.index(group)] for group in chosen)
        yield f"# {len(groups)} groups: {listed([*named, *more])}."
        yield "# To hold some out, so that the table has photos of places which training never saw;"
        yield (
            f"# this takes {len(chosen)} of {len(groups)} groups, with {held:,} photos"
            f" ({held / max(1, sum(photos)):.0%} of those with a group):"
        )
        yield f"# ood_groups = {toml.to_toml(value)}"
    if not groups and not {"group_column", "groups", "group_level"} & settings.keys():
        yield "# what belongs together, such as the camera, so that no burst lies in two splits:"
        yield '# group_column = "camera"    # of a list of the photos'
        yield '# groups = "groups.csv"      # a CSV with the columns path and group'


def _photos_of_groups(dataset: InFiles, count: int) -> list[int]:
    """Photos of each group, over all splits."""
    groups = np.concatenate([dataset.listing(split).groups for split in dataset.splits])
    counts: list[int] = np.bincount(groups[groups >= 0], minlength=count).tolist()
    return counts


def _to_hold_out(groups: Sequence[str], photos: Sequence[int]) -> tuple[Sequence[str], Any]:
    """(groups, setting) that come near a fifth of the photos: of few groups one is named."""
    chosen = share_of(sorted(groups), _HELD_OUT) if len(groups) > 1 else ()
    held = sum(photos[groups.index(group)] for group in chosen)
    if chosen and not is_far(held, _HELD_OUT * sum(photos)):
        return chosen, _HELD_OUT
    wanted = _HELD_OUT * sum(photos)
    _, nearest = min(zip(photos, groups, strict=True), key=lambda pair: abs(pair[0] - wanted))
    return (nearest,), [nearest]


def _hard(dataset: InFiles) -> Iterator[str]:
    """The rule of the tail, with how much it would take."""
    counts = np.bincount(dataset.listing("train").labels, minlength=len(dataset.classes))
    taken = {below: _taken_below(counts, below) for below in HARD_BELOW}
    yield "# Images are made from photos of classes with fewer training photos than this number."
    yield "# What it would take:"
    for below, (photos, classes) in taken.items():
        yield f"# {below}: {photos:,} photos, of {classes} of {len(counts)} classes"
    fitting = [below for below, (_, classes) in taken.items() if 0 < classes < len(counts)]
    if not any(classes for _, classes in taken.values()):
        yield "# No class is so rare. Thin train to a long tail (dataset.largest = 200,"
        yield "# dataset.smallest = 5), or take another rule (`discl list hard_rules`)."
    yield f"max_class_images = {fitting[0] if fitting else HARD_BELOW[0]}"


def _batch(dataset: InFiles) -> Iterator[str]:
    """A batch that an epoch fills, where the usual one is larger."""
    usual, photos = load("folder").train.batch, len(dataset.listing("train").labels)
    if photos < usual:
        yield ""
        yield f"[scale.smoke.train]  # train has fewer photos than a batch of {usual}"
        yield f"batch = {max(1, photos // 2)}"


def _taken_below(counts: Ints, below: int) -> tuple[int, int]:
    """(photos, classes) of the classes with fewer than `below` training photos."""
    rare = (counts > 0) & (counts < below)
    return int(counts[rare].sum()), int(rare.sum())


def next_commands(name: str) -> Iterable[str]:
    """What people do next."""
    return (
        f"{typed('discl', 'data', 'info', name)}"
        "    # classes, splits, groups, what was left out and why",
        f"{typed('discl', 'plan', name)}         # what a comparison costs here",
        f"{typed('discl', 'bench', name)}        # run it, and print the table",
    )

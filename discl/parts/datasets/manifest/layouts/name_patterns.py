"""Photos whose names say their classes, by a pattern of the user: cat.0.jpg, Abyssinian_1.jpg."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from discl.core.errors import UserError
from discl.core.text import counted
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.files import kinds
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, RowBuilder
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of

_FIELDS = ("label", "group", "sequence", "split", "caption")
_LEAST = 0.6  # share of photos whose names must look so; others may be a test split's
# how people write a class and a number -> the pattern for it
_USUAL = (
    (re.compile(r"(.*[^\W\d_])([ _.-]?)\((\d+)\)"), "{{label}}{sep}({{number}})"),
    (re.compile(r"(.*[^\W\d_])([ _.-]*)(\d+)"), "{{label}}{sep}{{number}}"),
    (re.compile(r"(?:\d+)([ _.-]+)([^\W\d].*)"), "{{number}}{sep}{{label}}"),
)
_CAMERAS = frozenset(
    [
        *("img", "dsc", "dscn", "dscf", "image", "images", "photo", "pic", "picture", "frame"),
        *("pxl", "imag", "pict", "sam", "p", "gopr", "dji", "mvi", "screenshot", "file", "scan"),
        *("vid", "cimg", "imgp", "stc", "rcnx", "crop", "patch", "tile", "sample", "cam", "camera"),
    ]
)


class NamePatterns:
    """A pattern has `{label}`, and may have `{group}`, `{sequence}`, `{split}` and `{caption}`.

    `{number}` stands for digits, any other name and `*` for anything. Without a slash it is that of
    the name without its ending, with one of the end of the path. Splits are else those of folders.
    """

    title = "names of photos"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return bool(options.name_pattern)

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        pattern = options.name_pattern
        expression = compiled(pattern)
        depth = pattern.count("/") + 1
        builder = RowBuilder()
        others = []
        for ref in tree.pictures:
            found = expression.fullmatch("/".join(_without_ending(ref).split("/")[-depth:]))
            if found is None:
                others.append(ref)
                continue
            values = {name: text for name, text in found.groupdict().items() if name in _FIELDS}
            split = _split(values.get("split"), ref)
            builder.add(ref, **{"label": None, **values, "split": split})
        if len(others) == len(tree.pictures):
            raise UserError(
                f"dataset.name_pattern = {pattern!r} fits no photo of {tree.root}"
                f" ({examples(others)}); {{label}} stands for the class, {{number}} for digits, and"
                " * for anything"
            )
        remarks = []
        if others:
            remarks.append(
                f"{counted(len(others), 'photo')} not used, as dataset.name_pattern does not fit"
                f" the name(s) ({examples(others)})"
            )
        rows = builder.table()
        if "train" not in rows["split"].unique().to_pylist():
            split_column = rows.schema.get_field_index("split")
            rows = rows.set_column(split_column, rows.schema.field("split"), _nulls(len(rows)))
        decision = Decision("label", f"{pattern} of the names", "dataset.name_pattern")
        return Contents(rows, None, (decision,), tuple(remarks))

    def read(self, root: Path, ref: str) -> bytes | None:
        return None


def compiled(pattern: str) -> re.Pattern[str]:
    """The expression of a pattern; raises UserError where it has no or a doubled `{label}`."""
    parts = []
    names = Counter[str]()
    for part in re.split(r"(\{\w+\}|\*)", pattern):
        name = part.strip("{}") if part.startswith("{") else ""
        names[name] += bool(name)
        if part == "*":
            parts.append("[^/]*")
        elif not name:
            parts.append(re.escape(part))
        elif name in _FIELDS:
            parts.append(f"(?P<{name}>[^/]+?)")
        else:
            parts.append(r"\d+" if name == "number" else "[^/]+?")
    if names["label"] != 1 or any(names[name] > 1 for name in _FIELDS):
        raise UserError(
            f"dataset.name_pattern = {pattern!r}: takes a pattern with {{label}} once, such as"
            " {label}_{number} for Abyssinian_1.jpg or {label}.* for cat.0.jpg"
        )
    beside = re.search(r"(\*|\{(?!number)\w+\})\{label\}|\{label\}(\*|\{(?!number)\w+\})", pattern)
    if beside:
        raise UserError(
            f"dataset.name_pattern = {pattern!r}: nothing divides {beside[0]}; write the sign"
            " between them, as in {label}_*"
        )
    return re.compile("".join(parts))


def hint(tree: FileTree) -> list[str]:
    """A sentence where the names of photos look as if they said the class, and no folder does."""
    folders = {ref.rpartition("/")[0].rpartition("/")[2] for ref in tree.pictures}
    if len([name for name in folders if name and not split_of(name)]) > 1:
        return []
    stems = [_without_ending(ref).rpartition("/")[2] for ref in tree.pictures]
    for expression, written in _USUAL:
        found = [match for stem in stems if (match := expression.fullmatch(stem))]
        if len(found) < _LEAST * len(stems) or not found:
            continue
        is_last = written.endswith("{{label}}")
        separators = Counter(match[1 if is_last else 2] for match in found)
        separator, count = separators.most_common(1)[0]
        labels = {match[2 if is_last else 1].rstrip(" _.-") for match in found}
        if count < len(found) or not 2 <= len(labels) <= len(found) / 2:
            continue
        if any(len(label) < 3 or label.lower() in _CAMERAS or split_of(label) for label in labels):
            continue
        pattern = written.format(sep=separator)
        return [
            f"the names look as if they said the class ({examples(sorted(labels))}):"
            f" dataset.name_pattern = {pattern!r} takes it from them"
        ]
    return []


def _without_ending(ref: str) -> str:
    ending = kinds.ending_of(ref.rpartition("/")[2])
    is_known = kinds.KIND_OF_ENDING.get(ending) == kinds.PICTURES
    return ref[: -len(ending)] if is_known else ref


def _split(written: str | None, ref: str) -> str | None:
    if written:
        return split_of(written)
    return next((split for part in ref.split("/")[:-1] if (split := split_of(part))), None)


def _nulls(count: int) -> object:
    import pyarrow as pa

    return pa.chunked_array([pa.nulls(count, pa.string())])

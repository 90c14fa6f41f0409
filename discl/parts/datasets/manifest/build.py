"""How a folder becomes a manifest: the layout lists it, and each step cleans what is listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discl.core.errors import UserError
from discl.core.text import listed
from discl.files.contents import digest_of_all
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.columns import ascends, coded, replaced
from discl.parts.datasets.manifest.combined import with_other_splits
from discl.parts.datasets.manifest.detections import cropped
from discl.parts.datasets.manifest.files.foreign import foreign, unread
from discl.parts.datasets.manifest.files.kinds import OTHERS
from discl.parts.datasets.manifest.held_out import RowPictures
from discl.parts.datasets.manifest.labels import cleaned, numbered, without_classes
from discl.parts.datasets.manifest.layouts.camtrap_dp import CamtrapDp
from discl.parts.datasets.manifest.layouts.class_folders import ClassFolders
from discl.parts.datasets.manifest.layouts.coco_camera_traps import CocoJson
from discl.parts.datasets.manifest.layouts.cub import CubLists
from discl.parts.datasets.manifest.layouts.exported import ExportedManifest
from discl.parts.datasets.manifest.layouts.interface import Layout, TableLayout
from discl.parts.datasets.manifest.layouts.lists import PhotoLists, unused_lists
from discl.parts.datasets.manifest.layouts.name_patterns import NamePatterns, hint
from discl.parts.datasets.manifest.layouts.tables import TableFiles
from discl.parts.datasets.manifest.layouts.text_lists import TextLists
from discl.parts.datasets.manifest.lists.detector_results import results_in
from discl.parts.datasets.manifest.lists.group_table import with_groups
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.several import resolved
from discl.parts.datasets.manifest.splits import SplitRule, assigned, is_complete
from discl.parts.datasets.manifest.store import Manifest
from discl.parts.datasets.manifest.tree import FileTree, path_of

# the first that recognises a folder reads it
LAYOUTS: tuple[Layout, ...] = (
    ExportedManifest(),
    NamePatterns(),
    CamtrapDp(),
    CocoJson(),
    CubLists(),
    TableFiles(),
    TextLists(),
    PhotoLists(),
    ClassFolders(),
)


@dataclass(frozen=True)
class ManifestSettings:
    """What the user says about the photos, beside where they lie."""

    options: ReadOptions = field(default_factory=ReadOptions)
    splits: SplitRule = field(default_factory=SplitRule)
    drop_classes: tuple[str, ...] = ()  # that are left out
    multi_label: str = "drop"  # what becomes of photos with several labels
    crop: str = ""  # results of a detector
    crop_confidence: float = 0.2
    crop_padding: float = 0.0
    allow_equal: bool = False
    not_missing: tuple[str, ...] = ()  # names that read as if nothing was there, such as None


def layout_of(tree: FileTree, options: ReadOptions) -> Layout | None:
    """The first layout that recognises a folder."""
    return next((layout for layout in LAYOUTS if layout.recognises(tree, options)), None)


def layout_titled(title: str) -> Layout:
    """The layout of a manifest."""
    return next(layout for layout in LAYOUTS if layout.title == title)


PicturesOf = Callable[[Layout, Sequence[str]], RowPictures]  # of references


def built(
    tree: FileTree, settings: ManifestSettings, pictures_of: PicturesOf, way_out: str
) -> Manifest:
    """The manifest of a folder; the photos' contents are asked for where splits are to be cut.

    Raises UserError, which ends in `way_out`, where no layout recognises the folder.
    """
    import pyarrow as pa

    layout = layout_of(tree, settings.options)
    if layout is None:
        reasons = [
            *unused_lists(tree, settings.options, ()),
            *_foreign(tree, settings.options),
            *hint(tree),
            *tree.remarks,
        ]
        raise UserError(". ".join([_problem(tree), *reasons, way_out]))
    contents = _listed(layout, tree, settings.options)
    if not contents.rows.num_rows:
        unused = unused_lists(tree, settings.options, ())
        why = f" ({'; '.join(unused)})" if unused else ""
        raise UserError(f"{tree.root} has folders but no photo in them{why}. {way_out}")
    contents = contents.with_rows(contents.rows, *_unused(contents, tree, settings))
    if settings.options.groups:
        contents = with_groups(contents, tree, settings.options.groups)
    names = [*coded(contents.rows["label"]).values, *coded(contents.rows["group"]).values]
    before = contents
    contents = cleaned(contents, (*settings.not_missing, *(names if contents.is_final else ())))
    _check_train(before, contents)
    del before
    contents = without_classes(contents, settings.drop_classes)
    if contents.is_final and contents.rows["box"].null_count < len(contents.rows):
        contents = resolved(contents, "crop")
    else:
        contents = resolved(contents, settings.multi_label)
        contents = _padded(contents, settings.crop_padding)
    contents = cropped(
        contents, tree.root, settings.crop, settings.crop_confidence, settings.crop_padding
    )
    contents = numbered(contents)
    _check_classes(contents, tree)
    contents = _with_ood(contents, settings.options.ood)
    contents = contents.with_rows(_ordered(contents.rows))
    pa.default_memory_pool().release_unused()
    pictures = None
    photo = coded(contents.rows["ref"])
    if not is_complete(contents):
        pictures = pictures_of(layout, photo.distinct.to_pylist())
    contents = assigned(
        contents, settings.splits, None if pictures is None else pictures.of(photo.codes)
    )
    rows = contents.rows
    return Manifest(
        rows,
        layout.title,
        contents.names or (),
        (Decision("layout", layout.title, "the first that fits"), *contents.decisions),
        tuple(dict.fromkeys([*tree.remarks, *contents.remarks])),
        _missing(rows, tree, layout),
        "" if pictures is None else _digest(coded(rows["ref"]).distinct, photo.distinct, pictures),
    )


def _check_classes(contents: Contents, tree: FileTree) -> None:
    names = contents.names or ()
    if len(names) < 2:
        read = next((d.choice for d in contents.decisions if d.what == "label"), "its folders")
        raise UserError(
            f"{tree.root} has photos of {len(names)} class(es) ({', '.join(names) or 'none'}), read"
            f" from {read}; at least two are needed. Set dataset.label_column where another column"
            " is the class, or leave fewer out"
        )


def _problem(tree: FileTree) -> str:
    """Why no layout reads a folder."""
    if tree.pictures:
        return (
            f"{tree.root} has {len(tree.pictures):,} photo(s) ({examples(tree.pictures)}) in no"
            " folder of a class, and no list that names them"
        )
    if tree.folders():
        return f"{tree.root} has folders but no photo in them"
    return f"{tree.root} is no folder with photos"


def _listed(layout: Layout, tree: FileTree, options: ReadOptions) -> Contents:
    """What a layout lists; where folders list nothing it is said why the lists are not read."""
    try:
        return with_other_splits(layout.contents(tree, options), layout, tree, options)
    except UserError as error:
        reasons = foreign(tree)
        if isinstance(layout, ClassFolders):
            reasons = [*hint(tree), *unused_lists(tree, options, ()), *_foreign(tree, options)]
        raise UserError("; ".join([str(error), *reasons])) from error


def _unused(contents: Contents, tree: FileTree, settings: ManifestSettings) -> list[str]:
    """Sentences about lists that nothing is read from."""
    read = [*coded(contents.rows["source"]).values, settings.crop]
    named = [decision.choice for decision in contents.decisions]
    boxes = [
        f"{ref} has boxes of a detector, which are not used; dataset.crop = {ref!r} crops to them"
        for ref in results_in(tree)
        if ref != settings.crop
    ]
    used = [*read, *named]
    unused = unused_lists(tree, settings.options, used)
    return [*unused, *boxes, *_foreign(tree, settings.options, [*used, *contents.remarks])]


def _check_train(before: Contents, after: Contents) -> None:
    """Raises UserError where train had photos before those without a class were left out."""
    splits, left = (coded(contents.rows["split"]) for contents in (before, after))
    counts = dict(zip(splits.values, splits.counts, strict=True))
    if counts.get("train") and "train" not in left.values and left.values:
        raise UserError(
            f"no photo of train has a class ({counts['train']:,} without one; {listed(left.values)}"
            " has some): there is nothing to learn from; write the classes of train"
        )


def _foreign(tree: FileTree, options: ReadOptions, told: Sequence[str] = ()) -> list[str]:
    """Sentences about what is not read, beside the lists that are told of already."""
    found = foreign(tree)
    text = "\n".join(
        [*unused_lists(tree, options, ()), *told, *found, options.groups, options.table]
    )
    others = [*tree.lists, *tree.left_out.get(OTHERS, ())]
    return [*found, *unread(tree, [ref for ref in others if ref in text])]


def _padded(contents: Contents, padding: float) -> Contents:
    """Contents whose boxes have grown by a share of their sides on each side."""
    import pyarrow as pa

    boxes = contents.rows["box"].combine_chunks()
    has_box = np.asarray(boxes.is_valid())
    if not padding or not has_box.any():
        return contents
    given = np.array(boxes.filter(boxes.is_valid()).to_pylist(), np.float64)
    start, size = given[:, :2], given[:, 2:]
    grown, _ = clip_boxes(np.concatenate([start - padding * size, (1 + 2 * padding) * size], 1))
    padded: list[list[float] | None] = [None] * len(has_box)
    for row, box in zip(np.flatnonzero(has_box).tolist(), grown.tolist(), strict=True):
        padded[row] = box
    column = pa.chunked_array([pa.array(padded, boxes.type)])
    return contents.with_rows(replaced(contents.rows, "box", column))


def _with_ood(contents: Contents, ood: tuple[str, ...]) -> Contents:
    """Contents in which the splits named by the user are out of distribution."""
    import pyarrow as pa

    if not ood:
        return contents
    splits = contents.rows["split"].to_pylist()
    for name in ood:
        if name not in splits and f"ood/{name}" not in splits:
            known = ", ".join(sorted({split for split in splits if split})) or "none"
            raise UserError(f"dataset.ood names a split {name!r}; the folder has {known}")
    named = [f"ood/{split}" if split in ood else split for split in splits]
    column = contents.rows.schema.get_field_index("split")
    return contents.with_rows(
        contents.rows.set_column(column, "split", pa.array(named, pa.string()))
    )


def pictures_digest(manifest: Manifest, pictures_of: PicturesOf) -> str:
    """What `Manifest.pictures` is by the files as they are now."""
    refs = coded(manifest.rows["ref"]).distinct.to_pylist()
    return digest_of_all(pictures_of(layout_titled(manifest.layout), refs).digests)


def _digest(refs: Any, known: Any, pictures: RowPictures) -> str:
    """The digest of the pictures of references, which are some of the known ones."""
    import pyarrow.compute as pc

    if refs.equals(known):
        return digest_of_all(pictures.digests)
    return digest_of_all(pictures.digests[pc.index_in(refs, value_set=known).to_numpy()])


def _missing(rows: Any, tree: FileTree, layout: Layout) -> tuple[str, ...]:
    """References of listed photos that have no file, sorted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    refs = coded(rows["ref"]).distinct
    pictures = pa.array(tree.pictures, pa.string())
    if refs.equals(pictures):
        return ()
    others = refs.filter(pc.invert(pc.is_in(refs, pictures)))
    place = layout.place if isinstance(layout, TableLayout) else lambda ref: None
    return tuple(
        ref
        for ref in others.to_pylist()
        # a listed file may have an ending that is none of a picture
        if place(ref) is None and not (tree.root / path_of(ref)).is_file()
    )


def _ordered(rows: Any) -> Any:
    """Rows in the order of their references; those of a table by their number in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    refs = rows["ref"].combine_chunks()
    if not pc.any(pc.match_substring(refs, "#")).as_py():
        if ascends(rows["ref"]):
            return rows
        return rows.take(pc.sort_indices(refs))
    inside = pc.extract_regex(refs, r"^(?P<file>.*#)(?P<row>\d{1,18})$")
    key = pa.table(
        {
            "file": pc.coalesce(pc.struct_field(inside, "file"), refs),
            "row": pc.cast(pc.struct_field(inside, "row"), pa.int64()),
        }
    )
    keys = [("file", "ascending"), ("row", "ascending")]
    return rows.take(pc.sort_indices(key, sort_keys=keys))

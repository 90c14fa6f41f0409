"""Photos listed by a COCO JSON: camera traps with places and sequences, and detection datasets."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from discl.core.errors import UserError
from discl.parts.datasets.manifest.columns import some
from discl.parts.datasets.manifest.layouts.coco_rows import coco_contents
from discl.parts.datasets.manifest.lists.json_records import Record, head
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import SPLITS, split_of

_MOST_FILES = 32  # JSON files whose beginning is read; the largest, for some write one a photo


class CocoJson:
    """One JSON, or one for each split, told by its name or its folder.

    COCO Camera Traps, the format of LILA (https://github.com/agentmorris/MegaDetector), is COCO
    with a `location` and a `seq_id` for each image; iWildCam, iNaturalist and what labelling tools
    export are read by the same rules. The class is the name of the category, or the field of
    categories that `dataset.label_column` names.
    """

    title = "COCO JSON"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return bool(_coco_files(tree, options.table))

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        chosen = _chosen(_coco_files(tree, options.table), options.table)
        parts = [coco_contents(tree, ref, split, options) for ref, split in chosen.items()]
        contents = _together(parts, chosen)
        if not contents.rows.num_rows:
            raise UserError(
                f"none of the images that {some(chosen)} lists lies in {tree.root}; put them there,"
                " set dataset.root to the folder that their paths start from, or take the JSON out"
                " of the folder"
            )
        return contents

    def read(self, root: Path, ref: str) -> bytes | None:
        return None


def _coco_files(tree: FileTree, table: str) -> list[str]:
    """References of the COCO files; those that `dataset.table` names, where it is given."""
    named = [ref for ref in tree.lists if ref.lower().endswith(".json")]
    if table:
        written = table.replace("\\", "/").removeprefix(f"{tree.root.as_posix()}/")
        pattern = posixpath.normpath(written)
        named = [ref for ref in named if ref == pattern or fnmatch.fnmatchcase(ref, pattern)]
    if len(named) > _MOST_FILES:
        sizes = {ref: (tree.root / path_of(ref)).stat().st_size for ref in named}
        largest = set(sorted(named, key=lambda ref: -sizes[ref])[:_MOST_FILES])
        named = [ref for ref in named if ref in largest]
    return [
        ref for ref in named if _is_coco(head(tree.root / path_of(ref), ("images", "annotations")))
    ]


def _is_coco(first: dict[str, Record]) -> bool:
    image, annotation = first.get("images"), first.get("annotations")
    if image:
        return "id" in image and "detections" not in image and "failure" not in image
    if annotation:
        return "image_id" in annotation
    return image is not None and annotation is not None  # both are empty


def _chosen(files: list[str], table: str) -> dict[str, str | None]:
    """The files to read -> the split that each of them is; None = it does not say so.

    Raises UserError where it is not clear which of several to read.
    """
    if not table:  # COCO has captions and keypoints of the same images beside them
        names = ("captions", "person_keypoints", "stuff", "panoptic")
        files = [ref for ref in files if not ref.rpartition("/")[2].startswith(names)] or files
    if len(files) == 1:
        return {files[0]: None}
    splits = {ref: _split_of_file(ref) for ref in files}
    if table or (None not in splits.values() and len(set(splits.values())) == len(files)):
        return splits
    raise UserError(
        f"{len(files)} COCO files list images: {some(files, most=8)}; set dataset.table to the one"
        ' to read, or to a pattern such as "*/annotations.json" for several; files for each split'
        " are found where train, val and test stand in their names or folders"
    )


def _split_of_file(ref: str) -> str | None:
    """The split that a file's name says, such as `instances_train2017.json`, or its folder's."""
    folder, _, name = ref.rpartition("/")
    words = re.split("[^a-z]+", posixpath.splitext(name)[0].lower())
    told = {SPLITS[word] for word in words if word in SPLITS}
    if told:
        return told.pop() if len(told) == 1 else None
    folders = reversed(folder.split("/"))
    return next((split for split in map(split_of, folders) if split), None)


def _together(parts: list[Contents], chosen: dict[str, str | None]) -> Contents:
    """The contents of several files as one."""
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.names or ())
    told = ", ".join(f"{split or 'no split'} from {ref}" for ref, split in chosen.items())
    contents = replace(
        parts[0],
        rows=pa.concat_tables([part.rows for part in parts]).unify_dictionaries(),
        names=tuple(names),
        decisions=tuple({one[:2]: one for part in parts[::-1] for one in part.decisions}.values()),
        remarks=tuple(remark for part in parts for remark in part.remarks),
    )
    return contents.decided(Decision("split", told, "names of the files or of their folders"))

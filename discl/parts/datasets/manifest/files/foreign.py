"""What lies beside the photos and is not read: archives, databases, boxes of detectors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from discl.core.plain_files import open_file
from discl.parts.datasets.manifest.columns import some
from discl.parts.datasets.manifest.files import kinds
from discl.parts.datasets.manifest.files.kinds import OTHERS
from discl.parts.datasets.manifest.tree import FileTree, path_of

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_PACKED_LISTS = (".csv.zip", ".tsv.zip")
_DATABASES = (".db", ".sqlite", ".sqlite3", ".mdb", ".accdb", ".ddb")
_BINARY = (".mat", ".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".tfrecord", ".lmdb", ".rec")
_BOX = re.compile(rb"\s*\d+(\s+\d*\.?\d+){4}")
_MAY_NAME_PHOTOS = (".txt", ".json", ".lst", ".xml", ".yaml", ".yml", ".html", ".tab", ".dat")
_PHOTO_NAME = re.compile(rb"[^\s,;:|\"'/\\<>]+\.(?:jpe?g|png|tiff?|bmp|webp)", re.IGNORECASE)
_DEEPEST = 2  # folders
_MOST_LOOKED_AT = 40  # files
_LEAST = 0.5  # share of photos that have a file of their own name


def foreign(tree: FileTree) -> list[str]:
    """A sentence for each kind of file that may hold photos or classes but is not read."""
    others = tree.left_out.get(OTHERS, [])
    found = [
        (
            _ending_in(others, _ARCHIVES, _PACKED_LISTS),
            "not read: unpack what it holds there",
        ),
        (_ending_in(others, _DATABASES), "no list: export its table as CSV"),
        (
            _ending_in(others, _BINARY),
            "not read: write what it says as CSV with the columns file_name and label",
        ),
    ]
    sentences = [
        f"{some(refs)} {'is' if len(refs) == 1 else 'are'} {what}" for refs, what in found if refs
    ]
    return [*sentences, *_boxes(tree, others)]


def _ending_in(refs: list[str], endings: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    return [
        ref
        for ref in refs
        if ref.lower().endswith(endings) and not ref.lower().endswith(but or " ")
    ]


def _boxes(tree: FileTree, others: list[str]) -> list[str]:
    """Sentences about boxes in a file for each photo, and in those of annotation tools."""
    texts = [ref for ref in tree.lists if ref.lower().endswith(".txt")]
    pages = [ref for ref in others if ref.lower().endswith(".xml")]
    stems = {_stem(ref) for ref in tree.pictures} if texts or pages else set()
    texts = [ref for ref in texts if _stem(ref) in stems]
    of_photos = [ref for ref in pages if _stem(ref) in stems]
    sentences = []
    if len(texts) >= max(1, _LEAST * len(stems)) and _BOX.match(_start(tree, texts[0])):
        sentences.append(_told(texts, "text file(s) with the boxes of YOLO"))
    elif len(texts) >= max(2, _LEAST * len(stems)):
        sentences.append(
            f"{len(texts):,} text files have the names of photos ({texts[0]}) and are not read:"
            " write what they say as CSV with the columns file_name and label"
        )
    if of_photos:
        sentences.append(_told(of_photos, "XML file(s) with boxes of photos"))
    sentences += [
        f"{ref} holds annotations of CVAT, which are not read; export them as COCO JSON"
        for ref in pages
        if ref not in of_photos and b"<annotations>" in _start(tree, ref)
    ]
    return sentences


def unread(tree: FileTree, known: Collection[str]) -> list[str]:
    """A sentence about files that name photos at their beginning, and are none of the `known`."""
    others = [
        ref
        for ref in (*tree.lists, *tree.left_out.get(OTHERS, ()))
        if ref not in known
        and ref.lower().endswith(_MAY_NAME_PHOTOS)
        and ref.count("/") <= _DEEPEST
    ]
    if len(others) > _MOST_LOOKED_AT:  # a file for each photo
        return []
    named = {ref: set(_PHOTO_NAME.findall(_start(tree, ref))) for ref in others}
    wanted = set[bytes]().union(*named.values())
    # of millions of photos, only the names that are looked for are kept
    there = {name for ref in tree.pictures if (name := _name(ref)) in wanted} if wanted else set()
    found = [ref for ref in others if there & named[ref]]
    if not found:
        return []
    verb = "name photos and are" if len(found) > 1 else "names photos and is"
    return [f"{some(found)} {verb} not read: write a CSV with the columns file_name and label"]


def _told(refs: list[str], what: str) -> str:
    folders = Counter(ref.rpartition("/")[0] or "the folder itself" for ref in refs)
    return (
        f"{len(refs):,} {what} are not read ({some(folders)}); export the boxes as COCO JSON, or"
        " sort the photos into a folder for each class"
    )


def _stem(ref: str) -> str:
    name = ref.rpartition("/")[2]
    return name[: -len(kinds.ending_of(name))] if kinds.ending_of(name) else name


def _name(ref: str) -> bytes:
    return ref.rpartition("/")[2].encode()


def _start(tree: FileTree, ref: str) -> bytes:
    try:
        with open_file(tree.root / path_of(ref), "rb") as opened:
            start: bytes = opened.read(4096)
            return start
    except OSError:
        return b""

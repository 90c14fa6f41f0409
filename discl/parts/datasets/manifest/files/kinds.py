"""Kinds of files by their endings and first bytes, and the names of what systems leave behind."""

from __future__ import annotations

import re

from discl.parts.datasets.base.survey import PICTURE_ENDINGS

PICTURES = "pictures"
LISTS = "lists"
VIDEOS = "video(s)"
RAW = "RAW file(s) of cameras"
NOT_READ = "picture(s) of a format that is not read"
OTHERS = "other file(s)"

LIST_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".arrow")
_ENDINGS = {
    PICTURES: PICTURE_ENDINGS,
    LISTS: LIST_ENDINGS,
    VIDEOS: (
        *(".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".wmv", ".asf", ".flv", ".mpg"),
        *(".mpeg", ".mpe", ".mts", ".m2ts", ".3gp", ".3g2", ".ogv", ".vob", ".insv", ".lrv"),
    ),
    RAW: (
        *(".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".orf"),
        *(".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".kdc", ".dcr", ".erf", ".mrw"),
        *(".raw", ".gpr"),
    ),
    NOT_READ: (
        *(".svg", ".psd", ".psb", ".ai", ".eps", ".xcf", ".jxl", ".exr", ".hdr", ".dcm", ".nii"),
        *(".fits", ".fit", ".svs", ".ndpi", ".czi", ".nd2", ".mrc", ".seq", ".csq"),
    ),
    # not looked into: the endings of what commonly lies beside photos
    OTHERS: (
        *(".md", ".rst", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".html", ".htm", ".css"),
        *(".js", ".py", ".pyc", ".ipynb", ".r", ".sh", ".bat", ".log", ".pdf", ".doc", ".docx"),
        *(".xls", ".xlsx", ".ods", ".odt", ".ppt", ".pptx", ".rtf", ".zip", ".tar", ".gz", ".tgz"),
        *(".7z", ".rar", ".bz2", ".xz", ".zst", ".npy", ".npz", ".pt", ".pth", ".ckpt", ".h5"),
        *(".hdf5", ".pkl", ".pickle", ".mat", ".db", ".sqlite", ".mdb", ".tfrecord", ".xmp"),
        *(".aae", ".thm", ".wav", ".mp3", ".m4a", ".exe", ".dll", ".lnk", ".url", ".part", ".tmp"),
        *(".crdownload", ".md5", ".sha256", ".lock", ".geojson", ".kml", ".gpx", ".shp", ".dbf"),
        *(".prj", ".shx", ".names", ".cache", ".idx", ".bin", ".onnx", ".safetensors", ".jsonc"),
        *(".ndjson", ".feather", ".tab", ".lst", ".bib", ".license", ".tex", ".swp", ".torrent"),
    ),
}
KIND_OF_ENDING = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings}

FIRST_BYTES = 32  # enough for `is_picture`

_SYSTEM_FOLDERS = frozenset(
    [
        *("$recycle.bin", "recycler", "recycled", "#recycle", "@recycle", "@recently-snapshot"),
        *("@eadir", "@tmp", "#snapshot", "~snapshot", "lost+found", "system volume information"),
        *("__macosx", "__pycache__", "network trash folder", "temporary items", "found.000"),
        *("msdownld.tmp", "$windows.~bt", "node_modules"),
    ]
)
_SYSTEM_ENDINGS = (".lrdata", ".lrcat-data", ".photoslibrary", ".cocatalog", ".tmp")
_PREVIEW_FOLDERS = frozenset(
    ["thumbnails", "thumbs", "_thumbs", "_thumbnails", "thumbnail", "picasaoriginals"]
)
_SYSTEM_FILE = re.compile(
    r"\.|~\$|(thumbs\.db|ehthumbs(_vista)?\.db|desktop\.ini|folder\.jpg\.lnk|icon\\x0d)$",
    re.IGNORECASE,
)
_PICTURE_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"),
)
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def is_system_folder(name: str) -> bool:
    """Whether systems, servers or editors made the folder: hidden ones, recycle bins, indexes."""
    lower = name.lower()
    return name[0] == "." or lower in _SYSTEM_FOLDERS or lower.endswith(_SYSTEM_ENDINGS)


def is_preview_folder(name: str) -> bool:
    """Whether the folder's name says that it holds small copies."""
    return name.lower() in _PREVIEW_FOLDERS


def is_system_file(name: str) -> bool:
    """Whether systems made the file: hidden ones, indexes of previews, halves of Mac files."""
    return name[0] in ".~TtEeDdFfIi" and _SYSTEM_FILE.match(name) is not None


def kind_of(name: str) -> str:
    """The kind of a file by its ending; "" where that says nothing."""
    return KIND_OF_ENDING.get(ending_of(name), "")


def ending_of(name: str) -> str:
    """The lower-case ending with its dot; "" where there is none."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 and name[dot - 1] != "/" and "/" not in name[dot:] else ""


def is_picture(start: bytes) -> bool:
    """Whether a file whose first `FIRST_BYTES` are these is a picture of a format that is read."""
    if start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return True
    if start.startswith((b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")):
        return True
    if start[:4] == b"RIFF":
        return start[8:12] == b"WEBP"
    if start[4:8] == b"ftyp":
        return start[8:12] in _PICTURE_BRANDS
    if start[:2] == b"BM":
        return start[6:10] == bytes(4) and int.from_bytes(start[14:18], "little") in _BITMAP_HEADERS
    return re.match(rb"P[1-6]\s+(#|\d)", start) is not None

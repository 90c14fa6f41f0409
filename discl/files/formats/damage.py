"""What is wrong with a photo's file: it is cut off, or no photo at all."""

from __future__ import annotations

import numpy as np
from PIL import Image

JPEG = b"\xff\xd8\xff"
END_OF_JPEG = b"\xff\xd9"
_SCAN = b"\xff\xda"  # begins pixels of a JPEG
_TAIL = 1 << 16  # bytes of a JPEG in which its end is looked for
_ROWS_MISSING = "rows are missing"


def unknown(data: bytes) -> str:
    """What bytes are that no decoder knows."""
    start = data[:64].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "no photo but a pointer to it, which `git lfs pull` replaces"
    if start.startswith((b"<!doctype", b"<html")):
        return "no photo but a web page"
    return "no known format"


def lacks_end(data: bytes) -> bool:
    """Whether a file is a JPEG that was cut off."""
    if not data.startswith(JPEG):
        return False
    tail = data[-_TAIL:]
    if len(data) > _TAIL or END_OF_JPEG not in tail:
        return END_OF_JPEG not in tail
    # the preview in its header has an end of its own
    return data.rfind(END_OF_JPEG) < data.rfind(_SCAN)


def is_cut_off(data: bytes, why: str) -> bool:
    """Whether an unreadable file is the beginning of a picture."""
    if not data:
        return False
    if data.startswith(JPEG):
        is_short = lacks_end(data)
    elif data.startswith(b"\x89PNG"):
        is_short = b"IEND" not in data
    elif data.startswith(b"RIFF"):
        is_short = int.from_bytes(data[4:8], "little") + 8 > len(data)
    elif data.startswith(b"BM"):
        is_short = int.from_bytes(data[2:6], "little") > len(data)
    else:
        is_short = False
    return is_short or "truncat" in why.lower() or why.endswith(_ROWS_MISSING)


def check_rows(image: Image.Image) -> None:
    """Raise ValueError where more than half of the rows of a cut-off JPEG are missing.

    Its decoder leaves them at the middle of every channel, which whole rows of a photo never are.
    """
    values = np.asarray(image).reshape(image.height, -1)
    is_missing = (values == values[-1, -1]).all(1) & (values[:, -1] >= 127) & (values[:, -1] <= 128)
    rows = image.height if is_missing.all() else int(np.argmin(is_missing[::-1]))
    if rows > image.height / 2:
        raise ValueError(f"{rows} of {image.height} {_ROWS_MISSING}")

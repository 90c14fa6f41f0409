"""Photo files and pictures of photos: decode anything a camera writes, encode exactly, lay out
sheets.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Photos
from discl.files.disk import atomic_output


def encode(photo: Photos) -> bytes:
    """Lossless WebP, method 0: smaller and faster than PNG both ways."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=True)
    return buffer.getvalue()


def decode(data: bytes, name: str = "image", least_side: int = 0) -> Photos:
    """RGB pixels uint8 [h, w, 3] of an image file's bytes: upright, on white where transparent, the
    first frame of several.

    Colour profiles are not applied. With `least_side` a JPEG may come at 1/2, 1/4 or 1/8 of its
    size, which decodes several times faster, as long as neither side is then shorter than that.
    """
    try:
        with warnings.catch_warnings():
            # a torn EXIF block, or 100 million pixels, is no reason to refuse a photo, nor to print
            # a line for each
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(io.BytesIO(data)) as opened:
                if least_side:
                    opened.draft(None, (least_side, least_side))
                return np.asarray(_rgb(ImageOps.exif_transpose(opened), opened.format))
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{name} claims more than {most:,} pixels, the most that is read; scale it down or"
            " remove the file"
        ) from error
    except Exception as error:  # decoders stumble over broken bytes in every way there is
        why = (
            "no known format"
            if isinstance(error, UnidentifiedImageError)
            else str(error) or type(error).__name__
        )
        raise UserError(
            f"{name} cannot be read as an image ({len(data)} bytes: {why}); replace or remove the"
            " file"
        ) from error


def decode_square(data: bytes, name: str, side: int) -> Photos:
    """uint8 [side, side, 3]: the middle square of a photo, as large as fits, antialiased.

    A photo of that very size stays as it is.

    Large JPEGs are first decoded at a half, a quarter or an eighth, at least twice as large as
    wanted.
    """
    photo = decode(data, name, least_side=2 * side)
    h, w = photo.shape[:2]
    edge = min(h, w)
    box = ((w - edge) / 2, (h - edge) / 2, (w + edge) / 2, (h + edge) / 2)
    return np.asarray(
        Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    )


def _rgb(image: Image.Image, form: str | None) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and form == "PPM"):
        return _from_16_bits(image).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel: nothing says which value is white; save it with 8 or 16")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey of 8 bits. 65535 is white, as the format says: the brightest pixel would give each photo
    an exposure of its own.
    """
    wide = np.asarray(image).astype(np.uint32)
    wide[wide == image.info.get("transparency")] = 65535
    return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))


def fitted(photo: Photos, size: tuple[int, int]) -> Photos:
    """A photo at (height, width): scaled until it covers them, what stands out cut off evenly at
    both ends.
    """
    h, w = size
    if photo.shape[:2] == (h, w):
        return photo
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (w, h), Image.Resampling.BICUBIC))


class PhotoRows:
    """Photos [n, h, w, 3] that are read when they are indexed, so that no more of them are held
    than are asked for.

    `read` gives the photos of some of `rows`; `shape` is that of one.
    """

    def __init__(
        self, read: Callable[[Ints], Any], rows: Ints, shape: tuple[int, ...], dtype: Any = np.uint8
    ) -> None:
        self.read, self.rows = read, rows
        self.shape = (len(rows), *shape)
        self.dtype = np.dtype(dtype)
        self.ndim = 1 + len(shape)

    @staticmethod
    def of(array: Any, rows: Ints) -> PhotoRows:
        """Some rows of an array of photos, or of features, without copying them."""
        return PhotoRows(partial(_taken, array), rows, array.shape[1:], array.dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> Any:
        """One photo [h, w, 3] of a number, photos of a slice or of many numbers."""
        wanted = self.rows[places]
        return self.read(np.array([wanted]))[0] if np.ndim(wanted) == 0 else self.read(wanted)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.read(self.rows).astype(dtype or self.dtype, copy=False)


def _taken(array: Any, rows: Ints) -> Any:
    return np.asarray(array[rows])


def thumbnail(photo: Photos, largest: int) -> bytes:
    """PNG bytes of a photo, made smaller where a side exceeds `largest` pixels."""
    picture = Image.fromarray(photo)
    buffer = io.BytesIO()
    picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def sheet(
    rows: Sequence[Sequence[Photos]], columns: Sequence[str], names: Sequence[str], tile: int = 64
) -> Image.Image:
    """A contact sheet: one line of photos a row, `columns` above, `names` at the left."""
    left = 12 + 7 * max((len(name) for name in names), default=0)
    top = 22
    gap = 2
    width = left + len(columns) * (tile + gap)
    canvas = Image.new("RGB", (width, top + len(rows) * (tile + gap)), "white")
    draw = ImageDraw.Draw(canvas)
    for c, title in enumerate(columns):
        draw.text((left + c * (tile + gap) + 2, 5), title, fill="black")
    for r, (line, name) in enumerate(zip(rows, names, strict=True)):
        draw.text((6, top + r * (tile + gap) + tile // 2 - 6), name, fill="black")
        for c, photo in enumerate(line):
            factor = max(1, math.ceil(tile / max(photo.shape[:2])))
            resample = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
            place = (left + c * (tile + gap), top + r * (tile + gap))
            canvas.paste(Image.fromarray(photo).resize((tile, tile), resample), place)
    return canvas


def picture_format(path: Path, others: str = "") -> str:
    """Pillow's name of the format a file's ending stands for; `others` are endings the caller
    writes itself.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UserError(
            f"{path.name!r}: {path.suffix or 'no ending'} is no picture format; use .png or"
            f" .webp{others}"
        )
    return str(kind)


def save_picture(picture: Image.Image, path: Path) -> Path:
    """Write a picture whole; the format follows the file's ending."""
    kind = picture_format(path)
    with atomic_output(path) as tmp:
        picture.save(tmp, kind)
    return path

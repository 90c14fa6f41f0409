"""Photo files: decode anything a camera writes, encode without loss, lay out contact sheets."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Photos
from discl.files.disk import atomic_output

_LYING = (5, 6, 7, 8)  # EXIF orientations of photos that are turned by a quarter
LONGEST = 8  # times its shorter side, of a photo that is read whole


def encode(photo: Photos) -> bytes:
    """Lossless WebP of uint8 [h, w, 3]; method 0 is smaller and faster than PNG both ways."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=True)
    return buffer.getvalue()


def decode(data: bytes, name: str = "image", least_side: int = 0) -> Photos:
    """RGB pixels uint8 [h, w, 3] of an image file's bytes.

    Upright, on white where transparent, the first frame of several. Colour profiles are not
    applied. With `least_side` a JPEG may come at 1/2, 1/4 or 1/8 of its size, which decodes several
    times faster, as long as neither side is then shorter than that. Raises UserError, which calls
    the file `name`, where the bytes are no image.
    """
    with _opened(data, name) as opened:
        if least_side:
            opened.draft(None, (least_side, least_side))
        return np.asarray(_rgb(ImageOps.exif_transpose(opened), opened.format))


def size_of(data: bytes, name: str = "image") -> tuple[int, int]:
    """(height, width) of the photo that `decode` gives, of the file's header; nothing is decoded.

    Raises UserError, which calls the file `name`, where the bytes are no image.
    """
    with _opened(data, name) as opened:
        width, height = opened.size
        lies = opened.getexif().get(ExifTags.Base.Orientation, 1) in _LYING
        # Pillow states the size of a TIFF as it is once it is turned
        return (width, height) if lies and opened.format != "TIFF" else (height, width)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """An image file's bytes, opened; what goes wrong there or within is told as a UserError."""
    try:
        with warnings.catch_warnings():
            # a torn EXIF block, or 100 million pixels, is no reason to refuse a photo, nor to print
            # a line for each
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(io.BytesIO(data)) as opened:
                yield opened
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{name} claims more than {most:,} pixels, the most that is read; scale it down or"
            " remove the file"
        ) from error
    except Exception as error:  # decoders raise errors of many kinds for broken bytes
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

    A photo of that size stays as it is. Large JPEGs are first decoded at a half, a quarter or an
    eighth, at least twice as large as `side`.
    """
    photo = decode(data, name, least_side=2 * side)
    h, w = photo.shape[:2]
    edge = min(h, w)
    box = ((w - edge) / 2, (h - edge) / 2, (w + edge) / 2, (h + edge) / 2)
    return np.asarray(
        Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    )


def decode_whole(data: bytes, name: str, side: int) -> Photos:
    """uint8 [h, w, 3]: a whole photo, its shorter side `side` pixels, antialiased.

    Of a photo longer than `LONGEST` times its width the middle is taken. A photo of that size stays
    as it is; a square one is what `decode_square` gives.
    """
    return shortened(decode(data, name, least_side=2 * side), side)


def shortened(photo: Photos, side: int) -> Photos:
    """A photo [h, w, 3] scaled to a shorter side of `side` pixels, as in `decode_whole`."""
    h, w = photo.shape[:2]
    short = min(h, w)
    used_h = min(h, LONGEST * short)
    used_w = min(w, LONGEST * short)
    left = (w - used_w) / 2
    top = (h - used_h) / 2
    size = (max(side, round(side * used_w / short)), max(side, round(side * used_h / short)))
    box = (left, top, left + used_w, top + used_h)
    return np.asarray(
        Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC, box, reducing_gap=3.0)
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
    """Grey of 8 bits. 65535 is white, as the format says, not the brightest pixel of a photo."""
    wide = np.asarray(image).astype(np.uint32)
    wide[wide == image.info.get("transparency")] = 65535
    return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))


def fitted(photo: Photos, size: tuple[int, int]) -> Photos:
    """A photo [h, w, 3] at `size` (height, width): scaled to cover it, cropped in the middle."""
    h, w = size
    if photo.shape[:2] == (h, w):
        return photo
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (w, h), Image.Resampling.BICUBIC))


class PhotoRows:
    """Photos [n, h, w, 3] that are read when they are indexed, so that few are in memory.

    `read` gives the photos of some of `rows`; `shape` is that of one.
    """

    def __init__(
        self, read: Callable[[Ints], Any], rows: Ints, shape: tuple[int, ...], dtype: Any = np.uint8
    ) -> None:
        self.read = read
        self.rows = rows
        self.shape = (len(rows), *shape)
        self.dtype = np.dtype(dtype)
        self.ndim = 1 + len(shape)

    @staticmethod
    def of(array: Any, rows: Ints) -> PhotoRows:
        """`rows` [m] of an array [n, ...] of photos or features, without copying them."""
        return PhotoRows(partial(_rows_of, array), rows, array.shape[1:], array.dtype)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """A photo [h, w, 3] of a number; photos [m, h, w, 3] of a slice or of several numbers."""
        rows = self.rows[index]
        return self.read(np.array([rows]))[0] if np.ndim(rows) == 0 else self.read(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.read(self.rows).astype(dtype or self.dtype, copy=False)


def _rows_of(array: Any, rows: Ints) -> Any:
    return np.asarray(array[rows])


def thumbnail(photo: Photos, largest: int) -> bytes:
    """PNG bytes of a photo [h, w, 3], made smaller where a side exceeds `largest` pixels."""
    picture = Image.fromarray(photo)
    buffer = io.BytesIO()
    picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def picture_format(path: Path, others: str = "") -> str:
    """Pillow's name of the format that a file's ending stands for.

    Raises UserError for another ending; `others` are endings the caller writes itself.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UserError(
            f"{path.name!r}: {path.suffix or 'no ending'} is no picture format; use .png or"
            f" .webp{others}"
        )
    return str(kind)


def save_picture(picture: Image.Image, path: Path) -> Path:
    """Write a picture whole; the format follows the ending, as in `picture_format`."""
    kind = picture_format(path)
    with atomic_output(path) as tmp:
        picture.save(tmp, kind)
    return path

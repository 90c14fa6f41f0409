"""Photo files: decode anything a camera writes, encode without loss, lay out contact sheets."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Photos
from discl.files.disk import atomic_output
from discl.files.formats.damage import END_OF_JPEG, JPEG, check_rows, is_cut_off, unknown
from discl.files.formats.deep_grey import FORMAT_LEVELS, from_deep, is_deep

_LYING = (5, 6, 7, 8)  # EXIF orientations of photos that are turned by a quarter
LEVEL_PHOTOS = 256  # of a set, whose pixels say what is black and white
_LEVEL_PIXELS = 4096  # of each of them
CELLS = 16  # of a side of a small picture
SMALL = CELLS * CELLS  # bytes of a small picture
_SAMPLES = 4  # of a side of a cell
LONGEST = 8  # times its shorter side, of a photo that is read whole


def encode(photo: Photos) -> bytes:
    """Lossless WebP of uint8 [h, w, 3]; method 0 is smaller and faster than PNG both ways."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, quality=0, method=0, exact=True)
    return buffer.getvalue()


class Reading(NamedTuple):
    """How the photos of a set are read where their files leave it open."""

    truncated: bool = False  # also JPEGs that lack their end, if half of their rows are there
    # values that are black and white in grey photos of more than 8 bits; None = those of the format
    levels: tuple[float, float] | None = None


AS_STORED = Reading()


class CutOffError(UserError):
    """A photo's file ends too early."""


def decode(
    data: bytes, name: str = "image", least_side: int = 0, reading: Reading = AS_STORED
) -> Photos:
    """RGB pixels uint8 [h, w, 3] of an image file's bytes.

    Upright, on white where transparent, the first frame of several. Colour profiles are not
    applied. With `least_side` a JPEG may come at 1/2, 1/4 or 1/8 of its size, which decodes several
    times faster, as long as neither side is then shorter than that. Rows that a cut-off JPEG lacks
    are mid-grey. Raises UserError, which calls the file `name`, where the bytes are no image, and
    CutOffError where they are the beginning of one.
    """
    return _decoded(data, name, least_side, reading, np.asarray)


def _decoded(
    data: bytes,
    name: str,
    least_side: int,
    reading: Reading,
    finish: Callable[[Image.Image], Photos],
) -> Photos:
    """What `finish` makes of the picture; it is not copied before, which would cost a tenth."""
    try:
        return _finished(data, name, least_side, reading.levels, finish)
    except CutOffError:
        if not reading.truncated or not data.startswith(JPEG):
            raise
        return _finished(data, name, least_side, reading.levels, finish, is_cut_off=True)


def _finished(
    data: bytes,
    name: str,
    least_side: int,
    levels: tuple[float, float] | None,
    finish: Callable[[Image.Image], Photos],
    is_cut_off: bool = False,
) -> Photos:
    # an end of its own makes the decoder give what it has; Pillow's switch for that is global
    with _opened(data, name, END_OF_JPEG if is_cut_off else b"") as opened:
        if least_side:
            opened.draft(None, (least_side, least_side))
        if is_cut_off:
            check_rows(opened)
        form = opened.format
        ImageOps.exif_transpose(opened, in_place=True)
        return finish(_rgb(opened, form, levels))


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
def _opened(data: bytes, name: str, end: bytes = b"") -> Iterator[Image.Image]:
    """An image file, its bytes and `end`, opened; problems there and within become a UserError."""
    try:
        with warnings.catch_warnings():
            # a torn EXIF block, or 100 million pixels, is no reason to refuse a photo, nor to print
            # a line for each
            warnings.filterwarnings("ignore", module=r"PIL\.")
            if data[4:8] == b"ftyp" and data[8:11] != b"avi":
                _open_heif()
            with Image.open(io.BytesIO(data + end if end else data)) as opened:
                yield opened
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{name} claims more than {most:,} pixels, the most that is read; scale it down or"
            " remove the file"
        ) from error
    except Exception as error:  # decoders raise errors of many kinds for broken bytes
        why = (
            unknown(data)
            if isinstance(error, UnidentifiedImageError)
            else str(error) or type(error).__name__
        )
        cut_off = is_cut_off(data, why)
        raise (CutOffError if cut_off else UserError)(
            f"{name} cannot be read as an image ({len(data)} bytes: {'cut off, ' * cut_off}{why});"
            " replace or remove the file"
        ) from error


@cache
def _open_heif() -> None:
    """Teach Pillow HEIC and HEIF; only where there is such a photo, as it loads a large library."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def decode_square(data: bytes, name: str, side: int, reading: Reading = AS_STORED) -> Photos:
    """uint8 [side, side, 3]: the middle square of a photo, as large as fits, antialiased.

    A photo of that size stays as it is. Large JPEGs are first decoded at a half, a quarter or an
    eighth, at least twice as large as `side`.
    """
    return _decoded(data, name, 2 * side, reading, partial(_squared, side=side))


def squared(photo: Photos, side: int) -> Photos:
    """The middle square of a photo [h, w, 3] at `side` pixels, as in `decode_square`."""
    return _squared(Image.fromarray(photo), side)


def _squared(image: Image.Image, side: int) -> Photos:
    w, h = image.size
    edge = min(h, w)
    box = ((w - edge) / 2, (h - edge) / 2, (w + edge) / 2, (h + edge) / 2)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=3.0))


def decode_whole(data: bytes, name: str, side: int, reading: Reading = AS_STORED) -> Photos:
    """uint8 [h, w, 3]: a whole photo, its shorter side `side` pixels, antialiased.

    Of a photo longer than `LONGEST` times its width the middle is taken. A photo of that size stays
    as it is; a square one is what `decode_square` gives.
    """
    return shortened(decode(data, name, 2 * side, reading), side)


def small_pictures(photos: Photos) -> NDArray[np.uint8]:
    """uint8 [n, SMALL] of photos [n, s, s, 3]: the mean green of samples in each of 16 x 16 cells.

    Samples cost a tenth of what all pixels cost, which counts where photos are decoded.
    """
    side = photos.shape[1]
    count = CELLS * _SAMPLES
    at = ((np.arange(count) + 0.5) * side / count).astype(np.int64)
    samples = photos[:, at[:, None], at, 1].reshape(-1, CELLS, _SAMPLES, CELLS, _SAMPLES)
    sums = samples.sum((2, 4), dtype=np.uint16)
    small: NDArray[np.uint8] = (sums // _SAMPLES**2).astype(np.uint8).reshape(-1, SMALL)
    return small


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


def _rgb(image: Image.Image, form: str | None, levels: tuple[float, float] | None) -> Image.Image:
    if is_deep(image, form):
        return from_deep(image, levels or FORMAT_LEVELS).convert("RGB")
    if image.mode in ("I", "F"):
        if levels is None:
            raise ValueError(
                "32 bits a pixel: nothing says which value is white; save it with 8 or 16"
            )
        return from_deep(image, levels).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def grey_levels(
    rule: str, refs: Sequence[str], read: Callable[[str], bytes]
) -> tuple[float, float] | None:
    """Black and white for the deep grey photos of a set, for `Reading.levels`, by a named rule.

    "depth": those of the format, None. "range": the 0.1th and the 99.9th percentile of the set's
    own values, of pixels spread evenly over at most `LEVEL_PHOTOS` photos, which are spread evenly
    over `refs`; None where none of them is grey of more than 8 bits. "auto": as "range" where that
    percentile is below a quarter of the format's white, as of sensors of 14 bits, or where the
    format has no white (32 bits); else None. The same files in the same order give the same.
    """
    if rule == "depth":
        return None
    values = []
    has_white = True
    for position in sorted({*np.linspace(0, len(refs) - 1, LEVEL_PHOTOS).astype(int).tolist()}):
        try:
            ref = refs[position]
            with _opened(read(ref), ref) as opened:
                deep = is_deep(opened, opened.format)
                if deep or opened.mode in ("I", "F"):
                    has_white = has_white and deep
                    pixels = np.asarray(opened, np.float64).ravel()
                    pixels = pixels[np.isfinite(pixels)]
                    values.append(pixels[:: max(1, len(pixels) // _LEVEL_PIXELS)])
        except (UserError, OSError):  # told when the photos are decoded
            continue
    if not sum(map(len, values)):
        return None
    low, high = np.quantile(np.concatenate(values), [0.001, 0.999], method="nearest").tolist()
    if rule == "auto" and has_white and high >= FORMAT_LEVELS[1] / 4:
        return None
    return low, max(high, low + 1)


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

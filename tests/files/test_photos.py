import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.files.disk import atomic_write
from discl.files.photos import (
    CutOffError,
    Reading,
    decode,
    decode_square,
    decode_whole,
    encode,
    grey_levels,
    save_picture,
    size_of,
)

PHOTO = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_encoding_is_lossless() -> None:
    assert np.array_equal(decode(encode(PHOTO)), PHOTO)
    black = np.zeros((4, 4, 3), np.uint8)
    assert np.array_equal(decode(encode(black)), black)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    return exif


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_rotated_photo_is_turned_upright(kind: str) -> None:
    photo = np.zeros((8, 16, 3), np.uint8)
    photo[:, :8] = 255  # white at the left, which is up once it stands
    turned = decode(_file(Image.fromarray(photo), kind, exif=_turned()))
    assert turned.shape == (16, 8, 3)
    assert turned[2].min() > 250
    assert turned[-3].max() < 5


def test_a_torn_exif_block_costs_the_rotation_and_not_the_photo() -> None:
    for exif in (b"Exif\0\0garbage", _turned().tobytes()[:20]):
        assert decode(_file(Image.fromarray(PHOTO), "JPEG", exif=exif)).shape == PHOTO.shape


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("exif", [b"", _turned().tobytes()])
def test_the_size_in_a_header_is_that_of_the_decoded_photo(kind: str, exif: bytes) -> None:
    data = _file(Image.new("RGB", (24, 10)), kind, exif=exif)
    assert size_of(data) == decode(data).shape[:2] == ((24, 10) if exif else (10, 24))


def test_a_torn_exif_block_costs_no_size() -> None:
    assert size_of(_file(Image.new("RGB", (24, 10)), "JPEG", exif=b"Exif\0\0garbage")) == (10, 24)


def test_the_size_of_no_image_is_a_sentence_with_its_name() -> None:
    with pytest.raises(UserError, match="x.jpg cannot be read as an image"):
        size_of(b"no image", "x.jpg")


def _palette() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putdata([0, 1, 2])
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


def _pixel(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (8, 8), value)  # type: ignore[arg-type]


GREY16 = Image.fromarray(np.array([[0, 257, 40000, 65535]], np.uint16))


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (_file(_pixel("CMYK", (0, 255, 255, 0)), "TIFF"), [[255, 0, 0]]),
        (_file(_pixel("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), [[255, 0, 0]]),
        (_file(_pixel("L", 77), "PNG"), [[77] * 3]),
        (_file(_pixel("1", 1), "PNG"), [[255] * 3]),
        (_file(_palette(), "PNG"), [[255, 0, 0], [0, 255, 0], [0, 0, 255]]),
        (_file(_palette(), "PNG", transparency=1), [[255, 0, 0], [255, 255, 255], [0, 0, 255]]),
        (
            _file(_palette(), "PNG", transparency=bytes([255, 0, 51])),
            [[255, 0, 0], [255, 255, 255], [204, 204, 255]],
        ),
        (_file(_pixel("RGBA", (255, 0, 0, 51)), "PNG"), [[255, 204, 204]]),
        (_file(_pixel("RGBA", (9, 9, 9, 0)), "WEBP", lossless=True), [[255] * 3]),
        (_file(_pixel("LA", (0, 51)), "PNG"), [[204] * 3]),
        (_file(_pixel("L", 7), "PNG", transparency=7), [[255] * 3]),
        (_file(_pixel("RGB", (7, 8, 9)), "PNG", transparency=(7, 8, 9)), [[255] * 3]),
        (_file(GREY16, "PNG"), [[0] * 3, [1] * 3, [156] * 3, [255] * 3]),
        (_file(GREY16, "TIFF"), [[0] * 3, [1] * 3, [156] * 3, [255] * 3]),
        (_file(GREY16, "PPM"), [[0] * 3, [1] * 3, [156] * 3, [255] * 3]),
        (_file(GREY16, "PNG", transparency=257), [[0] * 3, [255] * 3, [156] * 3, [255] * 3]),
    ],
)
def test_any_colour_mode_becomes_the_rgb_it_shows(data: bytes, pixels: list[list[int]]) -> None:
    assert decode(data)[0, : len(pixels)].tolist() == pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_dark_16_bit_photo_stays_dark(kind: str) -> None:
    assert decode(_file(Image.fromarray(np.full((4, 4), 5140, np.uint16)), kind)).max() == 20


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [_pixel("RGB", colour) for colour in ("red", "blue")]
    exact = {"lossless": True} if kind == "WEBP" else {}
    data = _file(frames[0], kind, save_all=True, append_images=frames[1:], **exact)
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
BROKEN = {
    "empty": b"",
    "text": b"not a picture",
    "page": b"<html><body>404 Not Found</body></html>",
    "float": _file(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
    "int32": _file(Image.fromarray(np.ones((4, 4), np.int32)), "TIFF"),
    **{
        f"{kind}-{cut}": _file(NOISE, kind)[:-cut]
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
        for cut in (100, 3000)
    },
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_an_unreadable_photo_is_named(data: bytes) -> None:
    with pytest.raises(
        UserError,
        match=(
            rf"^camera7.jpg cannot be read as an image \({len(data)} bytes: [^<]+\); replace or"
            r" remove"
        ),
    ):
        decode(data, "camera7.jpg")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "`git lfs pull` replaces"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"not a picture", "no known format"),
    ],
)
def test_what_came_in_place_of_a_photo_is_said(data: bytes, why: str) -> None:
    with pytest.raises(UserError, match=why):
        decode(data)


def test_a_picture_made_to_fill_the_memory_is_refused_before_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = _file(Image.fromarray(PHOTO), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    assert decode(data).shape == PHOTO.shape  # 96 pixels: Pillow would only have warned
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(UserError, match="camera7.jpg claims more than 80 pixels"):
        decode(data, "camera7.jpg")


def test_a_picture_needs_the_ending_of_a_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no picture format"):
        save_picture(Image.fromarray(PHOTO), tmp_path / "sheet.txt")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "whole.txt") as tmp:
            tmp.write_text("tmp")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [((270, 480), (90, 160)), ((480, 270), (160, 90)), ((90, 90), (90, 90)), ((1, 40), (90, 720))],
)
def test_a_whole_photo_keeps_its_aspect_and_the_longest_ones_their_middle(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    assert decode_whole(encode(photo), "photo", 90).shape == (*expected, 3)


def test_the_middle_of_a_whole_photo_is_its_middle_square() -> None:
    ramp = np.repeat(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], 160, 0)
    data = encode(np.repeat(ramp, 3, 2))
    whole = decode_whole(data, "photo", 40).astype(int)
    square = decode_square(data, "photo", 40).astype(int)
    assert whole.shape == (40, 80, 3)
    assert np.abs(whole[:, 20:60] - square)[:, 2:-2].max() <= 1
    assert np.array_equal(decode_whole(encode(PHOTO[:, :8]), "photo", 8), PHOTO[:, :8])


def _jpeg(height: int, cut: float, **options: object) -> bytes:
    """The first part of a JPEG file of a bright photo, without its last bytes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(160, 256, (height, 48, 3), dtype=np.uint8)
    data = _file(Image.fromarray(pixels), "JPEG", quality=90, **options)
    return data[: round(cut * len(data))]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_off_jpeg_is_read_on_request_and_said_to_be_one(progressive: bool) -> None:
    whole, most = (_jpeg(64, part, progressive=progressive) for part in (1, 0.9))
    with pytest.raises(CutOffError, match=r"^c.jpg cannot be read .* bytes: cut off"):
        decode(most, "c.jpg")
    read = decode(most, "c.jpg", reading=Reading(truncated=True))
    assert read.shape == (64, 48, 3)
    assert np.abs(read[:40].astype(int) - decode(whole)[:40]).mean() < (12 if progressive else 0.01)
    assert np.array_equal(decode(whole, reading=Reading(truncated=True)), decode(whole))


def test_rows_that_a_cut_off_jpeg_lacks_are_grey_and_half_must_be_there() -> None:
    read = decode(_jpeg(64, 0.7), "c.jpg", reading=Reading(truncated=True))
    assert (read[-8:] == 128).all()
    for part in (0.3, 0.01):
        with pytest.raises(UserError, match=r"^c.jpg cannot be read"):
            decode(_jpeg(64, part), "c.jpg", reading=Reading(truncated=True))
    with pytest.raises(CutOffError, match=r"cut off, \d+ of 64 rows are missing"):
        decode(_jpeg(64, 0.3), "c.jpg", reading=Reading(truncated=True))


def test_a_cut_off_night_photo_is_not_taken_for_missing_rows() -> None:
    data = _file(Image.fromarray(np.zeros((64, 48, 3), np.uint8)), "JPEG")
    read = decode(data[:-4], "night.jpg", reading=Reading(truncated=True))
    assert (read[:48] == 0).all()


def test_a_heic_photo_stands_upright_and_says_its_size() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    photo = np.zeros((32, 64, 3), np.uint8)
    photo[:, :32] = 255
    buffer = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.fromarray(photo))
    heif.save(buffer, quality=90, exif=_turned().tobytes())
    data = buffer.getvalue()
    turned = decode(data, "IMG_0001.HEIC")
    assert turned.shape[:2] == size_of(data) == (64, 32)
    assert turned[8].min() > 240
    assert turned[-8].max() < 15
    with pytest.raises(UserError, match=r"^IMG_1.HEIC cannot be read as an image"):
        decode(b"\0\0\0\x18ftypheic" + b"\0" * 64, "IMG_1.HEIC")


def _thermal(values: list[int]) -> bytes:
    return _file(Image.fromarray(np.array([values], np.uint16)), "TIFF")


def test_grey_of_14_bits_is_scaled_by_the_set_and_not_by_each_photo() -> None:
    files = {"a.tif": _thermal([7000] * 4), "b.tif": _thermal([7000, 8000, 8500, 9000])}
    levels = grey_levels("auto", list(files), files.__getitem__)
    assert levels == (7000, 9000)
    read = Reading(levels=levels)
    assert decode(files["a.tif"], reading=read).max() == 0
    assert decode(files["b.tif"], reading=read)[0, :, 0].tolist() == [0, 128, 191, 255]
    assert decode(_thermal([6000, 10000]), reading=read)[0, :, 0].tolist() == [0, 255]
    assert grey_levels("depth", list(files), files.__getitem__) is None


def test_grey_of_16_bits_keeps_its_white_unless_the_range_is_asked_for() -> None:
    files = {"a.png": _file(GREY16, "PNG"), "torn.png": b"", "c.jpg": _jpeg(8, 1)}
    assert grey_levels("auto", list(files), files.__getitem__) is None
    assert grey_levels("range", list(files), files.__getitem__) == (0, 65535)
    assert grey_levels("range", ["c.jpg"], files.__getitem__) is None


def test_temperatures_are_scaled_by_the_set_too() -> None:
    data = _file(Image.fromarray(np.array([[20.0, 30.0, 40.0]], np.float32)), "TIFF")
    levels = grey_levels("auto", ["t.tif"], lambda _: data)
    assert levels == (20, 40)
    assert decode(data, reading=Reading(levels=levels))[0, :, 0].tolist() == [0, 128, 255]

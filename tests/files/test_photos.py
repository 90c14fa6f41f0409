import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.files.disk import atomic_write
from discl.files.photos import decode, decode_square, decode_whole, encode, save_picture, size_of

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

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.files.disk import publishing
from discl.files.photos import decode, encode, save_picture, sheet
from discl.spec.errors import UserError

PHOTO = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_encoding_is_lossless() -> None:
    assert np.array_equal(decode(encode(PHOTO)), PHOTO)
    black = np.zeros((4, 4, 3), np.uint8)
    assert np.array_equal(decode(encode(black)), black)


def test_a_rotated_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    turned = decode(_file(Image.fromarray(PHOTO), "PNG", exif=exif))
    assert turned.shape == (12, 8, 3)


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "1", "I;16"])
def test_any_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(np.full((4, 4), 40000, np.uint16)) if mode == "I;16" else Image.fromarray(PHOTO).convert(mode)
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    assert decode(_file(image, kind)).shape[2] == 3


@pytest.mark.parametrize("data", [b"", b"not a picture", _file(Image.fromarray(PHOTO), "PNG")[:60]])
def test_an_unreadable_photo_is_named(data: bytes) -> None:
    with pytest.raises(UserError, match="camera7.jpg cannot be read"):
        decode(data, "camera7.jpg")


def test_a_sheet_has_a_tile_for_every_photo(tmp_path: Path) -> None:
    path = save_picture(sheet([[PHOTO] * 3] * 2, ["a", "b", "c"], ["one", "two"]), tmp_path / "sheet.png")
    with Image.open(path) as picture:
        assert picture.size[0] > 3 * 64
    with pytest.raises(UserError, match="no picture format"):
        save_picture(Image.fromarray(PHOTO), tmp_path / "sheet.txt")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with publishing(tmp_path / "whole.txt") as half:
            half.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []

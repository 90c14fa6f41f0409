import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.files.figure import (
    Figure,
    Tile,
    as_picture,
    check_figure,
    enlarged,
    laid_out,
    save_figure,
)

RED = (198, 40, 40)
PHOTO = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
FIGURE = Figure(
    heads=("level 0 %\n(text only)", "photo"),
    names=("<cat> & co", "dog\x00" + "g" * 40),
    rows=((Tile(PHOTO, "0.312", dropped=True), Tile(PHOTO)), (Tile(None, "not made"), Tile(PHOTO))),
    legend=("the best of 2 draws",),
    mark="dropped",
)


def test_svg_keeps_words_as_text_and_photos_inside(tmp_path: Path) -> None:
    drawn = ET.parse(save_figure(FIGURE, tmp_path / "figure.svg")).getroot()  # noqa: S314 - our own file
    words = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    for word in (
        "level 0 %",
        "(text only)",
        "photo",
        "<cat> & co",
        "0.312",
        "not made",
        "dropped",
        "the best of 2 draws",
    ):
        assert word in words
    photos = [one.get("href", "") for one in drawn.iter("{http://www.w3.org/2000/svg}image")]
    assert len(photos) == 3
    assert all(photo.startswith("data:image/png;base64,") for photo in photos)
    assert (
        len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) == 2
    )  # the crosses of the tile and of the legend


@pytest.mark.parametrize("ending", [".png", ".webp", ".WEBP"])
def test_pictures_have_a_frame_and_a_cross_where_a_tile_is_dropped(
    tmp_path: Path, ending: str
) -> None:
    with Image.open(save_figure(FIGURE, tmp_path / f"figure{ending}")) as picture:
        drawing = laid_out(FIGURE)
        assert picture.size == (drawing.width * 2, drawing.height * 2)
    tile = next(shape for shape in drawing.shapes if type(shape).__name__ == "Cross")
    pixels = np.asarray(as_picture(drawing))
    corner = pixels[int(tile.y * 2), int(tile.x * 2) : int((tile.x + tile.w) * 2)]
    assert (corner == RED).all()
    badge = pixels[
        int(tile.y * 2) : int(tile.y * 2) + 36,
        int((tile.x + tile.w) * 2) - 36 : int((tile.x + tile.w) * 2),
    ].reshape(-1, 3)
    assert {RED, (255, 255, 255)} <= {tuple(map(int, pixel)) for pixel in badge}


def test_small_photos_are_enlarged_without_blur() -> None:
    assert np.array_equal(np.asarray(enlarged(PHOTO, 36, 24)), PHOTO.repeat(3, 0).repeat(3, 1))
    assert enlarged(PHOTO, 5, 4).size == (5, 4)


def test_a_large_figure_still_fits_a_picture_file(tmp_path: Path) -> None:
    many = Figure(FIGURE.heads, ("cat",) * 100, (FIGURE.rows[0],) * 100, ())
    assert as_picture(laid_out(many)).height < 16_383


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("f.txt", r"\.png, \.webp|\.png or \.webp or \.svg"),
        ("f", "no ending"),
        ("file/f.svg", "cannot be written"),
    ],
)
def test_a_figure_that_cannot_be_written_is_a_sentence_before_the_work(
    tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=says):
        check_figure(tmp_path / name)
    with pytest.raises(UserError, match=says):
        save_figure(FIGURE, tmp_path / name)
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_figure(tmp_path / "folder.svg")

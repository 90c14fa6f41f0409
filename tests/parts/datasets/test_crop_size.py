from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.parts.datasets.folder import Folder
from discl.parts.datasets.manifest.boxes import crop_pixels, crop_size, ref_with_box

BOXES = [(0.1, 0.2, 0.5, 0.3), (0.9, 0.9, 0.1, 0.1), (0, 0, 1, 1), (0.4, 0, 0.01, 1)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("padding", [0.0, 0.3])
def test_the_size_of_a_crop_is_known_without_its_pixels(
    box: tuple[float, ...], padding: float
) -> None:
    photo = np.zeros((61, 90, 3), np.uint8)
    assert crop_size(61, 90, box, padding) == crop_pixels(photo, box, padding).shape[:2]


def test_a_folder_tells_the_size_of_a_crop_from_the_header_of_its_photo(tmp_path: Path) -> None:
    names = [f"{label}/{number}.jpg" for label in ("cat", "owl") for number in (1, 2, 3)]
    for shade, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (90, 61), (40 * shade, 0, 0)).save(tmp_path / name)
    dataset, data = Folder(str(tmp_path)), (tmp_path / "cat/1.jpg").read_bytes()
    ref = ref_with_box("cat/1.jpg", (0.1, 0.2, 0.5, 0.3))
    header = data[: data.index(b"\xff\xda") + 20]  # without a pixel
    assert dataset.size(header, ref) == dataset.decode(data, ref).shape[:2] != (61, 90)
    assert dataset.size(header, "cat/1.jpg") == (61, 90)

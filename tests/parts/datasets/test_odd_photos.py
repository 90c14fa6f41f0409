import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.parts.datasets.folder import Folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of eight photos; the last bytes of three of one are missing."""
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    for name in ("otter", "mink"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            buffer = io.BytesIO()
            pixels = rng.integers(180, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "JPEG")
            cut = 40 if name == "mink" and i < 3 else 0
            data = buffer.getvalue()
            (tmp_path / "photos" / name / f"{i}.jpg").write_bytes(data[: len(data) - cut])
    return tmp_path / "photos"


def _decoded(**settings: Any) -> Folder:
    folder = Folder(side=8, **settings)
    for split in folder.splits:
        folder.split(split)
    return folder


def test_cut_off_photos_are_read_and_said_with_their_class(photos: Path) -> None:
    folder = _decoded(root=str(photos))
    counts = [len(folder.split(split).labels) for split in folder.splits]
    assert sum(counts) == 16
    told = [note for note in folder.notes if "cut-off photo(s) are read as far as they go" in note]
    assert sum(int(note.split(": ")[1].split()[0]) for note in told) == 3
    assert all("(mink " in note for note in told)
    again = Folder(root=str(photos), side=8)
    assert [note for note in again.notes if "cut-off" in note] == told


def test_cut_off_photos_are_left_out_on_request_and_counted_by_class(photos: Path) -> None:
    kept = _decoded(root=str(photos), truncated="drop", most_unreadable=0.9)
    assert sum(len(kept.split(split).labels) for split in kept.splits) == 13
    assert kept.identity() != Folder(root=str(photos), side=8).identity()
    with pytest.raises(UserError, match=r"unreadable \(mink \d, cut off: mink \d; listed"):
        _decoded(root=str(photos), truncated="drop")


def test_deep_grey_photos_are_scaled_by_the_set(tmp_path: Path, photos: Path) -> None:
    for folder, values in (("a", [7000, 9000]), ("b", [8000, 8000])):
        (tmp_path / "thermal" / folder).mkdir(parents=True)
        for i in range(4):
            pixels = np.array([values], np.uint16).repeat(8, 0).repeat(4, 1) + i
            Image.fromarray(pixels).save(tmp_path / "thermal" / folder / f"{i}.tif")
    root = str(tmp_path / "thermal")
    seen = _decoded(root=root)
    assert max(int(seen.split(split).pixels.max()) for split in seen.splits) > 250
    dark = _decoded(root=root, grey="depth")
    assert max(int(dark.split(split).pixels.max()) for split in dark.splits) < 40
    assert dark.identity() != seen.identity()

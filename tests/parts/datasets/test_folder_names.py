"""Names, gaps and identity of a folder of one's own whose classes are not called by words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from discl.core.interfaces import NO_GROUP
from discl.parts.datasets.folder import Folder
from tests.mini._photos import encoded


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixteen photos of 8 px with a list: classes 10 and 9, cameras A and none."""
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    root = tmp_path / "photos"
    root.mkdir()
    rng = np.random.default_rng(0)
    with (root / "list.csv").open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["file_name", "label", "camera"])
        for i in range(16):
            photo = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            (root / f"{i}.png").write_bytes(encoded(photo))
            rows.writerow([f"{i}.png", ("10", "9")[i % 2], ("A", "B", "", "None")[i // 4]])
    return root


def test_a_file_of_names_changes_prompts_and_identity(root: Path, tmp_path: Path) -> None:
    plain = Folder(root=str(root))
    assert plain.classes == ("9", "10")
    assert any("2 of 2 class names are no English words (9, 10)" in note for note in plain.notes)
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"9": "zebra", "10": "owl"}))
    called = Folder(root=str(root), names=str(file))
    assert called.classes == ("zebra", "owl")
    assert called.prompts(1) == ("a photo of an owl",)
    assert not any("no English words" in note for note in called.notes)
    assert called.identity() != plain.identity()
    file.rename(tmp_path / "moved.json")
    assert (
        called.identity() == Folder(root=str(root), names=str(tmp_path / "moved.json")).identity()
    )


def test_photos_without_a_camera_are_in_no_group(root: Path) -> None:
    folder = Folder(root=str(root), group_column="camera")
    assert folder.group_names == ("A", "B")
    groups = np.concatenate([folder.listing(split).groups for split in folder.splits])
    assert sorted(groups.tolist()) == [NO_GROUP] * 8 + [0] * 4 + [1] * 4
    assert any("8 rows without a group (empty 4, None 4)" in note for note in folder.notes)
    named = Folder(root=str(root), group_column="camera", not_missing=["None"])
    assert named.group_names == ("A", "B", "None")

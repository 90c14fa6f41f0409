"""Photos that stand in a dataset more than once."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from discl.config.load import load
from discl.core.errors import UserError
from discl.files.photos import decode_square, small_pictures
from discl.harness.run.assembly import Bench
from discl.parts.datasets.base.likeness import alike
from discl.parts.datasets.folder import Folder
from tests.trees import SPLIT_KINDS, split_folders


@pytest.fixture(autouse=True)
def own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def scene(seed: int) -> Image.Image:
    """A picture with large and small shapes, as photos have them."""
    rng = np.random.default_rng(seed)
    sizes = (3, 6, 12, 24)
    layers = [
        np.asarray(
            Image.fromarray(rng.normal(0, 30, (size, size)).astype(np.float32)).resize(
                (96, 72), Image.Resampling.BICUBIC
            )
        )
        for size in sizes
    ]
    grey = np.clip(120 + sum(layers), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return split_folders(tmp_path / "photos", 4, scene)


def folder(root: Path, **settings: Any) -> Folder:
    return Folder(root=str(root), **settings)


def told(root: Path) -> str:
    return "\n".join(folder(root).notes)


def test_photos_that_stand_once_are_not_told(root: Path) -> None:
    for _ in range(2):  # before and after decoding
        notes = told(root)
        for words in ("byte for byte", "look like", "twice", "two classes"):
            assert words not in notes
        folder(root).prepare(lambda *_: None)
    folder(root).check_splits()
    assert folder(root).overlaps() == {"equal_photos": 0, "near_equal_photos": 0}


def test_equal_photos_of_train_and_test_refuse_a_run_unless_allowed(root: Path) -> None:
    shutil.copyfile(root / "train/lion/1.png", root / "test/lion/3.png")
    shutil.copyfile(root / "train/lion/2.png", root / "test/lion/new.png")
    assert (
        "- test: 2 photo(s) are in train too, byte for byte (test/lion/3.png is train/lion/1.png,"
        " test/lion/new.png is train/lion/2.png)"
    ) in "- " + told(root).replace("\n", "\n- ")
    bench = Bench(load("folder", "smoke", [f"dataset.root={root}"]))
    with pytest.raises(UserError, match=r"2 of 13 photos of test are in train too.*allow_equal"):
        _ = bench.dataset
    allowed = load("folder", "smoke", [f"dataset.root={root}", "dataset.allow_equal=true"])
    dataset = Bench(allowed).dataset
    assert isinstance(dataset, Folder)
    assert dataset.overlaps() == {"equal_photos": 2, "near_equal_photos": 0}
    assert dataset.identity() == folder(root).identity()


def test_equal_photos_of_train_and_val_are_told_and_go_on(root: Path) -> None:
    shutil.copyfile(root / "train/lion/1.png", root / "val/lion/1.png")
    assert "val: 1 photo(s) are in train too, byte for byte" in told(root)
    folder(root).check_splits()
    assert folder(root).overlaps()["equal_photos"] == 0


def test_equal_photos_within_a_split_and_of_two_classes_are_told(root: Path) -> None:
    shutil.copyfile(root / "train/lion/1.png", root / "train/gnu/9.png")
    notes = told(root)
    assert "train: 1 photo(s) stand there twice or more, byte for byte (train/lion/1.png)" in notes
    assert (
        "1 picture(s) are listed under two classes or more, byte for byte the same"
        " (train/gnu/9.png is gnu, train/lion/1.png is lion): one of them is wrong"
    ) in notes


def test_photos_without_splits_are_cut_so_that_equal_ones_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "flat"
    for place, kind in enumerate(SPLIT_KINDS):
        (root / kind).mkdir(parents=True)
        for name in range(20):  # each picture twice
            scene(100 * place + name // 2).save(root / kind / f"{name}.png")
    folder(root).check_splits()
    assert folder(root).overlaps()["equal_photos"] == 0


def test_a_photo_in_another_format_and_size_is_told_once_photos_are_decoded(root: Path) -> None:
    photo = Image.open(root / "train/zebra/2.png")
    photo.resize((160, 120)).save(root / "test/zebra/other.jpg", quality=60)
    assert "told once they are decoded" in told(root)
    folder(root).prepare(lambda *_: None)
    assert (
        "test: 1 photo(s) look like one of train, in another file (test/zebra/other.jpg is"
        " train/zebra/2.png)"
    ) in told(root)
    assert folder(root).overlaps() == {"equal_photos": 0, "near_equal_photos": 1}
    folder(root).check_splits()


def seen(*photos: Image.Image, quality: int = 95) -> np.ndarray[Any, Any]:
    """The small pictures of photos that were saved as JPEGs."""
    squares = []
    for photo in photos:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=quality)
        squares.append(decode_square(buffer.getvalue(), "", 64))
    return small_pictures(np.stack(squares))


SCENES = [scene(seed) for seed in range(30)]


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: photo,
        lambda photo: photo.resize((240, 180), Image.Resampling.BICUBIC),
        lambda photo: photo.resize((64, 48), Image.Resampling.BICUBIC),
        lambda photo: ImageEnhance.Contrast(photo).enhance(0.7),
    ],
    ids=["other quality", "larger", "smaller", "less contrast"],
)
def test_a_picture_is_found_however_it_is_saved(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    changed = seen(*[change(photo) for photo in SCENES], quality=50)
    found = alike(changed, seen(*SCENES))
    assert (found == np.arange(30)).mean() > 0.9
    assert set(found.tolist()) <= {-1, *range(30)}
    assert all(match in (-1, row) for row, match in enumerate(found.tolist()))


def with_an_animal(photo: Image.Image) -> Image.Image:
    changed = photo.copy()
    changed.paste((20, 15, 10), (40, 30, 56, 42))
    return changed


def test_other_pictures_and_pictures_in_which_something_moved_do_not_look_alike() -> None:
    others = seen(*[scene(1000 + seed) for seed in range(30)])
    moved = seen(*[with_an_animal(photo) for photo in SCENES])
    for small in (others, moved):
        assert (alike(small, seen(*SCENES)) >= 0).mean() <= 0.1


def test_plain_pictures_look_like_none() -> None:
    night = np.random.default_rng(0).integers(0, 4, (50, 32, 32, 3), dtype=np.uint8)
    plain = np.concatenate([night, np.full((5, 32, 32, 3), 255, np.uint8)])
    small = small_pictures(plain)
    assert alike(small, small).tolist() == [-1] * 55


def test_the_first_of_several_that_look_alike_is_told() -> None:
    small = seen(SCENES[0])
    many = np.repeat(seen(SCENES[1], SCENES[0]), [3, 4], axis=0)
    assert alike(small, many).tolist() == [3]
    assert alike(small, many[:3]).tolist() == [-1]
    assert alike(small[:0], many).tolist() == []
    assert alike(small, many[:0]).tolist() == [-1]

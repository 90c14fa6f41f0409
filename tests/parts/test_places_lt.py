"""Places-LT's lists over Places365's folders, in miniature."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.files.sources import RemoteFile
from discl.parts.datasets.places_lt import PlacesLT, file_of, names_of, scene_name
from tests.make_mini import make
from tests.mini.places_lt import SCENES, TEST


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("places_lt", tmp_path_factory.mktemp("places"), images=110)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def test_photos_and_labels_are_the_lists_and_classes_are_called_as_their_folders(
    mini: Path,
) -> None:
    dataset = PlacesLT(root=str(mini), side=16)
    assert set(dataset.split("train").labels.tolist()) == set(SCENES)
    assert len(dataset.split("test")) == TEST * len(SCENES)
    assert len(set(dataset.classes)) == 365
    assert [dataset.classes[label] for label in (0, 1, 8, 30, 343)] == [
        "airfield",
        "airplane cabin",
        "outdoor apartment building",
        "bakery shop",
        "train station platform",
    ]
    assert dataset.prompts(8) == ("a photo of outdoor apartment building",)


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("train/apartment_building-outdoor/00000001.jpg", "outdoor apartment building"),
        ("data_256/a/apartment_building/outdoor/00000001.jpg", "outdoor apartment building"),
        ("data_256/a/airport_terminal/00000001.jpg", "airport terminal"),
        ("val/zen_garden/Places365_val_00000001.jpg", "zen garden"),
        ("train/elevator-door/00000001.jpg", "elevator door"),
    ],
)
def test_both_layouts_of_places365_give_the_same_names(ref: str, name: str) -> None:
    assert scene_name(ref) == name


@pytest.mark.parametrize(
    ("easy", "small"),
    [
        ("train/airfield/00004851.jpg", "data_256/a/airfield/00004851.jpg"),
        (
            "train/apartment_building-outdoor/00000001.jpg",
            "data_256/a/apartment_building/outdoor/00000001.jpg",
        ),
        ("train/bakery-shop/00000007.jpg", "data_256/b/bakery/shop/00000007.jpg"),
    ],
)
def test_a_photo_of_one_layout_is_found_in_the_other(easy: str, small: str) -> None:
    assert file_of(easy, small=True) == small
    assert file_of(small, small=False) == easy
    assert file_of(easy, small=False) == easy
    assert file_of(small, small=True) == small
    assert file_of("val/airfield/Places365_val_00003597.jpg", small=True) == (
        "val_256/Places365_val_00003597.jpg"
    )


def test_the_small_archives_give_the_same_photos_as_the_easy_format(
    mini: Path, tmp_path: Path
) -> None:
    for path in [*mini.glob("*/*/*.jpg"), *mini.glob("*.txt")]:
        target = tmp_path / "small" / file_of(path.relative_to(mini).as_posix(), small=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    easy, small = (
        PlacesLT(root=str(root), side=16).split("test") for root in (mini, tmp_path / "small")
    )
    assert small.ids.tolist() == easy.ids.tolist()
    assert np.array_equal(small.pixels, easy.pixels)


def test_a_label_with_two_folders_is_refused() -> None:
    refs = np.array(["train/airfield/1.jpg", "train/alcove/1.jpg"])
    with pytest.raises(
        UserError,
        match="label 0 is 'airfield' and, by 'train/alcove/1.jpg' in the train list, 'alcove'",
    ):
        names_of({"train": Listing(refs, np.array([0, 0]), np.zeros(2, np.int64))})
    with pytest.raises(UserError, match="share a folder"):
        names_of(
            {
                "train": Listing(
                    np.array(["train/alcove/1.jpg", "train/alcove/2.jpg"]),
                    np.array([0, 1]),
                    np.zeros(2, np.int64),
                )
            }
        )


def test_a_missing_list_is_named(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in ("train", "val"):
        (tmp_path / "lists" / f"Places_LT_{name}.txt").write_text(
            (mini / f"Places_LT_{name}.txt").read_text()
        )
    (tmp_path / "photos" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"Places_LT_test.txt is missing; it lies in none of"):
        _ = PlacesLT(root=str(tmp_path / "photos"), lists=str(tmp_path / "lists")).splits


def test_lists_that_photos_lack_are_fetched_alone_and_checked(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, given = tmp_path / "photos", tmp_path / "data" / "downloads"
    shutil.copytree(mini, root)
    given.mkdir(parents=True)
    files = []
    for path in sorted(root.glob("*.txt")):
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        files.append(RemoteFile(f"http://127.0.0.1:9/{path.name}", len(body), digest, unpack=False))
        path.rename(given / path.name)
    monkeypatch.setattr(PlacesLT, "list_files", tuple(files))
    dataset = PlacesLT(root=str(root), side=16)
    assert not dataset.ready
    assert dataset.fetch(lambda what, done, total: None) == root
    assert len(PlacesLT(root=str(root), side=16).split("test")) == TEST * len(SCENES)
    shutil.rmtree(tmp_path / "data" / "places_lt_lists")
    (given / "Places_LT_val.txt").write_text("another")
    with pytest.raises(UserError) as raised:
        PlacesLT(root=str(root), side=16).splits  # noqa: B018
    assert f"the photos of places_lt lie in {root}, its lists do not" in str(raised.value)
    assert "Places_LT_val.txt has 7 bytes" in str(raised.value)
    assert "http://127.0.0.1:9/Places_LT_val.txt does not answer" in str(raised.value)

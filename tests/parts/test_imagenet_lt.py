"""ImageNet-LT's lists over ImageNet's folders, in miniature."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.files.sources import RemoteFile
from discl.parts.datasets.imagenet_lt import ImageNetLT, class_names, synsets
from tests.make_mini import make
from tests.mini.imagenet_lt import SYNSETS, TEST, VAL

Edit = Callable[[list[str]], list[str]]


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("imagenet_lt", tmp_path_factory.mktemp("imagenet"), images=130)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def _with_list(mini: Path, folder: Path, split: str, edit: Edit) -> ImageNetLT:
    """The miniature with one of its lists rewritten."""
    folder.mkdir()
    for path in mini.glob("ImageNet_LT_*.txt"):
        lines = path.read_text().splitlines()
        (folder / path.name).write_text(
            "\n".join(edit(lines) if path.stem.endswith(split) else lines) + "\n"
        )
    return ImageNetLT(root=str(mini), side=16, lists=str(folder))


def test_the_lists_say_what_is_train_val_and_test_and_labels_may_be_sparse(mini: Path) -> None:
    dataset = ImageNetLT(root=str(mini), side=16)
    train, val, test = (dataset.split(name) for name in ("train", "val", "test"))
    assert set(train.labels.tolist()) == set(SYNSETS)
    assert np.bincount(val.labels)[list(SYNSETS)].tolist() == [VAL] * len(SYNSETS)
    assert np.bincount(test.labels)[list(SYNSETS)].tolist() == [TEST] * len(SYNSETS)
    assert len(dataset.classes) == 1000
    assert train.pixels.shape[1:] == (16, 16, 3)
    assert train.original is not None
    assert max(train.original(0).shape) == 96  # as it was taken
    assert any("train has no photo of 986 of 1000 classes" in note for note in dataset.notes)


def test_validation_photos_may_lie_flat_as_ilsvrc_ships_them(mini: Path, tmp_path: Path) -> None:
    flat = Path(shutil.copytree(mini, tmp_path / "flat"))
    for path in list((flat / "val").glob("*/*.JPEG")):
        path.rename(flat / "val" / path.name)
    for folder in (flat / "val").iterdir():
        if folder.is_dir():
            folder.rmdir()
    sorted_, lying = (
        ImageNetLT(root=str(mini), side=16).split("test"),
        ImageNetLT(root=str(flat), side=16).split("test"),
    )
    assert lying.ids.tolist() == sorted_.ids.tolist()
    assert np.array_equal(lying.pixels, sorted_.pixels)


def test_no_two_classes_share_a_name_or_a_prompt() -> None:
    names = class_names()
    assert len({name.lower() for name in names}) == len(names) == 1000
    assert [names[label] for label in (0, 134, 517, 657, 744, 836, 837)] == [
        "tench",
        "crane bird",
        "construction crane",
        "missile",
        "projectile",
        "sunglass",
        "sunglasses",
    ]
    dataset = ImageNetLT()
    assert len({dataset.prompts(label) for label in range(1000)}) == 1000
    assert dataset.prompts(0) == ("a photo of tench",)
    assert synsets()[0] == "n01440764"
    assert list(synsets()) == sorted(synsets())


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            lambda lines: [*lines, "train/n01440764/one.JPEG"],
            r"ImageNet_LT_train.txt, line \d+: 'train/n01440764/one.JPEG' is not a path",
        ),
        (lambda lines: [*lines, "train/n01440764/one.JPEG 1000"], r"label 1000 is outside 0..999"),
        (lambda lines: [*lines, "train/n01440764/one.JPEG 7"], "the label 7, which is n01514668"),
        (
            lambda lines: [*lines, "../../etc/passwd 0"],
            r"line \d+: '../../etc/passwd' leaves its folder",
        ),
        (lambda lines: [*lines, lines[0]], "twice in split train"),
        (
            lambda lines: [*lines, "train/n01440764/gone.JPEG 0"],
            r"listed but not there \(train/n01440764/gone.JPEG\)",
        ),
        (lambda lines: [], "split train of imagenet_lt is empty"),
    ],
)
def test_a_wrong_list_is_answered_with_the_line_and_the_way_out(
    mini: Path, tmp_path: Path, edit: Edit, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        _ = _with_list(mini, tmp_path / "lists", "train", edit).splits


def test_a_photo_in_two_lists_is_refused(mini: Path, tmp_path: Path) -> None:
    first = (mini / "ImageNet_LT_train.txt").read_text().splitlines()[0]
    with pytest.raises(UserError, match="in train and in val"):
        _ = _with_list(mini, tmp_path / "lists", "val", lambda lines: [*lines, first]).splits


def test_a_few_missing_photos_are_left_out_and_counted_where_that_is_allowed(
    mini: Path, tmp_path: Path
) -> None:
    dataset = _with_list(
        mini, tmp_path / "lists", "train", lambda lines: [*lines, "train/n01440764/gone.JPEG 0"]
    )
    count = len(ImageNetLT(root=str(mini), side=16).split("train"))
    dataset.most_unreadable = 0.05
    assert len(dataset.split("train")) == count
    assert any(
        "1 row(s) without a file left out (train/n01440764/gone.JPEG)" in note
        for note in dataset.notes
    )


def test_a_list_about_as_long_as_the_published_one_must_be_the_published_one(mini: Path) -> None:
    assert ImageNetLT.published == {"train": 115_846, "val": 20_000, "test": 50_000}
    dataset = ImageNetLT(root=str(mini), side=16)
    listed = {name: len(dataset.listing(name).refs) for name in dataset.splits}
    dataset, one_more = (
        ImageNetLT(root=str(mini), side=16),
        {**listed, "train": listed["train"] + 1},
    )
    dataset.published = one_more
    with pytest.raises(
        UserError, match=rf"lists {listed['train']} photos, {listed['train'] + 1} are published"
    ):
        _ = dataset.splits
    dataset = ImageNetLT(root=str(mini), side=16)
    dataset.published = listed
    assert dataset.splits == ("train", "val", "test")


def test_without_the_photos_it_says_what_to_get_and_where_to_put_it() -> None:
    dataset = ImageNetLT()
    assert dataset.ready is False
    with pytest.raises(UserError) as raised:
        dataset.prepare(lambda *_: None)
    message = str(raised.value)
    assert "ImageNet_LT_train.txt" in message
    assert "155 GB" in message
    assert "image-net.org" in message
    assert "data/imagenet_lt" in message


# ---------------------------------------------------------------- the Hub's shards


def _shards(mini: Path, folder: Path, named: Callable[[Path], str | None]) -> Path:
    """The miniature's photos as shards like the Hub's, three a split, rows in another order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    for path in mini.glob("ImageNet_LT_*.txt"):
        shutil.copy(path, folder)
    for split, source in (("train", "train"), ("validation", "val")):
        files = sorted((mini / source).glob("*/*.JPEG"))
        shuffled = np.random.default_rng(0).permutation(len(files))
        for shard, rows in enumerate(np.array_split(shuffled, 3)):
            pictures = [
                {"bytes": files[row].read_bytes(), "path": named(files[row])} for row in rows
            ]
            label = [list(synsets()).index(files[row].parent.name) for row in rows]
            pq.write_table(
                pa.table({"image": pictures, "label": label}),
                folder / "data" / f"{split}-{shard:05d}-of-00003.parquet",
                row_group_size=7,
            )
    return folder


def _hubs(path: Path) -> str:
    return f"{path.stem}_{path.parent.name}.JPEG"


@pytest.mark.parametrize("named", [_hubs, str], ids=["hub", "path"])
def test_the_hubs_shards_are_read_as_they_are_and_give_the_same_photos(
    mini: Path, tmp_path: Path, named: Callable[[Path], str]
) -> None:
    shards = ImageNetLT(root=str(_shards(mini, tmp_path / "hub", named)), side=16)
    folders = ImageNetLT(root=str(mini), side=16)
    for split in ("train", "val", "test"):
        there, here = shards.split(split), folders.split(split)
        assert there.ids.tolist() == here.ids.tolist()
        assert there.labels.tolist() == here.labels.tolist()
        assert np.array_equal(there.pixels, here.pixels)
    assert there.original is not None
    assert here.original is not None
    assert np.array_equal(there.original(3), here.original(3))
    assert shards.identity() == folders.identity()


def test_names_of_shards_are_read_once_and_again_where_a_shard_changed(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from discl.files.parquet_rows import leaves
    from discl.parts.datasets.base import parquet_photos

    read: list[str] = []

    def counted(shard: Path, column: str) -> object:
        read.append(f"{shard.name} {column}")
        return leaves(shard, column)

    monkeypatch.setattr(parquet_photos, "leaves", counted)
    root = _shards(mini, tmp_path / "hub", _hubs)
    shards = sorted((root / "data").glob("*.parquet"))
    photos = parquet_photos.ParquetPhotos(shards)
    moved = Path(shutil.move(root, tmp_path / "moved"))
    again = parquet_photos.ParquetPhotos(sorted((moved / "data").glob("*.parquet")))
    assert len(read) == len(shards) == 6
    assert again.rows(["train/x/absent.JPEG"])[0].tolist() == [-1]
    first = (moved / "ImageNet_LT_train.txt").read_text().split()[0]
    assert photos.rows([first])[1].tolist() == again.rows([first])[1].tolist() != [-1]
    changed = next((moved / "data").glob("train-*"))
    changed.write_bytes(changed.read_bytes())
    parquet_photos.ParquetPhotos(sorted((moved / "data").glob("*.parquet")))
    assert len(read) == 12


def test_shards_without_file_names_or_cut_short_are_refused(mini: Path, tmp_path: Path) -> None:
    nameless = _shards(mini, tmp_path / "nameless", lambda path: None)
    with pytest.raises(UserError, match=r"of-00003.parquet: \d+ pictures have no file name"):
        ImageNetLT(root=str(nameless), side=16).splits  # noqa: B018
    cut = _shards(mini, tmp_path / "cut", _hubs)
    shard = next((cut / "data").glob("train-00001*"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train-00001-of-00003.parquet: no image.path can be read"):
        ImageNetLT(root=str(cut), side=16).splits  # noqa: B018
    shard.unlink()
    with pytest.raises(UserError, match=r"of split train of imagenet_lt are listed but not there"):
        ImageNetLT(root=str(cut), side=16).splits  # noqa: B018


def test_every_file_of_the_source_is_pinned() -> None:
    files: Sequence[RemoteFile] = ImageNetLT.sources[0].files
    lists, shards = files[:3], files[3:]
    assert [file.name for file in lists] == [
        f"ImageNet_LT_{split}.txt" for split in ("train", "val", "test")
    ]
    assert all(file.bytes and file.sha256 and len(file.addresses) > 1 for file in lists)
    for kind, count in (("train", 294), ("validation", 14)):
        assert sum(f"/{kind}-" in shard.url for shard in shards) == count
    assert all("@49e2ee26f3810fb5a7536bbf732a7b07389a47b5/" in file.url for file in shards)
    assert not ImageNetLT.sources[0].automatic

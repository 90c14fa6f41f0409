import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from discl.cli import main
from discl.config.load import load
from discl.core.errors import UserError
from discl.files.contents import digest_of
from discl.files.photos import decode, decode_square
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from discl.parts.datasets.base.class_names import article, class_names
from discl.parts.datasets.folder import Folder
from tests.make_mini import make
from tests.mini._photos import encoded, real_photos


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda layout: make(layout, tmp_path_factory.mktemp(layout) / "mini", images=90))


@pytest.fixture
def own(mini: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tree that a test may change."""
    return Path(shutil.copytree(mini("folder"), tmp_path / "own"))


@pytest.fixture
def own_data(mini: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maps go where the test's other files go.

    The miniatures are made before: they need the photos of the usual place.
    """
    mini("folder"), mini("parquet")
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


pytestmark = pytest.mark.usefixtures("own_data")


def test_a_tree_with_splits(mini: Callable[[str], Path]) -> None:
    folder = Folder(root=str(mini("folder")))
    assert folder.classes == ("airplane", "automobile", "bird", "cat", "deer")
    assert folder.splits == ("train", "val", "test", "ood/night")
    assert folder.prompts(0) == ("a photo of an airplane",)
    train, night = folder.split("train"), folder.split("ood/night")
    assert np.bincount(train.labels).tolist() == [27, 13, 6, 3, 2]
    assert night.pixels.mean() < train.pixels.mean() / 2
    assert all(
        name.split("/")[1] == folder.classes[label]
        for name, label in zip(train.ids, train.labels, strict=True)
    )


def test_a_tree_without_splits_is_cut_by_the_hash_of_the_names(
    mini: Callable[[str], Path], own: Path
) -> None:
    complete = {
        name: set(Folder(root=str(own / "train")).listing(name).refs.tolist())
        for name in ("train", "val", "test")
    }
    assert {name: len(refs) for name, refs in complete.items()} == {
        "train": 33,
        "val": 10,
        "test": 8,
    }
    shutil.rmtree(own / "train" / "cat")
    fewer = {
        name: set(Folder(root=str(own / "train")).listing(name).refs.tolist()) for name in complete
    }
    assert fewer == {
        name: {ref for ref in refs if not ref.startswith("cat/")} for name, refs in complete.items()
    }


def test_a_split_that_is_missing_is_cut_from_train_and_said(own: Path) -> None:
    shutil.rmtree(own / "val")
    (own / "test").rename(own / "testing")
    folder = Folder(root=str(own), share=0.2)
    assert np.bincount(folder.listing("val").labels).tolist() == [6, 3, 2, 1, 1]
    assert np.bincount(folder.listing("train").labels).tolist() == [21, 10, 4, 2, 1]
    assert any(
        note == "cut from train: val, 20% of each class, by the hash of the names"
        for note in folder.notes
    )
    assert len(folder.listing("test").refs) == 15


@pytest.mark.parametrize("form", ["parquet", "disk"])
def test_a_hugging_face_dataset_with_a_group_column(
    mini: Callable[[str], Path], tmp_path: Path, form: str
) -> None:
    root = mini("parquet")
    if form == "disk":
        from datasets import Dataset, DatasetDict

        files = {"train": "train", "test": "test", "sketch": "test"}
        paths = {
            name: str(root / "data" / f"{file}-00000-of-00001.parquet")
            for name, file in files.items()
        }
        tables = {
            name: Dataset.from_parquet(path, cache_dir=str(tmp_path / "cache"))
            for name, path in paths.items()
        }
        DatasetDict(tables).save_to_disk(tmp_path / "disk")
        root = tmp_path / "disk"
    ood = ("sketch",) if form == "disk" else ()
    folder = Folder(root=str(root), group_column="camera", ood=ood)
    assert folder.classes == ("airplane", "automobile", "bird", "cat", "deer")
    assert folder.splits == ("train", "val", "test", *(["ood/sketch"] if form == "disk" else []))
    assert len(folder.listing("train").refs) + len(folder.listing("val").refs) == 72
    test = folder.split("test")
    table = pq.read_table(mini("parquet") / "data" / "test-00000-of-00001.parquet").to_pylist()
    of_content = {digest_of(row["image"]["bytes"]).decode(): i for i, row in enumerate(table)}
    rows = [of_content[id.partition("#")[0]] for id in test.ids.tolist()]  # any order of rows
    assert sorted(rows) == list(range(18))
    assert test.groups.tolist() == [i % 3 for i in rows]
    assert test.labels.tolist() == [table[row]["label"] for row in rows]
    assert test.original is not None
    for i in (0, 7, 17):
        picture = table[rows[i]]["image"]["bytes"]
        assert np.array_equal(test.original(i), decode(picture))
        assert np.array_equal(test.pixels[i], decode_square(picture, "", 32))
    assert "all photos are of one group" not in " ".join(folder.notes)


def test_an_image_folder_with_metadata(tmp_path: Path) -> None:
    root, rng = tmp_path / "images", np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        (root / split).mkdir(parents=True)
        labels = [i % 2 for i in range(count)]
        for i, photo in enumerate(real_photos(labels, rng)):
            (root / split / f"{i}.jpg").write_bytes(encoded(photo))
        rows = [
            {"file_name": f"{i}.jpg", "label": ["SeaLion", "red_panda"][label], "place": "zoo"}
            for i, label in enumerate(labels)
        ]
        (root / split / "metadata.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
    folder = Folder(root=str(root), group_column="place")
    assert folder.classes == ("sea lion", "red panda")
    assert folder.splits == ("train", "val", "test")
    assert len(folder.split("test")) == 6
    assert any("one group" in note for note in folder.notes)
    (root / "test" / "2.jpg").unlink()
    with pytest.raises(
        UserError,
        match=r"1 of 6 photos of split test of folder are listed but not there \(test/2.jpg\)",
    ):
        Folder(root=str(root)).identity()
    assert len(Folder(root=str(root), most_unreadable=0.2).split("test")) == 5


def test_groups_of_a_tree_come_from_a_csv_file(own: Path) -> None:
    refs = Folder(root=str(own)).listing("train").refs.tolist()
    with (own / "cameras.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows(
            [
                ("path", "group"),
                *((ref, f"c{i % 2}") for i, ref in enumerate(refs[1:])),
                ("gone.jpg", "c0"),
            ]
        )
    folder = Folder(root=str(own), groups="cameras.csv")
    assert set(folder.listing("train").groups.tolist()) == {-1, 0, 1}
    assert set(folder.listing("val").groups.tolist()) == {-1}
    assert folder.group_names == ("c0", "c1")
    assert any("photo(s) are not in cameras.csv" in note for note in folder.notes)
    assert any("1 row(s) of cameras.csv name no photo (gone.jpg)" in note for note in folder.notes)


def test_a_long_tail_on_request(own: Path) -> None:
    thin = Folder(root=str(own), largest=8, smallest=2).listing("train")
    assert np.bincount(thin.labels).tolist() == [8, 5, 4, 2, 2]
    thinner = Folder(root=str(own), largest=4, smallest=2).listing("train")
    assert set(thinner.refs.tolist()) < set(thin.refs.tolist())


def test_folder_names_become_english() -> None:
    assert class_names(["n01440764_tench", "n01443537_goldfish"]) == ("tench", "goldfish")
    assert class_names(["001.Black_footed_Albatross", "002.Laysan_Albatross"]) == (
        "black footed albatross",
        "laysan albatross",
    )
    assert class_names(["AnnualCrop", "HerbaceousVegetation", "SeaLake"]) == (
        "annual crop",
        "herbaceous vegetation",
        "sea lake",
    )
    assert class_names(["737-300", "737-MAX", "A380"]) == ("737 300", "737 MAX", "A380")
    assert class_names(["red_fox", "red-fox", "BMW"]) == ("red_fox", "red-fox", "BMW")
    assert [
        article(name)
        for name in (
            "owl",
            "unicorn",
            "hour",
            "umbrella",
            "one way sign",
            "cat",
            "uninhabited isle",
            "European hare",
        )
    ] == [
        "an",
        "a",
        "an",
        "an",
        "a",
        "a",
        "an",
        "a",
    ]


def test_what_is_odd_about_a_tree_is_said(own: Path) -> None:
    shutil.rmtree(own / "val" / "deer")
    (own / "val" / "deer").mkdir()
    shutil.copyfile(next((own / "val" / "cat").iterdir()), own / "train" / "stray.jpg")
    (own / "thumbnails" / "cat").mkdir(parents=True)
    (own / "__MACOSX").mkdir()
    notes = " | ".join(Folder(root=str(own)).notes)
    assert "1 class folder(s) without a photo (val/deer)" in notes
    assert "val has no photo of 1 of 5 classes (deer)" in notes
    assert "1 picture file(s) beside the class folders" in notes
    assert "1 folder(s) of previews left out" in notes
    assert "MACOSX" not in notes


def damaged_parquet(root: Path) -> dict[str, Any]:
    (root / "train-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    return {}


def two_label_columns(root: Path) -> dict[str, Any]:
    from datasets import ClassLabel, Dataset, Features, Image

    features = Features(
        {
            "image": Image(),
            "coarse": ClassLabel(names=["a", "b"]),
            "fine": ClassLabel(names=["c", "d"]),
        }
    )
    rows = {"image": [{"bytes": b"x", "path": None}] * 2, "coarse": [0, 1], "fine": [0, 1]}
    Dataset.from_dict(rows, features=features).to_parquet(root / "train.parquet")
    return {}


def a_column_that_is_not_there(root: Path) -> dict[str, Any]:
    two_label_columns(root)
    return {"label_column": "fine", "group_column": "camra"}


def unsorted(root: Path) -> dict[str, Any]:
    for number in range(3):
        Image.new("RGB", (8, 8)).save(root / f"cat_{number}.png")
    return {}


def one_class_in_a_list(root: Path) -> dict[str, Any]:
    unsorted(root)
    rows = "".join(f"cat_{number}.png,cat\n" for number in range(3))
    (root / "list.csv").write_text(f"file,label\n{rows}")
    return {}


def no_photo(root: Path) -> dict[str, Any]:
    (root / "train" / "cat").mkdir(parents=True)
    return {}


def groups_without_columns(root: Path) -> dict[str, Any]:
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "1.jpg").write_bytes(b"x")
    (root / "groups.csv").write_text("file,colour\na,b\n")
    return {"groups": "groups.csv"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (damaged_parquet, r"train-00000-of-00001.parquet cannot be read"),
        (
            two_label_columns,
            r"several could be the label \(coarse, fine\); set dataset.label_column",
        ),
        (
            a_column_that_is_not_there,
            r"dataset.group_column = 'camra': .* has the columns image, coarse, fine",
        ),
        (unsorted, r"has 3 photo\(s\) \(cat_0.png, .*\) in no folder of a class, and no list"),
        (one_class_in_a_list, r"1 class\(es\) \(cat\), read from column label of list.csv"),
        (no_photo, r"has folders but no photo in them"),
        (groups_without_columns, r"needs the columns path and group"),
        (lambda root: {}, r"is no folder with photos. Give one: --set dataset.root=FOLDER"),
        (lambda root: {"root": ""}, r"dataset.root names no folder. Give one"),
        (
            lambda root: {"root": "owner/name"},
            r"'owner/name' is no folder here, and the Hugging Face Hub cannot be reached",
        ),
        (lambda root: {"share": 0.9}, r"dataset.share = 0.9"),
        (lambda root: {"largest": 5, "smallest": 9}, r"smallest = 9"),
        (lambda root: {"groups": "a.csv", "group_column": "b"}, r"set one of them"),
    ],
)
def test_bad_input_is_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], dict[str, Any]], says: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    parameters = spoil(root)
    with pytest.raises(UserError, match=says):
        Folder(**{"root": str(root), **parameters}).identity()


def test_a_bench_of_ones_own_photos_gives_a_table(mini: Callable[[str], Path]) -> None:
    settings = [
        f"dataset.root={mini('folder')}",
        "generator.name=blend",
        "train.epochs=1",
        "train.curriculum_epochs=1",
        "train.warmup_epochs=0",
        "train.evaluate_every=1",
        "backbone.stem_stride=4",
        'strategies=["static"]',
        "levels=[50,100]",
        "bank.variants=1",
    ]
    (result,) = sweep(load("folder", "smoke", settings), Store(), CompositeTracker([]))
    assert {"test/macro_acc", "ood/macro_acc", "val/macro_acc"} <= result.metrics.keys()
    assert result.counts == [27, 13, 6, 3, 2]
    assert result.cost["images_generated"] == 24


def test_a_bench_without_data_ends_with_2_and_loads_no_torch() -> None:
    script = (
        "import sys\nfrom discl.cli import main\ntry:\n    main(['bench', 'folder'])\nexcept"
        " SystemExit as ending:\n    code = ending.code\nprint(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "False"]
    assert done.stderr.startswith("error: dataset.root names no folder. Give one")


def discl(*words: str) -> int:
    with pytest.raises(SystemExit) as ending:
        main(words)
    return int(ending.value.code or 0)


def test_data_info_counts_what_is_listed_and_decodes_nothing(
    mini: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert discl("data", "info", "folder", "--set", f"dataset.root={mini('folder')}") == 0
    output = capsys.readouterr().out
    assert [
        line.split()[2:] for line in output.splitlines() if line.strip().startswith("deer")
    ] == [["2", "3", "3", "3"]]
    assert "- not decoded yet: the first run writes 295 kB at 32 px" in output
    assert not (tmp_path / "data" / "decoded").exists()


def test_data_fetch_says_where_the_files_are_or_why_they_cannot_be_had(
    mini: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert discl("data", "fetch", "folder", "--set", f"dataset.root={mini('folder')}") == 0
    assert f"folder is at {mini('folder')}" in capsys.readouterr().out
    assert discl("data", "fetch", "folder", "--set", "dataset.root=owner/name") == 2
    assert "the Hugging Face Hub cannot be reached" in capsys.readouterr().err

import os
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from discl.cli import main
from discl.config.load import load
from discl.config.toml import parse_setting, to_toml
from discl.core.errors import UserError
from discl.harness.new_benchmark import LONGEST_NAME, benchmark_name, write_benchmark


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Classes of 40 and of 8 photos, in a folder whose name may break TOML and the terminal."""
    folder = tmp_path / 'Zebras "at night" \U0001f993\x7f'
    for label, count in (("zebra", 40), ("lion", 8)):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            picture = Image.new("RGB", (8, 8), (number * 5, 20 * len(label), 7))
            picture.save(folder / label / f"{number}.png")
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return folder


def _said(*words: str) -> str:
    return CliRunner().invoke(main, list(words)).output


def test_a_folder_becomes_a_benchmark_that_needs_no_settings(photos: Path) -> None:
    said = _said("init", photos.name)
    assert "layout: class folders" in said
    assert "20: 5 photos, of 1 of 2 classes" in said  # of 8 lions, val and test have the others
    written = tomllib.loads(Path("benchmarks/zebras_at_night.toml").read_text("utf-8"))
    assert written["dataset"] == {"root": str(photos)}
    assert written["hard_rule"] == {"max_class_images": 20}
    loaded = load("zebras_at_night").part("datasets").build()
    assert loaded.classes == ("lion", "zebra")
    assert re.search(r"^ ?lion ", _said("data", "info", "zebras_at_night"), re.M)
    info = " ".join(_said("data", "info", "zebras_at_night").split())
    assert "understood: split: train: what is left; val and test: cut from train (no photo" in info
    counts = {
        name: [int(number) for number in found.group(1, 2, 3)]
        for name in ("lion", "zebra", "all")
        if (found := re.search(rf"\b{name} (?:[a-z]+ )?(\d+) (\d+) (\d+)", info))
    }
    assert counts["all"] == [
        sum(pair) for pair in zip(counts["lion"], counts["zebra"], strict=True)
    ]
    assert sum(counts["all"]) == len([*photos.glob("*/*.png")])
    with_setting = _said("data", "info", "zebras_at_night", "--set", "drop_classes=['lion']")
    assert not re.search(r"^ ?lion ", with_setting, re.M)


def test_of_two_benchmarks_of_one_folder_the_title_of_each_is_its_own(photos: Path) -> None:
    _said("init", photos.name)
    _said("init", photos.name, "night")
    assert load("zebras_at_night").title.startswith("Zebras")
    assert load("night").title == "night"


def test_the_groups_to_hold_out_are_said_with_their_photos(tmp_path: Path, photos: Path) -> None:
    for camera, count in (("a", 30), ("b", 12), ("c", 24)):
        for label in ("fox", "elk"):
            (tmp_path / "traps" / label).mkdir(parents=True, exist_ok=True)
            for number in range(count // 2):
                picture = photos / "zebra" / f"{number}.png"
                name = f"{camera}_{number}.png"
                (tmp_path / "traps" / label / name).write_bytes(
                    picture.read_bytes() + name.encode()
                )
    lines = [
        f"{label}/{path.name},{label},{path.name[0]},{number}"
        for label in ("fox", "elk")
        for number, path in enumerate(sorted((tmp_path / "traps" / label).iterdir()))
    ]
    (tmp_path / "traps" / "list.csv").write_text("\n".join(["file,label,camera,date", *lines]))
    said = " ".join(_said("init", "traps").replace("\n#", " ").split())
    assert "3 groups: a (30 photos), b (12 photos) and c (24 photos)" in said
    assert (
        "this takes 1 of 3 groups, with 12 photos (18% of those with a group): ood_groups" in said
    )
    assert "1 column of list.csv not used: date" in said


def test_what_is_set_is_kept(photos: Path) -> None:
    assert "written" in _said("init", photos.name, "--name", "mine", "--set", "dataset.share=0.25")
    assert load("mine").dataset["share"] == 0.25


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["FOLDER", "--name", "iwildcam"], "'iwildcam' is taken"),
        (["FOLDER", "--name", "../x"], "takes lower-case letters"),
        (["FOLDER", "--set", "root=x"], "leave root out"),
        (["FOLDER", "--set", "share=2"], "dataset.share = 2"),
        (["FOLDER", "--set", "train.epoch=2"], "did you mean 'train.epochs'"),
        (["FOLDER", "mine", "--name", "mine"], "e.g. discl init photos my_photos"),
        ([], "e.g. discl init photos my_photos"),
    ],
)
def test_bad_words_write_nothing(photos: Path, words: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["init", *(photos.name if w == "FOLDER" else w for w in words)])
    assert done.exit_code == 2
    assert says in done.output
    assert not Path("benchmarks").exists()


def test_a_file_is_never_overwritten_and_names_are_none_of_ours(photos: Path) -> None:
    _said("init", photos.name)
    before = Path("benchmarks/zebras_at_night.toml").read_bytes()
    assert "is there already" in _said("init", photos.name)
    assert Path("benchmarks/zebras_at_night.toml").read_bytes() == before
    assert benchmark_name(Path("iwildcam")) == "my_iwildcam"
    assert benchmark_name(Path("2024-08")) == "photos_2024_08"
    assert benchmark_name(Path("n" * 255)) == "n" * LONGEST_NAME


def test_settings_of_every_kind_are_kept(photos: Path) -> None:
    settings = ("train.epochs=7", "hard_rule.max_class_images=50", "dataset.share=0.25")
    words = [word for setting in settings for word in ("--set", setting)]
    assert "discl bench zoo" in _said("init", photos.name, "zoo", *words, "--seeds", "3,4")
    kept = load("zoo")
    assert (kept.train.epochs, kept.hard_rule["max_class_images"]) == (7, 50)
    assert (kept.dataset["share"], kept.seeds) == (0.25, [3, 4])
    said = _said("bench", photos.name)
    assert "'zoo' is the benchmark of its photos, as in `discl bench zoo`" in said
    assert "write zoo, as in `discl bench zoo`" in _said("bench", "benchmarks/zoo.toml")


def test_a_folder_in_the_place_of_a_benchmark_is_told_of_init(photos: Path) -> None:
    for words in (["bench"], ["data", "info"]):
        assert "is a folder, and no benchmark; `discl init" in _said(*words, photos.name)


def test_a_folder_s_name_that_is_no_text_is_told(photos: Path) -> None:
    odd = photos.rename(os.fsdecode(os.fsencode(photos.parent) + b"/\xe9"))
    with pytest.raises(UserError, match=r"no UTF-8"):
        write_benchmark(odd, "odd", {})


@pytest.mark.parametrize("text", ["\U0001f993", 'a"b\\', "\x7f\x01\t\n", "é"])
def test_words_survive_a_setting(text: str) -> None:
    assert parse_setting(f"dataset.root={to_toml(text)}") == ("dataset.root", text)
    assert parse_setting(f"a={to_toml({text: [text]})}") == ("a", {text: [text]})


def test_few_photos_get_a_batch_that_they_fill(photos: Path) -> None:
    _said("init", photos.name)
    assert load("zebras_at_night").train.batch == 32
    for number in range(25):
        (photos / "zebra" / f"{number}.png").unlink()
    _said("init", photos.name, "--name", "small")
    few = len(load("small").part("datasets").build().listing("train").labels)
    assert load("small").train.batch == few // 2 < 10
    assert load("small", "paper").train.batch == load("folder", "paper").train.batch

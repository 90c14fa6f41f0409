"""English names of classes: from folders, ids of WordNet, Latin names and a file of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.base.class_names import class_names
from discl.parts.datasets.manifest.words import named


@pytest.mark.parametrize(
    ("written", "english"),
    [
        (["n01440764_tench", "goldfish"], ("tench", "goldfish")),
        (["Zebra_(animal)", "Lion"], ("zebra", "lion")),
        (["Jaguar (animal)", "Jaguar (car)"], ("jaguar animal", "jaguar car")),
        (["Cooper's_Hawk", "'x' ray"], ("cooper's hawk", "x ray")),
        (["Ga\u0308nsegeier", "हाथी"], ("gänsegeier", "हाथी")),
        (["GreatApe", "class_3"], ("great ape", "class 3")),
        (["01", "02"], ("01", "02")),
    ],
)
def test_folders_are_read_as_words(written: list[str], english: tuple[str, ...]) -> None:
    assert class_names(written) == english


@pytest.mark.parametrize(
    ("written", "english"),
    [
        (["n02391049", "n02129165", "n02402425"], ("zebra", "lion", "cattle")),
        (["n02391049", "own class"], ("zebra", "own class")),
        (["n99999999", "n02391049"], ("n99999999", "zebra")),
        (["Panthera leo", "panthera_pardus"], ("lion", "leopard")),
        (["Tayassu pecari", "Red panda"], ("white-lipped peccary", "red panda")),
        (["Boston terrier", "Afghan hound"], ("boston terrier", "afghan hound")),
        (["n02391049", "zebra"], ("n02391049", "zebra")),  # two classes, not one name
        (["05500_Animalia_Chordata_Mammalia_Carnivora_Felidae_Panthera_leo", "x y"],
         ("lion", "x y")),
    ],
)  # fmt: skip
def test_ids_and_latin_become_english(written: list[str], english: tuple[str, ...]) -> None:
    assert named(written).names == english


def test_words_that_several_ids_share_are_told_apart() -> None:
    cranes = named(["n02012849", "n03126707"]).names
    assert cranes == (
        "crane, large long-necked wading bird",
        "crane, lifts and moves heavy objects",
    )
    assert named(["n03710637", "n03710721"]).names[1] == "maillot, tank suit"


def test_what_was_turned_into_words_is_said() -> None:
    (remark,) = named(["n02391049", "lion"]).remarks
    assert remark == "1 class name of ids or Latin turned into English words: n02391049 = zebra"
    assert named(["zebra", "red_fox"]).remarks == ()
    (remark,) = named(["Deer", "fox"]).remarks
    assert remark == "1 class name in small letters, for prompts: Deer = deer"


def test_names_without_words_are_told_with_the_file_to_write() -> None:
    (remark,) = named(["17", "c3", "cat"]).remarks
    assert remark.startswith("2 of 3 class names are no English words (17, c3)")
    assert "'a photo of a 17'" in remark
    assert '{"17": "an English name"}' in remark
    (remark,) = named(["Inventus nonexistensis", "cat"]).remarks
    assert "1 class name of 2 in Latin, not known in English (inventus nonexistensis)" in remark


def test_a_file_of_names_goes_before(tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    file.write_text(json.dumps({"17": "plains zebra", "n02129165": "African lion"}))
    given = named(["17", "n02129165", "red_fox"], str(file))
    assert given.names == ("plains zebra", "African lion", "red fox")
    assert given.remarks == ()
    with pytest.raises(UserError, match=r"dataset\.names\).*called '17'"):
        named(["18", "n02129165"], str(file))
    file.write_text(json.dumps({"17": "zebra", "18": "zebra"}))
    with pytest.raises(UserError, match="gives several classes the name 'zebra'"):
        named(["17", "18"], str(file))

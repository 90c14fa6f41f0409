"""What images are made from, and what they are judged by."""

import json
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext
from discl.core.registry import bind

CAT = CaptionContext(1, "cat", ("a photo of a cat", "one cat"), "photo7")


def _part(name: str, **parameters: Any) -> Any:
    return bind("prompts", name, parameters).build()


def _file(folder: Path, said: Any) -> str:
    path = folder / "texts.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return str(path)


def test_the_datasets_own_captions_are_taken_as_they_are() -> None:
    assert _part("dataset").choices(CAT) == CAT.dataset_captions
    assert _part("dataset").caption(CAT) == "a photo of a cat"


def test_a_template_names_the_class() -> None:
    part = _part("template", template="a photo of {name} in the wild")
    assert part.choices(CAT) == ("a photo of cat in the wild",)
    assert part.caption(CAT) == "a photo of cat in the wild"
    with pytest.raises(UserError, match="all classes would share one prompt"):
        _part("template", template="a photo")


def test_descriptions_take_a_prefix_and_are_judged_by_the_plain_caption(tmp_path: Path) -> None:
    part = _part(
        "descriptions",
        file=_file(tmp_path, {"cat": [" asleep on a mat ", "at sea"]}),
        prefix="a 8k real photo: ",
    )
    assert part.choices(CAT) == ("a 8k real photo: asleep on a mat", "a 8k real photo: at sea")
    assert part.caption(CAT) == "a photo of cat"


def test_a_label_tells_classes_of_one_name_apart(tmp_path: Path) -> None:
    part = _part(
        "descriptions", file=_file(tmp_path, {"missile": ["by name"], "744": ["the second"]})
    )
    assert part.choices(CAT._replace(label=657, name="missile")) == ("by name",)
    assert part.choices(CAT._replace(label=744, name="missile")) == ("the second",)


def test_a_caption_may_speak_of_a_class_as_its_folder_is_called(tmp_path: Path) -> None:
    part = _part("descriptions", file=_file(tmp_path, {"0": ["x"]}), caption="a photo of {folder}")
    assert (
        part.caption(CAT._replace(label=0, name="great white shark / white shark"))
        == "a photo of great_white_shark"
    )


def test_captions_belong_to_photos(tmp_path: Path) -> None:
    part = _part("captions", file=_file(tmp_path, {"photo7": "a grey cat"}))
    assert part.choices(CAT) == ("a grey cat",)
    with pytest.raises(UserError, match="no caption of photo 'photo8'"):
        part.choices(CAT._replace(source="photo8"))


def test_the_identity_follows_the_texts_and_not_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first = _part("descriptions", file=_file(tmp_path, {"cat": ["x"]}))
    moved = _part("descriptions", file=_file(tmp_path / "a", {"cat": ["x"]}))
    assert first.identity() == moved.identity()
    assert (
        first.identity() != _part("descriptions", file=_file(tmp_path, {"cat": ["y"]})).identity()
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "not valid JSON"),
        ([1], "must hold an object"),
        ({"cat": []}, "'cat' has an empty text, or none"),
        ({"cat": [3]}, "empty text"),
    ],
)
def test_a_file_that_is_not_right_is_named(tmp_path: Path, said: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _part("descriptions", file=_file(tmp_path, said)).choices(CAT)


def test_a_class_without_descriptions_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'cats'"):
        _part("descriptions", file=_file(tmp_path, {"cats": ["x"]})).choices(CAT)
    with pytest.raises(UserError, match="cannot be read"):
        _part("captions", file=str(tmp_path / "none.json")).identity()

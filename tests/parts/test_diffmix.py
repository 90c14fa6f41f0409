"""Prompts that edit a photo towards another class, and the class each of them asks for."""

from typing import Any

import pytest

from discl.core.errors import UserError
from discl.core.interfaces import CaptionContext
from discl.core.registry import bind
from discl.parts.prompts.diffmix import MOST

CLASSES = ("dog", "cat", "ship", "frog")
CAPTIONS = tuple((f"a photo of a {name}", f"one {name}") for name in CLASSES)


def _part(**parameters: Any) -> Any:
    return bind("prompts", "diffmix", parameters).build()


def _context(
    label: int = 1, source: str = "p7", classes: Any = CLASSES, captions: Any = CAPTIONS
) -> CaptionContext:
    return CaptionContext(label, classes[label], captions[label], source, classes, captions)


def test_a_photo_may_become_any_other_class() -> None:
    part = _part()
    choices = part.choices(_context())
    assert choices == ("a photo of a dog", "a photo of a ship", "a photo of a frog")
    assert [part.target(_context(), prompt) for prompt in choices] == [0, 2, 3]
    assert part.target(_context(), "a photo of a cat") is None  # what it is already
    assert part.target(_context(), "something else") is None
    assert part.caption(_context(2)) == "a photo of a ship"


def test_targets_and_a_template_of_ones_own() -> None:
    part = _part(targets=["ship", "cat"], template="a picture of {name}")
    assert part.choices(_context(0)) == ("a picture of cat", "a picture of ship")
    assert part.choices(_context(1)) == ("a picture of ship",)
    assert part.target(_context(1), "a picture of ship") == 2
    assert part.caption(_context(2)) == "a picture of ship"


def test_classes_that_share_a_prompt_are_no_targets() -> None:
    classes = ("dog", "crane", "crane", "frog")
    captions = tuple((f"a photo of a {name}",) for name in classes)
    choices = _part().choices(_context(0, classes=classes, captions=captions))
    assert choices == ("a photo of a frog",)


def test_of_many_classes_each_photo_has_some_drawn_by_its_name() -> None:
    classes = tuple(f"class {label}" for label in range(200))
    captions = tuple((name,) for name in classes)
    part = _part()
    drawn = [part.choices(_context(0, f"p{i}", classes, captions)) for i in range(20)]
    assert {len(choices) for choices in drawn} == {MOST}
    assert len(set(drawn)) == 20
    assert drawn[3] == _part().choices(_context(0, "p3", classes, captions))
    assert len({prompt for choices in drawn for prompt in choices}) > 180


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"targets": ["cow"]}, "no class in prompts.targets called 'cow'"),
        ({"targets": ["cat"]}, "leaves no class that a photo of 'cat' could be edited towards"),
        ({"targets": ["cat", "cat"]}, "no list of different names"),
        ({"template": "a photo"}, "all classes would share one prompt"),
    ],
)
def test_targets_that_cannot_be_are_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        _part(**parameters).choices(_context())

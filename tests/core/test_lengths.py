"""What is known to be read whole, without the tokenizers of large libraries."""

from pathlib import Path

import pytest

from discl.core.text.lengths import are_read_whole

VOCABULARY = Path("discl/assets/cifar10_clip/tokenizer.json")


@pytest.mark.parametrize(
    ("text", "most", "whole"),
    [
        ("a cat", 8, True),  # no more tokens than bytes, and three marks
        ("a cat", 7, False),
        ("\u30ce", 15, True),  # three bytes, which cleaning may make twelve of
        ("\u30ce", 14, False),
        ("a&b", 14, False),  # an entity may stand for more bytes than it has
    ],
)
def test_a_text_has_no_more_tokens_than_bytes(text: str, most: int, whole: bool) -> None:
    assert are_read_whole([text], most) is whole
    assert are_read_whole(["a", text], most) is whole


def test_what_may_be_too_long_is_counted_with_the_vocabulary() -> None:
    text = "a photo of a deer"
    assert not are_read_whole([text], 16)
    assert are_read_whole([text], 16, VOCABULARY)
    assert not are_read_whole([text], 4, VOCABULARY)
    assert not are_read_whole([text], 16, Path("absent.json"))


def test_only_plain_texts_are_counted_so() -> None:
    assert not are_read_whole(["a photo of a c\u0101t"], 40, VOCABULARY)
    assert not are_read_whole(["salt &amp; a photo"], 40, VOCABULARY)

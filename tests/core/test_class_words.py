import pytest

from discl.core.class_words import without_words


@pytest.mark.parametrize(
    "name",
    ["17", "-1", "3.5", "n02391049", "c3", "class 3", "Label_12", "id-0007", "A", "bcc", "x17b",
     "Sample 004", "class12", "斑马", "зебра", ""],
)  # fmt: skip
def test_ids_numbers_and_other_scripts_are_no_english_words(name: str) -> None:
    assert without_words([name]) == [name]


@pytest.mark.parametrize(
    "name", ["zebra", "red fox", "ox", "Löwe", "zebra2", "737 MAX", "class A owl", "x-ray", "gnu"]
)
def test_words_are(name: str) -> None:
    assert without_words([name]) == []

"""What all pages have in common: numbers stay whole."""

import pytest

from discl.harness.html import unbroken


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("in 95 % of cases", "in 95&nbsp;% of cases"),
        ("34.9 ± 0.3 points", "34.9&nbsp;±&nbsp;0.3 points"),
        ("9 556 bytes of 12 345 678", "9&nbsp;556 bytes of 12&nbsp;345&nbsp;678"),
        ("level 20 of 3 photos", "level 20 of 3 photos"),
    ],
)
def test_a_number_is_never_broken(words: str, shown: str) -> None:
    assert unbroken(words) == shown


def test_words_are_escaped() -> None:
    assert unbroken("<b> & 'it' 5 %") == "&lt;b&gt; &amp; &#39;it&#39; 5&nbsp;%"

"""What all pages have in common: numbers stay whole."""

import pytest

from discl.harness.html import unbroken


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("in 95 % of cases", "in 95\u00a0% of cases"),
        ("34.9 ± 0.3 points", "34.9\u00a0±\u00a00.3 points"),
        ("9 556 bytes of 12 345 678", "9\u00a0556 bytes of 12\u00a0345\u00a0678"),
        ("level 20 of 3 photos", "level 20 of 3 photos"),
    ],
)
def test_a_number_is_never_broken(words: str, shown: str) -> None:
    assert unbroken(words) == shown

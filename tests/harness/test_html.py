"""What all pages have in common: numbers stay whole."""

import pytest

from discl.harness.html import template, unbroken


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


def test_values_inside_tags_and_scripts_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        '<p title="{{ name }}"{{ " hidden" if 2 > 1 }} data-x=\'{% if 1 > 0 %}5 %{% endif %}\'>'
        "{{ name }}, 5 % {{ 7 }} %</p><script>let x = 1 <a; '{{ name }} 5 %'</script><b>{{ name }}"
    )
    monkeypatch.setattr("discl.harness.html.text", lambda _: source)
    name = '1 000 "b" ± \x1b'
    assert template("any").render(name=name) == (
        "<p title=\"1 000 &#34;b&#34; ± �\" hidden data-x='5 %'>"
        "1&nbsp;000 &#34;b&#34;&nbsp;±&nbsp;�, 5&nbsp;% 7&nbsp;%</p>"
        "<script>let x = 1 <a; '1 000 &#34;b&#34; ± � 5 %'</script><b>1&nbsp;000 &#34;b&#34;&nbsp;±"
        "&nbsp;�"
    )

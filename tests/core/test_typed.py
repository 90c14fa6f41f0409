"""Commands in messages: what a shell runs when they are typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import discl
from discl.cli import main
from discl.core.text import typed

NAMES = pytest.mark.parametrize("name", ["my photos", "$(x)", "it's", "; rm -r x", "`x`"])
# a place for a name in what follows `discl ...` within a message
_PLACE = re.compile(r"discl (?!0\.1)[a-z-]+[^`\n]*?\{(?!typed)[^}]*\}")


@NAMES
def test_a_name_is_one_word(name: str) -> None:
    assert shlex.split(typed("discl", "bench", name)) == ["discl", "bench", name]


def test_a_name_cannot_steer_the_terminal() -> None:
    assert typed("discl", "bench", "a\x1b[2Jb").isprintable()


@NAMES
def test_a_hint_quotes_the_name_it_was_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    outcome = CliRunner().invoke(main, ["plan", name])
    assert outcome.exit_code == 2
    assert f"`{typed('discl', 'init', name)}`" in outcome.output


def test_no_message_puts_a_name_into_a_command_by_itself() -> None:
    """`typed` does it: elsewhere a blank or `$(...)` in a name would reach the shell."""
    found = []
    for path in sorted(Path(discl.__file__).parent.rglob("*.py")):
        text = re.sub(r'"\n\s*f?"', "", path.read_text("utf-8"))  # texts over several lines
        for line in text.splitlines():
            if '"' in line and (place := _PLACE.search(line)) and "`" not in place[0]:
                found.append((path.name, place[0]))
    allowed = {"page.py", "publish.py", "make.py"}  # "made by discl", with a version or date
    assert [each for each in found if each[0] not in allowed] == []

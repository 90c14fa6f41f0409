"""The page of failures: its sentences are those of the program."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from tests.pages import ROOT, text_of

ROWS = re.findall(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", text_of("howto/failures.md"), re.M)
GAP = "\0"


@cache
def sentences() -> list[str]:
    """Every text of the source; what is filled in is a gap."""
    found = []
    for path in sorted((ROOT / "discl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    str(part.value) if isinstance(part, ast.Constant) else GAP
                    for part in node.values
                ]
                found.append("".join(parts))
    return found


def says(text: str, row: str) -> bool:
    """Whether a text has the words of a row, in order; dots stand for anything."""
    at = 0
    for words in row.split("..."):
        found = text.find(words.strip(), at)
        if found < 0:
            return False
        at = found + len(words.strip())
    return True


@pytest.mark.parametrize("row", [row for row, _, _ in ROWS])
def test_every_sentence_of_the_page_is_one_of_the_program(row: str) -> None:
    assert any(says(text, row) for text in sentences()), row


def test_every_row_says_what_happened_and_the_way_out() -> None:
    assert len(ROWS) > 35
    assert len({row for row, _, _ in ROWS}) == len(ROWS)
    assert all(happened and way_out for _, happened, way_out in ROWS)


@pytest.mark.parametrize(
    "words",
    [
        "bench cifar10_l",
        "bench FOLDER",
        "init FOLDER",
        "bench cifar10_lt --set train.epochs",
        "sweep losses --engine ray",
        "bench folder --scale medium",
        "bench cifar10_lt --set select.metric=test/macro_acc",
        "bench cifar10_lt --set train.curriculum_epochs=50",
        "bench cifar10_lt --set generator.steps=5",
        "bench cifar10_lt --set generator.checkpoint=nowhere",
        "run cifar10_lt",
        "leaderboard cifar10_lt",
        "wandb sync",
    ],
)
def test_what_people_meet_is_on_the_page(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    done = CliRunner().invoke(main, words.replace("FOLDER", "photos").split())
    assert done.exit_code == 2, done.output
    assert any(says(done.stderr, row) for row, _, _ in ROWS), done.stderr

"""Words of sentences that are put together from parts."""

import pytest

from discl.core.text import counted, echo, listed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_words_are_listed_as_a_sentence_does(words: list[str], sentence: str) -> None:
    assert listed(words) == sentence
    assert listed(iter(words)) == sentence


def test_sentences_on_standard_error_end_at_words_and_leave_paths_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/a/path/that/is/longer/than/the/line/is/wide"
    monkeypatch.setattr("discl.core.text.terminal.terminal_width", lambda *, err=False: 30)
    echo(f"W&B: offline; the runs lie in {path}, and `discl wandb sync` sends them", err=True)
    assert capsys.readouterr().err.splitlines() == [
        "W&B: offline; the runs lie in",
        f"{path},",
        "and `discl wandb sync` sends",
        "them",
    ]
    echo("tables on standard output are laid out by what prints them")
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 classes"), (1, "1 class"), (2_000, "2,000 classes")]
)
def test_a_number_and_its_noun_agree(number: int, said: str) -> None:
    assert counted(number, "class", "classes") == said
    assert counted(1, "seed") == "1 seed"

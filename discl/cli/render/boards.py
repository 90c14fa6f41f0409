"""A leaderboard on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from discl.core.text import echo

if TYPE_CHECKING:
    from discl.harness.leaderboard.paper_results import PaperResults
    from discl.harness.leaderboard.table import Board

ELSEWHERE = "--format csv"
TOO_FEW = {  # seeds -> what they cannot say
    1: "one seed: no interval can be given; add --seeds 0,1,2 before you believe a difference",
    2: (
        "two seeds: they hardly say how far others would lie, so the intervals are wide; those of"
        " --seeds 0,1,2,3,4 are a seventh of them"
    ),
}


def print_board(board: Board) -> None:
    """A leaderboard, the differences to its baselines, then what papers report."""
    from discl.cli.render.tables import show, tell
    from discl.harness.leaderboard.columns import BRIEF
    from discl.harness.leaderboard.wording import (
        epochs_sentence,
        few_seeds,
        header,
        lines,
        old_rows,
        warning,
    )

    place, strategy, _, *titles = header(board)
    cells = lines(board)
    first, *others = board.columns.values()
    differing = range(3 + len(board.columns), len(titles) + 3 - len(board.other))
    numbers = [at for at in range(2, len(titles) + 3) if at not in differing]
    names = [strategy, place, "seeds", *titles]
    show(
        f"{board.title}, scale {board.scale}, at {board.rule.words} (percent, mean ± 95 % interval"
        " over seeds)",
        [names[at] for at in (0, 1, *numbers)],
        [[row[at] for at in (1, 0, *numbers)] for row in cells],
        worth=[first, *BRIEF[:2], "seeds", "place", *BRIEF[2:], *others],
        elsewhere=ELSEWHERE,
    )
    _print_differences([names[at] for at in differing], cells, differing)
    echo()
    tell(board.caption)
    said = (epochs_sentence(board), warning(board), *few_seeds(board), old_rows(board))
    for sentence in (*said, *board.about):
        if sentence:
            tell(sentence)
    print_published(board.papers)
    if told := TOO_FEW.get(len(board.declared_seeds)):
        tell(told)


def _print_differences(
    titles: Sequence[str], cells: Sequence[Sequence[str]], differing: Sequence[int]
) -> None:
    """Rows that are compared with a baseline."""
    from discl.cli.render.tables import show

    rows = [[row[1], *(row[at] for at in differing)] for row in cells]
    if compared := [row for row in rows if {*row[1:]} - {"-"}]:
        echo()
        show(
            "differences (points, paired by seed; * = the interval excludes zero)",
            ["strategy", *titles],
            compared,
            elsewhere=ELSEWHERE,
        )


def print_published(papers: Sequence[PaperResults]) -> None:
    """The results of papers, faint and apart."""
    from discl.cli.render.tables import show

    for table in papers:
        echo()
        show(
            f"{table.of} ({table.source}; {table.warning})",
            ["method", *table.titles],
            [[method, *cells] for method, cells in table.rows],
            worth=["all", "few"],
            style="dim",
        )

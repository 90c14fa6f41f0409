"""A leaderboard on the terminal."""

from __future__ import annotations

from typing import Any

from discl.core.text import echo


def print_board(board: Any) -> None:
    """A leaderboard, then what papers report."""
    from rich.table import Table

    from discl.core.text import console
    from discl.harness.leaderboard.wording import epochs_sentence, header, lines, old_rows, warning

    table = Table(
        title=(
            f"{board.title}, scale {board.scale}, at {board.rule.words} (percent, mean ± 95 %"
            " interval over seeds)"
        ),
        box=None,
        header_style="bold",
    )
    for column, title in enumerate(header(board)):
        table.add_column(
            title.replace(" to ", " to\n"), justify="left" if column == 1 else "right", no_wrap=True
        )
    for cells in lines(board):
        table.add_row(*cells)
    terminal = console(400)
    terminal.print(table)
    echo(board.caption)
    for sentence in filter(None, (epochs_sentence(board), warning(board))):
        echo(sentence)
    for sentence in filter(None, (old_rows(board), *board.about)):
        echo(sentence)
    for papers in board.papers:
        print_published(papers, terminal)
    if len(board.declared_seeds) == 1:
        echo(
            "one seed: no interval can be given; add --seeds 0,1,2 before you believe a difference"
        )


def print_published(papers: Any, terminal: Any) -> None:
    """The results of a paper, faint and apart."""
    from rich.table import Table

    table = Table(
        title=f"{papers.of} ({papers.source}; {papers.warning})",
        box=None,
        style="dim",
        title_style="dim",
    )
    for column, title in enumerate(("method", *papers.titles)):
        table.add_column(title, justify="left" if column == 0 else "right")
    for method, cells in papers.rows:
        table.add_row(method, *cells)
    terminal.print(table)

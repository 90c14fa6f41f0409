"""`discl leaderboard`: compare strategies, publish and check what is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli._boards import print_board
from discl.cli._selection import load, selection


class _Leaderboard(click.Group):
    """`discl leaderboard BENCH` shows; `publish` and `check` are words of their own."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Leaderboard)
def leaderboard() -> None:
    """Compare strategies: `discl leaderboard BENCH`, or `publish` and `check` what is committed."""


@leaderboard.command("show")
@selection
@click.option("--format", "form", type=click.Choice(["table", "md", "json"]), default="table", show_default=True)
def leaderboard_show(form: str, **selection: Any) -> None:
    """The table of BENCH from stored runs; all seeds there are, unless --seeds says which."""
    from discl.harness import board as boards
    from discl.harness.store import Store

    spec = load(**selection)
    if selection["seeds"] is None:
        spec = boards.with_every_seed(spec, Store())
    made = boards.board(spec, boards.stored_results(spec, Store()))
    if form == "table":
        print_board(made)
    else:
        click.echo(boards.as_markdown(made) if form == "md" else boards.as_json(made), nl=False)


@leaderboard.command("publish")
@selection
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("leaderboards"), show_default=True)
def leaderboard_publish(root: Path, **selection: Any) -> None:
    """Copy complete results of BENCH into the repository and render its page; all seeds, unless --seeds says which."""
    from discl.harness.board import publish, with_every_seed
    from discl.harness.store import Store

    spec = load(**selection)
    for path in publish(with_every_seed(spec, Store()) if selection["seeds"] is None else spec, Store(), root):
        click.echo(str(path))


@leaderboard.command("check")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("leaderboards"), show_default=True)
def leaderboard_check(root: Path) -> None:
    """Fail where a committed page is not what its results give."""
    from discl.harness.board import stale
    from discl.spec.errors import UserError

    if old := stale(root):
        raise UserError(f"{root / (old[0] + '.md')} is stale; run: make leaderboards")
    click.echo("leaderboards are current")


@leaderboard.command("render")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("leaderboards"), show_default=True)
def leaderboard_render(root: Path) -> None:
    """Render every page again from the published results."""
    from discl.files.disk import write_text
    from discl.harness.board import render, stale

    for name in stale(root):
        write_text(root / f"{name}.md", render(name, root))
        click.echo(str(root / f"{name}.md"))

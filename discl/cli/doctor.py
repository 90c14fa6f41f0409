"""`discl doctor`: what works on this machine, what to know, and what to repair."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from discl.cli.options.completion import checks

if TYPE_CHECKING:
    from discl.harness.doctor.diagnosis import Examined

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


@click.command()
@click.argument("check", nargs=-1, metavar="[CHECK]...", shell_complete=checks)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def doctor(ctx: click.Context, check: tuple[str, ...], form: str) -> None:
    """Look this machine over: software, devices, disks, photos, banks, and what lies beyond the
    network.

    Each line is ok, a note (it stops nothing) or a problem, with the way out. The exit code is 1
    where there is a problem, else 0. Keys and passwords are never shown. Without CHECK, all of
    them: python, packages, torch, torchvision, extras, node, places (disks and locks), memory,
    datasets, banks, tree (git), bytecode, hub, wandb, studies.

    \b
    discl doctor
    discl doctor places hub                        only these; nothing else is imported
    discl doctor --format json
    """
    from discl.harness.doctor.diagnosis import examine

    found = examine(check)
    if form == "json":
        rows = [
            {"check": each.check, **finding._asdict()}
            for each in found
            for finding in each.findings
        ]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _print(found)
    ctx.exit(
        1 if any(finding.state == "problem" for each in found for finding in each.findings) else 0
    )


def _print(found: list[Examined]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from discl.harness.inspect.index import legible

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    findings = [finding for each in found for finding in each.findings]
    for finding in findings:
        table.add_row(
            Text(finding.state, style=_COLOURS[finding.state]), Text(legible(finding.said))
        )
        if finding.way_out:
            table.add_row("", Text(f"-> {legible(finding.way_out)}", style="dim"))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    problems, notes = (
        sum(finding.state == state for finding in findings) for state in ("problem", "note")
    )
    click.echo(
        f"{problems} problem{'s' if problems != 1 else ''}, {notes} note{'s' if notes != 1 else ''}"
    )

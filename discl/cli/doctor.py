"""`discl doctor` and `discl verify`: what works on this machine, and what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from discl.cli.options.completion import checks
from discl.cli.options.output import format_option
from discl.core.text import counted, echo, echo_json

if TYPE_CHECKING:
    from discl.harness.doctor.finding import Finding

_STYLES = {"ok": "", "note": "note", "problem": "bad"}


@click.command()
@click.argument("check", nargs=-1, metavar="[CHECK]...", shell_complete=checks)
@click.option("--all", "everything", is_flag=True, help="Show what is ok, too.")
@format_option("json: every finding, for scripts.", forms=("text", "json"))
@click.pass_context
def doctor(ctx: click.Context, check: tuple[str, ...], everything: bool, form: str) -> None:
    """Check this machine, and say what to repair.

    Software, devices, disks, photos, and the servers that are used are checked. Each line is ok, a
    note (it stops nothing) or a problem, with the way out. The exit code is 1 where there is a
    problem, else 0. Keys and passwords are never shown. Without CHECK, all of them: python (with
    packages), torch (with devices and threads), disk (space and locks), data (photos), files
    (plug-ins, sweeps, banks, runs), hub (Hugging Face), wandb. What is ok is counted; with --all,
    or where a CHECK is named, it is shown.

    \b
    discl doctor
    discl doctor --all       for a report of a defect
    discl doctor disk hub    only these; nothing else is imported
    discl doctor --format json
    """
    from discl.harness.doctor.diagnosis import examine

    examined = examine(check)
    findings = [finding for result in examined for finding in result.findings]
    if form == "json":
        rows = [
            {"check": result.check, **finding._asdict()}
            for result in examined
            for finding in result.findings
        ]
        echo_json(rows)
    else:
        _print(findings, everything or bool(check))
    ctx.exit(1 if any(finding.state == "problem" for finding in findings) else 0)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell; change nothing.")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="Folder of published results, which are verified as well where it is there.",
)
@click.pass_context
def verify(ctx: click.Context, dry_run: bool, root: Path) -> None:
    """Compare everything that is stored with its seals and hashes, and repair it.

    Banks, caches, runs and published results are read whole. Damaged images are dropped and damaged
    caches removed, so that they are made again where they are next needed; a damaged file of a run
    is set aside under a name that ends in .damaged, and `discl bench` makes the run again where
    that was its result. Published results are only told of. Files of earlier versions, which have
    no seal, are counted. The exit code is 1 where something is damaged.

    \b
    discl verify --dry-run                         what is damaged
    discl verify                                   and repaired
    """
    from discl.harness.doctor.stored import verify_all

    verified = verify_all(root, repair=not dry_run)
    for fault in verified.faults:
        echo(fault)
    unsealed = f"; {verified.unsealed:,} of them without a seal" if verified.unsealed else ""
    echo(
        f"{counted(verified.images, 'image')} and {counted(verified.files, 'file')} were"
        f" read{unsealed}; {counted(len(verified.faults), 'fault')}"
    )
    ctx.exit(1 if verified.faults else 0)


def _print(findings: list[Finding], everything: bool) -> None:
    """Findings, those that are ok only with `everything`, and how many there are of each state."""
    from discl.cli.render.layout import Styled
    from discl.cli.render.tables import show_pairs, tell

    lines: list[tuple[str | Styled, str | Styled]] = []
    for finding in findings:
        if everything or finding.state != "ok":
            lines.append((Styled(finding.state, _STYLES[finding.state]), finding.message))
            if finding.way_out:
                lines.append(("", Styled(f"-> {finding.way_out}", "dim")))
    show_pairs("", lines)
    problems = sum(finding.state == "problem" for finding in findings)
    notes = sum(finding.state == "note" for finding in findings)
    told = f"{counted(problems, 'problem')}, {counted(notes, 'note')}"
    fine = len(findings) - problems - notes
    listed = "" if everything else "; --all shows them"
    tell(f"{told}, {fine} ok{listed}" if problems or notes else f"all {fine} are ok{listed}")

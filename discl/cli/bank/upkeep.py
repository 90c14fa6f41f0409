"""`discl bank ls` and `gc`: the banks of this machine, and what nothing uses any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.renamed import renamed_option
from discl.core.text import counted, echo, echo_json

if TYPE_CHECKING:
    from discl.harness.bank.inventory import BankSummary


@click.command("ls")
@format_option("json: one list, for scripts.")
@renamed_option("--json", "--format json", takes_value=False)
def bank_ls(form: str) -> None:
    """List every bank of this machine.

    For each: what made it, what it holds, its size, and which benchmarks and runs use it. A bank is
    shared by all benchmarks and runs of one process (dataset, generator, prompts, scorer, seed).
    `discl bank gc` removes banks that nothing uses.
    """
    from discl.harness.bank.inventory import bank_summaries
    from discl.harness.bank.references import find_references

    references = find_references()
    summaries = list(bank_summaries(references))
    if form == "json":
        echo_json([_plain(summary) for summary in summaries])
    elif not summaries:
        echo("no bank on this machine yet; `discl bank build BENCH` makes one")
    else:
        _print_banks(summaries)
        for possible in references.possible:
            echo(f"not known: {possible.why}")


def _plain(summary: BankSummary) -> dict[str, Any]:
    """A summary as JSON types."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    written = datetime.fromtimestamp(int(summary.written), UTC).isoformat()
    return asdict(summary) | {
        "folder": str(summary.folder),
        "bytes": summary.bytes._asdict(),
        "written": written,
    }


def _print_banks(summaries: list[BankSummary]) -> None:
    from datetime import datetime

    from discl.cli.render.tables import show

    words = ["bank", "dataset", "generator", "prompts", "images by level", "used by"]
    rows = []
    for summary in summaries:
        levels = " ".join(f"{level}%:{count}" for level, count in sorted(summary.images.items()))
        runs = [counted(summary.runs, "run")] if summary.runs else []
        written = datetime.fromtimestamp(summary.written).astimezone()
        row = [
            summary.id,
            summary.dataset,
            summary.generator,
            summary.prompts,
            summary.problem or levels or "none",
            ", ".join([*summary.benchmarks, *runs]) or "none known",
            str(summary.failed),
            _megabytes(summary.bytes.shards),
            _megabytes(summary.bytes.cache),
            written.strftime("%Y-%m-%d %H:%M"),
        ]
        rows.append(row)
    show(
        "",
        [*words, "failed", "shards", "cache", "written"],
        rows,
        left=len(words),
        worth=["images by level", "shards", "used by", "generator", "dataset", "written", "failed"],
        elsewhere="--format json",
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@click.command("gc")
@click.option("--yes", is_flag=True, help="Do what is listed; without it nothing is touched.")
@click.option("--recent", is_flag=True, help="Take banks, too, that were used within a day.")
def bank_gc(yes: bool, recent: bool) -> None:
    """Move banks and leftover files that nothing uses to the trash, and empty that of before.

    Without --yes they are only listed, with their size. Banks go that no benchmark file (at any
    scale) and no run refers to; in other banks, caches and shards whose images were replaced,
    damaged catalogues, and files left half-written for a day. They are renamed into the folder
    banks/trash: until the next `discl bank gc --yes`, which empties it, they can be moved back.

    Kept are banks that are open or being filled, those of runs that are under way or have a
    checkpoint, all while a sweep is under way, banks of a dataset whose photos are not on this
    machine, because it is unknown which bank they need, and without --recent those that were used
    within a day. A bank made with --set belongs to no benchmark file.

    Starts (train.start) that no run refers to are removed at once: a run that needs one makes it
    again. Manifests of photos that nobody has read for 30 days go to the trash of
    $DISCL_DATA/manifests: a folder that is read again is listed again.
    """
    from discl.cli.render.tables import tell
    from discl.config.load import folders
    from discl.harness.bank.gc import plan_removals, remove, trash_folder
    from discl.harness.bank.references import find_references
    from discl.harness.run.trackers import CompositeTracker

    progress = CompositeTracker.of(["console"]).progress
    plan = plan_removals(find_references(), progress, recent=recent)
    if plan.kept or plan.removals:
        tell(f"benchmarks asked: those in {', '.join(map(str, folders()))}")
    for bank, reason in plan.kept:
        tell(f"kept   {bank}  {reason}")
    for removal in plan.removals:
        verb = "freed " if removal.trash else "goes  "
        tell(f"{verb} {removal.bank.name}  {removal.what}: {_megabytes(removal.bytes)}")
    others = _remove_starts(yes, recent) + _remove_manifests(yes)
    removed = remove(plan) if yes else None
    if not plan.removals:
        tell("nothing else to remove" if others else "nothing to remove")
    elif removed is None:
        echo(
            f"{_megabytes(plan.freed)} of the trash would be freed, and {_megabytes(plan.moved)}"
            " moved there, which the time after frees; add --yes to do so"
        )
    else:
        for failure in removed.failures:
            echo(f"stayed {failure}")
        echo(f"{_megabytes(removed.freed)} freed")
        if removed.moved:
            echo(
                f"{_megabytes(removed.moved)} moved to {removed.trash}; `discl bank gc --yes` frees"
                f" them, and until then what lies there can be moved back to"
                f" {trash_folder().parent}"
            )


def _remove_manifests(yes: bool) -> int:
    """Move manifests that nobody reads to their trash, and count them; without `yes` list them."""
    from discl.harness.bank.old_manifests import old_manifests, remove_old

    found = old_manifests()
    if not found.folders and not found.trash:
        return 0
    moved = f"{len(found.folders)} that nobody has read for 30 days: {_megabytes(found.bytes)}"
    freed = f"{_megabytes(found.trash_bytes)} of their trash"
    if yes:
        remove_old(found)
        echo(f"moved  manifests  {moved}; {freed} freed")
    else:
        echo(f"goes   manifests  {moved}; {freed} would be freed")
    return len(found.folders) + len(found.trash)


def _remove_starts(yes: bool, recent: bool) -> int:
    """Remove the starts that no run refers to, and count them; without `yes` only list them."""
    from discl.harness.run.start.unused import found_starts, remove_start
    from discl.harness.run.store import Store

    found = found_starts(Store(), recent=recent)
    for start in found:
        if start.why_kept:
            echo(f"kept   start {start.id}  {start.why_kept}")
        elif not yes:
            echo(f"goes   start {start.id}  no run refers to it: {_megabytes(start.bytes)}")
        elif remove_start(start.id):
            echo(f"freed  start {start.id}  no run refers to it: {_megabytes(start.bytes)}")
    return sum(not start.why_kept for start in found)

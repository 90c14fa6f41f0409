"""`discl wandb`: the mirror of runs at Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli.options.completion import benchmarks
from discl.cli.options.selection import load, selection

SHOWN = 10  # ids and troubles named on the terminal


@click.group()
def wandb() -> None:
    """The mirror of runs, banks and tuning at Weights & Biases.

    The record of a run is its events.jsonl; W&B shows it and is never needed. What an outage, a
    crash or a missing key kept from W&B is sent by `discl wandb sync`, as often as you like: every
    run has an id of its own, and nothing arrives twice.
    """


@wandb.command("follow", hidden=True)
@click.argument("listed", type=click.Path(path_type=Path))
@click.option("--parent", required=True, type=int)
def wandb_follow(listed: Path, parent: int) -> None:
    """Mirror the runs that the process PARENT appends to LISTED; started by the tracker, not by
    hand.
    """
    from discl.harness.wandb.follower import Follower

    Follower(listed, parent).run()


@wandb.command("sync")
@click.argument("bench", metavar="[BENCH]", required=False, shell_complete=benchmarks)
@click.option("--scale", help="Only runs of this scale.")
@click.option(
    "--run",
    "ids",
    multiple=True,
    metavar="ID",
    help="Only this run; repeatable. `discl runs ls` shows ids.",
)
def wandb_sync(bench: str | None, scale: str | None, ids: tuple[str, ...]) -> None:
    """Send W&B what it lacks of the runs in the store: all of them, or those of BENCH.

    W&B is asked what it has, so that this may be repeated, broken off, or done from another machine
    with a copy of the store: each epoch arrives once. Needs a key (WANDB_API_KEY, or `wandb
    login`), whatever WANDB_MODE says. Ends with 0 when everything is there.
    """
    from discl.core.errors import UserError
    from discl.harness.run.assembly import Audience
    from discl.harness.run.store import Store
    from discl.harness.wandb.sync import local_runs, online, sync

    store = Store()
    place = online()
    runs = [run for run in local_runs(store, ids) if run.fits(bench, scale)]
    if not runs:
        click.echo("no run to send; `discl runs ls` lists what there is")
        return
    done = sync(store, runs, Audience.of(["console"]).progress, place)
    busy = f", {done.busy} being made or mirrored now" if done.busy else ""
    click.echo(
        f"{done.sent} runs sent, {done.there} were there{busy}; {place.access.url} as"
        f" {place.entity}"
    )
    if done.troubles:
        for trouble in done.troubles[:SHOWN]:
            click.echo(f"not whole: {trouble}", err=True)
        raise UserError(
            f"{len(done.troubles)} of {len(runs)} runs are not at W&B whole; the same command tries"
            " them again"
        )


@wandb.command("status")
@click.option("--ask", is_flag=True, help="Ask the server whether it knows the key.")
def wandb_status(ask: bool) -> None:
    """Say where runs are mirrored to, as whom, and how many wait to be sent."""
    from discl.core.errors import UserError
    from discl.harness.wandb.client import access, whoami
    from discl.harness.wandb.sync import status

    found = status()
    if found.error:
        raise UserError(found.error)
    click.echo(f"server     {found.url}")
    click.echo(
        "key       "
        f" {'from ' + found.key_from if found.key_from else 'none: set WANDB_API_KEY or run `wandb login`'}"
    )
    click.echo(
        f"mode       {found.mode}"
        + (
            f" (WANDB_MODE or a settings file says {found.wanted})"
            if found.mode != found.wanted
            else ""
        )
    )
    click.echo(f"entity     {found.entity or 'the one of the key'}")
    click.echo(f"project    {found.project or 'discl-<benchmark>'}")
    click.echo(f"runs       {found.runs}, of which {found.mirrored} were sent whole from here")
    if found.waiting:
        shown = " ".join(found.waiting[:SHOWN]) + (" ..." if len(found.waiting) > SHOWN else "")
        click.echo(f"waiting    {len(found.waiting)}: {shown}; `discl wandb sync` sends them")
    if ask:
        click.echo(f"known as   {whoami(access())}")


@wandb.command("dashboard")
@selection
@click.option("--dry-run", is_flag=True, help="Build it and say what is in it; no server is asked.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write its spec as JSON; saves nothing at W&B.",
)
def wandb_dashboard(dry_run: bool, output: Path | None, **selection: Any) -> None:
    """Save a workspace and a report at W&B that compare the strategies of BENCH.

    Strategies stand side by side with bands over seeds: curves, tail and out-of-distribution
    metrics, the trace of the level, cost against accuracy, and tuning. Needs complete runs of BENCH
    in the store, to know what is measured, and runs at W&B to show (`discl wandb sync`). Each call
    saves new views.
    """
    import json

    from discl.files.disk import delivering
    from discl.harness.leaderboard.table import stored_results, with_every_seed
    from discl.harness.run.store import Store
    from discl.harness.wandb.sync import online, studies
    from discl.harness.wandb.workspace import Metrics, dashboard, nowhere

    spec = load(**selection)
    store = Store()
    metrics = Metrics.of(spec, stored_results(with_every_seed(spec, store), store))
    unsaved = dry_run or output is not None
    made = dashboard(spec, metrics, nowhere() if unsaved else online(), studies(store, spec.name))
    if output:
        with delivering(output) as half:
            half.write_text(json.dumps(made.specs(), indent=1) + "\n", "utf-8")
        click.echo(f"spec: {output}")
    if unsaved:
        for section in made.workspace.sections:
            click.echo(f"{section.name}: {len(section.panels)} panels")
        return
    for what, url in zip(("workspace", "report"), made.save(), strict=True):
        click.echo(f"{what}: {url}")


@wandb.command("leaderboard")
@selection
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
)
def wandb_leaderboard(root: Path, **selection: Any) -> None:
    """Show the published results of BENCH at W&B: the table, and an artifact that refers to the
    files and to the runs behind them.
    """
    from discl.harness.run.store import Store
    from discl.harness.wandb.leaderboard import publish
    from discl.harness.wandb.sync import online

    place = online()
    name = publish(load(**selection), root, Store(), place)
    click.echo(f"{name}; {place.access.url} as {place.entity}")

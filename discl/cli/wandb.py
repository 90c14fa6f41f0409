"""`discl wandb`: the mirror of runs at Weights & Biases."""

from __future__ import annotations

from pathlib import Path

import click

SHOWN = 10  # ids and troubles named on the terminal


@click.group()
def wandb() -> None:
    """The mirror of runs, banks and tuning at Weights & Biases.

    The record of a run is its events.jsonl; W&B shows it and is never needed. What an outage, a crash or a missing key kept from
    W&B is sent by `discl wandb sync`, as often as you like: every run has an id of its own, and nothing arrives twice.
    """


@wandb.command("follow", hidden=True)
@click.argument("listed", type=click.Path(path_type=Path))
@click.option("--parent", required=True, type=int)
def wandb_follow(listed: Path, parent: int) -> None:
    """Mirror the runs that the process PARENT appends to LISTED; started by the tracker, not by hand."""
    from discl.harness.mirror.following import Follower

    Follower(listed, parent).run()


@wandb.command("sync")
@click.argument("bench", metavar="[BENCH]", required=False)
@click.option("--scale", help="Only runs of this scale.")
@click.option("--run", "ids", multiple=True, metavar="ID", help="Only this run; repeatable. `discl runs ls` shows ids.")
def wandb_sync(bench: str | None, scale: str | None, ids: tuple[str, ...]) -> None:
    """Send W&B what it lacks of the runs in the store: all of them, or those of BENCH.

    W&B is asked what it has, so that this may be repeated, broken off, or done from another machine with a copy of the store: each
    epoch arrives once. Needs a key (WANDB_API_KEY, or `wandb login`), whatever WANDB_MODE says. Ends with 0 when everything is there.
    """
    from discl.harness.experiment import Audience
    from discl.harness.mirror.syncing import local_runs, online, sync
    from discl.harness.store import Store
    from discl.spec.errors import UserError

    store = Store()
    place = online()
    runs = [run for run in local_runs(store, ids) if run.fits(bench, scale)]
    if not runs:
        click.echo("no run to send; `discl runs ls` lists what there is")
        return
    done = sync(store, runs, Audience.of(["console"]).announce, place)
    busy = f", {done.busy} being made or mirrored now" if done.busy else ""
    click.echo(f"{done.sent} runs sent, {done.there} were there{busy}; {place.access.url} as {place.entity}")
    if done.troubles:
        for trouble in done.troubles[:SHOWN]:
            click.echo(f"not whole: {trouble}", err=True)
        raise UserError(f"{len(done.troubles)} of {len(runs)} runs are not at W&B whole; the same command tries them again")


@wandb.command("status")
@click.option("--ask", is_flag=True, help="Ask the server whether it knows the key.")
def wandb_status(ask: bool) -> None:
    """Say where runs are mirrored to, as whom, and how many wait to be sent."""
    from discl.harness.mirror.access import access, whoami
    from discl.harness.mirror.syncing import status
    from discl.spec.errors import UserError

    found = status()
    if found.error:
        raise UserError(found.error)
    click.echo(f"server     {found.url}")
    click.echo(f"key        {'from ' + found.key_from if found.key_from else 'none: set WANDB_API_KEY or run `wandb login`'}")
    click.echo(f"mode       {found.mode}" + (f" (WANDB_MODE or a settings file says {found.wanted})" if found.mode != found.wanted else ""))
    click.echo(f"entity     {found.entity or 'the one of the key'}")
    click.echo(f"project    {found.project or 'discl-<benchmark>'}")
    click.echo(f"runs       {found.runs}, of which {found.mirrored} were sent whole from here")
    if found.waiting:
        shown = " ".join(found.waiting[:SHOWN]) + (" ..." if len(found.waiting) > SHOWN else "")
        click.echo(f"waiting    {len(found.waiting)}: {shown}; `discl wandb sync` sends them")
    if ask:
        click.echo(f"known as   {whoami(access())}")

"""`discl wandb`: sends runs to Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli.options.completion import benchmarks
from discl.cli.options.group import CommandGroup
from discl.cli.options.output import format_option
from discl.cli.options.selection import load, one_scale_option, selection
from discl.core.text import counted, echo

MAX_SHOWN = 10  # ids and failures on the terminal


@click.group(cls=CommandGroup)
def wandb() -> None:
    """Send runs, banks and tuning to Weights & Biases.

    The record of a run is its events.jsonl; W&B only displays it. After an outage, a crash or a
    missing key, `discl wandb sync` sends what W&B lacks. It may be repeated: nothing arrives twice.
    """


@wandb.command("follow", hidden=True)
@click.argument("list_path", metavar="LIST", type=click.Path(path_type=Path))
@click.option("--parent", required=True, type=int)
def wandb_follow(list_path: Path, parent: int) -> None:
    """Upload the runs that the process PARENT appends to LIST; started by the tracker."""
    from discl.harness.wandb.follower import Follower

    Follower(list_path, parent).run()


@wandb.command("sync")
@click.argument("bench", metavar="[BENCH]", required=False, shell_complete=benchmarks)
@one_scale_option("Only runs of this scale.")
@click.option(
    "--run",
    "ids",
    multiple=True,
    metavar="ID",
    help="Only this run; repeatable. `discl runs ls` shows ids.",
)
def wandb_sync(bench: str | None, scale: str | None, ids: tuple[str, ...]) -> None:
    """Send W&B the runs and epochs that it lacks.

    All runs in the store are sent, or those of BENCH. W&B is asked first what it has, so this may
    be repeated, interrupted, or done from another machine with a copy of the store: each epoch
    arrives once. Needs a key (WANDB_API_KEY, or `wandb login`), even with WANDB_MODE=offline. The
    exit code is 0 when W&B has everything.
    """
    from discl.core.errors import UserError
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.wandb.sync import local_runs, online_destination, sync

    store = Store()
    destination = online_destination()
    runs = [run for run in local_runs(store, ids) if run.matches(bench, scale)]
    if not runs:
        echo("no run to send; `discl runs ls` lists what there is")
        return
    result = sync(store, runs, CompositeTracker.of(["console"]).progress, destination)
    busy = f", {result.busy} running or being uploaded now" if result.busy else ""
    echo(
        f"{counted(result.sent, 'run')} sent, {result.already_there} were there{busy};"
        f" {destination.settings.shown} as {destination.entity}"
    )
    if result.failures:
        for failure in result.failures[:MAX_SHOWN]:
            echo(f"not whole: {failure}", err=True)
        raise UserError(
            f"{len(result.failures)} of {len(runs)} runs are not at W&B whole; the same command"
            " tries them again"
        )


@wandb.command("status")
@click.option("--ask", is_flag=True, help="Ask the server whether it knows the key.")
@format_option("json: everything, with the ids of all runs that wait.")
def wandb_status(ask: bool, form: str) -> None:
    """Show where runs are sent, which wait, and where offline files lie.

    The account is shown, too. The key itself is never shown.
    """
    from discl.cli.render.tables import show_pairs
    from discl.core.errors import UserError
    from discl.core.text import echo_json
    from discl.files.sources import public
    from discl.harness.run.store import Store
    from discl.harness.wandb.client import read_settings, whoami
    from discl.harness.wandb.sync import run_title, status

    store = Store()
    current = status(store)
    if current.error:
        raise UserError(current.error)
    if form == "json":
        facts = {**vars(current), "url": public(current.url)}
        facts["offline_folder"] = str(current.offline_folder)
        echo_json({**facts, "known_as": whoami(read_settings()) if ask else None})
        return
    key = "none: set WANDB_API_KEY or run `wandb login`"
    if current.key_from:
        key = f"from {current.key_from}"
    mode = current.mode
    if mode != current.requested_mode:
        mode += f" (WANDB_MODE or a settings file says {current.requested_mode})"
    lines = [
        ("server", public(current.url)),
        ("key", key),
        ("mode", mode),
        ("entity", current.entity or "the one of the key"),
        ("project", current.project or "discl-<benchmark>"),
        ("runs", f"{current.runs}, of which {current.sent} were sent whole from here"),
    ]
    if current.waiting:
        lines.append(("waiting", f"{len(current.waiting)}; `discl wandb sync` sends them:"))
        lines += [("", run_title(store, id)) for id in current.waiting[:MAX_SHOWN]]
        if len(current.waiting) > MAX_SHOWN:
            more = len(current.waiting) - MAX_SHOWN
            lines.append(("", f"and {more:,} more; --format json has all ids"))
    if current.offline or current.mode == "offline":
        place = f"{current.offline} in {current.offline_folder}; the records hold the same"
        lines.append(("offline", place))
    if ask:
        lines.append(("known as", whoami(read_settings())))
    show_pairs("", lines)


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
    """Compare the strategies of BENCH in a W&B workspace.

    A workspace and a report are saved, with bands over seeds: curves, tail and out-of-distribution
    metrics, the level over epochs, cost against accuracy, and tuning. Needs complete runs of BENCH
    in the store, to know what is measured, and runs at W&B to show (`discl wandb sync`). Each call
    saves new views.
    """
    import json

    from discl.files.disk import atomic_output
    from discl.harness.leaderboard.stored import runs_of
    from discl.harness.run.store import Store
    from discl.harness.wandb.sync import online_destination, study_groups
    from discl.harness.wandb.workspace import PanelMetrics, build_dashboard, offline_destination

    spec = load(**selection)
    store = Store()
    metrics = PanelMetrics.of(spec, runs_of(spec, store, every_strategy=False)[1])
    unsaved = dry_run or output is not None
    destination = offline_destination() if unsaved else online_destination()
    dashboard = build_dashboard(spec, metrics, destination, study_groups(store, spec.name))
    if output:
        with atomic_output(output) as tmp:
            tmp.write_text(json.dumps(dashboard.specs(), indent=1) + "\n", "utf-8")
        echo(f"spec: {output}")
    if unsaved:
        for section in dashboard.workspace.sections:
            echo(f"{section.name}: {len(section.panels)} panels")
        return
    for what, url in zip(("workspace", "report"), dashboard.save(), strict=True):
        echo(f"{what}: {url}")


@wandb.command("leaderboard")
@selection
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboards"),
    show_default=True,
    help="Folder of the published results.",
)
def wandb_leaderboard(root: Path, **selection: Any) -> None:
    """Show the published results of BENCH at W&B.

    Uploads the table, and an artifact that refers to the files and to the runs behind them.
    """
    from discl.harness.run.store import Store
    from discl.harness.wandb.leaderboard import upload_leaderboard
    from discl.harness.wandb.sync import online_destination

    spec = load(**selection)
    destination = online_destination()
    name = upload_leaderboard(spec, root, Store(), destination)
    echo(f"{name}; {destination.settings.shown} as {destination.entity}")

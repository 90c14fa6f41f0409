"""`discl plan`, `bench` and `run`: price and pay for a comparison."""

from __future__ import annotations

from typing import Any

import click

from discl.cli._boards import print_board
from discl.cli._completing import trackers as tracker_names
from discl.cli._selection import load, selection, words


@click.command()
@selection
def plan(**selection: Any) -> None:
    """What `discl bench` would do and cost on this machine; nothing is made."""
    from discl.harness.experiment import Audience
    from discl.harness.pricing import price
    from discl.harness.store import Store
    from discl.spec.benchmark import experiments

    spec = load(**selection)
    cost = price(experiments(spec), Store(), Audience.of(["console"]).announce)
    click.echo(f"{spec.title}, scale {spec.scale}: {len(spec.strategies)} strategies x {len(spec.seeds)} seeds")
    click.echo(f"  runs               {cost.experiments:>12,}   of which stored {cost.cached:,}")
    if cost.judges:
        click.echo(f"  judges to train    {cost.judges:>12,}   models that find the hard photos; `discl hard {spec.name}` does only that")
    if cost.hard is None:
        click.echo(f"  images to make     {'unknown':>12}   which photos fall below hard.threshold is known when the judges are trained")
    else:
        click.echo(f"  images to make     {cost.images:>12,}   {cost.denoising_steps:,} denoising steps, about {cost.bytes / 1e6:.1f} MB")
    click.echo(f"  optimiser steps    {cost.optimiser_steps:>12,}   {cost.trained_images:,} images trained on")
    without = "" if cost.hard is not None else ", without the images"
    click.echo(f"  time here          {cost.minutes:>12.1f}   minutes, from a sample of each kind of work{without}")


@click.command()
@selection
@click.option(
    "--trackers",
    shell_complete=tracker_names,
    help="Who watches, separated by commas; see `discl list trackers`. The record is always kept.",
)
def bench(trackers: str | None, **selection: Any) -> None:
    """Run every strategy and seed of BENCH over one bank of images, then print the table. Stored runs are not repeated."""
    from discl.engine import ranks
    from discl.harness.board import board, stored_results
    from discl.harness.experiment import Audience
    from discl.harness.store import Store
    from discl.harness.sweep import sweep

    spec, store = load(**selection), Store()
    audience = Audience.of(spec.trackers if trackers is None else words(trackers))
    fresh = {"runs": 0, "steps": 0, "images": 0}
    stored = {result.id for result in stored_results(spec, store)}
    for result in sweep(spec, store, audience):
        if result.id not in stored:
            fresh["runs"] += 1
            fresh["steps"] += int(result.cost["steps"])
            fresh["images"] += int(result.cost["images_generated"])
    if not ranks.first():
        return
    print_board(board(spec, stored_results(spec, store)))
    click.echo(
        f"this time: {fresh['images']} images made, {fresh['steps']} steps trained, {fresh['runs']} runs; {len(stored)} runs were stored"
    )


@click.command()
@selection
@click.option("--trackers", shell_complete=tracker_names, help="Who watches, separated by commas.")
def run(trackers: str | None, **selection: Any) -> None:
    """One run: BENCH with exactly one strategy and one seed; prints its metrics as JSON."""
    import json

    from discl.engine import ranks
    from discl.harness.experiment import Audience
    from discl.harness.store import Store
    from discl.harness.sweep import sweep
    from discl.spec.errors import UserError

    spec = load(**selection)
    if len(spec.strategies) != 1 or len(spec.seeds) != 1:
        raise UserError(f"run takes one strategy and one seed, got {spec.strategies} and {spec.seeds}; add --strategies static --seeds 0")
    audience = Audience.of(spec.trackers if trackers is None else words(trackers))
    store = Store()
    (result,) = sweep(spec, store, audience)
    if ranks.first():
        click.echo(json.dumps({"id": result.id, "folder": str(store.folder(result)), "metrics": result.metrics}, indent=1))

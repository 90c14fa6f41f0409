"""The command line: parses, calls, prints. Everything slow is imported by the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl import __version__

if TYPE_CHECKING:
    from discl.harness.experiment import Audience, Bench
    from discl.spec.benchmark import Benchmark


class _Program(click.Group):
    """Turns the two expected endings, a UserError and Ctrl-C, into a sentence and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        from discl.spec.errors import UserError

        given = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in given  # wherever it stands: people add it to the end of the command that failed
        try:
            return super().main([word for word in given if word != "--debug"], *rest, **{**kwargs, "standalone_mode": False})
        except UserError as error:
            if debug:
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except click.exceptions.Exit as ending:
            sys.exit(ending.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(0)
        except Exception as error:
            if debug:
                raise
            click.echo(f"error: {type(error).__name__}: {error}\n(this is a defect; run again with --debug for the details)", err=True)
            sys.exit(1)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="discl")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may also stand at the end.")
def main(debug: bool) -> None:
    """Does a synthetic-to-real curriculum help on your data, where, and at what price?

    \b
    discl list strategies                what there is to compare
    discl plan cifar10_lt                what a comparison will cost, before it does
    discl bench cifar10_lt               run it, resume it, and print the table
    discl bank show cifar10_lt           look at the images between text and photo
    discl leaderboard cifar10_lt         the table again
    """


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """BENCH and the options that say which version of it."""
    options = [
        click.argument("bench", metavar="BENCH"),
        click.option(
            "--scale", default="smoke", show_default=True, help="smoke (2 cores, minutes), small (one GPU hour or a CPU night) or paper."
        ),
        click.option("--strategies", help="Only these, separated by commas; see `discl list strategies`."),
        click.option("--seeds", help="Seeds, separated by commas, e.g. 0,1,2."),
        click.option(
            "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting, e.g. --set train.epochs=2. Repeatable."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _load(bench: str, scale: str, strategies: str | None, seeds: str | None, settings: tuple[str, ...]) -> Benchmark:
    from discl.spec.benchmark import load
    from discl.spec.errors import UserError

    extra = list(settings)
    if strategies is not None:
        extra.append("strategies=[" + ",".join(f'"{name.strip()}"' for name in strategies.split(",") if name.strip()) + "]")
    if seeds is not None:
        try:
            extra.append(f"seeds={[int(seed) for seed in seeds.split(',')]}")
        except ValueError as error:
            raise UserError(f"--seeds {seeds!r}: give whole numbers separated by commas, e.g. 0,1,2") from error
    return load(bench, scale, extra)


def _opened(spec: Benchmark) -> tuple[Bench, Audience]:
    """The benchmark's parts and the terminal, with the data ready."""
    from discl.harness.experiment import Audience, Bench

    bench, audience = Bench(spec), Audience.of(["console"])
    bench.dataset.prepare(audience.announce)
    return bench, audience


@main.command("list")
@click.argument("kind", required=False)
def list_parts(kind: str | None) -> None:
    """Names of a KIND: benchmarks, datasets, backbones, strategies, generators, scorers, losses, trackers or executors."""
    from rich.console import Console
    from rich.table import Table

    from discl.spec import registry
    from discl.spec.errors import unknown

    kinds = ("benchmarks", *registry.KINDS)
    if kind is None:
        for each in kinds:
            click.echo(each)
        return
    if kind not in kinds:
        raise unknown("kind", kind, kinds)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, what in _named(kind):
        table.add_row(f"[bold]{name}[/bold]", what)
    Console().print(table)


def _named(kind: str) -> list[tuple[str, str]]:
    from discl.spec import registry

    if kind == "benchmarks":
        from discl.spec.benchmark import available, title

        return [(name, title(name)) for name in available()]
    return [(name, registry.summary(kind, name)) for name in sorted(registry.names(kind))]


@main.group("data")
def data() -> None:
    """Look at the photos."""


@data.command("info")
@click.argument("dataset")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the dataset, e.g. --set largest=1000.")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture sheet here (.png).")
def data_info(dataset: str, settings: tuple[str, ...], sheet: Path | None) -> None:
    """Photos per class and per split of DATASET."""
    from rich.console import Console
    from rich.table import Table

    from discl.harness.show import class_counts, photo_sheet
    from discl.spec.benchmark import parameters
    from discl.spec.registry import bind

    built = bind("datasets", dataset, parameters(settings)).build()
    counts = class_counts(built)
    table = Table("class", "group", *counts.splits, title=f"{dataset}: photos per class", box=None)
    for name, group, row in counts.rows:
        table.add_row(name, group, *map(str, row))
    table.add_section()
    table.add_row("all", "", *(str(sum(row[i] for _, _, row in counts.rows)) for i in range(len(counts.splits))))
    Console().print(table)
    click.echo(counts.note)
    if sheet:
        click.echo(f"picture sheet: {photo_sheet(built, sheet)}")


@main.command()
@_selection
def plan(**selection: Any) -> None:
    """What `discl bench` would do and cost on this machine; nothing is made."""
    from discl.harness.experiment import Audience
    from discl.harness.store import Store
    from discl.harness.sweep import price

    spec = _load(**selection)
    cost = price(spec, Store(), Audience.of(["console"]).announce)
    click.echo(f"{spec.title}, scale {spec.scale}: {len(spec.strategies)} strategies x {len(spec.seeds)} seeds")
    click.echo(f"  runs               {cost.experiments:>12,}   of which stored {cost.cached:,}")
    click.echo(f"  images to make     {cost.images:>12,}   {cost.denoising_steps:,} denoising steps, about {cost.bytes / 1e6:.1f} MB")
    click.echo(f"  optimiser steps    {cost.optimiser_steps:>12,}   {cost.trained_images:,} images trained on")
    click.echo(f"  time here          {cost.minutes:>12.1f}   minutes, from a sample of each kind of work")


@main.command()
@_selection
@click.option("--trackers", help="Who watches, separated by commas; see `discl list trackers`. The record is always kept.")
def bench(trackers: str | None, **selection: Any) -> None:
    """Run every strategy and seed of BENCH over one bank of images, then print the table. Stored runs are not repeated."""
    from discl.harness.board import board, stored_results
    from discl.harness.experiment import Audience
    from discl.harness.store import Store
    from discl.harness.sweep import sweep

    spec, store = _load(**selection), Store()
    audience = Audience.of(spec.trackers if trackers is None else [name.strip() for name in trackers.split(",") if name.strip()])
    fresh = {"runs": 0, "steps": 0, "images": 0}
    stored = {result.id for result in stored_results(spec, store)}
    for result in sweep(spec, store, audience):
        if result.id not in stored:
            fresh["runs"] += 1
            fresh["steps"] += int(result.cost["steps"])
            fresh["images"] += int(result.cost["images_generated"])
    _print_board(board(spec, stored_results(spec, store)))
    click.echo(
        f"this time: {fresh['images']} images made, {fresh['steps']} steps trained, {fresh['runs']} runs; {len(stored)} runs were stored"
    )


@main.command()
@_selection
@click.option("--trackers", help="Who watches, separated by commas.")
def run(trackers: str | None, **selection: Any) -> None:
    """One run: BENCH with exactly one strategy and one seed; prints its metrics as JSON."""
    import json

    from discl.harness.experiment import Audience
    from discl.harness.store import Store
    from discl.harness.sweep import sweep
    from discl.spec.errors import UserError

    spec = _load(**selection)
    if len(spec.strategies) != 1 or len(spec.seeds) != 1:
        raise UserError(f"run takes one strategy and one seed, got {spec.strategies} and {spec.seeds}; add --strategies static --seeds 0")
    audience = Audience.of(spec.trackers if trackers is None else [name.strip() for name in trackers.split(",") if name.strip()])
    store = Store()
    (result,) = sweep(spec, store, audience)
    click.echo(json.dumps({"id": result.id, "folder": str(store.folder(result)), "metrics": result.metrics}, indent=1))


@main.group()
def bank() -> None:
    """The images between text and photo."""


@bank.command("build")
@_selection
@click.option("--levels", help="Only these levels, separated by commas; default: all of the benchmark.")
def bank_build(levels: str | None, **selection: Any) -> None:
    """Make the images BENCH needs and lacks; stop it at any time, and it goes on from there."""
    from discl.spec.errors import UserError

    extra = selection["settings"]
    if levels is not None:
        if not all(part.strip().isdigit() for part in levels.split(",")):
            raise UserError(f"--levels {levels!r}: give whole percents separated by commas, e.g. 0,50")
        extra = (*extra, f"levels=[{levels}]")
    bench, audience = _opened(_load(**{**selection, "settings": extra}))
    made = bench.fill(bench.spec.levels, audience.announce)
    rate = f", {made.images / made.seconds:.1f} images/s" if made.images else ""
    click.echo(
        f"{made.images} images made ({made.denoising_steps} denoising steps{rate}), {sum(bench.bank.count().values())} in {bench.bank.folder}"
    )


@bank.command("show")
@_selection
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("spectrum.png"), show_default=True)
@click.option("--photos", default=8, show_default=True, type=click.IntRange(1, 100), help="How many photos, spread over the hard classes.")
def bank_show(output: Path, photos: int, **selection: Any) -> None:
    """Write the contact sheet of BENCH: a line a photo, from level 0 to the photo. Red frames: below the threshold."""
    from discl.harness.show import spectrum_sheet

    bench, audience = _opened(_load(**selection))
    bench.fill(bench.spec.levels, audience.announce)
    click.echo(f"contact sheet: {spectrum_sheet(bench, output, photos)}")


@bank.command("verify")
@_selection
def bank_verify(**selection: Any) -> None:
    """Re-hash every stored byte; damaged images are named and forgotten, so that the next build makes just those."""
    bench, _ = _opened(_load(**selection))
    damaged = list(bench.bank.verify())
    for damage in damaged:
        click.echo(f"damaged: {damage.cell.source} level {damage.cell.level} variant {damage.cell.variant}: {damage.why}")
    total = sum(bench.bank.count().values())
    bench.bank.forget(damaged)
    click.echo(f"{total - len(damaged)} of {total} images are whole" + ("; run `discl bank build` to make the others again" if damaged else ""))
    if damaged:
        raise click.exceptions.Exit(1)


@bank.command("digest")
@_selection
def bank_digest(**selection: Any) -> None:
    """One SHA-256 over all images: two banks with the same digest hold the same bytes."""
    bench, _ = _opened(_load(**selection))
    click.echo(bench.bank.digest())


class _Leaderboard(click.Group):
    """`discl leaderboard BENCH` shows; `publish` and `check` are words of their own."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@main.group(cls=_Leaderboard)
def leaderboard() -> None:
    """Compare strategies: `discl leaderboard BENCH`, or `publish` and `check` what is committed."""


@leaderboard.command("show")
@_selection
@click.option("--format", "form", type=click.Choice(["table", "md", "json"]), default="table", show_default=True)
def leaderboard_show(form: str, **selection: Any) -> None:
    """The table of BENCH from stored runs; all seeds there are, unless --seeds says which."""
    from discl.harness import board as boards
    from discl.harness.store import Store

    spec = _load(**selection)
    if selection["seeds"] is None:
        spec = boards.with_every_seed(spec, Store())
    made = boards.board(spec, boards.stored_results(spec, Store()))
    if form == "table":
        _print_board(made)
    else:
        click.echo(boards.as_markdown(made) if form == "md" else boards.as_json(made), nl=False)


@leaderboard.command("publish")
@_selection
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), default=Path("leaderboards"), show_default=True)
def leaderboard_publish(root: Path, **selection: Any) -> None:
    """Copy complete results of BENCH into the repository and render its page; all seeds, unless --seeds says which."""
    from discl.harness.board import publish, with_every_seed
    from discl.harness.store import Store

    spec = _load(**selection)
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


def _print_board(made: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from discl.harness.board import header, lines

    table = Table(title=f"{made.title}, scale {made.scale} (percent, mean ± 95 % interval over seeds)", box=None, header_style="bold")
    for i, title in enumerate(header(made)):
        table.add_column(title.replace(" to ", " to\n"), justify="left" if i == 0 else "right", no_wrap=True)
    for cells in lines(made):
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 250).print(table)
    if len(made.declared_seeds) == 1:
        click.echo("one seed: no interval can be given; add --seeds 0,1,2 before you believe a difference")


if __name__ == "__main__":
    main()

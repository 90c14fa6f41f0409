"""`discl runs`: lists runs, shows one in full, compares two, and exports weights."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks, run_ids, strategies
from discl.cli.options.group import CommandGroup
from discl.cli.options.output import format_option
from discl.cli.options.selection import epoch_option, one_scale_option
from discl.core.text import echo, echo_json

if TYPE_CHECKING:
    from discl.harness.inspect.index import StoredRun


@click.group(cls=CommandGroup)
def runs() -> None:
    """List runs, show one in full, or compare two.

    A run is named by its id, by the first four or more characters of it, or by its name where only
    one run has it.

    \b
    discl runs ls cifar10_lt --strategy static
    discl runs show 448f8c
    discl runs diff 448f8c fec67c
    """


# ---------------------------------------------------------------- ls


@runs.command("ls")
@click.argument("bench", required=False, metavar="[BENCH]", shell_complete=benchmarks)
@one_scale_option("Only runs at this scale.")
@click.option(
    "--strategy",
    help="Only runs of these strategies, separated by commas.",
    shell_complete=strategies,
)
@click.option(
    "--failed",
    is_flag=True,
    help="Only what a person should look at: runs that failed, and results that cannot be read.",
)
@click.option(
    "--most",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Show the N newest; 0 = all.",
)
@epoch_option
@format_option("json, csv: for scripts.", forms=("table", "json", "csv"))
def runs_ls(
    bench: str | None,
    scale: str | None,
    strategy: str | None,
    failed: bool,
    most: int,
    epoch: str | None,
    form: str,
) -> None:
    """List the runs in $DISCL_HOME, newest first, with their states.

    A run is complete, running, stopped (with its progress), given up by a pruner, or failed (with
    the reason). A result file that is damaged or was edited by hand makes only its own run
    unreadable. The command that made a stopped or failed run resumes it: `discl runs show RUN`
    prints it.

    \b
    discl runs ls                                  the 30 newest
    discl runs ls cifar10_lt --strategy static,real_rebalanced
    discl runs ls --failed                         what went wrong, and why
    discl runs ls --most 0 --format csv > runs.csv
    """
    from discl.cli.options.selection import words
    from discl.cli.render.runs import as_csv, as_dict, print_list
    from discl.harness.inspect.epochs import at_epoch
    from discl.harness.inspect.index import BAD_STATES, RunListing
    from discl.harness.run.store import Store

    listing = RunListing(Store())
    strategies = words(strategy or "")
    matching = (
        run
        for run in listing.newest_first()
        if _matches(run, bench, scale, strategies) and (not failed or run.state in BAD_STATES)
    )
    at = at_epoch(list(islice(matching, most or None)), epoch)
    shown = at.runs
    more = bool(most) and next(matching, None) is not None
    if form == "csv":
        echo(as_csv(shown), nl=False)
    elif form == "json":
        _print_json([as_dict(run) for run in shown])
    else:
        print_list(shown, more, listing, at.rule, at.note)


def _print_json(value: Any) -> None:
    from discl.cli.render.text import finite

    echo_json(finite(value))


def _matches(run: StoredRun, bench: str | None, scale: str | None, strategies: list[str]) -> bool:
    return (
        bench in (None, run.benchmark)
        and scale in (None, run.scale)
        and (not strategies or run.strategy in strategies)
    )


# ---------------------------------------------------------------- show, diff


@runs.command("show")
@click.argument("run", shell_complete=run_ids)
@epoch_option
@format_option()
def runs_show(run: str, epoch: str | None, form: str) -> None:
    """Show one run in full.

    Settings, command, comparability key, results, epochs and files are shown. Metrics are in
    percent, with the standard error from the choice of test photos where it is known. `levels`
    draws the mean level of the synthetic images over the epochs, from text (low) to photo (high);
    below it is the val metric. Results are of the last epoch where the run keeps it; --epoch val
    shows those of the epoch that val chose.

    \b
    discl runs show 448f8c
    discl runs show cifar10_cams-smoke-timm-reverse-s0
    discl runs show 448f8c --format json           everything, for scripts
    """
    from discl.cli.render.run_pages import print_run
    from discl.harness.inspect.details import as_dict
    from discl.harness.inspect.epochs import at_epoch
    from discl.harness.inspect.lookup import find
    from discl.harness.run.store import Store

    at = at_epoch([find(Store(), run)], epoch)
    (stored,) = at.runs
    if form == "json":
        _print_json(as_dict(stored))
    else:
        print_run(stored, at.note)


@runs.command("diff")
@click.argument("a", shell_complete=run_ids)
@click.argument("b", shell_complete=run_ids)
@click.option(
    "--sort",
    type=click.Choice(["size", "split"]),
    default="size",
    show_default=True,
    help="Metrics that differ most first, or by split.",
)
@click.option(
    "--most",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Show N metrics and half as many classes; 0 = all.",
)
@epoch_option
@format_option()
def runs_diff(a: str, b: str, sort: str, most: int, epoch: str | None, form: str) -> None:
    """Compare two runs, A and B.

    Settings come first, then recorded facts, then results as B minus A in points. One pair of runs
    says little. The error beside a difference comes from the choice of test photos only, as if each
    run had photos of its own: it is too large where the runs share them, and does not hold the
    randomness of training. `discl leaderboard` compares over seeds. Both are read at their last
    epochs, or at those that val chose where one keeps no other.

    \b
    discl runs diff 448f8c fec67c
    discl runs diff 448f8c fec67c --sort split --most 0
    """
    from discl.cli.render.run_diff import print_diff
    from discl.harness.inspect.diff import as_dict, diff_runs
    from discl.harness.inspect.epochs import at_epoch
    from discl.harness.inspect.lookup import find
    from discl.harness.run.store import Store

    store = Store()
    at = at_epoch([find(store, a), find(store, b)], epoch)
    diff = diff_runs(*at.runs)
    if form == "json":
        _print_json({"epoch": at.rule.name, **as_dict(diff)})
    else:
        print_diff(diff, sort, most, at.rule, at.note)


# ---------------------------------------------------------------- export-weights


@runs.command("export-weights")
@click.argument("run", shell_complete=run_ids)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A new folder.",
)
def runs_export_weights(run: str, folder: Path) -> None:
    """Write the weights that a run kept as a folder for timm and the Hub.

    A run keeps the weights of its last epoch where it is made with --set store.weights=last. The
    folder holds model.safetensors and config.json with classes, mean and deviation; other runs
    begin from it by train.start.weights.

    \b
    discl runs export-weights 448f8c --to my-network
    python -c "import timm; timm.create_model('local-dir:my-network', pretrained=True)"
    """
    from discl.harness.inspect.export_weights import export_weights
    from discl.harness.inspect.lookup import find
    from discl.harness.run.store import Store

    written = export_weights(find(Store(), run), folder)
    echo(f"{written.parameters:,} numbers are in {written.folder}")


# ---------------------------------------------------------------- migrate


@click.command()
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Migrate the published results under FOLDER (<benchmark>/<scale>/<id>.json) instead.",
)
@click.pass_context
def migrate(ctx: click.Context, results: Path | None) -> None:
    """Give runs of discl 0.1 the keys and ids of this version.

    No number changes. Runs and out-of-fold models under $DISCL_HOME are converted in place, their
    folders get the new id, and a copy of each old record is kept beside it. Banks keep their ids. A
    migration that was stopped is finished by the next one. The exit code is 1 where something could
    not be migrated.

    \b
    discl migrate
    discl migrate --results leaderboards/results
    """
    from discl.files.disk import home
    from discl.harness.migrate.store import migrate as migrate_home
    from discl.harness.migrate.store import migrate_results

    done = migrate_results(results) if results else migrate_home(home())
    counts = {"runs": done.runs, "out-of-fold models": done.fold_models, "results": done.results}
    for what, ids in counts.items():
        for old, new in ids.items():
            echo(f"{old} -> {new}")
        if ids:
            echo(f"{len(ids):,} {what} migrated")
    if not any(counts.values()):
        echo(f"nothing of discl 0.1 to migrate in {results or home()}")
    for path, reason in done.left.items():
        echo(f"left as it is: {path}: {reason}", err=True)
    ctx.exit(1 if done.left else 0)

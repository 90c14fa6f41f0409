"""`discl study`: look at what tuning has found, and remove it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from discl.cli.options.group import CommandGroup
from discl.cli.options.output import format_option
from discl.core.text import counted, echo, echo_json

# of discl.harness.tuning.plots.draw, whose import takes a second
KINDS = ("history", "replicates", "pareto", "importance", "parallel", "slice", "contour")
Command = Callable[..., Any]


@click.group(cls=CommandGroup)
def study() -> None:
    """Show, draw and remove the studies of `discl sweep`.

    A study is named <sweep>/<benchmark>/<scale>/<strategy>. A part of the name is enough; where it
    fits several studies of one sweep, all of them are meant. Only `rm` changes anything, and no
    command blocks a running sweep.

    \b
    discl study ls
    discl study show tune_static/cifar10_lt/smoke/static
    discl study plot tune_static -o history.png
    """


def storage_option(command: Command) -> Command:
    """--storage."""
    return click.option(
        "--storage",
        "url",
        metavar="URL",
        help="Database of studies; default: SQLite under $DISCL_HOME, or $DISCL_STUDIES.",
    )(command)


def _url(given: str | None) -> str:
    from discl.harness.tuning.storage.address import default_url

    return given or default_url()


# ---------------------------------------------------------------- ls


@study.command("ls")
@storage_option
@format_option()
def study_ls(url: str | None, form: str) -> None:
    """List all studies.

    For each: how many trials are over, given up, failed, running and waiting, the best objective,
    and the hours of training. "given up" are trials that a pruner stopped; "waiting" includes
    trials whose launcher was stopped.

    \b
    discl study ls
    discl study ls --storage postgresql://me@host/studies --format json
    """
    from discl.cli.render.studies import print_studies, summary_json
    from discl.harness.tuning import history

    studies = history.all_studies(_url(url))
    if form == "json":
        echo_json([summary_json(study) for study in studies])
        return
    print_studies(_url(url), studies)


# ---------------------------------------------------------------- show


@study.command("show")
@click.argument("name")
@storage_option
@format_option()
@click.option(
    "--sort",
    type=click.Choice(["slot", "value"]),
    default="slot",
    show_default=True,
    help="In the order of the budget, or best first.",
)
def study_show(name: str, url: str | None, form: str, sort: str) -> None:
    """Show the trials and the best settings of a study.

    The space and the reasons of failed trials are shown, too. The best settings are given as a
    `discl bench` command, which repeats no run, because the runs of the trial are stored. Add seeds
    that were not used for tuning before you trust the number.

    \b
    discl study show tune_static/cifar10_lt/smoke/static --sort value
    discl study show tune_static    every strategy of the sweep
    """
    from discl.cli.render.studies import print_study, study_json
    from discl.harness.tuning import history

    studies = history.chosen_studies(_url(url), name)
    if form == "json":
        echo_json([study_json(study, sort) for study in studies])
        return
    for study in studies:
        print_study(study, sort)


# ---------------------------------------------------------------- importance


@study.command("importance")
@click.argument("name")
@storage_option
@format_option()
def study_importance(name: str, url: str | None, form: str) -> None:
    """Rank settings by importance, with Optuna's PED-ANOVA.

    A setting is important if it separates the best trials from the rest. Take it as a hint: it
    holds for the space that was searched, samplers search more where results are good, and the best
    tenth of thirty trials is three trials.

    \b
    discl study importance tune_static/cifar10_lt/smoke/static
    """
    from discl.cli.render.studies import print_importances
    from discl.harness.tuning import history

    studies = history.chosen_studies(_url(url), name)
    shares = [study.importances() for study in studies]
    if form == "json":
        echo_json(
            [
                {"study": study.name, "trials": len(study.scored), "importances": importances}
                for study, importances in zip(studies, shares, strict=True)
            ]
        )
        return
    for study, importances in zip(studies, shares, strict=True):
        print_importances(study, importances)


# ---------------------------------------------------------------- plot


@study.command("plot")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The picture: .png, .svg or .html.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="Default: history, or pareto where there are two objectives.",
)
@storage_option
def study_plot(name: str, output: Path, kind: str | None, url: str | None) -> None:
    """Draw a study, or the history of several studies.

    history: the best trial so far. replicates: the runs of each trial, which show how much seeds
    differ. pareto: two objectives. importance, parallel, slice, contour: settings against the
    objective, parallel and slice by Optuna itself. Several studies must be of one sweep. An .html
    file opens without a network.

    \b
    discl study plot tune_static -o history.png
    discl study plot tune_static/cifar10_lt/smoke/static --kind slice -o slice.html
    """
    from discl.harness.tuning.history import chosen_studies
    from discl.harness.tuning.plots.draw import check_picture, draw

    check_picture(output)
    echo(str(draw(chosen_studies(_url(url), name), kind, output)))


# ---------------------------------------------------------------- dashboard


@study.command("dashboard")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 = any that is free.",
)
@storage_option
def study_dashboard(port: int, url: str | None) -> None:
    """Show the studies in a browser, until Ctrl-C.

    Runs optuna-dashboard on this machine only. Nothing can be changed from there. From another
    machine, reach it through SSH: ssh -L 8080:127.0.0.1:8080 HOST

    \b
    discl study dashboard --port 8081
    """
    from discl.harness.tuning.dashboard import HOST, server
    from discl.harness.tuning.history import reading

    where = f"port {port} of {HOST}" if port else f"a free port of {HOST}"
    echo(f"optuna-dashboard starts on {where}, which takes some seconds", err=True)
    with reading(_url(url)) as database, server(database, port) as serving:
        echo(f"http://{HOST}:{serving.server_port}/ shows the studies; Ctrl-C ends it")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            echo("ended", err=True)


# ---------------------------------------------------------------- rm


@study.command("rm")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would go.")
@storage_option
def study_rm(name: str, yes: bool, url: str | None) -> None:
    """Remove a study from the database.

    Its runs stay in the store, so the same sweep finds its first trials there again.

    Refused while a launcher is at work on the sweep.

    \b
    discl study rm tune_static/cifar10_lt/smoke/static          what would go
    discl study rm tune_static/cifar10_lt/smoke/static --yes
    """
    from discl.harness.tuning.history import chosen_studies
    from discl.harness.tuning.removal import remove

    studies = chosen_studies(_url(url), name)
    if yes:
        remove(_url(url), [study.name for study in studies])
    for study in studies:
        echo(
            f"{'removed' if yes else 'would remove'} {study.name} with"
            f" {counted(len(study.trials), 'trial')};"
            " its runs stay in the store"
        )
    if not yes:
        echo("nothing was removed; add --yes")

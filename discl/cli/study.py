"""`discl study`: look at what tuning has found, and remove it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from discl.harness.tuning.history import StudySnapshot

# of discl.harness.study_pictures, whose import takes a second
KINDS = ("history", "replicates", "importance", "parallel", "slice", "contour", "pareto")
Command = Callable[..., Any]


@click.group()
def study() -> None:
    """The studies that `discl sweep` tunes by: how far they are, what they found, what mattered.

    A study is named <sweep>/<benchmark>/<scale>/<strategy>. A part of the name will do; where it
    fits several studies of one sweep, all of them are meant. Only `rm` changes anything, and none
    of them holds a sweep up that is at work.

    \b
    discl study ls
    discl study show tune_static/cifar10_lt/smoke/static
    discl study plot tune_static -o history.png
    """


def storage(command: Command) -> Command:
    return click.option(
        "--storage",
        "url",
        metavar="URL",
        help="Database of studies; default: SQLite under $DISCL_HOME, or $DISCL_STUDIES.",
    )(command)


def form(command: Command) -> Command:
    return click.option(
        "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
    )(command)


def _url(given: str | None) -> str:
    from discl.harness.tuning.storage import default_url

    return given or default_url()


def _json(what: Any) -> None:
    click.echo(json.dumps(what, indent=1))


# ---------------------------------------------------------------- ls


@study.command("ls")
@storage
@form
def study_ls(url: str | None, form: str) -> None:
    """All studies: trials that are over, given up, failed, running and waiting, the best objective,
    and the hours of training.

    "given up" are those of the trials that a pruner stopped; "waiting" counts what a launcher left
    behind, too.

    \b
    discl study ls
    discl study ls --storage postgresql://me@host/studies --format json
    """
    from discl.cli.render.tables import show
    from discl.harness.tuning import history
    from discl.harness.tuning.storage import redacted

    views = history.every(_url(url))
    if form == "json":
        _json([_summary(view) for view in views])
        return
    header = [
        "study",
        "trials",
        "given up",
        "failed",
        "running",
        "waiting",
        "objective",
        "best",
        "hours",
        "last activity",
    ]
    show(
        f"studies in {redacted(_url(url))} (best in percent)",
        header,
        [_line(view) for view in views],
    )


def _summary(view: StudySnapshot) -> dict[str, Any]:
    from discl.harness.tuning.history import hours_of

    return {
        "study": view.name,
        "strategy": view.strategy,
        "objective": view.objective,
        "trials": dict(view.states),
        "best": view.best,
        "hours": hours_of(view.slots),
        "last_activity": view.last.isoformat(timespec="seconds") if view.last else None,
    }


def _line(view: StudySnapshot) -> list[str]:
    from discl.harness.tuning.history import hours_of

    over = sum(view.states[state] for state in ("complete", "given up", "pruned"))
    waiting = view.states["waiting"] + view.states["interrupted"]
    counts = [over, view.states["given up"], view.states["failed"], view.states["running"], waiting]
    last = f"{view.last:%Y-%m-%d %H:%M}" if view.last else "-"
    return [
        view.name,
        *map(str, counts),
        view.objective[0],
        _percent(view.best),
        f"{hours_of(view.slots):.2f}",
        last,
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


# ---------------------------------------------------------------- show


@study.command("show")
@click.argument("name")
@storage
@form
@click.option(
    "--sort",
    type=click.Choice(["slot", "value"]),
    default="slot",
    show_default=True,
    help="In the order of the budget, or best first.",
)
def study_show(name: str, url: str | None, form: str, sort: str) -> None:
    """What a study searches, its trials, why some failed, and the best settings as a `discl bench`
    to paste.

    That command repeats no run: the store has those of the trial. Add seeds to it that tuned
    nothing before you believe the number.

    \b
    discl study show tune_static/cifar10_lt/smoke/static --sort value
    discl study show tune_static                          every strategy of the sweep
    """
    from discl.harness.tuning import history

    views = history.chosen(_url(url), name)
    if form == "json":
        _json([_described(view, sort) for view in views])
        return
    for view in views:
        _show(view, sort)


def _sorted(view: StudySnapshot, sort: str) -> list[tuple[int, FrozenTrial]]:
    from discl.harness.tuning.history import state_of, value_of

    def rank(each: tuple[int, FrozenTrial]) -> tuple[bool, bool, float, int]:
        slot, trial = each
        value = value_of(trial)
        return state_of(trial) != "complete", value is None, -(value or 0.0), slot

    return sorted(view.trials, key=rank) if sort == "value" else view.trials


def _described(view: StudySnapshot, sort: str) -> dict[str, Any]:
    from discl.harness.tuning.history import command

    best = [
        {"slot": view.slots.index(trial), "command": shlex.join(command(view, trial))}
        for trial in view.front
    ]
    return {
        **_summary(view),
        "definition": view.said,
        "trials": [_trial(*each) for each in _sorted(view, sort)],
        "best_settings": best,
    }


def _trial(slot: int, trial: FrozenTrial) -> dict[str, Any]:
    from discl.harness.tuning.history import hours_of, state_of, value_of
    from discl.harness.tuning.proposals import frozen, settings
    from discl.harness.tuning.storage import FAILURE

    return {
        "slot": slot,
        "number": trial.number,
        "state": state_of(trial),
        "scores": frozen(trial).scores,
        "value": value_of(trial),
        "cost": frozen(trial).cost,
        "settings": settings(trial.params),
        "hours": hours_of([trial]),
        "failure": trial.user_attrs.get(FAILURE),
    }


def _show(view: StudySnapshot, sort: str) -> None:
    from discl.cli.render.tables import show
    from discl.harness.tuning.history import command, definition

    lines = definition(view)
    width = max(len(word) for word, _ in lines)
    click.echo("\n".join([view.name, *(f"  {word:<{width}}  {said}" for word, said in lines)]))
    rows = [_trial(*each) for each in _sorted(view, sort)]
    paths = sorted({path for row in rows for path in row["settings"]})
    costs = view.objective[1:]
    header = [
        "slot",
        "state",
        "runs",
        "objective",
        *costs,
        *(path.rpartition(".")[2] for path in paths),
        "hours",
    ]
    show(
        f"trials ({view.objective[0]} in percent)",
        header,
        [_cells(row, paths, view) for row in rows],
        left=2,
    )
    for row in rows:
        if row["failure"]:
            click.echo(f"failed: slot {row['slot']}: {row['failure']}")
    for trial in view.front:
        click.echo(f"best, slot {view.slots.index(trial)}:\n  {shlex.join(command(view, trial))}")


def _cells(row: dict[str, Any], paths: list[str], view: StudySnapshot) -> list[str]:
    from discl.cli.render.tables import said

    costs = ["-" if row["cost"] is None else f"{row['cost']:g}" for _ in view.objective[1:]]
    values = [said(row["settings"][path]) if path in row["settings"] else "-" for path in paths]
    runs = f"{len(row['scores'])} of {view.replicates}"
    return [
        str(row["slot"]),
        row["state"],
        runs,
        _percent(row["value"]),
        *costs,
        *values,
        f"{row['hours']:.2f}",
    ]


# ---------------------------------------------------------------- importance


@study.command("importance")
@click.argument("name")
@storage
@form
def study_importance(name: str, url: str | None, form: str) -> None:
    """Which settings told the best trials from the rest, by Optuna's PED-ANOVA.

    Read it as a hint. It speaks of the space as it was searched, not of what would happen outside;
    a sampler looks longer where it found something; and the best tenth of thirty trials are three.

    \b
    discl study importance tune_static/cifar10_lt/smoke/static
    """
    from discl.cli.render.tables import show
    from discl.harness.tuning import history

    read = [(view, history.importances(view)) for view in history.chosen(_url(url), name)]
    if form == "json":
        _json(
            [
                {"study": view.name, "trials": len(history.scored(view)), "importances": found}
                for view, found in read
            ]
        )
        return
    for view, found in read:
        count = len(history.scored(view))
        given_up = view.states["given up"]
        what = (
            f"{view.objective[0]}"
            if len(view.objective) == 1
            else f"the Pareto front of {' and '.join(view.objective)}"
        )
        click.echo(f"{view.name}: what told the best trials for {what} from the rest")
        rows = [
            [path, "█" * round(30 * share / max(found.values())), f"{100 * share:.0f}"]
            for path, share in found.items()
        ]
        show("", ["setting", "", "share (%)"], rows, left=2)
        best = -(-count // 10)  # Optuna's tenth
        click.echo(
            f"from {count} trials, {given_up} of them given up and so estimated; the best are"
            f" {best}: a hint, no more (see --help)"
        )


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
@storage
def study_plot(name: str, output: Path, kind: str | None, url: str | None) -> None:
    """Draw a study; the history of several studies of one sweep goes into one picture.

    history: the best trial so far. replicates: the runs of each trial, so how much seeds differ.
    importance, parallel, slice, contour: settings against the objective. pareto: two objectives. An
    .html file needs nothing else to be opened, not even a network.

    \b
    discl study plot tune_static -o history.png
    discl study plot tune_static/cifar10_lt/smoke/static --kind slice -o slice.html
    """
    from discl.harness.tuning.history import chosen
    from discl.harness.tuning.plots import check_picture, draw

    check_picture(output)
    click.echo(str(draw(chosen(_url(url), name), kind, output)))


# ---------------------------------------------------------------- dashboard


@study.command("dashboard")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 = any that is free.",
)
@storage
def study_dashboard(port: int, url: str | None) -> None:
    """Show the studies in a browser (optuna-dashboard), on this machine only, until Ctrl-C.

    Nothing can be changed from there. From another machine, reach it through SSH: ssh -L
    8080:127.0.0.1:8080 HOST

    \b
    discl study dashboard --port 8081
    """
    from discl.harness.tuning.dashboard import HOST, server
    from discl.harness.tuning.history import reading

    with reading(_url(url)) as opened, server(opened, port) as serving:
        click.echo(f"http://{HOST}:{serving.server_port}/ shows the studies; Ctrl-C ends it")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)


# ---------------------------------------------------------------- rm


@study.command("rm")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what would go.")
@storage
def study_rm(name: str, yes: bool, url: str | None) -> None:
    """Remove a study from the database.

    Its runs stay in the store, so the same sweep finds its first trials there again.

    Refused while a launcher is at work on the sweep.

    \b
    discl study rm tune_static/cifar10_lt/smoke/static          what would go
    discl study rm tune_static/cifar10_lt/smoke/static --yes
    """
    from discl.harness.tuning import history

    views = history.chosen(_url(url), name)
    if yes:
        history.remove(_url(url), [view.name for view in views])
    for view in views:
        click.echo(
            f"{'removed' if yes else 'would remove'} {view.name} with {len(view.trials)} trials;"
            " its runs stay in the store"
        )
    if not yes:
        click.echo("nothing was removed; add --yes")

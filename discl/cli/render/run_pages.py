"""Runs on the terminal: one in full, and two side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from discl.cli.render.tables import said
from discl.cli.render.text import WIDE, percent, points, show_lines, show_table, spark
from discl.harness.inspect.index import COMPLETE, Run, legible

if TYPE_CHECKING:
    from discl.harness.inspect.diff import Change, Difference, Shift

CLASSES = 30  # shown of a run; --format json has them all


# ---------------------------------------------------------------- one in full


def print_run(run: Run) -> None:
    from discl.harness.inspect import details as facts

    reports = facts.history(run)
    chosen = facts.chosen_by(run)
    show_lines("", _head(run))
    show_lines("settings", _settings(facts.identity(run)))
    if run.result:
        show_lines("comparability", _flat(run.result.comparability))
        show_lines(
            "made with",
            _flat({key: value for key, value in run.result.provenance.items() if key != "command"}),
        )
        _print_metrics(facts.by_split(run.result), run.result.errors)
        _print_classes(facts.class_recalls(run.result))
    if reports:
        _print_epochs(facts.stretches(reports), reports, chosen, run)
    show_lines("cost", _flat(run.result.cost) if run.result else [])
    show_lines("files", _places(run))


def _head(run: Run) -> list[tuple[str, str]]:
    from discl.harness.inspect.details import command

    state = run.state if run.state == COMPLETE else f"{run.state}: {run.why}"
    again = "again" if run.state == COMPLETE else "go on"
    return [
        ("name", run.name or "(not known)"),
        ("id", run.id),
        ("state", state),
        ("when", f"{run.when.replace('T', ' ').removesuffix('Z')} UTC" if run.when else "-"),
        (again, command(run) or "(what made it cannot be told any more)"),
    ]


def _settings(identity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line a table; strategy and seed first."""
    order = sorted(identity, key=lambda key: (key != "strategy", key != "seed", key))
    return [
        (
            key,
            ", ".join(f"{name} {value}" for name, value in _flat({"": identity[key]})).removeprefix(
                " "
            ),
        )
        for key in order
    ]


def _flat(table: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted paths and values in few characters; the tables of a part's parameters are spoken of as
    the part's.
    """
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        path = ".".join(word for word in (above, str(key)) if word and word != "parameters")
        found += _flat(value, path) if isinstance(value, Mapping) else [(path, _value(value))]
    return found


def _value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) >= 1:
        value = int(value)
    return (
        "-"
        if value is None
        else f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else said(value)
    )


def _print_metrics(
    tables: Mapping[tuple[str, str], Mapping[str, float]], errors: Mapping[str, float]
) -> None:
    from discl.core.metric_names import in_order, is_share

    measured = {name for values in tables.values() for name in values if is_share(name)}
    names = in_order(measured)
    rows = []
    for (split, prefix), values in tables.items():
        if prefix and split.startswith("ood/"):
            continue
        cells = []
        for name in names:
            error = errors.get(f"{split}/{prefix}{name}")
            cells.append(
                "-"
                if name not in values
                else percent(values[name]) + ("" if error is None else f" ± {100 * error:.1f}")
            )
        rows.append(
            [split + (f", {prefix.strip('_').replace('_', ' ')}" if prefix else ""), *cells]
        )
    if names:
        show_table(
            "metrics (percent; ± standard error from the choice of test photos)",
            ["split", *(_two_lines(name) for name in names)],
            rows,
        )


def _two_lines(metric: str) -> str:
    return (
        metric.removesuffix("_acc").replace("_", "\n", 1)
        if metric not in ("acc", "macro_acc")
        else metric.replace("_", "\n")
    )


def _print_classes(classes: Sequence[Any]) -> None:
    if not classes:
        return
    shown = (
        classes
        if len(classes) <= CLASSES
        else [*classes[: CLASSES // 2], *classes[-CLASSES // 2 :]]
    )
    rows = [
        [
            legible(one.name, WIDE),
            one.group,
            f"{one.photos:,}",
            "-" if one.recall is None else percent(one.recall),
        ]
        for one in shown
    ]
    show_table(
        "recall of each class at home (percent), by real training photos",
        ["class", "group", "photos", "recall"],
        rows,
        left=2,
    )
    if len(shown) < len(classes):
        click.echo(
            f"the {CLASSES // 2} largest and smallest classes of {len(classes):,}; --format json"
            " has them all"
        )


def _print_epochs(stretches: Sequence[Any], reports: Sequence[Any], chosen: str, run: Run) -> None:
    from discl.harness.inspect.details import curve

    probed = sorted({level for stretch in stretches for level in stretch.gains})
    rows = []
    for stretch in stretches:
        epochs = (
            f"{stretch.first + 1}"
            if stretch.first == stretch.last
            else f"{stretch.first + 1}-{stretch.last + 1}"
        )
        mix = ", ".join(
            f"{level}" if weight == 1 else f"{level}: {weight:.0%}"
            for level, weight in stretch.mix.items()
        )
        gains = [
            f"{100 * stretch.gains[level]:+.1f}" if level in stretch.gains else ""
            for level in probed
        ]
        rows.append([epochs, "photos only" if stretch.real_phase else mix, *gains])
    title = "levels over the epochs" + (
        " (what the probe gained at each, in points)" if probed else ""
    )
    show_table(title, ["epochs", "levels", *map(str, probed)], rows, left=2)
    levels = [
        (
            math.nan
            if report.real_phase
            else sum(level * weight for level, weight in report.mix.items())
        )
        for report in reports
    ]
    lines = [
        ("levels", spark(levels, 0, 100)),
        ("loss", _curve([report.loss for report in reports if report.loss is not None], "{:.3g}")),
    ]
    if values := curve(reports, chosen):
        best = f", chosen at epoch {run.result.chosen_epoch + 1}" if run.result else ""
        lines.append((chosen, _curve(list(values.values()), "{:.1%}") + best))
    show_lines("", [each for each in lines if each[1]])


def _curve(values: Sequence[float], shape: str) -> str:
    return (
        f"{spark(values)} {shape.format(values[0])} to {shape.format(values[-1])}" if values else ""
    )


def _places(run: Run) -> list[tuple[str, str]]:
    from discl.harness.inspect.details import sent_copies, tries

    lines = [("folder", str(run.folder))]
    for attempt in tries(run):
        files = ", ".join(f"{name} {size / 1e3:,.0f} kB" for name, size in attempt.files.items())
        lines.append(
            (
                f"attempt {attempt.folder.name}",
                f"{'complete' if attempt.complete else attempt.far}: {files or 'no files'}",
            )
        )
    for failure in run.failures:
        peak = (
            f", peak memory {failure.peak_bytes / 1e9:.2f} GB"
            if isinstance(failure.peak_bytes, int)
            else ""
        )
        lines.append((f"{failure.kind} at {failure.date}", f"{failure.why}{peak}"))
    sent = [
        f"{one['place']} ({one['rows']} epochs{'' if one['complete'] else ', not yet whole'})"
        for one in sent_copies(run)
    ]
    return [*lines, ("W&B", ", ".join(sent) or "no copy; `discl wandb sync` makes one")]


# ---------------------------------------------------------------- two side by side


def print_difference(found: Difference, sort: str, most: int) -> None:
    from discl.harness.inspect.diff import by_size

    for end, run in (("A", found.a), ("B", found.b)):
        click.echo(
            f"{end}  {run.id}  {legible(run.name, 120)}"
            + ("" if run.state == COMPLETE else f"  ({run.state}: {legible(run.why)})")
        )
    click.echo(found.headline)
    _print_changes("settings", found.settings)
    _print_changes("recorded beside them; changes no identity", found.recorded)
    if found.comparability:
        _print_changes("comparability key: these two may not stand in one table", found.comparability)
    first = {one.metric: title for title, one in {**found.b.main, **found.a.main}.items()}
    rows = [
        [first[shift.metric], *_shifted(shift)] for shift in found.metrics if shift.metric in first
    ]
    if rows:
        show_table(
            "what a board shows (percent; ± as if the test photos were others each time)",
            ["", *_SHIFTED],
            rows,
        )
    others = [shift for shift in found.metrics if shift.metric not in first and shift.difference]
    shown = (sorted(others, key=by_size) if sort == "size" else others)[: most or None]
    if shown:
        show_table(
            "other metrics", ["", *_SHIFTED], [[shift.metric, *_shifted(shift)] for shift in shown]
        )
    _print_rest(found, len(others) - len(shown))
    moved = [each for each in found.classes if each.difference][
        : max(1, most // 2) if most else None
    ]
    rows = [
        [
            legible(one.name, WIDE),
            one.group,
            f"{one.photos:,}",
            percent(one.recall or 0),
            percent(b),
            points(difference, None),
        ]
        for one, b, difference in moved
    ]
    if rows:
        show_table(
            "classes whose recall moved most (percent)",
            ["class", "group", "photos", *_SHIFTED],
            rows,
            left=2,
        )
    if found.classes_note:
        click.echo(f"classes are not compared: {found.classes_note}")


_SHIFTED = ("A", "B", "B - A, points")


def _shifted(shift: Shift) -> list[str]:
    return [percent(shift.a), percent(shift.b), points(shift.difference, shift.error)]


def _print_rest(found: Difference, more: int) -> None:
    if not found.metrics:
        lacking = [f"{run.id} is {run.state}" for run in (found.a, found.b) if not run.result]
        click.echo(f"no metric to compare: {' and '.join(lacking) or 'they have none in common'}")
        return
    equal = sum(shift.difference == 0 for shift in found.metrics)
    parts = [f"{equal} metrics are equal"] if equal else []
    parts += [f"{more} more differ, --most 0 shows them"] if more else []
    if parts:
        click.echo("; ".join(parts))


def _print_changes(title: str, changes: Sequence[Change]) -> None:
    if changes:
        rows = [
            [change.path, *(_side(value) for value in (change.a, change.b))] for change in changes
        ]
        show_table(title, ["", "A", "B"], rows, left=3)


def _side(value: Any) -> str:
    return "(not said)" if value is None else legible(said(value), 2 * WIDE) or "(empty)"

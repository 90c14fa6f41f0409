"""A run on the terminal, in full."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from discl.cli.render.tables import short_setting, show, show_pairs, tell
from discl.cli.render.text import percent, spark
from discl.config.identity import KEEPS_ALL
from discl.core.conventions import VAL
from discl.core.text import echo
from discl.harness.inspect.index import COMPLETE, StoredRun

if TYPE_CHECKING:
    from discl.core.interfaces import EpochReport
    from discl.core.result import Result
    from discl.harness.inspect.details import ClassRecall, MixInterval

MAX_CLASSES = 30  # of a run; --format json has them all


ELSEWHERE = "--format json"
WORTH = ("macro_acc", "macro_f1", "few_acc", "worst_group_acc", "acc", "medium_acc", "many_acc")


def _print_pairs(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Words with the text beside them, below a title and a blank line; nothing without any."""
    if pairs and title:
        echo()
    show_pairs(title, pairs)


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    worth: Sequence[str] = (),
) -> None:
    echo()
    show(title, header, rows, left, worth=worth, elsewhere=ELSEWHERE)


def print_run(run: StoredRun, note: str = "") -> None:
    """Print a run in full; `note` says why it is read at the epoch it is read at."""
    from discl.harness.inspect import details

    reports = details.history(run)
    _print_pairs("", _head(run))
    _print_pairs("settings", _settings(details.identity(run)))
    if run.result:
        provenance = {
            key: value for key, value in run.result.provenance.items() if key != "command"
        }
        _print_pairs("comparability", _flat(run.result.comparability))
        _print_pairs("made with", _flat(provenance))
        _print_metrics(details.by_split(run.result), run.result.errors, _epoch(run.result))
        if note:
            tell(note)
        _print_classes(details.class_recalls(run.result))
    if reports:
        _print_levels(details.mix_intervals(reports), details.probe_photos(reports))
        _print_group_shares(details.group_shares(reports))
        _print_curves(reports, details.selection_metric(run), run)
    _print_pairs("cost", _flat(run.result.cost) if run.result else [])
    _print_pairs("files", _files(run))


def _head(run: StoredRun) -> list[tuple[str, str]]:
    from discl.harness.inspect.details import command

    complete = run.state == COMPLETE
    return [
        ("name", run.name or "(not known)"),
        ("id", run.id),
        ("state", run.state if complete else f"{run.state}: {run.why}"),
        ("when", f"{run.when.replace('T', ' ').removesuffix('Z')} UTC" if run.when else "-"),
        ("again" if complete else "go on", command(run) or "(the command is not known any more)"),
    ]


def _settings(identity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line per table; strategy and seed first."""
    order = sorted(identity, key=lambda key: (key != "strategy", key != "seed", key))
    lines = []
    for key in order:
        values = [_said(name, value) for name, value in _flat({"": identity[key]})]
        lines.append((key, ", ".join(values)))
    return lines


def _said(name: str, value: str) -> str:
    """A setting with its value; one that leaves out no image says so."""
    keeps_all = name == "threshold" and value == _value(KEEPS_ALL)
    return f"{name} {value}".strip() + (" (all are kept)" if keeps_all else "")


def _flat(table: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Dotted paths and short values; the word `parameters` is left out of paths."""
    lines: list[tuple[str, str]] = []
    for key, value in table.items():
        path = ".".join(word for word in (above, str(key)) if word and word != "parameters")
        lines += _flat(value, path) if isinstance(value, Mapping) else [(path, _value(value))]
    return lines


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and value.is_integer() and abs(value) >= 1:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return short_setting(value)


def _print_metrics(
    tables: Mapping[tuple[str, str], Mapping[str, float]], errors: Mapping[str, float], epoch: str
) -> None:
    from discl.core.metric_names import in_order, is_share

    names = in_order(name for values in tables.values() for name in values if is_share(name))
    rows = []
    for (split, prefix), values in tables.items():
        if prefix and split.startswith("ood/"):
            continue
        title = split + (f", {prefix.strip('_').replace('_', ' ')}" if prefix else "")
        cells = []
        for name in names:
            error = errors.get(f"{split}/{prefix}{name}")
            after = "" if error is None else f" ± {100 * error:.1f}"
            cells.append(percent(values[name]) + after if name in values else "-")
        rows.append([title, *cells])
    if names:
        print_table(
            f"metrics at {epoch} (percent; ± standard error from the choice of test photos)",
            ["split", *map(_title, names)],
            rows,
            worth=[_title(name) for name in WORTH if name in names],
        )


def _epoch(result: Result) -> str:
    return f"epoch {result.chosen_epoch + 1}, {result.rule.words}"


def _title(metric: str) -> str:
    short = metric if metric in ("acc", "macro_acc") else metric.removesuffix("_acc")
    return short.replace("_", " ")


def _print_classes(classes: Sequence[ClassRecall]) -> None:
    if not classes:
        return
    shown = classes
    if len(classes) > MAX_CLASSES:
        shown = [*classes[: MAX_CLASSES // 2], *classes[-MAX_CLASSES // 2 :]]
    rows = [
        [
            row.name,
            row.group,
            f"{row.photos:,}",
            "-" if row.recall is None else percent(row.recall),
        ]
        for row in shown
    ]
    print_table(
        "recall of each class on the test split (percent), by real training photos",
        ["class", "group", "photos", "recall"],
        rows,
        left=2,
        worth=["recall", "photos"],
    )
    if len(shown) < len(classes):
        tell(
            f"the {MAX_CLASSES // 2} largest and smallest classes of {len(classes):,}; --format"
            " json has them all"
        )


def _print_levels(intervals: Sequence[MixInterval], probe_photos: int | None) -> None:
    probed = sorted({level for interval in intervals for level in interval.gains})
    rows = []
    for interval in intervals:
        epochs = f"{interval.first + 1}"
        if interval.last != interval.first:
            epochs += f"-{interval.last + 1}"
        mix = ", ".join(
            f"{level}" if weight == 1 else f"{level}: {weight:.0%}"
            for level, weight in interval.mix.items()
        )
        gains = [
            f"{100 * interval.gains[level]:+.1f}" if level in interval.gains else ""
            for level in probed
        ]
        rows.append([epochs, "photos only" if interval.real_phase else mix, *gains])
    title = "levels over the epochs"
    if probed:
        title += " (gain of the probe at each, in points)"
    print_table(title, ["epochs", "levels", *map(str, probed)], rows, left=2)
    if probe_photos is not None:
        tell(f"each gain is the mean over the same {probe_photos:,} hard photos")


def _print_group_shares(shares: Mapping[str, float]) -> None:
    if shares:
        listed = ", ".join(f"{group} {share:.1%}" for group, share in shares.items())
        tell(f"of all training images, by the photos of their class: {listed}")


def _print_curves(reports: Sequence[EpochReport], metric: str, run: StoredRun) -> None:
    from discl.harness.inspect.details import curve

    mean_levels = [math.nan if report.real_phase else _mean_level(report) for report in reports]
    losses = [report.loss for report in reports if report.loss is not None]
    lines = [("levels", spark(mean_levels, 0, 100))]
    if losses:
        lines.append(("loss", _curve(losses, "{:.3g}")))
    if values := curve(reports, metric):
        chosen = ""
        if run.result:
            chosen = f", chosen at epoch {run.result.under(VAL.name).chosen_epoch + 1}"
        lines.append((metric, _curve(list(values.values()), "{:.1%}") + chosen))
    _print_pairs("", lines)


def _mean_level(report: EpochReport) -> float:
    return sum(level * weight for level, weight in report.mix.items())


def _curve(values: Sequence[float], number: str) -> str:
    return f"{spark(values)} {number.format(values[0])} to {number.format(values[-1])}"


def _files(run: StoredRun) -> list[tuple[str, str]]:
    """The folder, its attempts and failures, and copies at W&B."""
    from discl.harness.inspect.details import attempts, wandb_copies

    lines = [("folder", str(run.folder))]
    for attempt in attempts(run):
        files = ", ".join(f"{name} {size / 1e3:,.0f} kB" for name, size in attempt.files.items())
        state = "complete" if attempt.complete else attempt.progress
        lines.append((f"attempt {attempt.folder.name}", f"{state}: {files or 'no files'}"))
    for failure in run.failures:
        text = str(failure.why)
        if isinstance(failure.peak_bytes, int):
            text += f", peak memory {failure.peak_bytes / 1e9:.2f} GB"
        lines.append((f"{failure.kind} at {failure.date}", text))
    copies = [
        f"{copy['destination']} ({copy['rows']} epochs"
        f"{'' if copy['complete'] else ', not yet whole'})"
        for copy in wandb_copies(run)
    ]
    return [*lines, ("W&B", ", ".join(copies) or "no copy; `discl wandb sync` makes one")]

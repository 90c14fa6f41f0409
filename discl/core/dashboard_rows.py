"""Rows of a run for dashboards: flat names and numbers, one row per epoch, from its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from discl.core.metric_names import higher_is_better

if TYPE_CHECKING:  # benchmark files are read without numpy
    from discl.core.interfaces import EpochReport

DashboardRow = dict[str, float]
AXIS = "epoch"  # of every chart
MEASURED = "val/*"  # metrics whose best and last values are in the summary of a run


class DashboardRows:
    """Makes the rows of one run from its epochs, in their order: some figures are sums."""

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()

    def of(self, report: EpochReport) -> DashboardRow:
        """The row of an epoch, with a key for each value that was measured."""
        self._seen.update(report.seen)
        images = sum(report.seen.values())
        row: DashboardRow = {
            AXIS: report.epoch,
            "train/lr": report.lr,
            "train/steps": report.steps,
            "cost/epoch_seconds": report.seconds,
        }
        if report.loss is not None:
            row["train/loss"] = report.loss
        if report.seconds > 0:
            row["train/images_per_second"] = images / report.seconds
        row |= {f"mix/{name}": weight for name, weight in _by_level(report.mix).items()}
        row["mix/mean_level"] = sum(level * weight for level, weight in report.mix.items())
        row["mix/real_phase"] = float(report.real_phase)
        row |= {f"gain/{name}": gain for name, gain in _by_level(report.gains).items()}
        row |= {f"seen/{name}": count for name, count in _by_level(report.seen).items()}
        row |= {f"seen/{group}": count for group, count in report.seen_by_group.items()}
        row |= {
            f"seen_so_far/{name}": count
            for name, count in _by_level(dict(sorted(self._seen.items()))).items()
        }
        return row | report.values


def _by_level(values: Mapping[int, float]) -> DashboardRow:
    """Values under names that sort as the levels do."""
    return {f"level_{level:03d}": value for level, value in values.items()}


def best_and_last(rows: Iterable[DashboardRow]) -> DashboardRow:
    """`best/<metric>` and `last/<metric>` of the val metrics in `rows`."""
    summary: DashboardRow = {}
    for row in rows:
        for key, value in row.items():
            if key.startswith("val/"):
                name = key.removeprefix("val/")
                better = max if higher_is_better(name) else min
                summary[f"last/{name}"] = value
                summary[f"best/{name}"] = better(value, summary.get(f"best/{name}", value))
    return summary


def flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A tree of settings by dotted names, for dashboards that show no trees."""
    settings: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            settings |= flat(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = value
    return settings


def truncated(text: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where it was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"

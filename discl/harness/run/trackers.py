"""The trackers of a run as one tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discl.core.interfaces import EpochReport, Tracker
from discl.core.registry import bind


class CompositeTracker:
    """Passes every call on to several trackers, in their order."""

    version = 1

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = list(trackers)

    @staticmethod
    def of(names: Sequence[str]) -> CompositeTracker:
        """The trackers with these names, after the one that writes the record: jsonl."""
        ordered = ["jsonl", *(name for name in names if name != "jsonl")]
        return CompositeTracker([bind("trackers", name, {}).build() for name in ordered])

    def expect(self, title: str, runs: int) -> None:
        """So many runs follow; told to trackers that have `expect`."""
        for tracker in self.trackers:
            expect = getattr(tracker, "expect", None)
            if expect is not None:
                expect(title, runs)

    def start(self, run: Mapping[str, Any]) -> None:
        for tracker in self.trackers:
            tracker.start(run)

    def progress(self, what: str, done: int, total: int) -> None:
        for tracker in self.trackers:
            tracker.progress(what, done, total)

    def report(self, report: EpochReport) -> None:
        for tracker in self.trackers:
            tracker.report(report)

    def finish(self, summary: Mapping[str, float] | None) -> None:
        for tracker in self.trackers:
            tracker.finish(summary)

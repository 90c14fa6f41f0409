"""Several trackers are told everything, one after the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discl.core.interfaces import EpochReport
from discl.harness.run.events import events
from discl.harness.run.trackers import CompositeTracker
from discl.parts.trackers.console import Console
from discl.parts.trackers.jsonl import JsonLines
from discl.testing import TrackerContract

CONTRACT = TrackerContract()


class Noting:
    """A tracker that notes its calls in a list that others share."""

    version = 1

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    def start(self, run: Mapping[str, Any]) -> None:
        self.calls.append(f"{self.name} start {run['name']}")

    def progress(self, what: str, done: int, total: int) -> None:
        self.calls.append(f"{self.name} {what} {done}/{total}")

    def report(self, report: EpochReport) -> None:
        self.calls.append(f"{self.name} epoch {report.epoch}")

    def finish(self, summary: Mapping[str, float] | None) -> None:
        self.calls.append(f"{self.name} finish {summary}")


def test_every_call_reaches_every_tracker_in_order(tmp_path: Path) -> None:
    calls = list[str]()
    tracker = CompositeTracker([Noting("a", calls), Noting("b", calls)])
    tracker.progress("making images", 0, 2)
    tracker.start(CONTRACT.described(tmp_path, 1))
    tracker.report(CONTRACT.report(0))
    tracker.finish(None)
    told = ["making images 0/2", "start contract", "epoch 0", "finish None"]
    assert calls == [f"{name} {call}" for call in told for name in "ab"]


def test_the_record_is_always_written_and_comes_first(tmp_path: Path) -> None:
    assert [type(part) for part in CompositeTracker.of(["console", "jsonl"]).trackers] == [
        JsonLines,
        Console,
    ]
    tracker = CompositeTracker.of([])
    tracker.start(CONTRACT.described(tmp_path, 1))
    (started,) = events(tmp_path)
    assert started["name"] == "contract"
    assert not {"folder", "position"} & started.keys()  # of this attempt, not of the run

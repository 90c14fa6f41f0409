"""Which event a photo of a Camtrap DP package belongs to, by the time it was taken."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

_FORMATS = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S")


class Event(NamedTuple):
    """A stretch of time at a deployment."""

    start: float  # seconds
    end: float
    number: str  # eventID


class Events:
    """Events of deployments; finds those that hold a time."""

    def __init__(self) -> None:
        self._events: dict[str, set[Event]] = defaultdict(set)
        self._sorted: dict[str, list[Event]] = {}
        self._longest: dict[str, float] = {}

    def add(self, deployment: str, event: Event) -> None:
        self._events[deployment].add(event)

    def at(self, deployment: str, seconds: float) -> Iterator[Event]:
        """The events of a deployment that hold a time, the latest to begin first."""
        if deployment not in self._sorted:
            events = sorted(self._events.get(deployment, ()))
            self._sorted[deployment] = events
            self._longest[deployment] = max((one.end - one.start for one in events), default=0)
        events = self._sorted[deployment]
        for place in range(_after(events, seconds) - 1, -1, -1):
            if events[place].end >= seconds:
                yield events[place]
            elif events[place].start < seconds - self._longest[deployment]:
                return


def _after(events: Sequence[Event], seconds: float) -> int:
    return bisect_right(events, seconds, key=lambda event: event.start)


def seconds_of(written: str | None) -> float | None:
    """A time as seconds; None where it is none. Without an offset it counts as UTC."""
    if not written:
        return None
    time: datetime | None
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        time = next((found for form in _FORMATS if (found := _parsed(written, form))), None)
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _parsed(written: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(written, form)
    except ValueError:
        return None

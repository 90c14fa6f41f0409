"""A record is read while it is written: every event once, and nothing after its end."""

import json
from pathlib import Path

from discl.harness.run.events import NAME
from discl.harness.run.events_follow import EventFollower


def _line(event: str, **fields: int) -> str:
    return json.dumps({"event": event, **fields}) + "\n"


def test_an_event_is_given_once_and_only_when_its_line_is_complete(tmp_path: Path) -> None:
    follower = EventFollower(tmp_path)
    assert list(follower.new()) == []  # no record yet
    with (tmp_path / NAME).open("w") as record:
        record.write(_line("start") + _line("epoch", epoch=0)[:9])
        record.flush()
        assert [event["event"] for event in follower.new()] == ["start"]
        record.write(_line("epoch", epoch=0)[9:])
        record.flush()
        assert list(follower.new()) == [{"event": "epoch", "epoch": 0}]
        assert list(follower.new()) == []


def test_a_line_that_was_cut_off_is_left_out_and_what_follows_is_read(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(_line("start") + '{"event": "ep\n' + _line("epoch", epoch=1))
    assert [event["event"] for event in EventFollower(tmp_path).new()] == ["start", "epoch"]


def test_following_ends_with_the_run_or_with_its_process(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(_line("start") + _line("finish") + _line("epoch", epoch=9))
    finished = EventFollower(tmp_path).follow(lambda: False)
    assert [event["event"] for event in finished] == ["start", "finish"]
    (tmp_path / NAME).write_text(_line("start"))
    killed = EventFollower(tmp_path).follow(lambda: True)
    assert [event["event"] for event in killed] == ["start"]

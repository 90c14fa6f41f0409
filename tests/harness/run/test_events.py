import json
from pathlib import Path
from typing import Any

import pytest

from discl.core.seals import KEY, DamagedFileError
from discl.harness.run.events import NAME, epochs, events
from discl.parts.trackers.jsonl import JsonLines
from discl.testing import TrackerContract

CONTRACT = TrackerContract()


def _written(folder: Path) -> None:
    tracker = JsonLines()
    tracker.start(CONTRACT.described(folder, 1))
    for epoch in range(2):
        tracker.report(CONTRACT.report(epoch))
    tracker.finish({"test/macro_acc": 0.5})


def test_a_record_gives_back_what_was_reported(tmp_path: Path) -> None:
    _written(tmp_path)
    assert [event["event"] for event in events(tmp_path)] == ["start", "epoch", "epoch", "finish"]
    assert epochs(tmp_path) == [CONTRACT.report(0), CONTRACT.report(1)]


def test_a_torn_line_ends_the_record(tmp_path: Path) -> None:
    _written(tmp_path)
    path = tmp_path / NAME
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:2]) + lines[2][:20], "utf-8")
    assert epochs(tmp_path) == [CONTRACT.report(0)]


@pytest.mark.parametrize(
    "changed", [{"values": [1]}, {"loss": "low"}, {"probe_photos": [1]}, {"seen_by_group": 1e308}]
)
def test_an_epoch_of_other_types_is_refused_by_the_name_of_its_file(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    _written(tmp_path)
    path = tmp_path / NAME
    lines = path.read_text("utf-8").splitlines()
    event = {key: value for key, value in json.loads(lines[1]).items() if key != KEY}
    path.write_text("\n".join([lines[0], json.dumps(event | changed), *lines[2:]]) + "\n", "utf-8")
    with pytest.raises(DamagedFileError, match=f"{NAME} holds an epoch that no run writes"):
        epochs(tmp_path)


def test_no_record_no_epochs(tmp_path: Path) -> None:
    assert epochs(tmp_path) == []

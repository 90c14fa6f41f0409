import time
from pathlib import Path
from typing import Any

import pytest

from discl.files.disk import home
from discl.parts.trackers.wandb import Wandb
from discl.testing import TrackerContract

CONTRACT = TrackerContract()


def test_a_run_is_mirrored_offline_under_our_own_id(tmp_path: Path) -> None:
    tracker = Wandb()
    folder = tmp_path / "000"
    folder.mkdir()
    tracker.start(CONTRACT.described(folder, 1))
    tracker.report(CONTRACT.report(1))
    tracker.finish({"test/macro_acc": 0.5})
    (mirrored,) = (home() / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    assert mirrored.name == "run-0123456789abcde1-000.wandb"
    deadline = time.monotonic() + 60
    while mirrored.stat().st_size <= 100 and time.monotonic() < deadline:  # its process writes in its own time
        time.sleep(0.1)
    assert mirrored.stat().st_size > 100


def test_an_outage_delays_a_run_once_and_never_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    init, tried = wandb.init, list[float]()

    def impatient(settings: wandb.Settings, **given: Any) -> Any:
        tried.append(settings.init_timeout)
        return init(settings=settings.model_copy(update={"init_timeout": 2}), **given)

    monkeypatch.setattr(wandb, "init", impatient)
    tracker = Wandb()
    for place in (1, 2):
        folder = tmp_path / f"{place:03d}"
        folder.mkdir()
        tracker.start(CONTRACT.described(folder, place))
        tracker.report(CONTRACT.report(1))
        tracker.finish({"test/macro_acc": 0.5})
    assert tried == [15]  # seconds, and no second try
    assert "the run goes on without it" in capsys.readouterr().err

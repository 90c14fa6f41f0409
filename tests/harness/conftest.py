"""What the tests of sweeps share."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from tests import sweeps
from tests.make_mini import make
from tests.shared import made_once
from tests.sweeps import Ready


def _sweep(folder: Path) -> None:
    (folder / "sweeps").mkdir()
    make("cifar100_lt", folder / "photos", images=600)
    (folder / "sweeps" / "tiny.toml").write_text(sweeps.TUNE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DISCL_HOME", str(folder / "home"))
        patched.chdir(folder)
        done = CliRunner().invoke(main, ["sweep", "tiny", "--trackers", ""])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """The sweep `tiny`, and what it comes to at one worker that nobody kills."""
    folder = made_once(tmp_path_factory, "tiny", _sweep)
    home = folder / "home"
    found = Ready(folder, home, sweeps.read(home, sweeps.sqlite(home)))
    assert len(found.done.results) == sweeps.RUNS_IN_ALL
    assert len(found.done.trials) == 6
    return found

"""What the tests of sweeps share."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from discl.cli import main
from tests import sweeps
from tests.make_mini import make
from tests.sweeps import Ready


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """The sweep `tiny`, and what it comes to at one worker that nobody kills."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "sweeps").mkdir()
    make("cifar100_lt", folder / "photos", images=600)
    (folder / "sweeps" / "tiny.toml").write_text(sweeps.TUNE)
    home, before = folder / "home", os.getcwd()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DISCL_HOME", str(home))
        patched.chdir(folder)
        done = CliRunner().invoke(main, ["sweep", "tiny", "--trackers", ""])
    assert done.exit_code == 0, done.output
    assert os.getcwd() == before
    found = Ready(folder, home, sweeps.read(home, sweeps.sqlite(home)))
    assert len(found.done.results) == sweeps.RUNS_IN_ALL
    assert len(found.done.trials) == 12
    return found

"""Every test: one torch thread, no hub, W&B offline, and a home of its own; the photos are shared
between sessions.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

# some containers forbid it; then each of the processes we start compiles thousands of modules,
# which is most of its time
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = ["tests.postgres", "tests.browser"]

import discl  # noqa: E402, F401 - first of all: it lets `import torchvision` work beside a CPU-only torch

# a busy machine makes no example slow
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["OMP_NUM_THREADS"] = "1"
# photos are fetched once, not once a session
os.environ.setdefault(
    "DISCL_DATA",
    str(Path(os.environ.get("DISCL_HOME") or Path.home() / ".cache" / "discl") / "data"),
)
os.environ.pop("WANDB_API_KEY", None)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow", action="store_true", help="also run tests marked slow, which take minutes each"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    import torch

    skipped = {}
    if not torch.cuda.is_available():
        skipped["gpu"] = pytest.mark.skip(reason="needs a CUDA device")
    if not config.getoption("--slow"):
        skipped["slow"] = pytest.mark.skip(
            reason="takes minutes; run it with make test ARGS=--slow"
        )
    for item in items:
        for mark in skipped.keys() & set(item.keywords):
            item.add_marker(skipped[mark])

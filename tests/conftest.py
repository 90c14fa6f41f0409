"""Settings of every test: one torch thread, no hub, W&B offline, a home of its own, no luck."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import shutil
import signal
import sys
import zlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# Some containers forbid bytecode; then every process that a test starts would compile thousands
# of modules, which takes most of its time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that starts `make test &` lets its children ignore Ctrl-C, and so would the processes
# that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test ARGS=...` hands its variables to every `make` below it, such as those of the docs.
for variable in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS"):
    os.environ.pop(variable, None)

pytest_plugins = ["tests.postgres", "tests.browser", "tests.forked"]

# Claims to the last bit are a CPU's, and every worker would open a context of its own: a GPU is
# seen by the tests that need one alone, in a session of their own (`make test-gpu`).
if "--gpu" not in sys.argv:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import discl  # noqa: E402, F401 - first of all: it lets `import torchvision` work beside a CPU-only torch

# `make test` tries the same examples each time; `make fuzz` tries others, and twenty times as many.
hypothesis.settings.register_profile(
    "suite",
    max_examples=50,
    deadline=None,  # a busy machine makes no example slow
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=1_000,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["OMP_NUM_THREADS"] = "1"
# photos are fetched once, not once a session
os.environ.setdefault(
    "DISCL_DATA",
    str(Path(os.environ.get("DISCL_HOME") or Path.home() / ".cache" / "discl") / "data"),
)
os.environ["DISCL_DATA_OF_TESTS"] = os.environ["DISCL_DATA"]  # miniatures are of its photos
os.environ.pop("WANDB_API_KEY", None)

# pydantic looks for each class of W&B's client through all modules there are, again for each
# function that is being called: late, and from within a test, its import takes seconds.
# Whenever Optuna opens a database, alembic runs the scripts of its migrations again, which is most
# of the work; they only define things, so that once is enough.
if "PYTEST_XDIST_WORKER" in os.environ:
    import alembic.util
    import wandb.sdk.launch  # noqa: F401

    run_script = alembic.util.load_python_file
    run_once = functools.cache(run_script)
    pytest.MonkeyPatch().setattr(
        alembic.util,
        "load_python_file",
        lambda folder, name: (run_script if name == "env.py" else run_once)(folder, name),
    )

# Modules are imported to stay: to look through them for garbage, again and again, takes a fifth of
# the imports' time, and later much of the tests'.
gc.disable()

# Files of tests are many and small, and are waited for until a disk has them; memory has no disk.
MEMORY = Path("/dev/shm")  # noqa: S108
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
    room = os.statvfs(MEMORY)
    # a test runs programs that it wrote
    if room.f_bavail * room.f_frsize > 4e9 and not room.f_flag & getattr(os, "ST_NOEXEC", 0):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

NUMBERS = itertools.count()  # of tests without a folder

# The longest tests come first: the last to be begun runs on alone, while other workers wait.
FIRST = ("test_wheel.py", "test_docs.py", "test_docs_site.py", "test_sweep_kills.py")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)  # every 700 objects, as usual, takes a thirtieth of the tests' time
    gc.enable()
    if "PYTEST_XDIST_WORKER" in os.environ and "tests.processes" in sys.modules:
        from tests import processes

        processes.prepare()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_home(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside what the test writes; where it has no folder, none is made for it either."""
    if "tmp_path" in request.fixturenames:
        folder = request.getfixturevalue("tmp_path")
    else:
        folder = tmp_path_factory.getbasetemp() / f"test {next(NUMBERS)}"
    monkeypatch.setenv("DISCL_HOME", str(folder / "home"))


@pytest.fixture(scope="session")
def cifar100_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 photos laid out as those of CIFAR-100: whole runs on CIFAR-10 predict 10,000 of them."""
    from tests.make_mini import make
    from tests.shared import made_once

    return made_once(
        tmp_path_factory, "cifar100_lt", lambda folder: make("cifar100_lt", folder, images=600)
    )


@pytest.fixture
def one_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the benchmarks that come with discl there is `cifar10_lt`: to look at all takes long."""
    from discl.core import search_path

    shipped = tmp_path / "shipped"
    (shipped / "benchmarks").mkdir(parents=True)
    for name in ("default", "cifar10_lt"):
        shutil.copy(search_path.shipped("benchmarks") / f"{name}.toml", shipped / "benchmarks")
    monkeypatch.setattr(search_path, "shipped", lambda kind: shipped / kind)
    monkeypatch.chdir(shipped)  # the source tree has all of them in `benchmarks`, too


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random choices of a test, such as when to kill: its own each time only under `make fuzz`."""
    seed = zlib.crc32(request.node.nodeid.encode())
    if hypothesis.settings.get_current_profile_name() == "fuzz":
        seed = int(np.random.default_rng().integers(2**32))
    print(f"seed {seed}")  # shown where the test fails
    return np.random.default_rng(seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow", action="store_true", help="also run tests marked slow, which take minutes each"
    )
    parser.addoption(
        "--gpu", action="store_true", help="run the tests that need a GPU, and nothing else"
    )
    parser.addoption(
        "--examples", type=int, help="how many examples each property test tries; make fuzz knows"
    )


def pytest_configure(config: pytest.Config) -> None:
    from tests import properties

    properties.exact = config.getoption("--examples")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    import torch

    skipped = {}
    if not config.getoption("--gpu"):
        skipped["gpu"] = pytest.mark.skip(reason="needs a GPU; run it with make test-gpu")
    elif not torch.cuda.is_available():
        skipped["gpu"] = pytest.mark.skip(reason="needs a CUDA device, and torch finds none here")
    if config.getoption("--gpu"):
        others = [item for item in items if "gpu" not in item.keywords]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "gpu" in item.keywords]
    if not config.getoption("--slow"):
        skipped["slow"] = pytest.mark.skip(
            reason="takes minutes; run it with make test ARGS=--slow"
        )
    for item in items:
        if "rng" in getattr(item, "fixturenames", ()):
            item.add_marker("random")
        for mark in skipped.keys() & set(item.keywords):
            item.add_marker(skipped[mark])
    items.sort(key=lambda item: item.path.name not in FIRST)

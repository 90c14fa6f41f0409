"""A wheel in an environment of its own, outside the source tree, does what a checkout does."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.make_mini import make
from tests.shared import made_once

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 30_000_000  # 21.5 MB of it are weights, 4.8 the published results
TINY = (
    *("--strategies", "all_levels", "--set", "dataset.root=photos", "--set", "train.epochs=2"),
    *("--set", "train.curriculum_epochs=1", "--set", "train.evaluate_every=2"),
    *("--set", "train.warmup_epochs=0", "--set", "bank.variants=1", "--set", "levels=[50,100]"),
    *("--set", "hard_rule.max_class_images=6", "--trackers", "console"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT]
        subprocess.run(command, check=True, capture_output=True)

    # two builds at once would share the source tree's build/
    (built,) = made_once(tmp_path_factory, "wheel", build).glob("discl-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`discl` of an environment that holds the wheel; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel],
        check=True,
        timeout=120,
    )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    beside = folder / "lib" / version / "site-packages" / "dependencies.pth"
    beside.write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return folder / "bin" / "discl"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


# commands one after the other in one process, which imports what they need once
COMMANDS = """
import json, sys
from discl.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        if end.code:
            raise
    print("\\f", flush=True)
"""


def run(installed: Path, folder: Path, *words: str) -> str:
    """What the installed command prints in a folder."""
    return _printed([installed, *words], folder)


def run_all(installed: Path, folder: Path, *commands: Sequence[str]) -> list[str]:
    """What each of several commands of the installed package prints in a folder."""
    python = installed.with_name("python")
    return _printed([python, "-c", COMMANDS, json.dumps(commands)], folder).split("\f")[:-1]


def _printed(command: Sequence[str | Path], folder: Path) -> str:
    home = {"DISCL_HOME": str(folder / "home"), "COLUMNS": "200"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_holds_what_the_commands_need_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for path in (ROOT / "discl" / "assets").glob("*/**/*"):  # the generator and the scorer
            if path.is_file():
                name = path.relative_to(ROOT).as_posix()
                assert zlib.crc32(path.read_bytes()) == archive.getinfo(name).CRC
    for kind in ("benchmarks", "sweeps"):
        for path in (ROOT / kind).glob("*.toml"):
            assert f"discl/shipped/{kind}/{path.name}" in names
    results = {
        f"discl/shipped/{path.relative_to(ROOT)}"
        for path in (ROOT / "leaderboards" / "results").rglob("*.json")
    }
    assert results
    assert results <= names
    assert {"discl/py.typed", "discl/harness/report/page.html"} <= names
    assert not [name for name in names if name.endswith(("spectrum.png", ".pyc"))]
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]
    assert wheel.stat().st_size < LARGEST_BYTES


def test_an_installed_package_knows_its_benchmarks_sweeps_and_results(
    installed: Path, elsewhere: Path
) -> None:
    shown, sweeps, board = run_all(
        installed,
        elsewhere,
        ("list", "benchmarks"),
        ("sweep",),
        ("leaderboard", "cifar10_lt", "--published", "--format", "json"),
    )
    expected = {path.stem for path in (ROOT / "benchmarks").glob("*.toml")} - {"default"}
    assert {line.split()[0] for line in shown.splitlines() if line.strip()} == expected
    assert all(path.stem in sweeps for path in (ROOT / "sweeps").glob("*.toml"))
    assert len(json.loads(board)["rows"]) == 11


def test_an_installed_package_beside_a_checkout_is_the_one_that_runs(
    installed: Path, elsewhere: Path
) -> None:
    (elsewhere / "pyproject.toml").write_text("[project]\n", "utf-8")
    (elsewhere / "benchmarks").mkdir()
    own = elsewhere / "benchmarks" / "mine.toml"
    own.write_text('title = "Mine"\n[dataset]\nname = "cifar10_lt"\n', "utf-8")
    shown = run(installed, elsewhere, "list", "benchmarks")
    assert "mine" in shown
    assert "cifar10_lt" in shown
    script = "from discl.harness.run.provenance import commit; print(commit())"
    subprocess.run(["git", "init", "-q"], cwd=elsewhere, check=True)
    python = installed.with_name("python")
    done = subprocess.run([python, "-c", script], cwd=elsewhere, capture_output=True, text=True)
    assert done.stdout.strip() == "unknown", done.stderr


@pytest.mark.parametrize(
    "generator",
    [
        "generator.name=blend",
        pytest.param(
            "generator.steps=4",
            marks=pytest.mark.slow(reason="imports diffusers; that the weights are whole is above"),
        ),
    ],
)
def test_an_installed_package_plans_compares_and_shows(
    installed: Path, elsewhere: Path, generator: str
) -> None:
    make("folder", elsewhere / "photos", images=120)
    words = ("folder", "--set", generator, *TINY)
    _, plan, board = run_all(
        installed,
        elsewhere,
        ("bench", *words),
        ("plan", *words[:-2]),
        ("leaderboard", *words[:-2], "--format", "json"),
    )
    assert re.search(r"runs +1 +of which stored 1", plan)
    assert {row["strategy"] for row in json.loads(board)["rows"]} == {"all_levels"}

"""One bad neighbour: it is named, set aside, and everything else goes on."""

import json
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from discl.cli import main
from discl.core import registry
from discl.files.disk import home
from tests import results
from tests.banks import CELLS, put, toy_bank

DEEP = "[" * 100_000
ANOTHER = 'title = "Another"\n[scale.smoke]\n'
SWEEP = """
title = "Levels"
benchmark = "cifar10_lt"
[grid]
strategy = ["real_only"]
seed = [0]
"""
BROKEN_FILES = {
    "torn": 'title = "x\n[',
    "deep": f"a = {DEEP}",
    "number": "scale = 5\n",
    "based": 'based_on = "torn"\n',
    "other": '[dataset]\nname = "nosuch"\n[scale.smoke]\n',
    "plugged": '[dataset]\nname = "ends"\n[scale.smoke]\n',
}
PLUGINS = {
    "raises": "raise RuntimeError('two\\nlines')\n",
    "ends": "import sys\nsys.exit(3)\n",
    "syntax": "def\n",
    "no_class": "Theirs = 5\n",
    "strange": "class Meta(type):\n    def __getattr__(cls, name): 1 / 0\n"
    "class Theirs(metaclass=Meta): pass\n",
}


def _discl(*words: str) -> Result:
    done = CliRunner().invoke(main, list(words))
    assert "Traceback" not in done.output
    assert "this is a defect" not in done.output
    return done


@pytest.fixture
def broken_files(one_benchmark: None) -> None:
    """Benchmark and sweep files, of which one each is whole."""
    for kind, whole in (("benchmarks", ANOTHER), ("sweeps", SWEEP)):
        folder = Path(kind)
        folder.mkdir(exist_ok=True)
        (folder / "whole.toml").write_text(whole)
        for name, text in BROKEN_FILES.items():
            (folder / f"{name}.toml").write_text(text)
        (folder / "bytes.toml").write_bytes(b"\xff\xfe")
        (folder / "folder.toml").mkdir()
        (folder / "dangling.toml").symlink_to("nowhere")


@pytest.fixture
def broken_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Packages of others with a dataset each, all broken."""
    (tmp_path / "theirs").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "theirs")
    points = []
    for name, code in PLUGINS.items():
        (tmp_path / "theirs" / f"broken_{name}.py").write_text(code)
        points.append(EntryPoint(name, f"broken_{name}:Theirs", "discl.datasets"))
    monkeypatch.setattr(registry, "entry_points", lambda: EntryPoints(points))
    registry.look_again()
    yield
    registry.look_again()


@pytest.fixture
def broken_banks() -> None:
    """A whole bank among damaged folders."""
    with_images = toy_bank()
    put(with_images, CELLS)
    with_images.close()
    banks = home() / "banks"
    for number, content in enumerate(("[", DEEP, "[]", "", '{"schema": 99}')):
        folder = banks / f"{number}123456789abcdef"
        (folder / "shards").mkdir(parents=True)
        (folder / "bank.json").write_text(content)
        (folder / "catalogue.sqlite").write_text("no database")
    for name in ("a123456789abcdef", "b123456789abcdef"):
        damaged = toy_bank(name)
        (damaged.folder / "catalogue.sqlite").mkdir()
        damaged.close()
    (banks / "c123456789abcdef").mkdir()
    (banks / "c123456789abcdef" / "shards").write_text("a file")


@pytest.fixture
def broken_runs() -> list[Path]:
    """Result files that cannot be read; one is a folder."""
    runs = home() / "runs"
    paths = []
    for number, content in enumerate(("[", DEEP, "[]", "", '{"id": 5}')):
        path = runs / f"{number}123456789abcdef" / "000" / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        paths.append(path)
    path = runs / "a123456789abcdef" / "000" / "result.json"
    path.mkdir(parents=True)
    (runs / "b123456789abcdef").write_text("a file")
    return [*paths, path]


@pytest.mark.usefixtures("broken_files")
def test_broken_benchmarks_are_listed_with_the_reason_and_the_others_as_ever() -> None:
    done = _discl("list", "benchmarks")
    assert done.exit_code == 0
    assert "Another" in done.output
    for name in (*BROKEN_FILES, "bytes", "folder", "dangling"):
        assert name in done.output
    assert done.output.count("cannot be used") == len(BROKEN_FILES) + 1  # two name strange parts
    assert done.output.count("Traceback") == 0


@pytest.mark.usefixtures("broken_files", "broken_plugins")
def test_broken_sweeps_are_listed_with_the_reason_and_the_others_as_ever() -> None:
    done = _discl("sweep")
    assert done.exit_code == 0
    assert "Levels" in done.output
    assert done.output.count("cannot be used") == len(BROKEN_FILES) + 3


@pytest.mark.usefixtures("broken_plugins")
def test_broken_plug_ins_are_listed_with_the_reason_and_refused_by_name() -> None:
    done = _discl("list", "datasets")
    assert done.exit_code == 0
    assert done.output.count("cannot be used") == len(PLUGINS)
    assert "cifar10_lt" in done.output
    for name in PLUGINS:
        done = _discl("data", "info", name)
        assert done.exit_code == 2
        assert f"dataset {name!r} of broken_{name}:Theirs" in done.output


@pytest.mark.usefixtures("broken_files", "broken_plugins", "broken_banks", "broken_runs")
def test_damaged_banks_are_listed_and_cleaning_goes_on() -> None:
    whole = toy_bank()
    whole.close()
    done = _discl("bank", "ls", "--format", "json")
    assert done.exit_code == 0
    listed = {bank["id"]: bank for bank in json.loads(done.stdout)}
    assert len(listed) == 9
    assert [id for id, bank in listed.items() if not bank["problem"]] == [whole.id]
    assert listed[whole.id]["images"] == {"0": 1, "50": 2}
    done = _discl("bank", "gc", "--recent")
    assert done.exit_code == 0
    assert done.output.count("kept ") == 9  # a benchmark that cannot be read may need any
    assert "torn.toml is not valid TOML" in done.output


@pytest.mark.usefixtures("broken_banks")
def test_damaged_banks_keep_no_other_from_being_cleaned(one_benchmark: None) -> None:
    old = [path for path in (home() / "banks").rglob("*") if path.exists()]
    for path in old:
        os.utime(path, (0, 0), follow_symlinks=False)
    done = _discl("bank", "gc", "--yes")
    assert done.exit_code == 0
    assert toy_bank().count() == {}  # it went, and is a new one


def test_damaged_runs_are_set_aside_in_a_line_each(
    broken_runs: list[Path], tmp_path: Path, one_benchmark: None
) -> None:
    spec = results.spec('strategies=["real_only", "real_rebalanced"]', "seeds=[0]")
    for each in results.experiments(spec):
        results.store(each, skill=2.0)
    settings = [
        *("--set", 'strategies=["real_only", "real_rebalanced"]', "--set", "seeds=[0]"),
        *("--set", "generator.name=blend"),
    ]
    done = _discl("leaderboard", "cifar10_lt", *settings)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("not counted: ") == len(broken_runs)
    assert all(str(path) in done.stderr for path in broken_runs)
    assert "real_rebalanced" in done.stdout
    listed = _discl("runs", "ls", "--format", "json")
    states = [run["state"] for run in json.loads(listed.stdout)]
    assert (states.count("unreadable"), states.count("complete")) == (len(broken_runs), 2)
    done = _discl("leaderboard", "publish", "cifar10_lt", *settings)  # it would replace more
    assert done.exit_code == 2
    assert not (tmp_path / "leaderboards").exists()


@pytest.mark.usefixtures("broken_files", "broken_plugins", "broken_banks", "broken_runs")
def test_a_shell_completes_all_that_is_whole() -> None:
    (home() / "runs" / "closed").mkdir(mode=0)
    for words, offered in (
        (["list"], "benchmarks"),
        (["bench"], "whole"),
        (["sweep"], "whole"),
        (["data", "info"], "cifar10_lt"),
        (["runs", "show"], "0123456789abcdef"),
    ):
        completion = ShellComplete(main, {}, "discl", "_DISCL_COMPLETE")
        items = completion.get_completions(words, "")
        assert offered in [item.value for item in items]
    (home() / "runs" / "closed").chmod(0o700)


@pytest.mark.usefixtures("broken_files", "broken_plugins", "broken_banks")
def test_doctor_lists_every_one(broken_runs: list[Path]) -> None:
    done = _discl("doctor", "data", "files", "--format", "json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    notes = " ".join(row["message"] for row in rows if row["state"] == "note")
    for name in (*BROKEN_FILES, "bytes", "folder", "dangling"):
        assert name in notes
    for name in PLUGINS:
        assert f"dataset {name!r} of broken_{name}:Theirs" in notes
    assert notes.count("banks: ") == 8
    assert all(str(path) in notes for path in broken_runs)

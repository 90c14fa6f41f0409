"""`discl bank`: sharing, listing and cleaning, through the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from discl.cli import main
from discl.config.load import load
from discl.engine.bank.generate import ImageMaker
from discl.engine.bank.leases import CellGrid
from discl.files.disk import home
from discl.harness.run.assembly import Bench
from tests.banks import InlineExecutor

TINY = [
    "generator.name=blend",
    "dataset.largest=40",
    "dataset.smallest=4",
    "dataset.ood_photos=10",
    "bank.variants=1",
]
CHOICE = ["cifar10_lt", *(word for setting in TINY for word in ("--set", setting))]


def _discl(*words: str) -> Result:
    return CliRunner().invoke(main, ["bank", *words])


def _filled() -> Bench:
    bench = Bench(load("cifar10_lt", settings=TINY))
    wanted = CellGrid(bench.sources.ids[:3], (0, 50), 1)
    image_maker = ImageMaker(bench.bank.id, bench.bank.shards, bench.sources, bench.generator, None)
    bench.bank.build(
        wanted, bench.generator.steps, InlineExecutor(), lambda: image_maker, 4, lambda *_: None
    )
    return bench


@pytest.mark.parametrize("form", ["parquet", "datasets"])
def test_what_one_machine_exports_another_imports(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled().bank.close()
    digest = _discl("digest", *CHOICE).stdout
    done = _discl("export", *CHOICE, str(tmp_path / "shared"), "--format", form)
    assert done.exit_code == 0, done.output
    assert "6 images and 0 cells that could not be made are in" in done.stdout
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "another machine"))
    done = _discl("import", *CHOICE, str(tmp_path / "shared"))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("6 images taken, 0 were there; ")
    assert _discl("digest", *CHOICE).stdout == digest
    (tmp_path / "shared" / "failed.jsonl").write_text("torn\n")
    done = _discl("import", *CHOICE, str(tmp_path / "shared"))
    assert done.exit_code == 2
    assert "at fault: failed.jsonl line 1: it is torn" in done.stdout
    assert "nothing was taken: 1 rows of" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", *CHOICE, "{}/new"], "holds no image yet"),
        (["export", *CHOICE, "{}/new", "--format", "csv"], "'csv' is not one of"),
        (["import", *CHOICE, "{}/nowhere"], "holds no bank.json"),
        (["import", *CHOICE, "{}"], "generator.name is 'other' there"),
        (["import", "cifar10_lt"], "Missing argument 'FOLDER'"),
    ],
)
def test_bad_input_is_a_sentence(words: list[str], says: str, tmp_path: Path) -> None:
    process = Bench(load("cifar10_lt", settings=TINY)).bank.process
    (tmp_path / "bank.json").write_text(json.dumps(process | {"generator": {"name": "other"}}))
    done = _discl(*(word.replace("{}", str(tmp_path)) for word in words))
    assert done.exit_code == 2
    assert says in done.stderr.replace('"', "'")
    assert len(done.stderr.splitlines()) <= 4


def test_an_export_never_overwrites(tmp_path: Path) -> None:
    _filled()
    (tmp_path / "file").write_text("")
    assert (
        "is a file; give a new folder" in _discl("export", *CHOICE, str(tmp_path / "file")).stderr
    )
    done = _discl("export", *CHOICE, str(tmp_path))
    assert done.exit_code == 2
    assert "is there and not empty" in done.stderr


@pytest.mark.usefixtures("one_benchmark")
def test_ls_lists_and_gc_removes_what_nobody_refers_to() -> None:
    assert "no bank on this machine yet" in _discl("ls").stdout
    bench = _filled()
    bench.bank.close()
    (listed,) = json.loads(_discl("ls", "--format", "json").stdout)
    assert (listed["id"], listed["images"], listed["benchmarks"], listed["runs"]) == (
        bench.bank.id,
        {"0": 3, "50": 3},
        [],
        0,
    )
    assert listed["bytes"]["shards"] > 0
    assert "--json was renamed in 0.2; write --format json" in _discl("ls", "--json").stderr
    assert "0%:3 50%:3" in _discl("ls").stdout
    assert "was used within the last hour; --recent takes it, too" in _discl("gc", "--yes").stdout
    done = _discl("gc", "--recent")
    assert "no benchmark and no run refers to it" in done.stdout
    assert "add --yes to do so" in done.stdout
    assert bench.bank.folder.exists()
    done = _discl("gc", "--recent", "--yes")
    assert f"can be moved back to {home() / 'banks'}" in " ".join(done.stdout.split())
    assert not bench.bank.folder.exists()
    done = _discl("gc", "--yes")
    assert "in the trash since" in done.stdout
    assert list((home() / "banks").iterdir()) == []
    assert "nothing to remove" in _discl("gc", "--yes").stdout


@pytest.mark.usefixtures("one_benchmark")
def test_gc_keeps_the_bank_of_a_benchmark() -> None:
    bank = Bench(load("cifar10_lt")).bank
    assert f"kept   {bank.id}  it is in use" in _discl("gc", "--yes", "--recent").stdout
    bank.close()
    done = _discl("gc", "--yes", "--recent")
    assert f"kept   {bank.id}  cifar10_lt/smoke" in done.stdout
    assert bank.folder.exists()
    assert "cifar10_lt/smoke" in _discl("ls").stdout

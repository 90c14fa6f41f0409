"""Pipes and folders where files are expected: told, and never waited for."""

from __future__ import annotations

import copy
import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.plain_files import NoFileError, check_folder, open_file, plain, plain_bytes
from discl.files import checkpoints, parquet_rows
from discl.files.captions import read_captions
from discl.files.contents import ContentDigests
from discl.files.sources.unpacking import unpack
from discl.harness.run.store import Failure, Store
from discl.parts.datasets.folder import Folder
from discl.parts.datasets.manifest.layouts.table_cells import batches_of, pictures_of, schema_of
from discl.parts.datasets.manifest.lists.reading import open_table
from discl.parts.generators.base.loading import LoadingOptions
from discl.parts.generators.base.loading import load as load_generator
from tests import results

WAITED_SECONDS = 20
KINDS = pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL = pytest.mark.parametrize("make", [os.mkfifo, _socket, _device])


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    def waited(*_: Any) -> None:
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(WAITED_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@KINDS
def test_a_benchmark_file_that_is_none(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    make(tmp_path / "benchmarks" / "piped.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"piped.toml is no file; put a TOML file there"):
        load("piped")
    assert CliRunner().invoke(main, ["list", "benchmarks"]).exit_code == 0


@KINDS
def test_a_file_of_captions_that_is_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "captions.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_captions(str(tmp_path / "captions.json"), "prompts.file")


@KINDS
@pytest.mark.parametrize("name", ["result.json", "events.jsonl", "experiment.json"])
def test_a_file_of_a_run_that_is_none(name: str, make: Callable[[Path], None]) -> None:
    stored = results.sweep(("static",), (0,))[0]
    folder = Store().folder(stored)
    (folder / name).unlink()
    make(folder / name)
    for words in (["runs", "ls"], ["runs", "show", stored.id], ["bank", "gc", "--dry-run"]):
        assert CliRunner().invoke(main, words).exit_code in (0, 2)
    shutil.rmtree(folder)


@SPECIAL
@pytest.mark.parametrize("mode", ["rb", "r", "a", "w", "r+b"])
def test_what_is_no_file_is_never_opened(
    mode: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "photo.jpg")
    with pytest.raises(NoFileError, match=r"photo.jpg is a (pipe|socket|device) and no file") as no:
        open_file(tmp_path / "photo.jpg", mode)
    assert str(copy.copy(no.value)) == str(no.value)  # as of a worker process
    for look in (plain, plain_bytes, lambda path: check_folder(path.parent)):
        with pytest.raises(NoFileError):
            look(tmp_path / "photo.jpg")


@SPECIAL
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow"])
def test_a_list_that_is_no_file(ending: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / f"photos{ending}"
    make(path)
    with pytest.raises(UserError, match="no file"):
        open_table(path, path.name, lambda cells: True)
    with pytest.raises(UserError, match="no file"):
        parquet_rows.cell(path, "image", 0)
    for read in (schema_of, lambda path: next(batches_of(path, ["image"], 1))):
        with pytest.raises(UserError, match="no file"):
            read(path)


@SPECIAL
def test_a_table_that_is_no_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    make(tmp_path / "photos" / "table.csv")
    make(tmp_path / "elsewhere.csv")
    for table in ("table.csv", str(tmp_path / "elsewhere.csv")):
        with pytest.raises(UserError, match=r"dataset.table = .* is not there"):
            _ = Folder(str(tmp_path / "photos"), table=table).classes


@SPECIAL
def test_photos_at_absolute_paths_that_are_no_files(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "photo.jpg")
    (tmp_path / "photo.png").write_bytes(b"a photo")
    paths = [str(tmp_path / name) for name in ("photo.jpg", "photo.png")]
    image = pa.array([{"bytes": None, "path": path} for path in paths])
    pq.write_table(pa.table({"image": image}), tmp_path / "photos.parquet")
    pictures = pictures_of(tmp_path / "photos.parquet", "image", tmp_path)
    assert list(pictures) == [None, b"a photo"]
    digests = ContentDigests(tmp_path / "data", tmp_path)
    found = digests.of_files(["photo.jpg", "photo.png"], "reading", lambda *_: None)
    assert [bool(digest) for digest in found.tolist()] == [False, True]


@SPECIAL
def test_checkpoints_and_archives_that_are_no_files(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "000000001.v2.safetensors")
    with pytest.raises(UserError, match="no file"):
        checkpoints.read(tmp_path / "000000001.v2.safetensors")
    for name in ("photos.zip", "photos.tar"):
        make(tmp_path / name)
        with pytest.raises(UserError, match="no file"):
            unpack(tmp_path / name, tmp_path / "into", lambda *_: None)
    folder = tmp_path / "generator"
    folder.mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (folder / "unet").mkdir()
    make(folder / "unet" / "config.json")
    options = LoadingOptions("", "float32", "cpu", False, False, None, None, None, None)
    with pytest.raises(UserError, match="no file"):
        load_generator(folder, str(folder), options)


@SPECIAL
def test_a_record_of_failures_that_is_no_file(make: Callable[[Path], None]) -> None:
    store = Store()
    (store.root / "run").mkdir(parents=True)
    make(store.root / "run" / "failures.jsonl")
    with pytest.raises(UserError, match="no file"):
        store.failures("run")
    with pytest.raises(UserError, match="no file"):
        store.note("run", Failure("ValueError", "why", "here"))


def test_files_are_opened_by_the_one_helper() -> None:
    """A call of `read_text`, `read_bytes` or `.open("r...")` elsewhere would wait for a pipe."""
    root = Path(checkpoints.__file__).parents[1]
    ours = {  # files of the package, of the system, or that the line before made
        "config/presets/expand.py",
        "testing/contracts.py",
        "core/registry.py",
        "harness/html.py",
        "harness/run/provenance.py",
        "harness/doctor/storage.py",
        "parts/executors/local.py",
        "parts/datasets/iwildcam.py",
        "parts/datasets/cifar100_lt.py",
        "parts/datasets/manifest/words.py",
    }
    waiting = re.compile(r"""\.(read_text\(|read_bytes\(|open\(["'][ra])""")
    found = [
        (name, line.strip())
        for path in sorted(root.rglob("*.py"))
        if (name := path.relative_to(root).as_posix()) not in ours
        for line in path.read_text("utf-8").splitlines()
        if waiting.search(line)
    ]
    assert found == []

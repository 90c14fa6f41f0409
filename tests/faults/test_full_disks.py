"""Disks that refuse: full, limited, read-only; and what killed writers leave."""

import errno
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.core.errors import DiskError, UserError
from discl.files import shards
from discl.files.disk import atomic_output, atomic_write, replaced_folder, write_text
from discl.files.disks.errors import clear_disk_errors
from discl.files.disks.leftovers import held_file
from discl.harness.run.store import Store
from tests import results
from tests.banks import CELLS, put, toy_bank


@contextmanager
def file_limit(most: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as under `ulimit -f`.

    What Python would compile then would be cut off, and damage the tests that come after.
    """
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = compiles


def _left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.tmp")]


def _array(path: Path) -> None:
    with atomic_write(path) as tmp, tmp.open("wb") as opened:
        np.save(opened, np.zeros(100_000))


def _archive(path: Path) -> None:
    with atomic_write(path) as tmp, tmp.open("wb") as opened:
        np.savez(opened, a=np.zeros(100_000))


def _safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    with atomic_write(path) as tmp:
        save_file({"a": np.zeros(100_000)}, tmp)


def _parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_write(path) as tmp:
        pq.write_table(pa.table({"a": np.random.default_rng(0).random(50_000)}), tmp)


def _picture(path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    with atomic_write(path) as tmp:
        Image.fromarray(noise).save(tmp, "PNG")


def _shard(path: Path) -> None:
    path.mkdir()
    shards.write(path, ("a",), [(1,)], [bytes(100_000)])


def _folder(path: Path) -> None:
    with replaced_folder(path) as tmp:
        (tmp / "file").write_bytes(bytes(100_000))


WRITERS = [_array, _archive, _safetensors, _parquet, _picture, _shard, _folder]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_file_above_the_limit_is_a_sentence_whatever_library_writes_it(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    with file_limit(50_000), pytest.raises(DiskError, match=r"failed at .* `ulimit -f`"):
        write(tmp_path / "new")
    assert _left(tmp_path) == []
    assert not (tmp_path / "new").is_file()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "larger than `ulimit -f`"),
        (errno.EROFS, "the disk is read-only"),
    ],
)
def test_a_full_disk_a_quota_and_a_read_only_place_are_sentences_of_their_own(
    code: int, says: str, tmp_path: Path
) -> None:
    texts = [
        OSError(code, os.strerror(code)),
        RuntimeError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})"),
    ]
    for error in texts:
        with pytest.raises(DiskError, match=says), clear_disk_errors("writing", tmp_path):
            raise error
        with (
            pytest.raises(UserError, match=rf"picture.png' cannot be written: .*{says[:16]}"),
            atomic_output(tmp_path / "picture.png"),
        ):
            raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_no_disk_made_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="odd"), atomic_write(tmp_path / "file"):
        raise RuntimeError("odd, code: 3")


def test_a_map_of_images_on_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    bank = toy_bank()
    put(bank, CELLS)
    with bank.catalogue.writing():  # its files grow no more
        pass
    with file_limit(200), pytest.raises(DiskError, match="writing failed at"):
        bank.pixels(50)
    assert _left(bank.folder) == []
    assert bank.pixels(50).shape == (2, 4, 4, 3)


def test_a_refusal_that_no_part_of_a_command_expects_is_a_sentence() -> None:
    @click.command("full")
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/disk/file")

    main.add_command(full)
    try:
        done = CliRunner().invoke(main, ["full"])
    finally:
        main.commands.pop("full")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: writing /disk/file failed: the disk is full; free some")


# ---------------------------------------------------------------- commands

CHOICE = ("cifar10_lt", "--set", "generator.name=blend", "--set", "seeds=[0]")
STRATEGIES = ("--set", 'strategies=["real_only", "real_rebalanced"]')
COMMANDS = {
    "leaderboard": ("leaderboard", *CHOICE, *STRATEGIES, "-o", "{}/table.csv", "--format", "csv"),
    "publish": ("leaderboard", "publish", *CHOICE, *STRATEGIES, "--root", "{}/boards"),
    "figures": ("figures", *CHOICE, *STRATEGIES, "-o", "{}/figures", "--format", "svg"),
    "report": ("report", *CHOICE, *STRATEGIES, "-o", "{}/report.html"),
    "export": ("bank", "export", *CHOICE, "{}/shared"),
    "init": ("init", "{}/photos"),
    "manifest": ("data", "manifest", "folder", "--set", "root={}/photos", "--export", "{}/m.csv"),
}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _photos(folder: Path) -> None:
    from PIL import Image

    for number in range(12):
        path = folder / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)


IMPORTING = ("figures", "init", "report")  # libraries that draw and read photos, for seconds


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(
            words,
            id=name,
            marks=[pytest.mark.slow] if name in IMPORTING else [],
        )
        for name, words in COMMANDS.items()
    ],
)
def test_a_command_that_writes_says_that_its_file_may_not_be_so_large(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    spec = results.spec('strategies=["real_only", "real_rebalanced"]', "seeds=[0]")
    for each in results.experiments(spec):
        results.store(each, skill=2.0)
    _photos(folder)
    if words[0] in ("init", "data"):  # they keep what they read of the photos
        monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    before = _files(folder)
    given = [word.replace("{}", str(folder)) for word in words]
    with file_limit(100):
        done = CliRunner().invoke(main, given)
    assert done.exit_code == 2, done.output
    assert "`ulimit -f`" in done.stderr
    assert _files(folder) == before


# ---------------------------------------------------------------- leftovers


def _leave(path: Path, age_s: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_what_killed_writers_left_goes_with_the_next_write_into_the_folder(tmp_path: Path) -> None:
    dead = _leave(tmp_path / "home" / ".other.json.0123abcd.tmp")
    of_0_1 = _leave(tmp_path / "home" / ".other.json.half", age_s=2 * 86400)
    folder = tmp_path / "home" / ".bank.0123abcd.tmp"
    folder.mkdir()
    (folder / "inside").write_bytes(b"half")
    kept = [
        _leave(tmp_path / "home" / ".other.json.half.half"),
        _leave(tmp_path / "home" / ".mine.tmp"),
        _leave(tmp_path / "home" / "result.0123abcd.tmp"),
    ]
    write_text(tmp_path / "home" / "file.json", "{}")
    assert [path.exists() for path in (dead, of_0_1, folder)] == [False] * 3
    assert all(path.exists() for path in kept)


def test_what_a_living_process_writes_stays(tmp_path: Path) -> None:
    living = tmp_path / ".other.json.0123abcd.tmp"
    with held_file(living):
        living.write_bytes(b"half")
        with atomic_write(tmp_path / "file.json") as tmp:
            tmp.write_text("{}")
        assert living.exists()


def test_beside_a_file_of_the_user_only_its_own_leftovers_go(tmp_path: Path) -> None:
    own = _leave(tmp_path / ".picture.png.0123abcd.tmp")
    other = _leave(tmp_path / ".thesis.doc.0123abcd.tmp")
    with atomic_output(tmp_path / "picture.png") as tmp:
        tmp.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "picture.png"]
    assert not own.exists()


def test_what_a_killed_attempt_left_goes_with_the_next() -> None:
    store = Store()
    _, first = store.new_attempt("0123456789abcdef")
    left = _leave(first / ".predictions.npz.0123abcd.tmp")
    assert store.new_attempt("0123456789abcdef")[0] == 1
    assert not left.exists()

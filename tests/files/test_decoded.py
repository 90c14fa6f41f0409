import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.files import decoded
from discl.files.contents import digest_of, stamp_of
from discl.files.decoded import DecodedPhotos, OpenedPhotos, check_room
from discl.files.photos import decode_square

COUNT, SIDE = 200, 16


@dataclass
class Folder:
    """Files of a folder; each reading leaves a line in `log`."""

    root: Path
    log: Path
    slow_s: float = 0.0
    how: str = ""

    def stamp(self, ref: str) -> tuple[int, ...]:
        return stamp_of((self.root / ref).stat())

    def digest(self, ref: str, data: bytes) -> bytes:
        return digest_of(data)

    def square(self, ref: str, data: bytes, side: int) -> Photos:
        return decode_square(data, ref, side)

    def read(self, ref: str) -> bytes:
        time.sleep(self.slow_s)
        with self.log.open("a") as log:
            log.write(f"{ref}\n")
        return (self.root / ref).read_bytes()

    def asked(self) -> list[str]:
        """What was read since the last question."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(COUNT):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(
            root / f"{i:03d}.{'jpg' if i % 2 else 'png'}"
        )
    return root


def a_map(root: Path, home: Path, slow_s: float = 0.0, first: int = 0) -> DecodedPhotos:
    names = sorted(path.name for path in root.iterdir())[first:]
    contents = np.array([digest_of((root / name).read_bytes()) for name in names])
    files = Folder(root, home / "log", slow_s)
    refs = np.array(names, np.str_)
    return DecodedPhotos(home / "maps", str(root), refs, contents, SIDE, files)


def silent(what: str, done: int, total: int) -> None:
    pass


def holds_its_photos(made: OpenedPhotos, one: DecodedPhotos, root: Path) -> bool:
    return all(
        np.array_equal(pixels, decode_square((root / str(one.refs[row])).read_bytes(), "", SIDE))
        for row, pixels in zip(made.rows, made.pixels, strict=True)
    )


def test_a_map_holds_the_photos_as_they_are_and_is_made_once(photos: Path, tmp_path: Path) -> None:
    one, told = a_map(photos, tmp_path), list[tuple[int, int]]()
    assert one.open() is None
    made = one.build("decoding", lambda what, done, total: told.append((done, total)))
    assert made.rows.tolist() == list(range(COUNT))
    assert holds_its_photos(made, one, photos)
    assert told[0] == (0, COUNT)
    assert told[-1] == (COUNT, COUNT)
    files = Folder(photos, tmp_path / "log")
    assert len(files.asked()) == COUNT
    again = a_map(photos, tmp_path).build("decoding", silent)
    assert np.array_equal(again.pixels, made.pixels)
    assert files.asked() == []


def test_two_processes_make_the_bytes_that_one_makes(photos: Path, tmp_path: Path) -> None:
    for home, processes in ((tmp_path / "1", 1), (tmp_path / "2", 2)):
        home.mkdir()
        a_map(photos, home).build("decoding", silent, processes)
    one, two = (a_map(photos, tmp_path / name).folder for name in "12")
    assert (one / "pixels").read_bytes() == (two / "pixels").read_bytes()
    assert one.name == two.name
    assert json.loads((one / "done.json").read_text()) == json.loads(
        (two / "done.json").read_text()
    )


BUILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from discl.core.interfaces import Photos
from discl.files import decoded
from discl.files.contents import digest_of, stamp_of
from test_decoded import a_map, silent
decoded.LOG_SECONDS, decoded.CHUNK_PHOTOS = 0.0, 16
a_map(Path(sys.argv[1]), Path(sys.argv[2]), slow_s=0.01).build("decoding", silent, 1)
"""


def test_a_killed_build_goes_on_where_it_was(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "CHUNK_PHOTOS", 16)
    one = a_map(photos, tmp_path)
    build = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(photos), str(tmp_path), str(Path(__file__).parent)]
    )
    log = one.folder / "log.jsonl"
    while build.poll() is None and not (log.exists() and log.read_text().count("chunk") >= 3):
        time.sleep(0.01)
    build.send_signal(signal.SIGKILL)
    assert build.wait() == -signal.SIGKILL
    assert one.open() is None
    files = Folder(photos, tmp_path / "log")
    files.asked()
    with log.open("a") as torn:
        torn.write('{"chunk": 190, "unre')
    made = one.build("decoding", silent)
    assert len(files.asked()) <= COUNT - 3 * 16
    assert holds_its_photos(made, one, photos)


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """Photos that a test may change."""
    return Path(shutil.copytree(photos, tmp_path / "photos"))


def test_unreadable_photos_are_left_out_and_listed(own: Path, tmp_path: Path) -> None:
    (own / "003.jpg").write_bytes(b"no picture")
    (own / "150.png").write_bytes(b"")
    (own / "199.jpg").write_bytes((own / "199.jpg").read_bytes()[:100])
    one = a_map(own, tmp_path)
    made = one.build("decoding", silent)
    assert list(made.unreadable) == ["003.jpg", "150.png", "199.jpg"]
    assert sorted(made.rows.tolist()) == [i for i in range(COUNT) if i not in (3, 150, 199)]
    assert made.pixels.shape == (COUNT - 3, SIDE, SIDE, 3)
    assert holds_its_photos(made, one, own)
    listed = (one.folder / "unreadable.txt").read_text()
    assert listed.splitlines()[0].startswith(
        "003.jpg\t003.jpg cannot be read as an image (10 bytes"
    )


def test_a_photo_that_is_repaired_comes_back_and_the_others_are_copied(
    own: Path, tmp_path: Path
) -> None:
    whole = (own / "003.jpg").read_bytes()
    (own / "003.jpg").write_bytes(b"no picture")
    before = a_map(own, tmp_path)
    before.build("decoding", silent)
    (own / "003.jpg").write_bytes(whole)
    files = Folder(own, tmp_path / "log")
    files.asked()
    one = a_map(own, tmp_path)
    assert one.open() is None
    made = one.build("decoding", silent)
    assert not made.unreadable
    assert made.rows.tolist() == list(range(COUNT))
    assert holds_its_photos(made, one, own)
    assert files.asked() == ["003.jpg"]
    assert not before.folder.exists()


def test_a_map_that_is_open_stays_as_it_was_when_a_photo_is_replaced(
    own: Path, tmp_path: Path
) -> None:
    before = a_map(own, tmp_path)
    opened = before.build("decoding", silent)
    kept = np.array(opened.pixels)
    shutil.copyfile(own / "000.png", own / "100.png")
    one = a_map(own, tmp_path)
    made = one.build("decoding", silent)
    assert holds_its_photos(made, one, own)
    assert np.array_equal(opened.pixels, kept)
    assert not np.array_equal(made.pixels, kept)


def test_the_same_photos_elsewhere_are_the_same_map_and_part_of_them_is_copied(
    own: Path, photos: Path, tmp_path: Path
) -> None:
    made = a_map(photos, tmp_path).build("decoding", silent)
    files = Folder(own, tmp_path / "log")
    files.asked()
    assert np.array_equal(a_map(own, tmp_path).build("decoding", silent).pixels, made.pixels)
    part = a_map(own, tmp_path, first=50).build("decoding", silent)
    assert np.array_equal(part.pixels, made.pixels[50:])
    assert files.asked() == []
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_photos_are_read_in_the_order_that_is_fast_and_stand_in_theirs(
    photos: Path, tmp_path: Path
) -> None:
    one = replace(a_map(photos, tmp_path), reading=np.arange(COUNT)[::-1])
    made = one.build("decoding", silent)
    assert holds_its_photos(made, one, photos)
    assert Folder(photos, tmp_path / "log").asked() == one.refs[::-1].tolist()


def test_a_file_that_changed_since_its_digest_was_made_is_said(own: Path, tmp_path: Path) -> None:
    one = a_map(own, tmp_path)
    (own / "100.png").write_bytes((own / "000.png").read_bytes())
    with pytest.raises(UserError, match=r"100\.png changed while photos were decoded"):
        one.build("decoding", silent)
    assert one.open() is None


def test_a_file_with_its_stamp_is_not_compared_again_and_one_with_another_is(
    own: Path, tmp_path: Path
) -> None:
    one = a_map(own, tmp_path)
    stamps = np.array([one.files.stamp(ref) for ref in one.refs.tolist()])
    wrong = np.array([b"0" * 32] * COUNT)
    replace(one, contents=wrong, stamps=stamps).build("decoding", silent)
    other = np.array([b"1" * 32] * COUNT)
    stamps[7] += 1
    with pytest.raises(UserError, match=r"007\.jpg changed"):
        replace(one, contents=other, stamps=stamps).build("decoding", silent)


def test_other_photos_or_another_size_are_another_map(photos: Path, tmp_path: Path) -> None:
    one = a_map(photos, tmp_path)
    swapped = one.contents.copy()
    swapped[:2] = one.contents[1::-1]
    others = [
        replace(one, refs=one.refs[1:], contents=one.contents[1:]),
        replace(one, side=SIDE + 1),
        replace(one, files=replace(one.files, how="otherwise")),
        replace(one, contents=swapped),
    ]
    assert len({each.folder for each in [one, *others]}) == 5
    renamed = replace(one, refs=np.char.add("new/", one.refs), origin="elsewhere")
    assert renamed.folder == one.folder


def test_a_disk_without_room_is_said_before_anything_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = a_map(photos, tmp_path)
    assert check_room([one], tmp_path / "not" / "there") == one.bytes == COUNT * SIDE * SIDE * 3
    monkeypatch.setattr(shutil, "disk_usage", lambda where: namedtuple("Usage", "free")(10**4))
    with pytest.raises(UserError, match=r"need 154 kB .* where 10 kB are free"):
        check_room([one], tmp_path)


def test_workers_are_counted_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from discl.files.processes import workers

    monkeypatch.setenv("DISCL_WORKERS", "3")
    assert workers() == 3
    monkeypatch.setenv("DISCL_WORKERS", "no")
    with pytest.raises(UserError, match="DISCL_WORKERS = 'no'"):
        workers()
    monkeypatch.delenv("DISCL_WORKERS")
    assert 1 <= workers() <= (os.cpu_count() or 1)


def test_a_large_jpeg_decoded_at_a_part_of_its_size_looks_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize(
        (800, 600), Image.Resampling.BICUBIC
    )
    coarse.save(tmp_path / "a.jpg", quality=95)
    quick = decode_square((tmp_path / "a.jpg").read_bytes(), "a", 64).astype(int)
    square = (
        Image.open(tmp_path / "a.jpg")
        .crop((100, 0, 700, 600))
        .resize((64, 64), Image.Resampling.BICUBIC)
    )
    assert np.abs(quick - np.asarray(square)).mean() < 2
    tiny = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(tiny).save(tmp_path / "b.png")
    assert np.array_equal(decode_square((tmp_path / "b.png").read_bytes(), "b", 32), tiny)

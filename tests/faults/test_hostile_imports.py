"""Imports of exports whose hashes are right and whose rows are not: all or nothing."""

import hashlib
import io
import math
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.engine.bank import rules
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Cell, ImageRecord
from discl.engine.bank.exchange import export_bank, import_bank
from discl.engine.bank.generate import SourceImages, key_of, request_of
from discl.engine.bank.rules import ImageRules
from discl.files import shards
from discl.files.formats import tables
from discl.files.photos import encode
from discl.files.sources.unpacking import unpack
from discl.parts.prompts.template import Template
from tests.faults import damage

CLASSES = ("cat", "dog")
PROCESS: dict[str, object] = {"dataset": {"name": "toy"}}
STEPS = 12
Row = dict[str, Any]


def _quiet(*_: Any) -> None:
    return None


def _sources() -> SourceImages:
    ids = ("photo0", "photo1")
    labels = np.array([0, 1])
    captions = (("a cat",), ("a dog",))
    return SourceImages(ids, labels, labels, np.zeros((2, 8, 8, 3)), CLASSES, captions, Template())


def _rules(bank: Bank) -> ImageRules:
    return ImageRules(bank.id, _sources(), STEPS)


def _image(bank: Bank, cell: Cell, side: int = 8) -> tuple[ImageRecord, bytes]:
    data = encode(np.full((side, side, 3), cell.level + cell.variant, np.uint8))
    sources = _sources()
    position = sources.position[cell.source]
    request = request_of(bank.id, cell, sources.choices(position))
    record = ImageRecord(
        *cell,
        key=key_of(bank.id, cell),
        label=position,
        prompt=request.prompt,
        caption=sources.caption(position),
        seed=request.seed,
        denoising_steps=12 if cell.level == 0 else 6,
        text_score=0.25,
        photo_score=None,
        status="made",
        why="",
        offset=0,
        length=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return record, data


def _put(bank: Bank, record: ImageRecord, data: bytes) -> None:
    record = record._replace(length=len(data), sha256=hashlib.sha256(data).hexdigest())
    bank.catalogue.add(shards.write(bank.shards, ImageRecord._fields, [record], [data]), [record])


CELLS = [
    Cell(source, level, variant)
    for source in ("photo0", "photo1")
    for level in (0, 50)
    for variant in range(2)
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of eight images."""
    folder = tmp_path_factory.mktemp("exported")
    bank = Bank(folder / "here", PROCESS)
    for cell in CELLS:
        _put(bank, *_image(bank, cell))
    export_bank(bank, CLASSES, folder / "shared", "parquet", _quiet)
    bank.close()
    return folder / "shared"


@pytest.fixture
def shared(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "shared")


def _rewritten(folder: Path, change: Callable[[list[Row]], object]) -> None:
    (path,) = folder.glob("data/*.parquet")
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def _bytes(data: bytes) -> Callable[[list[Row]], None]:
    """Other bytes for an image, with their right hash and length."""

    def change(rows: list[Row]) -> None:
        rows[3]["image"]["bytes"] = data
        rows[3]["sha256"] = hashlib.sha256(data).hexdigest()
        rows[3]["length"] = len(data)

    return change


def _column(name: str, value: Any) -> Callable[[list[Row]], None]:
    return lambda rows: rows[3].update({name: value})


def _with_key(name: str, value: Any) -> Callable[[list[Row]], None]:
    """Another cell, with the key of that cell."""

    def change(rows: list[Row]) -> None:
        rows[3][name] = value
        cell = Cell(rows[3]["source"], rows[3]["level"], rows[3]["variant"])
        rows[3]["key"] = key_of(rows[3]["bank"], cell)

    return change


def _pixels(*shape: int) -> bytes:
    return encode(np.zeros((*shape, 3), np.uint8))


def _lossy() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    return buffer.getvalue()


ATTACKS: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "no image": (_bytes(b"no image at all"), "its bytes are no lossless WebP image"),
    "the head of an image": (_bytes(_pixels(8, 8)[:26]), "its bytes cannot be decoded"),
    "a lossy image": (_bytes(_lossy()), "its bytes are no lossless WebP image"),
    "another size": (_bytes(_pixels(8, 9)), "it has 9 x 8 pixels where those of this bank have 8"),
    "a huge image": (_bytes(_pixels(300, 300)), "it claims 300 x 300 pixels"),
    "no cosine": (_column("text_score", 1.5), "its text_score is 1.5, which is no cosine"),
    "nan": (_column("photo_score", math.nan), "its photo_score is nan"),
    "below -1": (_column("photo_score", -7.0), "its photo_score is -7.0"),
    "a row twice": (lambda rows: rows.append(dict(rows[0])), "it is there twice"),
    "all rows twice": (lambda rows: rows.extend(map(dict, rows[:])), "it is there twice"),
    "a level": (_with_key("level", 100), "its level is 100"),
    "below all levels": (_with_key("level", -1), "its level is -1"),
    "a variant": (_with_key("variant", -1), "its variant is -1"),
    "a photo": (_with_key("source", "photo9"), "its photo is none that images are made from"),
    "a prompt": (_column("prompt", "something else"), "its prompt is 'something else' instead"),
    "a caption": (_column("caption", "something else"), "its caption is 'something else'"),
    "a label": (_column("label", 0), "its label is 0 instead of 1"),
    "a seed": (_column("seed", 1), "its seed is 1 instead"),
    "steps": (_column("denoising_steps", 1), "its denoising_steps is 1 instead"),
    "a long text": (_column("why", "a" * 200_000), "its why is 'aaa"),
}


@pytest.mark.parametrize(("change", "says"), ATTACKS.values(), ids=ATTACKS)
def test_of_an_export_with_a_row_at_fault_nothing_is_taken(
    change: Callable[[list[Row]], object],
    says: str,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "MOST_PIXELS", 10_000)
    bank = Bank(tmp_path / "there", PROCESS)
    before = _image(bank, CELLS[0])
    _put(bank, *before)
    if "huge" in says or "claims" in says:  # refused before its size is compared with another
        bank.drop([CELLS[0]])
    _rewritten(shared, change)
    done = import_bank(bank, shared, _quiet, _rules(bank))
    assert done.new == 0
    assert all(says in row.why for row in done.rejected)
    assert done.rejected
    assert sum(bank.count().values()) <= 1
    assert len(shards.names(bank.shards)) == 1
    bank.close()


def test_the_same_export_untouched_is_taken_whole(shared: Path, tmp_path: Path) -> None:
    bank = Bank(tmp_path / "there", PROCESS)
    assert import_bank(bank, shared, _quiet, _rules(bank)) == (8, 0, 0, [])
    assert list(bank.verify(_rules(bank))) == []
    bank.close()


def test_a_huge_image_is_refused_by_its_header(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def decoded(*_: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(rules, "MOST_PIXELS", 10_000)
    monkeypatch.setattr(rules, "decode", decoded)
    bank = Bank(tmp_path / "here", PROCESS)
    record, data = _image(bank, CELLS[0], side=300)
    assert "claims 300 x 300 pixels" in ImageRules(bank.id).fault(record, data)
    bank.close()


VERIFIED = {
    name: attack
    for name, attack in ATTACKS.items()
    # a catalogue has no twins, and no nan
    if name not in ("a row twice", "all rows twice", "a huge image", "nan")
}


def test_verify_finds_what_import_refuses(shared: Path, tmp_path: Path) -> None:
    bank = Bank(tmp_path / "there", PROCESS)
    import_bank(bank, shared, _quiet, _rules(bank))
    rows = [{"bank": bank.id, "image": {}, **record._asdict()} for record in bank.records()]
    for change, says in VERIFIED.values():
        changed = [{**row, "image": {}} for row in rows[:4]]
        data = next(data for record, data in bank.encoded() if record.key == changed[3]["key"])
        bank.drop([Cell(*(rows[3][name] for name in Cell._fields))])
        change(changed)
        data = changed[3]["image"].get("bytes", data)
        record = ImageRecord(*(changed[3][name] for name in ImageRecord._fields))
        before = _image(bank, Cell(*(rows[3][name] for name in Cell._fields)))
        _put(bank, record._replace(offset=0), data)
        assert [says in damage.why for damage in bank.verify(_rules(bank))] == [True], says
        bank.drop([record.cell])
        _put(bank, *before)
    bank.close()


def test_a_row_group_that_fills_the_memory_is_refused(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 100)
    bank = Bank(tmp_path / "there", PROCESS)
    with pytest.raises(UserError, match="has a row group of .* write it with smaller ones"):
        import_bank(bank, shared, _quiet, _rules(bank))
    assert bank.count() == {}
    bank.close()


# ---------------------------------------------------------------- archives


def _zip(path: Path, entry: zipfile.ZipInfo) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, b"a" * 10_000)


def _tar(path: Path, entry: tarfile.TarInfo) -> None:
    entry.size = 10_000 if entry.isreg() else 0
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(entry, io.BytesIO(b"a" * 10_000))


def _tar_entry(kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo("entry")
    entry.type = kind
    entry.linkname = "elsewhere/../../outside"
    return entry


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_out_of_the_folder_and_pipes_are_not_unpacked(kind: bytes, tmp_path: Path) -> None:
    _tar(tmp_path / "a.tar.gz", _tar_entry(kind))
    with pytest.raises(UserError, match=r"a\.tar\.gz cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in" / "to", _quiet)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar.gz", "in", "to"]


def test_an_archive_larger_than_the_disk_is_refused_before_it_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _zip(tmp_path / "a.zip", zipfile.ZipInfo("entry"))
    _tar(tmp_path / "a.tar.gz", tarfile.TarInfo("entry"))
    usage = shutil.disk_usage(tmp_path)._replace(free=9_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(UserError, match="unpacks to 10,000 bytes, and .* has 9,000 free"):
            unpack(tmp_path / name, tmp_path / "into", _quiet)
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("damage", damage.KINDS.values(), ids=damage.KINDS)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_damaged_archive_is_a_sentence(
    damage: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    chance = np.random.default_rng(0).bytes(20_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("entry", chance)
    (tmp_path / "entry").write_bytes(chance)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "entry", "entry")
    damage(tmp_path / name)
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(tmp_path / name, tmp_path / "into", _quiet)

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.engine.bank import exchange
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.engine.bank.exchange import export_bank, import_bank
from discl.engine.bank.generate import key_of
from discl.engine.bank.leases import is_being_filled
from discl.files import shards
from discl.files.formats import tables
from discl.files.photos import encode

PROCESS: dict[str, object] = {
    "dataset": {"name": "toy"},
    "generator": {"name": "blend", "parameters": {"steps": 12}},
}
CLASSES = ("cat", "dog")
FORMATS = pytest.mark.parametrize("form", sorted(tables.FORMS))


def _quiet(*_: Any) -> None:
    return None


def _row(bank: Bank, cell: Cell, data: bytes, offset: int) -> ImageRecord:
    score = None if cell.variant else cell.level / 300
    status, why = (MADE, "") if data else (FAILED, "it is late")
    return ImageRecord(
        *cell,
        key_of(bank.id, cell),
        cell.variant % 2,
        'a "cat", é',
        "a cat",
        2**63 - 1 - cell.level,
        6,
        score,
        score,
        status,
        why,
        offset,
        len(data),
        hashlib.sha256(data).hexdigest(),
    )


def _filled(root: Path, photos: int = 3) -> Bank:
    """A bank of 6 images a photo, and one cell of each that could not be made."""
    bank, chance = Bank(root, PROCESS), np.random.default_rng(0)
    for photo in range(photos):
        cells = [Cell(f"photo{photo}", level, variant) for level in (0, 50) for variant in range(3)]
        blobs = [encode(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in cells]
        cells, blobs = [*cells, Cell(f"photo{photo}", 0, 3)], [*blobs, b""]
        ends = np.cumsum([0, *map(len, blobs)]).tolist()
        rows = [
            _row(bank, cell, data, end) for cell, data, end in zip(cells, blobs, ends, strict=False)
        ]
        bank.catalogue.add(shards.write(bank.shards, ImageRecord._fields, rows, blobs), rows)
    return bank


def _known(bank: Bank) -> list[ImageRecord]:
    """All that is known of every image, but for the place in a shard."""
    return [
        row._replace(offset=0) for status in (MADE, FAILED) for row in bank.records(status=status)
    ]


def _exported(tmp_path: Path, form: str = "parquet") -> tuple[Bank, Path]:
    bank = _filled(tmp_path / "here")
    assert export_bank(bank, CLASSES, tmp_path / "shared", form, _quiet) == 18
    return bank, tmp_path / "shared"


@FORMATS
def test_a_round_trip_is_exact(tmp_path: Path, form: str) -> None:
    bank, folder = _exported(tmp_path, form)
    other = Bank(tmp_path / "there", PROCESS)
    assert import_bank(other, folder, _quiet) == (21, 0, 0, [])
    assert other.digest() == bank.digest()
    assert _known(other) == _known(bank)
    assert [data for _, data in other.encoded()] == [data for _, data in bank.encoded()]
    assert list(other.verify()) == []
    assert not is_being_filled(other.folder)


@FORMATS
def test_datasets_sees_pictures_and_every_column(tmp_path: Path, form: str) -> None:
    import datasets

    bank, folder = _exported(tmp_path, form)
    if form == "datasets":
        loaded = datasets.load_from_disk(str(folder))
    else:
        files = [str(path) for path in folder.glob("data/*.parquet")]
        loaded = datasets.load_dataset(
            "parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache")
        )
        assert (
            len(
                datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
            )
            == 18
        )
    assert isinstance(loaded.features["image"], datasets.Image)
    assert {*loaded.column_names} == {"image", "bank", "class_name", *ImageRecord._fields}
    first, stored = loaded[0], next(bank.records())
    assert (first["bank"], first["class_name"], first["seed"], first["why"]) == (
        bank.id,
        "cat",
        stored.seed,
        "",
    )
    assert np.array_equal(np.asarray(first["image"]), bank.image(stored.cell)[0])
    kept = loaded.cast_column("image", datasets.Image(decode=False))
    assert hashlib.sha256(kept[0]["image"]["bytes"]).hexdigest() == stored.sha256
    assert Image.open(io.BytesIO(kept[0]["image"]["bytes"])).format == "WEBP"


@FORMATS
def test_files_and_row_groups_are_of_bounded_size(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BATCH_IMAGES", 4)
    monkeypatch.setattr(tables, "BATCH", 3)
    monkeypatch.setattr(tables, "FILE_BYTES", 4000)
    bank, folder = _exported(tmp_path, form)
    files = sorted(folder.glob("data*/*.parquet")) + sorted(folder.glob("*.arrow"))
    assert len(files) > 2
    assert all(f"-of-{len(files):05d}." in path.name for path in files)
    if form == "parquet":
        assert max(pq.read_metadata(path).row_group(0).num_rows for path in files) <= 4
    other = Bank(tmp_path / "there", PROCESS)
    import_bank(other, folder, _quiet)
    assert other.digest() == bank.digest()
    held = [len(shards.read_index(other.shards, name)[1]) for name in shards.names(other.shards)]
    assert sum(held) == 21
    assert max(held) <= 4


def test_no_more_than_a_batch_is_held_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BATCH_IMAGES", 2)
    bank, handed, written = _filled(tmp_path), [0], [0]
    encoded = Bank.encoded

    def counted(bank: Bank, level: int | None = None) -> Any:
        for image in encoded(bank, level):
            handed[0] += 1
            # a batch on its way to disk, one being filled, and the image that is too many
            assert handed[0] - written[0] <= 5
            yield image

    monkeypatch.setattr(Bank, "encoded", counted)
    export_bank(
        bank,
        CLASSES,
        tmp_path / "shared",
        "parquet",
        lambda _, done, __: written.__setitem__(0, done),
    )
    assert handed == written == [18]


def test_what_is_there_stays(tmp_path: Path) -> None:
    bank, folder = _exported(tmp_path)
    before = sorted(path.name for path in bank.shards.iterdir())
    assert import_bank(bank, folder, _quiet) == (0, 21, 0, [])
    assert sorted(path.name for path in bank.shards.iterdir()) == before
    bank.drop([Cell("photo1", 50, 2), Cell("photo1", 0, 3)])
    with bank.catalogue.writing() as db:
        db.execute(
            "UPDATE images SET sha256 = 'made elsewhere' WHERE source = 'photo0' AND level = 0 AND"
            " variant = 0"
        )
    assert import_bank(bank, folder, _quiet) == (2, 19, 1, [])


def _rewritten(folder: Path, form: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """The export again, with its rows changed and its schema kept."""
    (path,) = [*folder.glob("data/*.parquet"), *folder.glob("*.arrow")]
    table = (
        pq.read_table(path)
        if form == "parquet"
        else pa.ipc.open_stream(path.read_bytes()).read_all()
    )
    rows = table.to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, table.schema)
    if form == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)


@FORMATS
def test_of_an_export_with_damaged_rows_nothing_is_taken_and_each_is_named(
    tmp_path: Path, form: str
) -> None:
    _, folder = _exported(tmp_path, form)

    def damage(rows: list[dict[str, Any]]) -> None:
        data = rows[0]["image"]["bytes"]
        rows[0]["image"]["bytes"] = data[:30] + bytes([data[30] ^ 1]) + data[31:]
        rows[1]["variant"] = 7  # a key that belongs to another cell
        rows[2]["image"] = None
        rows[3]["prompt"] = None
        rows[4]["status"] = FAILED

    _rewritten(folder, form, damage)
    with (folder / "failed.jsonl").open("a") as opened:
        opened.write('{"torn": \n')
        opened.write(json.dumps(dict.fromkeys(ImageRecord._fields, 2**70)) + "\n")
    other = Bank(tmp_path / "there", PROCESS)
    done = import_bank(other, folder, _quiet)
    assert (done.new, done.existing) == (0, 0)
    said = [f"{name}: {why}" for name, why in done.rejected]
    assert said[0] == "photo0 level 0 variant 0: its bytes are not those its sha256 names"
    assert said[1] == "photo0 level 0 variant 7: its key is not that of this image in this bank"
    assert "photo0 level 0 variant 2: its bytes" in said[2]
    assert said[3] == "photo1 level 0 variant 0: its prompt is None"
    assert "its status is 'failed'" in said[4]
    assert said[5] == "failed.jsonl line 4: it is torn"
    assert len(said) == 7
    assert other.count() == {}
    assert shards.names(other.shards) == []
    assert not list(other.folder.glob(".*.tmp"))


def test_an_export_of_another_process_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    _, folder = _exported(tmp_path)
    generator = {"name": "blend", "parameters": {"steps": 25}}
    with pytest.raises(UserError, match="generator.parameters.steps is 12 there and 25 here"):
        import_bank(Bank(tmp_path / "there", {**PROCESS, "generator": generator}), folder, _quiet)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "bank.json").unlink(), "holds no bank.json"),
        (lambda folder: (folder / "bank.json").write_text("{"), "bank.json cannot be read"),
        (lambda folder: next(folder.glob("*.arrow")).unlink(), "cannot be read"),
        (lambda folder: next(folder.glob("*.arrow")).write_bytes(b"torn"), "cannot be read"),
        (lambda folder: (folder / "state.json").write_text("[]"), "state.json is damaged"),
        (
            lambda folder: (folder / "state.json").write_text(
                '{"_data_files": [{"filename": "../x"}]}'
            ),
            "'../x', which does not lie",
        ),
        (lambda folder: (folder / "state.json").unlink(), "neither Parquet files nor"),
        (
            lambda folder: (folder / "lone.parquet").write_bytes(b"torn"),
            "lone.parquet cannot be read",
        ),
        (
            lambda folder: pq.write_table(pa.table({"image": [1]}), folder / "lone.parquet"),
            "has no column 'source'",
        ),
    ],
)
def test_a_folder_that_is_no_whole_export_is_a_sentence(
    tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    _, folder = _exported(tmp_path, "datasets")
    spoil(folder)
    with pytest.raises(UserError, match=says):
        import_bank(Bank(tmp_path / "there", PROCESS), folder, _quiet)


def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    bank = _filled(tmp_path / "here")
    (tmp_path / "shared").mkdir()
    with pytest.raises(KeyError):
        export_bank(bank, {0: "cat"}, tmp_path / "shared", "parquet", _quiet)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "shared"]
    assert list((tmp_path / "shared").iterdir()) == []
    export_bank(bank, CLASSES, tmp_path / "shared", "parquet", _quiet)
    with pytest.raises(UserError, match="not empty"):
        export_bank(bank, CLASSES, tmp_path / "shared", "parquet", _quiet)
    with pytest.raises(UserError, match="holds no image"):
        export_bank(Bank(tmp_path / "new", PROCESS), CLASSES, tmp_path / "other", "parquet", _quiet)
    assert not (tmp_path / "other").exists()


def test_a_damaged_image_is_not_exported(tmp_path: Path) -> None:
    bank = _filled(tmp_path / "here")
    shard = next(bank.shards.iterdir())
    shard.write_bytes(b"\0" + shard.read_bytes()[1:])
    with pytest.raises(UserError, match="is damaged; run `discl bank verify`"):
        export_bank(bank, CLASSES, tmp_path / "shared", "parquet", _quiet)

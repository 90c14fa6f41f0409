from pathlib import Path

import numpy as np
import pytest

from discl.core.seals import DamagedFileError, opened_line, read_sealed, sealed_line, sealed_text
from discl.files import sealed

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_a_sealed_array_is_one_that_any_reader_of_npy_files_reads(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    sealed.save_array(path, ROWS)
    assert np.array_equal(np.load(path), ROWS)
    assert np.array_equal(sealed.load_array(path, "", rows=4, dtype=np.float32), ROWS)


def test_an_array_of_an_earlier_version_is_read_as_long_as_its_length_is_right(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, ROWS)
    assert not sealed.recheck(path, "")
    assert np.array_equal(sealed.load_array(path, ""), ROWS)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DamagedFileError, match="another length"):
        sealed.load_array(path, "")


@pytest.mark.parametrize("lost", [1, 8, 20, 40])
def test_an_array_whose_seal_is_cut_off_is_damaged(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    sealed.save_array(path, ROWS)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DamagedFileError, match="rows.npy"):
        sealed.load_array(path, "make it again")


def test_a_file_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "level.npy"
    sealed.save_array(path, ROWS, "level 10 of a bank")
    with pytest.raises(DamagedFileError, match="in the place of another file"):
        sealed.load_array(path, "", "level 50 of a bank")


def test_a_damaged_cache_is_told_and_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.npy"
    path.write_bytes(b"")
    array = sealed.cached_array(path, lambda: sealed.save_array(path, ROWS))
    assert np.array_equal(array, ROWS)
    assert capsys.readouterr().err == f"{path} is empty; it is made again\n"


def test_a_seal_finds_a_number_that_was_changed_and_no_seal_is_none(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(sealed_text({"metrics": {"test/acc": 0.4}, "z": 1}), "utf-8")
    assert read_sealed(path, "") == {"metrics": {"test/acc": 0.4}, "z": 1}
    path.write_text(path.read_text("utf-8").replace("0.4", "0.9"), "utf-8")
    with pytest.raises(DamagedFileError, match=r"result.json was changed .*; run again"):
        read_sealed(path, "run again")
    path.write_text('{"z": 1}', "utf-8")
    assert read_sealed(path, "") == {"z": 1}


def test_a_line_of_a_record_is_checked_by_itself() -> None:
    line = sealed_line({"event": "epoch", "loss": 0.5})
    assert opened_line(line) == {"event": "epoch", "loss": 0.5}
    assert opened_line('{"event": "epoch"}') == {"event": "epoch"}
    assert opened_line(line[:-3]) is None
    with pytest.raises(ValueError, match="seal"):
        opened_line(line.replace("0.5", "0.4"))

import errno
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.files.disk import (
    atomic_folder,
    atomic_write,
    clear_disk_errors,
    replaced_folder,
    resource,
)
from discl.files.weights import digest_of, folder_of


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_a_disk_that_refuses_is_a_sentence_with_a_way_out(
    code: int, says: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(UserError, match=f"writing images failed at .*{says}.*DISCL_HOME"),
        clear_disk_errors("writing images", tmp_path),
    ):
        raise OSError(code, "refused")


def test_other_errors_are_not_dressed_up(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), clear_disk_errors("writing images", tmp_path):
        raise OSError(errno.EBADF, "odd")


def test_a_published_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as tmp:
        tmp.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_published_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(path) as tmp:  # noqa: PT012 - it must be left by an error
        (tmp / "file.txt").write_text("tmp")
        raise RuntimeError("stop")
    assert list(path.parent.iterdir()) == []
    with atomic_folder(path) as tmp:
        (tmp / "file.txt").write_text("whole")
        assert not path.exists()
    assert (path / "file.txt").read_text() == "whole"
    for taken in (path, path / "file.txt"):
        with pytest.raises(UserError, match="give a new folder"), atomic_folder(taken):
            pass


def test_a_folder_that_another_process_is_replacing_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with replaced_folder(path) as ours:
        (ours / "file.txt").write_text("ours")
        with replaced_folder(path) as theirs:
            (theirs / "file.txt").write_text("theirs")
        assert (path / "file.txt").read_text() == "theirs"
        assert ours.exists()
    assert (path / "file.txt").read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_is_to_be_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    says = "a file stands where a folder is needed"
    with pytest.raises(UserError, match=says), replaced_folder(path) as tmp:
        (tmp / "file.txt").touch()
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_that_another_process_filled_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    says = "filled by another process"
    with pytest.raises(UserError, match=says), atomic_folder(path) as tmp:  # noqa: PT012 - it is filled inside
        (tmp / "file.txt").write_text("ours")
        path.mkdir()
        (path / "file.txt").write_text("theirs")
    assert (path / "file.txt").read_text() == "theirs"


def test_a_resource_stays_inside_its_package() -> None:
    assert resource("pkg://discl/assets").is_dir()
    with pytest.raises(UserError, match="leaves its package"):
        resource("pkg://discl/../../secrets")
    with pytest.raises(UserError, match="no package called 'nowhere'"):
        resource("pkg://nowhere/x")


def test_a_digest_changes_with_the_bytes_and_not_with_the_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"1234")
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b")
    (tmp_path / "b" / "weights.safetensors").write_bytes(b"12345")
    assert digest_of(tmp_path / "a") != digest_of(tmp_path / "b")


@pytest.mark.parametrize("checkpoint", ["./nowhere", "owner/no-such-model", "one-word"])
def test_a_checkpoint_that_is_not_there_is_named(checkpoint: str) -> None:
    with pytest.raises(UserError, match="generator.checkpoint = "):
        folder_of(checkpoint, "generator.checkpoint")

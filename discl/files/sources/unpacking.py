"""Archives, unpacked so that nothing leaves its folder."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.core.plain_files import open_file, plain

_CHUNK = 1 << 20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, ValueError, RuntimeError),  # RuntimeError: a zip with a password
)


def safe_path(name: str) -> Path:
    """The path that an archive or list names; raises UserError where it leaves its folder."""
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(
            f"{name!r} leaves its folder; this archive or list is damaged or not to be trusted"
        )
    return path


def unpack(archive: Path, into: Path, progress: Progress) -> None:
    """Everything in a tar (plain, gz, bz2, xz) or zip, inside `into`; it may be done again.

    Raises UserError where the archive is damaged, an entry leaves the folder, or the disk has not
    the room that the entries claim.
    """
    into.mkdir(parents=True, exist_ok=True)
    how: Callable[[Path, Path, Progress], None] = (
        _unzip if archive.suffix.lower() == ".zip" else _untar
    )
    try:
        how(archive, into, progress)
    except _DAMAGED as error:
        raise UserError(
            f"{archive} cannot be unpacked ({error}); remove it and run the same again to fetch it"
            " anew"
        ) from error


def _untar(archive: Path, into: Path, progress: Progress) -> None:
    size = archive.stat().st_size
    with open_file(archive, "rb") as raw, tarfile.open(fileobj=raw) as opened:
        for count, member in enumerate(opened):
            _check_room(archive, member.size, into)
            opened.extract(member, into, filter="data")
            if count % 500 == 0:
                progress(f"unpacking {archive.name}", raw.tell(), size)
        # the checksum of compressed ones stands at their end, which a tar's last entry is before
        while opened.fileobj is not None and opened.fileobj.read(_CHUNK):
            pass
    progress(f"unpacking {archive.name}", size, size)


def _unzip(archive: Path, into: Path, progress: Progress) -> None:
    with zipfile.ZipFile(plain(archive)) as opened:
        members = opened.infolist()
        _check_room(archive, sum(member.file_size for member in members), into)
        for count, member in enumerate(members):
            safe_path(member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(
                    f"{archive} holds a link ({member.filename!r}), which is not unpacked; it is"
                    " not to be trusted"
                )
            opened.extract(member, into)
            if count % 500 == 0:
                progress(f"unpacking {archive.name}", count, len(members))
    progress(f"unpacking {archive.name}", 1, 1)


def _check_room(archive: Path, needed: int, into: Path) -> None:
    """Raise UserError where the disk has no room for so many bytes, as an archive may claim."""
    free = shutil.disk_usage(into).free
    if needed > free:
        raise UserError(
            f"{archive} unpacks to {needed:,} bytes, and {into} has {free:,} free; free some space,"
            " or do not trust the archive"
        )

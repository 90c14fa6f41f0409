"""Sources of a whole dataset, and its folder filled from the first that delivers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from discl.core.errors import DiskError, UserError
from discl.core.interfaces import Progress
from discl.files.disk import (
    atomic_write,
    clear_disk_errors,
    data_home,
    flush,
    flush_all,
    folder_lock,
    write_text,
)
from discl.files.sources.downloading import check, check_token, checksum, download
from discl.files.sources.reach import hub_is_reachable, hub_refusal, hub_token
from discl.files.sources.remote import RemoteFile, format_bytes
from discl.files.sources.unpacking import safe_path, unpack

MAX_AUTOMATIC_BYTES = 1_000_000_000  # what is larger is only downloaded by `discl data fetch`
_LISTED = 4  # files of a source that are named


class Source(Protocol):
    """One place a dataset can be had from."""

    @property
    def bytes(self) -> int:
        """Of the download."""

    @property
    def room(self) -> int:
        """Bytes that the download takes on the disk at its peak, with what is in it."""

    @property
    def automatic(self) -> bool:
        """Whether it may be fetched without being asked for: it is small and needs no person."""

    def is_reachable(self) -> bool:
        """Whether it can be reached; waits a few seconds at most."""

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Fill an empty or half filled folder; goes on where a kill stopped it.

        Raises UserError where the files cannot be had, or are not the expected ones.
        """

    @property
    def details(self) -> tuple[str, ...]:
        """Lines for people: its files and where each lies."""

    def __str__(self) -> str: ...


class WrongLocalFileError(UserError):
    """A file that a person put into $DISCL_DATA/downloads was not the expected one."""


@dataclass(frozen=True)
class Archives:
    """Files from the web, unpacked into the dataset's folder.

    One that a person put into $DISCL_DATA/downloads is taken from there.
    """

    title: str  # whose
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(remote.size for remote in self.files)

    @property
    def room(self) -> int:
        return sum(remote.size * (2 if remote.unpack else 1) for remote in self.files)

    @property
    def automatic(self) -> bool:
        lacking = [remote for remote in self.files if not _by_hand(remote).exists()]
        return (
            all(remote.bytes and not remote.terms for remote in lacking)
            and sum(remote.bytes for remote in lacking) <= MAX_AUTOMATIC_BYTES
        )

    def is_reachable(self) -> bool:
        """Each address is asked when it is tried, which says what is wrong there."""
        return True

    def fetch(self, folder: Path, progress: Progress) -> None:
        for remote in self.files:
            if remote.terms and not _by_hand(remote).exists():
                check_token(remote)  # before anything is fetched
        for remote in self.files:
            marker = folder / ".fetched" / f"{remote.name}.done"
            if marker.exists():
                continue
            given = _by_hand(remote)
            if given.exists():
                _check_given(remote, given, progress)
                archive = given
            else:
                archive = download(remote, folder / ".fetched" / remote.name, progress)
            into = folder / safe_path(remote.into) if remote.into else folder
            if remote.unpack:
                unpack(archive, into, progress)
                _check_members(remote, into)
            elif archive == given:
                with atomic_write(into / remote.name) as tmp:
                    shutil.copyfile(archive, tmp)
            else:
                into.mkdir(parents=True, exist_ok=True)
                os.replace(archive, into / remote.name)
            write_text(marker, remote.url + "\n")
            if archive != given:
                archive.unlink(missing_ok=True)

    @property
    def details(self) -> tuple[str, ...]:
        named = [
            f"{remote.name}: {', else '.join(map(str, remote.addresses))}"
            for remote in self.files[:_LISTED]
        ]
        more = len(self.files) - len(named)
        return (*named, f"and {more} more") if more else tuple(named)

    def __str__(self) -> str:
        return f"{self.title} ({format_bytes(self.bytes)})"


def _by_hand(remote: RemoteFile) -> Path:
    return data_home() / "downloads" / remote.name


def _check_given(remote: RemoteFile, given: Path, progress: Progress) -> None:
    try:
        check(remote, given, progress)
    except UserError as error:
        raise WrongLocalFileError(str(error)) from error


def _check_members(remote: RemoteFile, into: Path) -> None:
    """Raise UserError where a file from an archive is not the one it must hold."""
    for name, md5 in remote.holds:
        places = (into / name, *sorted(into.glob(f"*/{name}")))
        path = next((path for path in places if path.is_file()), None)
        found = checksum(path, "md5") if path else "no such file"
        if found != md5:
            raise UserError(
                f"{remote.name} holds {name} with md5 {found}, {md5} was expected; it is another"
                " version of the dataset: remove it and run the same again"
            )


@dataclass(frozen=True)
class Hub:
    """A dataset repository on the Hugging Face Hub, its files as they lie there."""

    repo: str
    bytes: int = 0
    revision: str = ""
    patterns: tuple[str, ...] = ("*",)

    details = ()

    @property
    def room(self) -> int:
        return 2 * self.bytes

    @property
    def automatic(self) -> bool:
        return 0 < self.bytes <= MAX_AUTOMATIC_BYTES

    def is_reachable(self) -> bool:
        return hub_is_reachable()

    def fetch(self, folder: Path, progress: Progress) -> None:
        from huggingface_hub import snapshot_download

        progress(f"loading {self.repo} from the Hugging Face Hub", 0, 1)
        try:
            snapshot_download(
                self.repo,
                repo_type="dataset",
                revision=self.revision or None,
                local_dir=folder,
                allow_patterns=list(self.patterns),
            )
        except Exception as error:  # the Hub's client lets its HTTP library's own errors through
            code = _status_of(error)
            refusal = hub_refusal(self.repo, code, bool(hub_token())) if code != 404 else ""
            if refusal:
                raise UserError(refusal) from error
            first = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise UserError(
                f"the Hub did not deliver {self.repo} ({first}); run the same again to go on"
            ) from error

    def __str__(self) -> str:
        return f"Hugging Face Hub ({format_bytes(self.bytes)}): {self.repo}"


def _status_of(error: BaseException | None) -> int:
    """The HTTP status that the Hub's client was answered with, also where it wraps the error."""
    while error is not None:
        code = getattr(getattr(error, "response", None), "status_code", 0)
        if code:
            return int(code)
        error = error.__cause__
    return 0


@dataclass(frozen=True)
class ByHand:
    """Files that only a person can get, such as behind a registration."""

    page: str
    what: str  # which files of it, and what to do with them
    bytes: int = 0

    automatic = False
    room = 0
    details = ()

    def is_reachable(self) -> bool:
        return False

    def fetch(self, folder: Path, progress: Progress) -> None:
        raise UserError(f"{self.page} cannot be fetched without you: {self.what}")

    def __str__(self) -> str:
        return f"by hand ({format_bytes(self.bytes)}): {self.page}: {self.what}"


def obtain(sources: Sequence[Source], folder: Path, progress: Progress, asked: bool) -> None:
    """Fill `folder` from the first source that delivers; it appears whole or not at all.

    Unless `asked`, only automatic sources are tried, and the network is not asked about the others.
    Raises UserError where no source delivers, with the reason of each, and DiskError at once.
    """
    problems: list[str] = []
    for number, source in enumerate(sources):
        tries_left = 1
        while tries_left and (asked or source.automatic):
            tries_left -= 1
            if not source.is_reachable():
                problems.append(
                    str(source) if isinstance(source, ByHand) else f"{source} does not answer"
                )
                break
            try:
                _fill(source, folder, number, progress)
                return
            except DiskError:
                raise
            except WrongLocalFileError as error:
                problems.append(str(error))
                progress(str(error), 0, 1)
                tries_left += 1  # it is set aside, so that the web is asked for that file
            except UserError as error:
                problems.append(f"{source}: {error}")
    if not problems:
        problems = [f"nothing may be downloaded into {folder} without being asked for"]
    raise UserError("; ".join(problems))


def _fill(source: Source, folder: Path, number: int, progress: Progress) -> None:
    workplace = folder.parent / ".fetching" / folder.name
    tmp = workplace / str(number)
    with folder_lock(workplace), clear_disk_errors("fetching", folder):
        if not folder.exists() or not any(folder.iterdir()):
            tmp.mkdir(exist_ok=True)
            _check_room(source, tmp)
            source.fetch(tmp, progress)
            shutil.rmtree(tmp / ".fetched", ignore_errors=True)
            flush_all(tmp)
            os.replace(tmp, folder)
            flush(folder.parent)


def _check_room(source: Source, tmp: Path) -> None:
    present = sum(path.stat().st_size for path in tmp.rglob("*") if path.is_file())
    needed = source.room - present
    free = shutil.disk_usage(tmp).free
    if needed > free:
        raise UserError(
            f"needs about {format_bytes(needed)} at {tmp.parent} for the download and what is in"
            f" it, where {format_bytes(free)} are free; free some space or point DISCL_DATA at a"
            " larger disk"
        )

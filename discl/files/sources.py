"""Sources of a dataset's files, and their download: resumed, checked, unpacked."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlparse

from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.files.disk import atomic_write, clear_disk_errors, data_home, folder_lock, write_text

MAX_AUTOMATIC_BYTES = 1_000_000_000  # what is larger is only downloaded by `discl data fetch`
_CONNECT_SECONDS = 3.0  # for a host's first answer
_READ_SECONDS = 60.0  # for more of a download
_BLOCK = 1 << 20
_TRIES = 5  # in a row without a byte


class Source(Protocol):
    """One place a dataset can be had from."""

    @property
    def bytes(self) -> int:
        """Of the download."""

    @property
    def automatic(self) -> bool:
        """Whether it may be fetched without being asked for: it is small and needs no person."""

    def is_reachable(self) -> bool:
        """Whether it can be reached; waits a few seconds at most."""

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Fill an empty or half filled folder; goes on where a kill stopped it.

        Raises UserError where the files cannot be had, or are not the expected ones.
        """

    def __str__(self) -> str: ...


class RemoteFile(NamedTuple):
    """A file somewhere on the web."""

    url: str
    bytes: int = 0  # 0 = not known to the byte
    sha256: str = ""
    md5: str = ""  # where the publisher gives nothing better
    into: str = ""  # folder below the dataset's
    unpack: bool = True  # False: it is put there as it is
    approximate_bytes: int = 0  # for people, where they are not known to the byte

    @property
    def name(self) -> str:
        return urlparse(self.url).path.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Archives:
    """Files from the web, unpacked into the dataset's folder.

    One that a person put into $DISCL_DATA/downloads is taken from there.
    """

    title: str  # whose
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(remote.bytes or remote.approximate_bytes for remote in self.files)

    @property
    def automatic(self) -> bool:
        lacking = [remote for remote in self.files if not _by_hand(remote).exists()]
        return (
            all(remote.bytes for remote in lacking)
            and sum(remote.bytes for remote in lacking) <= MAX_AUTOMATIC_BYTES
        )

    def is_reachable(self) -> bool:
        return all(
            _by_hand(remote).exists() or host_is_reachable(remote.url) for remote in self.files
        )

    def fetch(self, folder: Path, progress: Progress) -> None:
        for remote in self.files:
            marker = folder / ".fetched" / f"{remote.name}.done"
            if marker.exists():
                continue
            given = _by_hand(remote)
            target = given if given.exists() else folder / ".fetched" / remote.name
            archive = download(remote, target, progress)
            into = folder / safe_path(remote.into) if remote.into else folder
            if remote.unpack:
                unpack(archive, into, progress)
            else:
                with atomic_write(into / remote.name) as tmp:
                    shutil.copyfile(archive, tmp)
            write_text(marker, remote.url + "\n")
            if archive != given:
                archive.unlink()

    def __str__(self) -> str:
        return f"{self.title} ({format_bytes(self.bytes)}): " + ", ".join(
            remote.url for remote in self.files
        )


def _by_hand(remote: RemoteFile) -> Path:
    return data_home() / "downloads" / remote.name


@dataclass(frozen=True)
class Hub:
    """A dataset repository on the Hugging Face Hub, its files as they lie there."""

    repo: str
    bytes: int = 0
    revision: str = ""
    patterns: tuple[str, ...] = ("*",)

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
            first = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise UserError(
                f"the Hub did not deliver {self.repo} ({first}); run the same again to go on"
            ) from error

    def __str__(self) -> str:
        return f"Hugging Face Hub ({format_bytes(self.bytes)}): {self.repo}"


@dataclass(frozen=True)
class ByHand:
    """Files that only a person can get, such as behind a registration."""

    page: str
    what: str  # which files of it, and what to do with them
    bytes: int = 0

    automatic = False

    def is_reachable(self) -> bool:
        return False

    def fetch(self, folder: Path, progress: Progress) -> None:
        raise UserError(f"{self.page} cannot be fetched without you: {self.what}")

    def __str__(self) -> str:
        return f"by hand ({format_bytes(self.bytes)}): {self.page}: {self.what}"


def format_bytes(count: int) -> str:
    """A number of bytes for people: 1.2 GB."""
    if not count:
        return "size not known"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 100 * factor:
            return f"{count / factor:,.0f} {unit}"
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def obtain(sources: Sequence[Source], folder: Path, progress: Progress, asked: bool) -> None:
    """Fill `folder` from the first source that delivers; it appears whole or not at all.

    Unless `asked`, only automatic sources are tried, and the network is not asked about the others.
    Raises UserError where no source delivers.
    """
    problems = []
    for number, source in enumerate(sources):
        if not asked and not source.automatic:
            continue
        if not source.is_reachable():
            problems.append(
                str(source) if isinstance(source, ByHand) else f"{source} does not answer"
            )
            continue
        workplace = folder.parent / ".fetching" / folder.name
        tmp = workplace / str(number)
        try:
            with folder_lock(workplace), clear_disk_errors("fetching", folder):
                if not folder.exists() or not any(folder.iterdir()):
                    tmp.mkdir(exist_ok=True)
                    _check_room(source, tmp)
                    source.fetch(tmp, progress)
                    shutil.rmtree(tmp / ".fetched", ignore_errors=True)
                    os.replace(tmp, folder)
            return
        except UserError as error:
            problems.append(str(error))
    if not problems:
        problems = [f"nothing may be downloaded into {folder} without being asked for"]
    raise UserError("; ".join(problems))


def _check_room(source: Source, tmp: Path) -> None:
    present = sum(path.stat().st_size for path in tmp.rglob("*") if path.is_file())
    needed = 2 * source.bytes - present
    free = shutil.disk_usage(tmp).free
    if needed > free:
        raise UserError(
            f"{source} needs about {format_bytes(needed)} at {tmp.parent} for the download and what"
            f" is in it, where {format_bytes(free)} are free; free some space or point DISCL_DATA"
            " at a larger disk"
        )


# ---------------------------------------------------------------- reaching


def host_is_reachable(url: str) -> bool:
    """Whether the host of a URL, or the proxy in between, takes a connection."""
    address = urlparse(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname or ""):
        address = urlparse(proxy)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def hub_is_reachable() -> bool:
    """Whether the Hugging Face Hub can be reached; its own client would wait far longer."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and host_is_reachable(constants.ENDPOINT)


def hub_bytes(repo: str, revision: str = "") -> int:
    """Bytes of a dataset repository on the Hub; raises UserError where there is none."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(
            repo, revision=revision or None, files_metadata=True, timeout=10
        )
    except Exception as error:  # the Hub's client lets its HTTP library's own errors through
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UserError(
            f"the Hub does not give dataset {repo!r} ({first}); check the name, or set HF_TOKEN"
            " where it is private"
        ) from error
    return sum(file.size or 0 for file in info.siblings or ())


# ---------------------------------------------------------------- downloading


def download(remote: RemoteFile, target: Path, progress: Progress) -> Path:
    """The file at `target`, checked.

    What came before a kill or a broken line is kept as `.part` and not fetched again. Raises
    UserError where the address is wrong, the line breaks again and again, or the file is not the
    expected one.
    """
    if urlparse(remote.url).scheme not in ("http", "https"):
        raise UserError(f"{remote.url} is no web address")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        part = target.with_name(target.name + ".part")
        _fill(remote, part, progress)
        os.replace(part, target)
    _verify(remote, target, progress)
    return target


def _fill(remote: RemoteFile, part: Path, progress: Progress) -> None:
    failures = 0
    while True:
        before = _size_of(part)
        try:
            if _append(remote, part, progress):
                return
            why: object = "the connection closed early"
        except (http.client.HTTPException, OSError) as error:
            if isinstance(error, urllib.error.HTTPError) and not _may_pass(error.code):
                raise UserError(
                    f"{remote.url} answers {error.code} {error.reason}; it may have moved: get the"
                    " file by hand"
                ) from error
            if _is_of_the_disk(error):
                raise
            why = getattr(error, "reason", None) or error
        failures = 1 if _size_of(part) > before else failures + 1
        if failures == _TRIES:
            raise UserError(
                f"{remote.url} broke off {_TRIES} times ({why}); run the same again, what came is"
                f" kept at {part}"
            )
        time.sleep(min(10.0, 0.2 * 2**failures))


def _may_pass(code: int) -> bool:
    """Whether an HTTP error may be gone at the next try: the server's, a timeout, too many."""
    return code >= 500 or code in (408, 429)


def _is_of_the_disk(error: Exception) -> bool:
    of_the_network = ConnectionError | TimeoutError | urllib.error.URLError
    return (
        isinstance(error, OSError) and bool(error.errno) and not isinstance(error, of_the_network)
    )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(remote: RemoteFile, part: Path, progress: Progress) -> bool:
    """Append what the server sends to `part`; whether it is then whole."""
    version_file = part.with_name(part.name + ".json")  # what the server calls the version of it
    size = _size_of(part)
    version = json.loads(version_file.read_text("utf-8")) if size and version_file.exists() else ""
    headers = {"User-Agent": "discl", "Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    if version:
        headers["If-Range"] = version
    request = urllib.request.Request(remote.url, headers=headers)  # noqa: S310 - download() lets http and https through
    try:
        answer = urllib.request.urlopen(request, timeout=_READ_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # nothing after what we have: it is whole, or of another version
        total_there = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        error.close()
        if total_there == str(size) or remote.bytes == size:
            return True
        part.unlink()
        return False
    with answer:
        content_range = answer.headers.get("Content-Range") or ""
        resumed = answer.status == 206 and content_range.startswith(f"bytes {size}-")
        size = size if resumed else 0
        length = answer.headers.get("Content-Length")
        total = size + int(length) if length else remote.bytes
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_text(version_file, json.dumps("" if tag.startswith("W/") else tag))
        what = f"downloading {remote.name} ({format_bytes(total)})"
        with part.open("ab" if resumed else "wb") as opened:
            while block := answer.read(_BLOCK):
                opened.write(block)
                size += len(block)
                progress(what, size, max(total, size))
    if total and size < total:
        return False
    version_file.unlink(missing_ok=True)
    return True


def _verify(remote: RemoteFile, target: Path, progress: Progress) -> None:
    """Raises UserError where the file is not the expected one.

    It is moved away, so that the next try begins anew.
    """
    wrong = ""
    if remote.bytes and target.stat().st_size != remote.bytes:
        wrong = f"has {target.stat().st_size:,} bytes, {remote.bytes:,} were expected"
    for kind, wanted in (("sha256", remote.sha256), ("md5", remote.md5)):
        if wanted and not wrong:
            progress(f"checking {remote.name}", 0, 1)
            checksum = _checksum(target, kind)
            if checksum != wanted.lower():
                wrong = f"has {kind} {checksum}, {wanted} was expected"
    if not wrong:
        return
    aside = target.with_name(target.name + ".wrong")
    os.replace(target, aside)
    raise UserError(
        f"{remote.url} {wrong}: the download is damaged, or the publisher has changed the file. It"
        f" is set aside as {aside}; run the same again to fetch it anew"
    )


def _checksum(path: Path, kind: str) -> str:
    with path.open("rb") as opened:
        # md5 is what some publishers give; it guards against damage, not against malice
        digest = hashlib.file_digest(opened, lambda: hashlib.new(kind, usedforsecurity=False))
        return digest.hexdigest()


# ---------------------------------------------------------------- unpacking


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

    Raises UserError where the archive is damaged, or an entry leaves the folder.
    """
    into.mkdir(parents=True, exist_ok=True)
    how: Callable[[Path, Path, Progress], None] = (
        _unzip if archive.suffix.lower() == ".zip" else _untar
    )
    try:
        how(archive, into, progress)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise UserError(
            f"{archive} cannot be unpacked ({error}); remove it and run the same again to fetch it"
            " anew"
        ) from error


def _untar(archive: Path, into: Path, progress: Progress) -> None:
    size = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw) as opened:
        for count, member in enumerate(opened):
            opened.extract(member, into, filter="data")
            if count % 500 == 0:
                progress(f"unpacking {archive.name}", raw.tell(), size)
    progress(f"unpacking {archive.name}", size, size)


def _unzip(archive: Path, into: Path, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
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

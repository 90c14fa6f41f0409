"""Files on the web: which addresses hold one, how large it is, and its digest."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlparse

_HUB = "hf://datasets/"
_HUB_PAGE = "https://huggingface.co"


class Address(NamedTuple):
    """One place of a file; `hf://datasets/OWNER/NAME@REVISION/PATH` is one on the Hub."""

    url: str
    failing: str = ""  # what is known to go wrong there, since when, and which document says so

    @property
    def on_hub(self) -> bool:
        return self.url.startswith(_HUB)

    @property
    def repo(self) -> str:
        """OWNER/NAME of a place on the Hub."""
        return self._hub_parts()[0]

    def web(self, endpoint: str = _HUB_PAGE) -> str:
        """The address that is asked; `endpoint` is the Hub's."""
        if not self.on_hub:
            return self.url
        repo, revision, path = self._hub_parts()
        return f"{endpoint}/datasets/{repo}/resolve/{revision}/{path}"

    def _hub_parts(self) -> tuple[str, str, str]:
        """Repository, revision and path."""
        owner, name, path = self.url.removeprefix(_HUB).split("/", 2)
        repo, _, revision = f"{owner}/{name}".partition("@")
        return repo, revision or "main", path

    def __str__(self) -> str:
        return f"{self.web()} (known to fail: {self.failing})" if self.failing else self.web()


class RemoteFile(NamedTuple):
    """A file somewhere on the web.

    All addresses hold the same bytes.
    """

    url: str  # the publisher's
    bytes: int = 0  # 0 = not known to the byte
    sha256: str = ""
    md5: str = ""  # where the publisher gives nothing better
    into: str = ""  # folder below the dataset's
    unpack: bool = True  # False: it is put there as it is
    approximate_bytes: int = 0  # for people, where they are not known to the byte
    file_name: str = ""  # where the address does not end with it
    failing: str = ""  # what is known to go wrong at `url`, since when, and who says so
    mirrors: tuple[Address, ...] = ()
    terms: str = ""  # the page on which the terms of a gated repository are accepted
    holds: tuple[tuple[str, str], ...] = ()  # (file inside, md5) that an archive must unpack to

    @property
    def name(self) -> str:
        return self.file_name or urlparse(self.url).path.rstrip("/").rpartition("/")[2]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """In the order they are tried: the publisher's first, unless it is known to fail.

        Mirrors are left out where no digest says that they hold the same bytes.
        """
        publishers = Address(self.url, self.failing)
        mirrors = self.mirrors if self.sha256 or self.md5 else ()
        return (*mirrors, publishers) if self.failing else (publishers, *mirrors)

    @property
    def size(self) -> int:
        """Bytes, perhaps not exact."""
        return self.bytes or self.approximate_bytes


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

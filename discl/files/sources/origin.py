"""Where an address is: what holds credentials stays with the server that they are for."""

from __future__ import annotations

import re
import urllib.request
from http.client import HTTPMessage
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from discl.core.errors import UserError

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Origin(NamedTuple):
    """Who answers at an address; https and http of one host are two."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Raises UserError for what is no web address."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise UserError(f"{public(url)!r} is no web address ({error})") from error
        return cls(parts.scheme, (parts.hostname or "").lower(), port)

    @property
    def is_private(self) -> bool:
        """Whether nobody in between reads what is sent: https, or this machine."""
        return self.scheme == "https" or self.host in _LOOPBACK


def public(url: str) -> str:
    """An address without user, password and query.

    What stands before an @ goes, wherever it is: a password that was not quoted may hold anything.
    """
    scheme = re.match(r"(?:[a-z][a-z0-9+.-]*:)?//|", url, re.IGNORECASE)
    start = scheme[0] if scheme else ""
    return start + re.split(r"[?#]", url[len(start) :].rpartition("@")[2], maxsplit=1)[0]


class OneOrigin(urllib.request.HTTPRedirectHandler):
    """Follows redirects within an origin, and refuses those that lead elsewhere.

    For requests with credentials: `urllib` would send them along to any server.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Raises UserError where another origin is named."""
        target = urljoin(req.full_url, newurl)
        if Origin.of(target) != Origin.of(req.full_url):
            raise UserError(
                f"{public(req.full_url)} sends us on to {public(target)}, where no key is sent; if"
                " that is your server, name it instead"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

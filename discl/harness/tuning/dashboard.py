"""optuna-dashboard for this machine only: it shows studies and cannot change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from optuna.storages import RDBStorage

from discl.core.errors import UserError

HOST = "127.0.0.1"
Page = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Server(ThreadingMixIn, WSGIServer):
    """A browser opens several connections, and may leave one idle."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


def server(storage: RDBStorage, port: int) -> WSGIServer:
    """A server that has begun to listen; port 0 is any that is free.

    Raises UserError where the port is taken or optuna-dashboard is not installed.
    """
    try:
        listening = _Server((HOST, port), _Handler)  # before the pages, whose import takes seconds
    except (OSError, OverflowError) as error:
        raise UserError(
            f"port {port} of {HOST} cannot be had ({error}); name another one by --port, or 0 for"
            " any that is free"
        ) from error
    try:
        import optuna_dashboard  # type: ignore[import-untyped]
    except ImportError as error:
        listening.server_close()
        raise UserError(
            "optuna-dashboard is not installed; pip install 'discl[optuna-dashboard]'"
        ) from error
    listening.set_app(read_only(optuna_dashboard.wsgi(storage)))
    return listening


def read_only(pages: Page) -> Page:
    """Refuses requests that change a study, and those with the host name of another site."""

    def answer(asked: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if str(asked.get("HTTP_HOST", "")).partition(":")[0] not in (HOST, "localhost"):
            return _refused(start, "this address is only reached as 127.0.0.1 or localhost")
        if asked["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refused(start, "studies are only shown here; `discl study rm` removes one")
        return pages(asked, start)

    return answer


def _refused(start: Callable[..., Any], why: str) -> Iterable[bytes]:
    start("403 Forbidden", [("Content-Type", "application/json")])
    return [f'{{"reason": "{why}"}}'.encode()]

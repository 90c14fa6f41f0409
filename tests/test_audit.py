"""The lock of hashes, and the audit of what it installs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit import FAULT, FINE, ROOT, UNKNOWN, constraints, faults, locked, main


@contextmanager
def service(known: dict[str, list[str]]) -> Iterator[str]:
    """A service of advisories that knows these."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            ids = [known.get(query["package"]["name"], []) for query in asked]
            results = [{"vulns": [{"id": id} for id in of_one]} if of_one else {} for of_one in ids]
            body = json.dumps({"results": results}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_lock_has_a_hash_of_each_version_that_is_installed() -> None:
    pins = constraints((ROOT / "constraints.txt").read_text())
    lock = locked((ROOT / "lock.txt").read_text())
    assert len(pins) > 100
    assert faults(pins, lock) == []


def test_what_is_known_against_a_package_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with service({"torch": ["GHSA-1", "GHSA-2"]}) as url:
        assert main(ROOT, url) == FAULT
    assert "torch 2" in (told := capsys.readouterr().out)
    assert "GHSA-1, GHSA-2" in told
    with service({}) as url:
        assert main(ROOT, url) == FINE


def test_an_audit_that_could_ask_nobody_says_that_it_knows_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(ROOT, "http://127.0.0.1:1") == UNKNOWN
    told = capsys.readouterr().out
    assert told.startswith("nothing is known of these")
    assert len(told.splitlines()) == 1


def test_a_lock_of_other_versions_is_no_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "constraints.txt").write_text("a_b==1.0  # why\nc==2\nuv==1\n")
    (tmp_path / "lock.txt").write_text(f"a-b==1.1 ; x \\\n    --hash=sha256:{'0' * 64}\nd==1\n")
    assert main(tmp_path, "http://127.0.0.1:1") == FAULT
    told = capsys.readouterr().out
    for fault in ("has a-b 1.1, constraints.txt 1.0", "has c not at all", "no hash of d"):
        assert fault in told

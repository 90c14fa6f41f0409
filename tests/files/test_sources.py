import hashlib
import io
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.files import sources
from discl.files.sources import (
    Archives,
    ByHand,
    Hub,
    RemoteFile,
    download,
    hub_is_reachable,
    obtain,
    unpack,
)

BODY = bytes(range(256)) * 2000


@dataclass
class Web:
    """A real server, whose manners a test may spoil."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # (file, Range)
    ranges: bool = True
    hang_up_after: list[int] = field(default_factory=list)  # bytes of the answers to come
    tag: str = '"one"'


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.strip("/"), self.headers.get("Range", "")
            here.asked.append((name, asked))
            if name not in here.files:
                self.send_error(404)
                return
            body, start = here.files[name], 0
            if asked and here.ranges and self.headers.get("If-Range", here.tag) == here.tag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("ETag", here.tag)
            self.end_headers()
            most = here.hang_up_after.pop(0) if here.hang_up_after else len(body)
            self.wfile.write(body[start : start + most])

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Web(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def silent(what: str, done: int, total: int) -> None:
    pass


def remote(web: Web, name: str, body: bytes, **more: Any) -> RemoteFile:
    web.files[name] = body
    return RemoteFile(f"{web.url}/{name}", len(body), hashlib.sha256(body).hexdigest(), **more)


def test_a_line_that_breaks_is_taken_up_where_it_broke(web: Web, tmp_path: Path) -> None:
    web.hang_up_after = [200_000, 100_000]
    assert download(remote(web, "a.bin", BODY), tmp_path / "a.bin", silent).read_bytes() == BODY
    assert [asked for _, asked in web.asked] == ["", "bytes=200000-", "bytes=300000-"]


def test_half_a_download_of_an_earlier_run_is_kept(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY[:1000])
    told: list[tuple[int, int]] = []
    file = download(
        remote(web, "a.bin", BODY),
        tmp_path / "a.bin",
        lambda what, done, total: told.append((done, total)),
    )
    assert file.read_bytes() == BODY
    assert web.asked == [("a.bin", "bytes=1000-")]
    assert (len(BODY), len(BODY)) in told
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.bin"]


def test_a_whole_download_that_was_not_yet_renamed_is_not_fetched_again(
    web: Web, tmp_path: Path
) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY)
    assert download(remote(web, "a.bin", BODY), tmp_path / "a.bin", silent).read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(web: Web, tmp_path: Path) -> None:
    web.ranges = False
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    assert download(remote(web, "a.bin", BODY), tmp_path / "a.bin", silent).read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_half(
    web: Web, tmp_path: Path
) -> None:
    web.hang_up_after = [100_000] + [0] * 5
    web.files["a.bin"] = b"old" * 100_000
    with pytest.raises(UserError, match=r"broke off 5 times .* is kept at .*a\.bin\.part"):
        download(RemoteFile(f"{web.url}/a.bin"), tmp_path / "a.bin", silent)
    web.hang_up_after, web.tag = [], '"two"'
    assert download(remote(web, "a.bin", BODY), tmp_path / "a.bin", silent).read_bytes() == BODY


@pytest.mark.parametrize("kind", ["sha256", "md5", "bytes"])
def test_a_wrong_checksum_is_explained_and_the_file_set_aside(
    web: Web, tmp_path: Path, kind: str
) -> None:
    wrong: dict[str, Any] = {"sha256": "0" * 64, "md5": "0" * 32, "bytes": 7}
    web.files["a.bin"] = BODY
    with pytest.raises(
        UserError,
        match=rf"{'7 were' if kind == 'bytes' else kind + ' .*0000 was'} expected.*a\.bin\.wrong",
    ):
        download(RemoteFile(f"{web.url}/a.bin", **{kind: wrong[kind]}), tmp_path / "a.bin", silent)
    assert not (tmp_path / "a.bin").exists()
    right = {
        "sha256": hashlib.sha256(BODY).hexdigest(),
        "md5": hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
    }
    assert (
        download(
            RemoteFile(f"{web.url}/a.bin", len(BODY), **right), tmp_path / "a.bin", silent
        ).read_bytes()
        == BODY
    )


def test_a_page_that_moved_is_said_at_once(web: Web, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers 404"):
        download(RemoteFile(f"{web.url}/gone.tar"), tmp_path / "gone.tar", silent)
    assert len(web.asked) == 1


def packed(names: dict[str, bytes], form: str) -> bytes:
    buffer = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, body in names.items():
                archive.writestr(name, body)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, body in names.items():
                member = tarfile.TarInfo(name)
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_nothing_is_unpacked_outside_the_folder(tmp_path: Path, form: str) -> None:
    archive = tmp_path / f"bad.{form}"
    archive.write_bytes(packed({"../../evil.txt": b"!"}, form))
    with pytest.raises(UserError):
        unpack(archive, tmp_path / "in" / "to", silent)
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(UserError, match="holds a link"):
        unpack(tmp_path / "bad.zip", tmp_path / "into", silent)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(packed({"a": BODY}, "tar.gz")[:300])
    with pytest.raises(UserError, match=r"a\.tar\.gz cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "into", silent)


def test_a_folder_appears_whole_and_what_came_before_a_failure_is_not_fetched_again(
    web: Web, tmp_path: Path
) -> None:
    first = remote(web, "one.zip", packed({"a/1.txt": b"1"}, "zip"))
    second = remote(web, "two.tar.gz", packed({"2.txt": b"2"}, "tar.gz"), into="b")
    third = remote(web, "list.txt", b"listed", unpack=False)
    body = web.files.pop("two.tar.gz")
    source, folder = Archives("the publisher", (first, second, third)), tmp_path / "data" / "toy"
    with pytest.raises(UserError, match="answers 404"):
        obtain([source], folder, silent, asked=True)
    assert not folder.exists()
    web.files["two.tar.gz"] = body
    obtain([source], folder, silent, asked=True)
    assert sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    ) == ["a/1.txt", "b/2.txt", "list.txt"]
    assert [name for name, _ in web.asked].count("one.zip") == 1


def test_an_archive_put_there_by_hand_is_taken_without_a_network(tmp_path: Path) -> None:
    body = packed({"a.txt": b"a"}, "zip")
    given = tmp_path / "data" / "downloads" / "big.zip"
    given.parent.mkdir(parents=True)
    given.write_bytes(body)
    source = Archives("nobody", (RemoteFile("http://127.0.0.1:9/big.zip", len(body)),))
    obtain([source], tmp_path / "data" / "toy", silent, asked=False)
    assert (tmp_path / "data" / "toy" / "a.txt").read_bytes() == b"a"
    assert given.exists()


def test_the_next_source_is_tried_and_every_failure_told(web: Web, tmp_path: Path) -> None:
    good = Archives("the mirror", (remote(web, "a.zip", packed({"a.txt": b"a"}, "zip")),))
    dead = Archives("the publisher", (RemoteFile("http://127.0.0.1:9/a.zip", 10),))
    obtain([dead, good], tmp_path / "toy", silent, asked=False)
    assert (tmp_path / "toy" / "a.txt").exists()
    with pytest.raises(
        UserError, match=r"the publisher .* does not answer; by hand .* register there"
    ):
        obtain(
            [dead, ByHand("https://example.org", "register there")],
            tmp_path / "other",
            silent,
            asked=True,
        )


def test_nothing_large_is_asked_for_by_surprise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*words: Any, **more: Any) -> None:
        pytest.fail("the network was touched")

    monkeypatch.setattr(socket, "create_connection", touched)
    large = Archives(
        "the publisher", (RemoteFile("http://127.0.0.1:9/a.zip", sources.MAX_AUTOMATIC_BYTES + 1),)
    )
    unknown = Archives("the publisher", (RemoteFile("http://127.0.0.1:9/a.zip"),))
    with pytest.raises(UserError, match="without being asked"):
        obtain(
            [large, unknown, Hub("a/b", 10**12), Hub("a/b")], tmp_path / "toy", silent, asked=False
        )
    assert not hub_is_reachable()  # HF_HUB_OFFLINE is set


def test_a_disk_that_is_too_small_is_said_before_the_download(web: Web, tmp_path: Path) -> None:
    huge = Archives("the publisher", (RemoteFile(f"{web.url}/a.zip", 10**15),))
    with pytest.raises(UserError, match=r"needs about 2,000 TB .* are free"):
        obtain([huge], tmp_path / "toy", silent, asked=True)
    assert web.asked == []

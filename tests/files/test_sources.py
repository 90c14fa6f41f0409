import errno
import hashlib
import http.client
import io
import socket
import ssl
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import DiskError, UserError
from discl.core.plain_files import open_file
from discl.files import sources
from discl.files.sources import (
    Address,
    Archives,
    ByHand,
    Hub,
    RemoteFile,
    download,
    downloading,
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
    tokens: list[str] = field(default_factory=list)  # Authorization of each request
    ranges: bool = True
    hang_up_after: list[int] = field(default_factory=list)  # bytes of the answers to come
    tag: str = '"one"'
    code: int = 0  # of every answer; 0 = as it should be
    sent_on_to: str = ""  # another server
    stated: str = ""  # sha256 that is stated of every file, as the Hub does
    silent: bool = False  # never answers


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.strip("/"), self.headers.get("Range", "")
            here.asked.append((name, asked))
            here.tokens.append(self.headers.get("Authorization", ""))
            while here.silent and not over.wait(0.01):
                pass
            sent_on = here.sent_on_to if "/" in name else ""
            if here.code or (name not in here.files and not sent_on):
                self.send_error(here.code or 404)
                return
            if sent_on:
                self.send_response(302)
                self.send_header("Location", f"{sent_on}/{name.rpartition('/')[2]}")
                if here.stated:
                    self.send_header("X-Linked-ETag", f'"{here.stated}"')
                self.end_headers()
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

    class Server(ThreadingHTTPServer):
        def handle_error(self, *words: Any) -> None:
            """A client that hangs up is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    here = Web(f"http://127.0.0.1:{server.server_port}")
    over = threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield here
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as here:
        yield here


@pytest.fixture
def mirror() -> Iterator[Web]:
    with serving() as here:
        yield here


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


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_wrong_checksum_is_explained_and_the_file_set_aside(
    web: Web, tmp_path: Path, kind: str
) -> None:
    wrong: dict[str, Any] = {"sha256": "0" * 64, "md5": "0" * 32}
    web.files["a.bin"] = BODY
    with pytest.raises(UserError, match=rf"{kind} .*0000 was expected.*a\.bin\.wrong"):
        download(RemoteFile(f"{web.url}/a.bin", **{kind: wrong[kind]}), tmp_path / "a.bin", silent)
    assert not (tmp_path / "a.bin").exists()
    right: dict[str, Any] = {
        "sha256": hashlib.sha256(BODY).hexdigest(),
        "md5": hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
    }
    assert (
        download(
            RemoteFile(f"{web.url}/a.bin", len(BODY), **right), tmp_path / "a.bin", silent
        ).read_bytes()
        == BODY
    )


def test_a_file_of_another_size_is_refused_before_a_byte_is_fetched(
    web: Web, tmp_path: Path
) -> None:
    web.files["a.bin"] = BODY
    with pytest.raises(UserError, match="has 512,000 bytes, 7 were expected"):
        download(RemoteFile(f"{web.url}/a.bin", bytes=7), tmp_path / "a.bin", silent)
    assert not (tmp_path / "a.bin.part").exists()


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


# ---------------------------------------------------------------- several addresses of one file


def mirrored(web: Web, mirror: Web, body: bytes = BODY, **more: Any) -> RemoteFile:
    """The publisher's is known to fail, so that the mirror is tried first."""
    web.files["a.bin"] = mirror.files["a.bin"] = body
    return RemoteFile(
        f"{web.url}/a.bin",
        len(body),
        hashlib.sha256(body).hexdigest(),
        failing="errors since 2025-06-23, issue 171",
        mirrors=(Address(f"{mirror.url}/a.bin"),),
        **more,
    )


def test_an_address_that_is_known_to_fail_is_tried_last(
    web: Web, mirror: Web, tmp_path: Path
) -> None:
    file = mirrored(web, mirror)
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY
    assert (len(web.asked), len(mirror.asked)) == (0, 1)
    assert [address.url for address in file._replace(failing="").addresses] == [
        f"{web.url}/a.bin",
        f"{mirror.url}/a.bin",
    ]


def test_no_mirror_is_asked_without_a_digest(web: Web, mirror: Web, tmp_path: Path) -> None:
    file = mirrored(web, mirror)._replace(sha256="")
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY
    assert (len(web.asked), len(mirror.asked)) == (1, 0)


def test_what_one_address_began_another_ends(web: Web, mirror: Web, tmp_path: Path) -> None:
    mirror.hang_up_after, mirror.tag = [200_000] + [0] * 5, '"another"'
    file = mirrored(web, mirror)
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY
    assert web.asked == [("a.bin", "bytes=200000-")]


def test_after_a_kill_the_next_command_goes_on_at_whichever_address_answers(
    web: Web, mirror: Web, tmp_path: Path
) -> None:
    class KilledError(BaseException):
        pass

    def kill(what: str, done: int, total: int) -> None:
        raise KilledError

    file = mirrored(web, mirror, BODY * 5)
    with pytest.raises(KilledError):
        download(file, tmp_path / "a.bin", kill)
    kept = (tmp_path / "a.bin.part").stat().st_size
    mirror.code = 503
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY * 5
    assert 0 < kept < len(BODY * 5)
    assert web.asked == [("a.bin", f"bytes={kept}-")]


@pytest.mark.parametrize("half", [b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_a_wrong_half_is_thrown_away_once_and_begun_anew(
    web: Web, tmp_path: Path, half: bytes
) -> None:
    (tmp_path / "a.bin.part").write_bytes(half)
    assert download(remote(web, "a.bin", BODY), tmp_path / "a.bin", silent).read_bytes() == BODY
    web.files["a.bin"] = b"y" * len(BODY)
    (tmp_path / "a.bin").unlink()
    (tmp_path / "a.bin.part").write_bytes(half)
    asked = len(web.asked)
    with pytest.raises(UserError, match="has sha256 .* was expected"):
        download(
            RemoteFile(f"{web.url}/a.bin", len(BODY), hashlib.sha256(BODY).hexdigest()),
            tmp_path / "a.bin",
            silent,
        )
    assert len(web.asked) - asked <= 2


def test_a_mirror_with_other_bytes_is_told_and_the_publisher_asked(
    web: Web, mirror: Web, tmp_path: Path
) -> None:
    file = mirrored(web, mirror)
    mirror.files["a.bin"] = BODY[::-1]
    told: list[str] = []
    got = download(file, tmp_path / "a.bin", lambda what, done, total: told.append(what))
    assert got.read_bytes() == BODY
    assert web.asked == [("a.bin", "")]
    assert any(what.startswith(f"{mirror.url}/a.bin has sha256") for what in told)
    (tmp_path / "a.bin").unlink()
    mirror.files["a.bin"], web.code = BODY + b"!", 500
    with pytest.raises(UserError) as raised:
        download(file, tmp_path / "a.bin", silent)
    assert str(raised.value) == (
        f"{mirror.url}/a.bin has 512,001 bytes, 512,000 were expected; {web.url}/a.bin broke off 5"
        " times (Internal Server Error) (known to fail: errors since 2025-06-23, issue 171)"
    )


def no_host(web: Web) -> str:
    web.url = "http://127.0.0.1:9"
    return "does not answer"


def never(web: Web) -> str:
    web.silent = True
    return r"broke off 5 times \(timed out\)"


def gone(web: Web) -> str:
    web.code = 404
    return "answers 404 Not Found"


@pytest.mark.parametrize("spoil", [no_host, never, gone])
def test_each_address_says_what_went_wrong_there(
    web: Web,
    mirror: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Web], str],
) -> None:
    monkeypatch.setattr("discl.files.sources.downloading.READ_SECONDS", 0.02)
    says = spoil(mirror)
    file = mirrored(web, mirror)
    web.code = 500
    with pytest.raises(UserError, match=rf"{mirror.url}/a\.bin {says}.*; {web.url}/a\.bin broke"):
        download(file, tmp_path / "a.bin", silent)
    web.code = 0
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY


def test_an_expired_certificate_is_not_tried_again(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def handshake(*words: Any, **more: Any) -> None:
        tries.append(words)
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "certificate has expired"
        raise error

    monkeypatch.setattr(http.client.HTTPSConnection, "connect", handshake)
    with pytest.raises(UserError, match=r"has no valid certificate \(certificate has expired\)"):
        download(
            RemoteFile(web.url.replace("http:", "https:") + "/a.bin"), tmp_path / "a.bin", silent
        )
    assert len(tries) == 1


def test_a_local_archive_that_is_wrong_is_set_aside_and_the_web_asked(
    web: Web, tmp_path: Path
) -> None:
    body = packed({"a.txt": b"a"}, "zip")
    file = remote(web, "blob", body, file_name="toy.zip")
    given = tmp_path / "data" / "downloads" / "toy.zip"
    given.parent.mkdir(parents=True)
    given.write_bytes(b"page not found")
    obtain([Archives("nobody", (file,))], tmp_path / "data" / "toy", silent, asked=True)
    assert (tmp_path / "data" / "toy" / "a.txt").exists()
    assert given.with_name("toy.zip.wrong").read_bytes() == b"page not found"


def test_a_wrong_local_archive_does_not_start_a_large_download_by_surprise(
    tmp_path: Path,
) -> None:
    given = tmp_path / "data" / "downloads" / "big.zip"
    given.parent.mkdir(parents=True)
    given.write_bytes(b"!")
    big = RemoteFile("http://127.0.0.1:9/big.zip", sources.MAX_AUTOMATIC_BYTES + 1)
    with pytest.raises(UserError) as raised:
        obtain([Archives("x", (big,))], tmp_path / "data" / "toy", silent, asked=False)
    assert str(raised.value).startswith(f"{given} has 1 bytes, 1,000,000,001 were expected")
    assert "does not answer" not in str(raised.value)


def test_an_archive_of_another_version_is_refused_by_a_file_inside(
    web: Web, tmp_path: Path
) -> None:
    body = packed({"toy/metadata.csv": b"1"}, "zip")
    md5 = hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    right = remote(web, "a.zip", body, holds=(("metadata.csv", md5),))
    obtain([Archives("x", (right,))], tmp_path / "right", silent, asked=True)
    wrong = right._replace(holds=(("metadata.csv", "0" * 32),))
    with pytest.raises(UserError, match=rf"holds metadata.csv with md5 {md5}, 0+ was expected"):
        obtain([Archives("x", (wrong,))], tmp_path / "wrong", silent, asked=True)
    assert not (tmp_path / "wrong").exists()


def test_a_full_disk_ends_it_at_once(
    web: Web, mirror: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, mode: str) -> Any:
        if path.suffix == ".part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return open_file(path, mode)

    file = mirrored(web, mirror)
    both = [Archives("x", (file,)), Archives("y", (remote(web, "b.zip", packed({}, "zip")),))]
    monkeypatch.setattr(downloading, "open_file", full)
    with pytest.raises(DiskError, match="the disk is full; free some space"):
        obtain(both, tmp_path / "toy", silent, asked=True)
    assert (len(mirror.asked), len(web.asked)) == (1, 0)


# ---------------------------------------------------------------- the Hub


@pytest.fixture
def hub(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The server as the Hub, which may be asked."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", web.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return web


ON_HUB = RemoteFile("hf://datasets/owner/name@abc/data/a.bin", terms="https://terms.example")


def test_a_file_on_the_hub_is_fetched_from_where_it_sends_us_and_no_token_goes_there(
    hub: Web, mirror: Web, tmp_path: Path
) -> None:
    mirror.files["a.bin"], hub.sent_on_to = BODY, mirror.url
    hub.stated = hashlib.sha256(BODY).hexdigest()
    mirror.hang_up_after = [1000]
    assert download(ON_HUB, tmp_path / "a.bin", silent).read_bytes() == BODY
    assert [name for name, _ in hub.asked] == ["datasets/owner/name/resolve/abc/data/a.bin"] * 2
    assert hub.tokens == ["Bearer hf_secret"] * 2
    assert mirror.tokens == ["", ""]
    assert mirror.asked[1] == ("a.bin", "bytes=1000-")


def test_a_repository_that_was_renamed_on_the_hub_still_sees_the_token(
    hub: Web, tmp_path: Path
) -> None:
    hub.files["a.bin"], hub.sent_on_to = BODY, hub.url
    assert download(ON_HUB, tmp_path / "a.bin", silent).read_bytes() == BODY
    assert hub.tokens == ["Bearer hf_secret"] * 2


def test_what_the_hub_states_of_a_file_is_held_against_it(
    hub: Web, mirror: Web, tmp_path: Path
) -> None:
    mirror.files["a.bin"], hub.sent_on_to, hub.stated = BODY, mirror.url, "1" * 64
    with pytest.raises(UserError, match=r"has sha256 .*, 1{64} was expected"):
        download(ON_HUB, tmp_path / "a.bin", silent)
    expected = ON_HUB._replace(sha256="2" * 64)
    with pytest.raises(UserError, match=r"states sha256 1{64}, 2{64} was expected"):
        download(expected, tmp_path / "b.bin", silent)
    assert not (tmp_path / "b.bin.part").exists()


@pytest.mark.parametrize(
    ("code", "token", "says"),
    [
        (401, "", r"only known users .* accept its terms at https://terms.example, .* HF_TOKEN"),
        (401, "hf_old", r"does not know the token .* HF_TOKEN"),
        (403, "hf_new", r"does not let the account .* accept its terms at https://terms.example"),
        (404, "hf_new", r"has no such file in owner/name"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_way_out(
    hub: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, token: str, says: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", token)
    hub.code = code
    with pytest.raises(UserError, match=says):
        download(ON_HUB, tmp_path / "a.bin", silent)
    assert len(hub.asked) == (1 if token else 0)  # without a token nothing is asked


@pytest.mark.parametrize(
    ("code", "says"), [(401, "does not know the token"), (403, "accept its terms at .*owner/name")]
)
def test_a_repository_that_the_hubs_client_is_refused_is_said_with_the_way_out(
    hub: Web, tmp_path: Path, code: int, says: str
) -> None:
    hub.code = code
    with pytest.raises(UserError, match=says):
        obtain([Hub("owner/name", 10)], tmp_path / "toy", silent, asked=True)
    assert "Bearer hf_secret" in hub.tokens


def test_a_gated_source_without_a_token_is_refused_before_its_other_files_are_fetched(
    hub: Web, mirror: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "")
    both = Archives("x", (remote(mirror, "list.txt", b"listed", unpack=False), ON_HUB))
    with pytest.raises(UserError, match="x .*: the Hub lets only known users read owner/name"):
        obtain([both], tmp_path / "toy", silent, asked=True)
    assert (hub.asked, mirror.asked) == ([], [])


def test_the_hub_is_not_asked_where_the_environment_forbids_it(
    hub: Web, mirror: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mirror.files["a.bin"] = BODY
    file = ON_HUB._replace(
        sha256=hashlib.sha256(BODY).hexdigest(), mirrors=(Address(f"{mirror.url}/a.bin"),)
    )
    assert download(file, tmp_path / "a.bin", silent).read_bytes() == BODY
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        download(ON_HUB, tmp_path / "b.bin", silent)
    assert hub.asked == []

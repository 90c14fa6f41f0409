"""Keys go to the server that they are for, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from discl.cli import main
from discl.core.errors import UserError
from discl.files.sources import Archives, Hub, Origin, RemoteFile, download, obtain, public
from discl.files.weights import hub_file
from discl.harness.wandb.client import UnreachableError, read_settings, whoami

KEY = "k" * 40


@dataclass
class Listener:
    """A server that notes what it is told, and answers as a test says."""

    port: int = 0
    sends_on_to: str = ""
    code: int = 302
    body: bytes = b'{"data": {"viewer": {"entity": "us"}}}'
    heard: list[str] = field(default_factory=list)  # Authorization of each request

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}"


@contextmanager
def listening() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            here.heard.append(self.headers.get("Authorization", ""))
            if here.sends_on_to and self.path != "/there":
                self.send_response(here.code)
                self.send_header("Location", f"{here.sends_on_to}/there")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(here.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(here.body)

        do_POST = do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Listener(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture
def own() -> Iterator[Listener]:
    """The server that the key is for."""
    with listening() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Listener]:
    with listening() as server:
        yield server


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODE", "BASE_URL", "ENTITY", "PROJECT", "DIR", "CONFIG_DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


# ---------------------------------------------------------------- W&B


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_the_key_of_wandb_follows_no_redirect_to_another_origin(
    own: Listener, other: Listener, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", own.url())
    own.code = code
    # another port, and another name of the same machine
    for elsewhere in (other.url(), own.url("localhost")):
        own.sends_on_to = elsewhere
        with pytest.raises(UnreachableError, match=rf"{own.url()}"):
            whoami(read_settings(), tries=1)
    assert other.heard == []
    assert len(own.heard) == 2  # the first request of each, and none by the other name


def test_a_redirect_within_the_origin_is_followed(
    own: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", own.url())
    own.sends_on_to = own.url()
    assert whoami(read_settings(), tries=1) == "us"


@pytest.mark.parametrize("folder", ["wandb", ".wandb"])
def test_a_server_that_only_a_folder_names_gets_no_key(
    other: Listener, folder: str, tmp_path: Path
) -> None:
    _write(tmp_path / folder / "settings", f"[default]\nbase_url = {other.url()}\n")
    with pytest.raises(UserError, match=r"in this folder name the server .*WANDB_BASE_URL="):
        read_settings()
    assert other.heard == []


@pytest.mark.parametrize("allowed_by", ["environment", "settings", "netrc"])
def test_a_server_of_a_folder_that_the_user_names_too_is_used(
    own: Listener, allowed_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "wandb" / "settings", f"[default]\nbase_url = {own.url()}\n")
    if allowed_by == "environment":
        monkeypatch.setenv("WANDB_BASE_URL", own.url())
    elif allowed_by == "settings":
        _write(tmp_path / ".config/wandb/settings", f"[default]\nbase_url = {own.url()}/\n")
    else:
        netrc = tmp_path / ".netrc"
        _write(netrc, f"machine 127.0.0.1:{own.port} login user password {KEY}\n")
        netrc.chmod(0o600)
    assert whoami(read_settings(), tries=1) == "us"


def test_a_folder_may_not_take_the_lock_off_a_server_of_the_users(tmp_path: Path) -> None:
    _write(tmp_path / ".netrc", f"machine w.example login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    _write(tmp_path / "wandb" / "settings", "[default]\nbase_url = http://w.example\n")
    with pytest.raises(UserError, match="no key is sent there"):
        read_settings()
    _write(tmp_path / "wandb" / "settings", "[default]\nbase_url = https://w.example\n")
    assert read_settings().url == "https://w.example"


def test_netrcs_default_names_no_server(other: Listener, tmp_path: Path) -> None:
    _write(tmp_path / ".netrc", f"default login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    _write(tmp_path / "wandb" / "settings", f"[default]\nbase_url = {other.url()}\n")
    with pytest.raises(UserError, match="no key is sent there"):
        read_settings()


@pytest.mark.parametrize(
    "name",
    ["https_proxy", "insecure_disable_ssl", "api_key", "x_extra_http_headers", "app_url_override"],
)
def test_a_folder_does_not_say_how_the_key_travels(name: str, tmp_path: Path) -> None:
    _write(tmp_path / "wandb" / "settings", f"[default]\n{name} = true\nproject = ours\n")
    with pytest.raises(UserError, match=rf"in this folder say {name}, .* remove it there"):
        read_settings()
    _write(tmp_path / ".config" / "wandb" / "settings", f"[default]\n{name} = true\n")
    assert read_settings().project == "ours"


# ---------------------------------------------------------------- the Hub, and archives


@pytest.fixture
def hub(own: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """The server as the Hub, which may be asked."""
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", own.url())
    monkeypatch.setenv("HF_TOKEN", KEY)
    return own


def test_the_token_of_the_hub_follows_no_redirect_to_another_name_of_its_machine(
    hub: Listener, tmp_path: Path
) -> None:
    hub.sends_on_to, hub.body = hub.url("localhost"), b"bytes"
    file = RemoteFile("hf://datasets/owner/name@abc/a.bin")
    assert download(file, tmp_path / "a.bin", _quiet).read_bytes() == b"bytes"
    assert hub.heard == [f"Bearer {KEY}", ""]


def test_the_hubs_own_client_sends_the_token_to_nobody_else(
    hub: Listener, other: Listener, tmp_path: Path
) -> None:
    hub.sends_on_to = other.url()
    with pytest.raises(UserError, match="did not deliver owner/name"):
        obtain([Hub("owner/name", 10)], tmp_path / "toy", _quiet, asked=True)
    with pytest.raises(UserError, match="did not deliver owner/weights"):
        hub_file("owner/weights", ("a.safetensors",), "no weights", "name a folder")
    assert f"Bearer {KEY}" in hub.heard
    assert set(other.heard) == {""}


def test_an_archive_from_anywhere_is_asked_for_without_a_token(
    hub: Listener, other: Listener, tmp_path: Path
) -> None:
    other.body = b"bytes"
    file = RemoteFile(f"{other.url()}/a.bin", unpack=False)
    obtain([Archives("x", (file,))], tmp_path / "toy", _quiet, asked=True)
    assert other.heard
    assert not any(other.heard)


# ---------------------------------------------------------------- databases

PASSWORD = "s3cr3tpw"
ADDRESSES = (
    f"postgresql://u:{PASSWORD}@127.0.0.1:1/x",
    f"postgresql://u:{PASSWORD}@/[",
    f"postgresql://u:{PASSWORD}@h@x/y",
    f"postgresql://u:a:{PASSWORD}/b@h/db",
    f"mysql://u:{PASSWORD}@h/d",
    f"postgresql://127.0.0.1:1/d?password={PASSWORD}",
    f"postgresql://u@127.0.0.1:{PASSWORD}/d",
    f"postgresql+psycopg://u:{PASSWORD}%@127.0.0.1:1/d",
    f"nonsense {PASSWORD}",
)


def test_no_message_and_no_traceback_holds_a_password() -> None:
    commands = [(["study", "ls"], address) for address in ADDRESSES]
    commands.append((["sweep", "tune_static"], ADDRESSES[0]))
    for command, address in commands:
        done = CliRunner(env={"DISCL_STUDIES": address}).invoke(main, ["--debug", *command])
        assert done.exit_code == 2
        assert "Traceback" in done.output
        assert PASSWORD not in done.output
        assert done.output.splitlines()[-1].startswith("error: ")


# ---------------------------------------------------------------- origins


def test_https_and_http_of_a_host_are_two_origins() -> None:
    assert Origin.of("https://h.example") == Origin.of("HTTPS://H.example:443/path?query")
    assert Origin.of("https://h.example") != Origin.of("http://h.example")
    assert Origin.of("https://h.example") != Origin.of("https://h.example:444")
    assert Origin.of("https://h.example@evil.example").host == "evil.example"


@given(st.text(max_size=30), st.sampled_from(["", "https://", "ftp://[", "//"]))
def test_any_text_has_an_origin_or_is_refused(text: str, before: str) -> None:
    assert "hidden" not in public(f"{before}user:{text}hidden@h.example")
    with suppress(UserError):
        Origin.of(before + text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _quiet(what: str, done: int, total: int) -> None:
    pass

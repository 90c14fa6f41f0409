"""W&B settings: those that its own client finds."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.harness.wandb.client import UnreachableError, read_settings, whoami

# what the client itself finds, in a process of its own: it reads its settings once
ITS_OWN = """
import wandb
from wandb.sdk.lib import wbauth
settings = wandb.setup().settings
found = wbauth.authenticate_session(
    host=settings.base_url, source='test', prompt=False, update_session=False
)
print(repr((settings.base_url, getattr(found, 'api_key', None), settings.entity, settings.project)))
"""
KEY, OTHER = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "MODE", "BASE_URL", "ENTITY", "PROJECT", "DIR", "CONFIG_DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def _set(where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "environment" in where:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_ENTITY", "team")
        monkeypatch.setenv("WANDB_PROJECT", "ours")
    if "netrc" in where:
        (tmp_path / ".netrc").write_text(
            f"machine api.wandb.ai\n  login user\n  password {OTHER}\nmachine w.example\n  login"
            f" user\n  password {KEY}\n"
        )
        (tmp_path / ".netrc").chmod(0o600)
    if "host" in where:
        monkeypatch.setenv("WANDB_BASE_URL", "https://w.example")
    if "settings" in where:
        (tmp_path / ".config" / "wandb").mkdir(parents=True)
        (tmp_path / ".config" / "wandb" / "settings").write_text(
            "[default]\nbase_url = https://w.example\nentity = filed\n"
        )
    if "folder" in where:
        (tmp_path / "wandb").mkdir()
        (tmp_path / "wandb" / "settings").write_text("[default]\nproject = nearer\n")


@pytest.mark.parametrize(
    "where",
    [
        "nowhere",
        "environment and netrc",
        "netrc",
        "netrc and settings and folder",
        "netrc and host",
    ],
)
def test_key_server_entity_and_project_are_those_its_own_client_finds(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(where, monkeypatch, tmp_path)
    its_own = subprocess.run(
        [sys.executable, "-c", ITS_OWN], capture_output=True, text=True, check=True, timeout=60
    )
    settings = read_settings()
    assert (
        repr((settings.url, settings.key, settings.entity, settings.project))
        == its_own.stdout.strip().splitlines()[-1]
    )


@pytest.mark.parametrize(
    ("requested", "key", "mode"),
    [
        ("", "", "offline"),
        ("", KEY, "online"),
        ("online", "", "offline"),
        ("offline", KEY, "offline"),
        ("disabled", KEY, "disabled"),
        ("dryrun", KEY, "offline"),
    ],
)
def test_online_needs_a_key_and_a_mode_that_does_not_say_otherwise(
    requested: str, key: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", requested)
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert read_settings().mode == mode


def test_wandb_offline_in_a_folder_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert read_settings().mode == "offline"


def test_a_mode_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(UserError, match="WANDB_MODE = 'ofline' is no mode of W&B"):
        read_settings()


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections and never answers
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="timed out"):
            whoami(read_settings(), timeout_s=0.1)

"""W&B settings: those that its own client finds."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.harness.wandb.client import UnreachableError, read_settings, whoami

# what the client itself finds in each of some folders with some variables; in a process each, for
# it reads its settings once, forked from one that has imported it
ITS_OWN = """
import json, os, sys
import wandb
from wandb.sdk.lib import wbauth
for folder, variables in json.loads(sys.argv[1]):
    process = os.fork()
    if not process:
        os.chdir(folder)
        os.environ.update(variables, HOME=folder)
        settings = wandb.setup().settings
        found = wbauth.authenticate_session(
            host=settings.base_url, source='test', prompt=False, update_session=False
        )
        key = getattr(found, 'api_key', None)
        print(repr((settings.base_url, key, settings.entity, settings.project)), flush=True)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
    print(end='\\f', flush=True)
"""
PLACES = (
    "nowhere",
    "environment and netrc",
    "netrc",
    "netrc and settings and folder",
    "netrc and host",
)
KEY, OTHER = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "MODE", "BASE_URL", "ENTITY", "PROJECT", "DIR", "CONFIG_DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def _variables(where: str) -> dict[str, str]:
    own = {"WANDB_API_KEY": KEY, "WANDB_ENTITY": "team", "WANDB_PROJECT": "ours"}
    host = {"WANDB_BASE_URL": "https://w.example"}
    return {**(own if "environment" in where else {}), **(host if "host" in where else {})}


def _write(where: str, home: Path) -> None:
    if "netrc" in where:
        (home / ".netrc").write_text(
            f"machine api.wandb.ai\n  login user\n  password {OTHER}\nmachine w.example\n  login"
            f" user\n  password {KEY}\n"
        )
        (home / ".netrc").chmod(0o600)
    if "settings" in where:
        (home / ".config" / "wandb").mkdir(parents=True)
        (home / ".config" / "wandb" / "settings").write_text(
            "[default]\nbase_url = https://w.example\nentity = filed\n"
        )
    if "folder" in where:
        (home / "wandb").mkdir()
        (home / "wandb" / "settings").write_text("[default]\nproject = nearer\n")


def test_key_server_entity_and_project_are_those_its_own_client_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in PLACES:
        (tmp_path / where).mkdir()
        _write(where, tmp_path / where)
    asked = json.dumps([(str(tmp_path / where), _variables(where)) for where in PLACES])
    its_own = subprocess.run(
        [sys.executable, "-c", ITS_OWN, asked],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split("\f")[:-1]
    for where, printed in zip(PLACES, its_own, strict=True):
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / where)
            for name, value in {"HOME": str(tmp_path / where), **_variables(where)}.items():
                patch.setenv(name, value)
            settings = read_settings()
        found = repr((settings.url, settings.key, settings.entity, settings.project))
        assert found == printed.strip().splitlines()[-1], where


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

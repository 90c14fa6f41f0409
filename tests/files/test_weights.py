"""Checkpoints from the Hub: its cache, its refusals, and a network that is not there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from discl.core.errors import UserError
from discl.files import weights
from discl.files.weights import folder_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot of 'owner/name' in the Hub's cache, the folder the Hub's own client would have
    made.
    """
    repository = tmp_path / "hub" / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text("{}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def silent_hub(online: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Hub that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.parametrize("checkpoint", ["owner/name", "owner/name@main", f"owner/name@{COMMIT}"])
def test_a_cached_snapshot_is_taken_without_asking_the_network(
    checkpoint: str, cached: Path, silent_hub: None
) -> None:
    assert folder_of(checkpoint, "generator.checkpoint") == cached


def test_a_silent_hub_is_given_up_on(
    tmp_path: Path, silent_hub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "HUB_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(
        UserError,
        match=(
            r"generator.checkpoint = 'owner/name' is no local folder.*cannot be reached; give a"
            r" local folder.*HF_HOME"
        ),
    ):
        folder_of("owner/name", "generator.checkpoint")
    assert time.monotonic() - start < 9  # the Hub's own client takes 10 a call


@pytest.mark.slow
def test_without_a_network_the_answer_comes_within_15_seconds(tmp_path: Path) -> None:
    script = (
        "import time; from discl.files.weights import folder_of; from discl.core.errors import"
        " UserError\nstart = time.monotonic()\ntry: folder_of('owner/no-such-model',"
        " 'generator.checkpoint')\nexcept UserError as error: print(error)\nprint(time.monotonic()"
        " - start)"
    )
    # an address that leads nowhere stands for the network, so that the test is the same on a
    # machine that has one
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment |= {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://hub.invalid"}
    said, seconds = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert "cannot be reached" in said
    assert float(seconds) < 15


def test_offline_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set; unset it"):
        folder_of("owner/name", "scorer.checkpoint")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (errors.GatedRepoError, "it is gated; accept its terms.*HF_TOKEN"),
        (errors.RepositoryNotFoundError, "no such repository, or it is private; .*HF_TOKEN"),
        (errors.RevisionNotFoundError, "no such revision"),
    ],
)
def test_a_refusal_of_the_hub_says_what_helps(
    kind: type[Exception], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind("refused", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(UserError, match=says):
        folder_of("owner/name@v2", "generator.checkpoint")


def test_a_download_that_breaks_off_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, local_files_only: bool = False, **__: object) -> None:
        raise (
            errors.LocalEntryNotFoundError("none")
            if local_files_only
            else OSError(28, "No space left on device")
        )

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)
    with pytest.raises(
        UserError, match="the download broke off; run the same again to resume it .*No space left"
    ):
        folder_of("owner/name", "generator.checkpoint")


@pytest.mark.parametrize(
    "checkpoint", ["./nowhere", "one-word", "a/b/c", "owner/na me", "owner/name@"]
)
def test_what_is_no_hub_id_is_no_such_folder(checkpoint: str) -> None:
    with pytest.raises(
        UserError, match="no such folder; give a checkpoint folder or a Hub id like 'owner/name'"
    ):
        folder_of(checkpoint, "generator.checkpoint")

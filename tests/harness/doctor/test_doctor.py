"""`discl doctor` on this machine, on machines with something wrong, and against servers that
answer, refuse and hang.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from discl.cli import main
from discl.core.errors import UserError
from discl.files.sources import public
from discl.harness.doctor import diagnosis, software, storage
from discl.harness.doctor.diagnosis import examine
from discl.harness.doctor.finding import CHECKS, NOTE, OK, PROBLEM, STATES, Finding
from discl.harness.run.store import Store
from discl.harness.wandb.client import read_settings
from tests.stores import complete, result

SECRET = "hush-c0ffee"
IMPATIENT = 0.4  # seconds


def _found(check: str) -> list[Finding]:
    (examined,) = examine([check])
    return list(examined.findings)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test asks the real Hub or W&B, or knows a token of this machine."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in (
        "HF_TOKEN",
        "WANDB_API_KEY",
        "WANDB_BASE_URL",
        "DISCL_STUDIES",
        "http_proxy",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", "online")


# ---------------------------------------------------------------- servers


@contextmanager
def _server(status: int, answer: bytes = b"") -> Iterator[tuple[str, list[str]]]:
    """An address that answers HEAD and POST with a status, and what was asked there."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Location", "http://192.0.2.1/")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_HEAD()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


@contextmanager
def _hanging() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def _closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


# ---------------------------------------------------------------- as a whole


def test_everything_is_looked_at_and_nothing_is_left_behind(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--format", "json"])
    rows = json.loads(done.stdout)
    assert list(dict.fromkeys(row["check"] for row in rows)) == list(CHECKS)
    assert {row["state"] for row in rows} <= set(STATES)
    assert done.exit_code == (1 if any(row["state"] == PROBLEM for row in rows) else 0)
    assert not [row for row in rows if "could not be checked" in row["message"]]
    assert all(row["way_out"] for row in rows if row["state"] == NOTE)
    assert not (tmp_path / "home").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_problem_is_exit_code_1_and_a_note_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for state, code in ((OK, 0), (NOTE, 0), (PROBLEM, 1)):
        monkeypatch.setitem(
            diagnosis.LOCAL,
            "disk",
            lambda state=state: iter([Finding(state, "a [bold]message[/]", "do this")]),
        )
        done = CliRunner().invoke(main, ["doctor", "disk"])
        assert done.exit_code == code
        assert "a [bold]message[/]" in done.output
        assert "-> do this" in done.output
    assert "1 problem, 0 notes, 0 ok" in done.output


def test_a_network_check_that_hangs_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs(_: float) -> Iterator[Finding]:
        released.wait(30)
        yield Finding(OK, "too late")

    monkeypatch.setitem(diagnosis.NETWORK, "hub", hangs)
    (examined,) = examine(["hub"], 0.1)
    released.set()
    assert [
        (finding.state, "no answer in time" in finding.message) for finding in examined.findings
    ] == [(NOTE, True)]


def test_a_check_that_breaks_is_a_problem_and_the_others_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks() -> Iterator[Finding]:
        yield Finding(OK, "so far")
        raise RuntimeError("oh")

    monkeypatch.setitem(diagnosis.LOCAL, "disk", breaks)
    findings = {examined.check: examined.findings for examined in examine(["disk", "python"])}
    assert [finding.state for finding in findings["disk"]] == [OK, PROBLEM]
    assert "RuntimeError: oh" in findings["disk"][1].message
    assert findings["python"]


def test_a_check_there_is_not_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'disk'"):
        examine(["dissk"])


def test_only_what_is_asked_for_is_imported() -> None:
    code = (
        "import sys; from discl.harness.doctor.diagnosis import examine; examine(['python', 'disk',"
        " 'hub', 'wandb']); assert not {'torch',"
        " 'torchvision', 'wandb', 'optuna', 'diffusers'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("status", "state"), [(200, OK), (302, OK), (404, OK), (500, NOTE), (503, NOTE)]
)
def test_the_hub_is_asked_once_and_judged_by_its_answer(
    status: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with _server(status) as (url, asked):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        (finding,) = _found("hub")
    assert len(asked) == 1
    assert finding.state == state, finding
    assert (str(status) in finding.message) == (state == NOTE)


def test_the_hub_is_not_asked_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with _server(200) as (url, asked):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        (finding,) = _found("hub")
    assert asked == []
    assert finding.state == OK
    assert "HF_HUB_OFFLINE" in finding.message


@pytest.mark.parametrize("offline", [True, False])
def test_a_token_is_told_of_and_never_shown(offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://me:{SECRET}@127.0.0.1:{_closed()}")
    done = CliRunner().invoke(main, ["doctor", "hub", "--format", "json"])
    assert "a token is there" in done.output
    assert SECRET not in done.output


def test_all_networks_together_are_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with _hanging() as port:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        findings = [
            finding
            for examined in examine(["hub", "wandb"], IMPATIENT)
            for finding in examined.findings
        ]
        took = time.monotonic() - began
    assert [finding.state for finding in findings] == [NOTE, NOTE]
    assert all("timed out" in finding.message for finding in findings), findings
    assert not any(SECRET in finding.message for finding in findings)
    assert took < IMPATIENT + 2  # a hang would take each its three seconds


def test_wandb_without_a_key_is_offline_and_nothing_is_asked() -> None:
    (finding,) = _found("wandb")
    assert (finding.state, "there is no key" in finding.message) == (OK, True)


@pytest.mark.parametrize(
    "answer", [b'{"data": {"viewer": {"entity": "we"}}}', b'{"data": {"viewer": null}}', b"no JSON"]
)
def test_wandb_with_a_key_is_asked_who_we_are(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_MODE", "online")
    with _server(200, answer) as (url, asked):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        done = CliRunner().invoke(main, ["doctor", "wandb", "--format", "json"])
        assert asked == ["/graphql"]
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert _found("wandb")[0].state == OK
        assert asked == ["/graphql"]
    (row,) = json.loads(done.stdout)
    assert row["state"] == (OK if b'"we"' in answer else NOTE), row
    assert url in row["message"]
    assert SECRET not in done.output
    assert done.exit_code == 0


def test_wandb_that_is_not_there_is_a_note_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", f"http://me:{SECRET}@127.0.0.1:{_closed()}")
    done = CliRunner().invoke(main, ["doctor", "wandb", "--format", "json"])
    assert json.loads(done.stdout)[0]["state"] == NOTE
    assert SECRET not in done.output


def test_a_mode_there_is_not_is_a_problem_of_this_check_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "onlin")
    (finding,) = _found("wandb")
    assert (finding.state, "'onlin' is no mode" in finding.message) == (PROBLEM, True)


def test_runs_that_were_not_sent_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    sent_to = f"{read_settings().url}/we/toy"
    for seed, destination in enumerate((sent_to, "offline", None)):
        complete(store, result(seed=seed))
        if destination:
            record = {destination: {"attempt": "000", "rows": 3, "complete": True}}
            (store.root / result(seed=seed).id / ".wandb-sent.json").write_text(json.dumps(record))
    unsent, offline = _found("wandb")
    assert (unsent.state, "2 of 3 runs were not sent" in unsent.message) == (OK, True)
    assert "no key" in offline.message
    output = CliRunner().invoke(main, ["runs", "show", result(seed=0).id]).output
    assert f"{sent_to} (3 epochs)" in output


def test_addresses_are_shown_without_what_is_secret() -> None:
    assert public(f"https://me:{SECRET}@host:1/a?token={SECRET}#x") == "https://host:1/a"


# ---------------------------------------------------------------- disks


def _home() -> Finding:
    return next(finding for finding in _found("disk") if finding.message.startswith("DISCL_HOME"))


def test_a_file_where_a_folder_is_needed_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "file/home"):
        monkeypatch.setenv("DISCL_HOME", str(tmp_path / name))
        assert _home().state == PROBLEM
        assert "point DISCL_HOME at another folder" in _home().way_out


@pytest.mark.skipif(
    not Path("/proc/version").exists(), reason="needs a folder that even root may not write"
)
def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_HOME", "/proc/discl")
    assert (_home().state, "nothing can be written" in _home().message) == (PROBLEM, True)


@pytest.mark.parametrize(("free", "state"), [(5e8, PROBLEM), (3e9, NOTE), (1e12, OK)])
def test_too_little_room_is_a_problem(
    free: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage.shutil.disk_usage("/")
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: real._replace(free=int(free)))
    monkeypatch.setattr(storage, "filesystem", lambda _: "ext4")
    assert _home().state == state


def test_locks_that_do_not_hold_are_a_problem_and_ours_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _home().state != PROBLEM
    monkeypatch.setattr(
        storage.fcntl, "flock", lambda *_: None
    )  # as on a file system that grants every lock
    assert "locks do not hold" in _home().message
    assert _home().state == PROBLEM


def test_a_disk_of_several_machines_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "filesystem", lambda _: "nfs4")
    assert (_home().state, "only one machine" in _home().way_out) == (NOTE, True)


def test_the_kind_of_a_file_system_is_that_of_the_nearest_mount() -> None:
    assert storage.filesystem(Path("/proc/self")) == "proc"
    assert storage.filesystem(Path("/proc/self/../../")) == storage.filesystem(Path("/"))


# ---------------------------------------------------------------- photos


def test_photos_are_told_by_dataset_and_a_broken_file_spoils_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mine.toml").write_text("title = [")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "no-photos"))
    here, away, broken = _found("data")
    assert here == Finding(
        OK, "photos on this machine: none", "discl bench cifar10_lt fetches 139 MB"
    )
    assert "cifar10_lt (for cifar10_lt, cifar10_lt_below_100, cifar10_lt_diffmix" in away.message
    assert "imagenet_lt" in away.message
    assert (broken.state, "mine" in broken.message) == (NOTE, True)
    assert not (tmp_path / "no-photos").exists()


# ---------------------------------------------------------------- software


def test_this_python_and_its_packages_fit() -> None:
    assert all(finding.state == OK for finding in _found("python"))


def test_packages_that_do_not_fit_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "requires", lambda _: ["numpy>=99", "no-such-thing", "click>=1"])
    finding = _found("python")[1]
    assert finding.state == PROBLEM
    assert "numpy is 2" in finding.message
    assert "no-such-thing is absent" in finding.message
    assert "click" not in finding.message


def test_an_extra_that_is_not_installed_comes_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["click>=1", "no-such-thing; extra == 'ray'", "click; extra == 'slurm'"]
    monkeypatch.setattr(software, "requires", lambda _: lines)
    assert _found("python")[-1] == Finding(
        OK,
        "extras not installed: ray (lacks no-such-thing)",
        "where you want them: pip install 'discl[ray]'",
    )


def test_torch_is_told_as_it_is() -> None:
    import torch

    first, threads = _found("torch")
    assert torch.__version__ in first.message
    assert "torch uses 1," in threads.message


def test_more_threads_than_cores_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    threads = _found("torch")[-1]
    assert (threads.state, "OMP_NUM_THREADS" in threads.way_out) == (NOTE, True)


@pytest.mark.gpu
def test_a_gpu_is_named_with_its_memory() -> None:
    import torch

    assert torch.cuda.get_device_name(0) in _found("torch")[0].message
    assert "GB free" in _found("torch")[0].message


def test_what_the_help_lists_is_what_there_is() -> None:
    output: Any = CliRunner().invoke(main, ["doctor", "--help"]).output.replace("\n", " ")
    assert all(
        f"{name}," in output or f"{name} (" in output or f"{name}." in output for name in CHECKS
    )

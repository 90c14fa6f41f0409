"""Who refers to which bank."""

import json
import socket
from pathlib import Path

import pytest

from discl.config.load import load, scales
from discl.core import search_path
from discl.core.registry import find
from discl.files.disk import home
from discl.files.fetch import offline
from discl.harness.bank.references import PossibleReference, References, find_references
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.cifar10_lt import Cifar10LT


def _run(id: str, bank: str | None, text: str = "") -> None:
    folder = home() / "runs" / id / "000"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(text or json.dumps({"comparability": {"bank": bank}}))


@pytest.fixture(scope="module")
def cifar10_photos() -> None:
    """The photos of CIFAR-10 lie on this machine, also where no test before needed them."""
    Cifar10LT().split("test")


@pytest.mark.usefixtures("cifar10_photos")
def test_every_scale_of_every_benchmark_refers_to_its_bank_and_no_folder_is_made() -> None:
    known = find_references()
    # not known where the photos are files that are not here, where the weights are not, or before
    # hard photos were looked for
    assert all(
        issubclass(find("datasets", possible.dataset or ""), FileDataset)
        or "generator.checkpoint" in possible.why
        or "hard is not known yet" in possible.why
        for possible in known.possible
    )
    assert {f"cifar10_lt/{scale}" for scale in scales("cifar10_lt")} <= {
        name for names in known.benchmarks.values() for name in names
    }
    assert not (home() / "banks").exists()
    assert Bench(load("cifar10_lt")).bank.id in known.benchmarks


@pytest.mark.usefixtures("one_benchmark")
def test_a_complete_run_refers_to_its_bank() -> None:
    _run("0" * 16, "b" * 16)
    _run("1" * 16, None)
    (home() / "runs" / ("2" * 16) / "000").mkdir(parents=True)  # not complete
    known = find_references()
    assert known.runs == {"b" * 16: 1}
    assert known.reason_to_keep("b" * 16, "toy") == "1 run"
    assert known.reason_to_keep("c" * 16, "toy") == ""


def _stopped(id: str, bank: str) -> Path:
    """A run that was stopped and can be gone on with."""
    folder = home() / "runs" / id
    (folder / "000").mkdir(parents=True)
    (folder / "000" / "experiment.json").write_text(json.dumps({"bank": bank}))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "1.safetensors").touch()
    return folder


@pytest.mark.usefixtures("one_benchmark")
def test_a_run_that_can_be_gone_on_with_refers_to_its_bank_until_another_attempt_is_complete() -> (
    None
):
    folder = _stopped("0" * 16, "b" * 16)
    known = find_references()
    assert known.reason_to_keep("b" * 16, "toy") == "1 run under way or to be gone on with"
    assert known.reason_to_keep("c" * 16, "toy") == ""
    (folder / "001").mkdir()
    (folder / "001" / "result.json").write_text(json.dumps({"comparability": {"bank": None}}))
    assert find_references().reason_to_keep("b" * 16, "toy") == ""


@pytest.mark.usefixtures("one_benchmark")
def test_a_run_under_way_may_come_to_any_bank_until_it_has_said_which() -> None:
    store = Store()
    with store.claimed("0" * 16):
        assert "its bank is not known yet" in find_references().reason_to_keep("c" * 16, "toy")
        _stopped("0" * 16, "b" * 16)
        assert find_references().reason_to_keep("c" * 16, "toy") == ""
    assert find_references().reason_to_keep("b" * 16, "toy")


@pytest.mark.usefixtures("one_benchmark")
def test_while_a_sweep_is_under_way_every_bank_stays() -> None:
    with Store().sweeping(), Store().sweeping():
        assert "a sweep is under way" in find_references().reason_to_keep("c" * 16, "toy")
    assert find_references().reason_to_keep("c" * 16, "toy") == ""


@pytest.mark.usefixtures("one_benchmark")
def test_a_run_that_cannot_be_read_may_refer_to_any_bank() -> None:
    _run("0" * 16, None, "torn")
    assert "result.json cannot be read" in find_references().reason_to_keep("c" * 16, "toy")


def test_photos_that_are_not_here_leave_only_the_banks_of_their_dataset_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "nothing"))
    known = find_references()
    assert known.benchmarks == {}
    assert "needs the photos of cifar10_lt, which are not on this machine" in known.reason_to_keep(
        "c" * 16, "cifar10_lt"
    )
    assert known.reason_to_keep("c" * 16, "toy") == ""
    assert not (tmp_path / "nothing").exists()


@pytest.mark.usefixtures("one_benchmark")
@pytest.mark.parametrize(
    "text",
    [
        "title = ",
        "[scale.smoke]\nunknown = 3\n",
        "[scale.huge]\n[scale.smoke]\n",
        "[scale.smoke.dataset]\nname = 'elsewhere'\n",
    ],
)
def test_a_benchmark_that_does_not_load_may_refer_to_any_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "mine.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert find_references().reason_to_keep("c" * 16, "toy").startswith("perhaps: ")


def test_a_benchmark_of_another_generator_leaves_no_doubt() -> None:
    mine, other = (
        {"name": "img2img", "version": 2, "parameters": {}},
        {"name": "img2img", "version": 2, "parameters": {"checkpoint": "a/b"}},
    )
    known = References(possible=[PossibleReference("toy", "its weights are not here", other)])
    assert known.reason_to_keep("c" * 16, "toy", {**mine, "weights": "0" * 16}) == ""
    assert (
        known.reason_to_keep("c" * 16, "toy", {**other, "weights": "0" * 16})
        == known.reason_to_keep("c" * 16, "toy")
        == "perhaps: its weights are not here"
    )


@pytest.mark.usefixtures("cifar10_photos", "one_benchmark")
def test_a_checkpoint_of_the_hub_is_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: pytest.fail("somebody asks for the network")
    )
    with offline():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    (tmp_path / "benchmarks").mkdir()
    for path in search_path.shipped("benchmarks").glob("*.toml"):
        (tmp_path / "benchmarks" / path.name).write_text(
            path.read_text()
            .replace('name = "img2img"', 'name = "img2img"\ncheckpoint = "a/b"')
            .replace('checkpoint = "gap"', 'checkpoint = "a/b"')
        )
    monkeypatch.chdir(tmp_path)
    known = find_references()
    assert "does not say which bank it needs" in known.reason_to_keep("c" * 16, "cifar10_lt")
    assert known.reason_to_keep("c" * 16, "toy") == ""

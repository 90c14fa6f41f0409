"""The device is named before work, and so is the reason why it is no GPU."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from discl.cli import main
from discl.config.load import load
from discl.core.compute import device
from discl.harness.doctor.device import cores_finding, device_lines
from discl.harness.doctor.finding import NOTE, OK, PROBLEM
from discl.harness.doctor.software import torch as torch_findings


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(device.shutil, "which", lambda _: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def _driver(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08")


def test_a_cpu_alone_is_named_without_a_warning() -> None:
    (line,) = device_lines(load("cifar10_lt"))
    assert line.startswith("device: ")
    assert line.endswith("; images in float32, training in float32")


def test_a_torch_for_cuda_without_a_usable_driver_is_the_first_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    first, second = device_lines()
    assert first.startswith(
        f"warning: torch {torch.__version__} is built for CUDA 13.0 and finds no"
    )
    assert second.startswith("device: ")
    _driver(tmp_path)
    assert "cannot use NVIDIA driver 535.161.08" in device_lines()[0]
    (finding, *_) = torch_findings()
    assert finding.state == NOTE
    assert "pytorch.org" in finding.way_out
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the CPU is meant
    assert len(device_lines()) == 1


def test_a_torch_without_cuda_beside_a_driver_is_told(tmp_path: Path) -> None:
    _driver(tmp_path)
    assert "built without CUDA" in device_lines()[0]


def test_devices_that_are_not_there_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    one = ["--strategies", "static", "--seeds", "0"]
    for words in (
        ["bench", "cifar10_lt"],
        ["run", "cifar10_lt", *one],
        ["bank", "build", "cifar10_lt"],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2
        assert "CUDA_VISIBLE_DEVICES = '7' names no GPU" in " ".join(done.output.split())
    assert not list((tmp_path / "home").glob("runs/*"))
    (finding, *_) = torch_findings()
    assert finding.state == PROBLEM


def test_a_gpu_is_named_with_its_memory_and_what_it_computes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (130e9, 140e9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU of ours")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    (line,) = device_lines(load("iwildcam", "paper"))
    assert line.startswith("device: GPU of ours, 130.0 of 140.0 GB of memory free; ")
    assert "float32 convolutions in TF32" in line
    assert line.endswith("training in bfloat16")
    assert device_lines(load("cifar10_lt"))[0].endswith("images in float32, training in float32")


def test_cores_that_feed_a_gpu_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from discl.harness.doctor import device as of_doctor

    monkeypatch.setattr(of_doctor, "cores", lambda: 16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cores_finding().state == OK
    assert "16 for 2 GPUs, 8 for each" in cores_finding().message
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert cores_finding().state == NOTE

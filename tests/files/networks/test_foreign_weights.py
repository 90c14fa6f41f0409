"""Checkpoints of others are read for their weights, and run nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from discl.core.errors import UserError
from discl.files.networks.foreign import read_weights

WEIGHTS = {"conv1.weight": torch.ones(2, 3), "fc.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    "wrapped",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 90},
        {"epoch": 90, "model": {f"module.{name}": value for name, value in WEIGHTS.items()}},
        {"state_dict": {"model": WEIGHTS}},
    ],
)
def test_weights_are_found_in_what_training_programs_wrap_them_in(
    wrapped: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(wrapped, tmp_path / "a.pth")
    found = read_weights(tmp_path / "a.pth")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.safetensors")
    assert read_weights(tmp_path / "a.safetensors").keys() == WEIGHTS.keys()


class _Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": WEIGHTS, "extra": _Harmful()}, "a.pth")
    with pytest.raises(UserError, match="could run anything: convert it where you trust it"):
        read_weights(Path("a.pth"))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.safetensors", b"nothing", "is no safetensors file"),
        ("a.safetensors", b"", "is no safetensors file"),
        ("a.pth", b"", "is no file that torch.save wrote"),
        ("a.pth", b"PK nothing", "(no file that torch.save wrote|could run anything)"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=fault):
        read_weights(tmp_path / name)


def test_a_file_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"optimiser": {"lr": 0.1}, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"holds no table of weights by name \(epoch, optimiser\)"):
        read_weights(tmp_path / "a.pth")

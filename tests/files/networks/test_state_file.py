"""Weights come back as they were written, or not at all."""

from pathlib import Path

import pytest
import torch

from discl.core.seals import DamagedFileError
from discl.files.networks import state_file
from tests.faults.damage import KINDS

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(7)}


def _written(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    state_file.save(path, WEIGHTS, {"classes": ["x", "y"]}, "start 1")
    return path


def test_weights_and_what_is_said_of_them_come_back(tmp_path: Path) -> None:
    path = _written(tmp_path)
    weights, about, digest = state_file.read(path, "start 1", "made again")
    assert {name: tensor.tolist() for name, tensor in weights.items()} == {
        "a": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "n": 7,
    }
    assert about == state_file.about(path) == {"classes": ["x", "y"]}
    assert digest == state_file.save(path, WEIGHTS, {"classes": ["x", "y"]}, "start 1")
    assert state_file.about(tmp_path / "none") == {}


def test_two_names_of_one_tensor_are_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "tied.safetensors"
    state_file.save(path, {"a": WEIGHTS["a"], "b": WEIGHTS["a"]}, {}, "tied")
    weights, _, _ = state_file.read(path, "tied", "")
    assert torch.equal(weights["a"], weights["b"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_read(kind: str, tmp_path: Path) -> None:
    path = _written(tmp_path)
    KINDS[kind](path)
    with pytest.raises(DamagedFileError, match="made again$"):
        state_file.read(path, "start 1", "made again")


def test_weights_in_the_place_of_others_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="is damaged"):
        state_file.read(_written(tmp_path), "start 2", "made again")


def test_weights_that_were_read_do_not_change_with_the_file(tmp_path: Path) -> None:
    path = _written(tmp_path)
    weights, _, _ = state_file.read(path, "start 1", "")
    path.write_bytes(bytes(len(path.read_bytes())))
    assert torch.equal(weights["a"], WEIGHTS["a"])

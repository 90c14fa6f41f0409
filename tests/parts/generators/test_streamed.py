"""A denoiser that is read weight by weight."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from discl.core.errors import UserError
from discl.parts.generators.base.adapters.streamed import streamed
from discl.testing import untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.write("sd", tmp_path_factory.mktemp("sd")) / "unet"


def test_weights_read_one_by_one_are_those_of_diffusers(folder: Path, tmp_path: Path) -> None:
    shrunk: list[nn.Linear] = []

    def shrink(layer: Any) -> None:
        assert not layer.weight.is_meta
        shrunk.append(layer)

    whole = UNet2DConditionModel.from_pretrained(str(folder))
    whole.save_pretrained(tmp_path / "parts", max_shard_size="200KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    for place in (folder, tmp_path / "parts"):
        read = streamed(place, UNet2DConditionModel, torch.float32, shrink)
        assert read.state_dict().keys() == whole.state_dict().keys()
        assert all(map(torch.equal, read.state_dict().values(), whole.state_dict().values()))
        layers = [module for module in read.modules() if isinstance(module, nn.Linear)]
        assert {id(layer) for layer in shrunk} == {id(layer) for layer in layers}
        shrunk.clear()
    half = streamed(folder, UNet2DConditionModel, torch.bfloat16, lambda _: None)
    assert {each.dtype for each in half.parameters()} == {torch.bfloat16}


def test_damaged_or_missing_weights_are_a_sentence(folder: Path, tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            streamed(tmp_path / "unet", UNet2DConditionModel, torch.float32, lambda _: None)

    file = shutil.copytree(folder, tmp_path / "unet") / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[:500], whole[:4], b"\xff" * 100, b""):
        file.write_bytes(damaged)
        refused("is no whole safetensors file")
    file.unlink()
    refused("has no .* of its weights")
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    del header["conv_in.bias"]
    told = json.dumps(header).encode().ljust(length)
    file.write_bytes(len(told).to_bytes(8, "little") + told + whole[8 + length :])
    refused("has no conv_in.bias and 0 more")

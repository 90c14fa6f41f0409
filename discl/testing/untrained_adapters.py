"""Adapters with random weights for the tiny checkpoints, in the formats that people share them in.

For tests, and for trying a set-up out before files are fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from discl.testing.untrained import WIDTH

_RANK = 4
_SIDE = 32  # pixels that the image encoder sees
_IMAGE_WIDTH = 24  # of its embeddings
_TOKENS = 4  # that an image prompt is read as
_LOUD = 0.3  # deviation of weights; large enough to change pixels
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "v_proj")


def _pipeline(checkpoint: Path) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(str(checkpoint), local_files_only=True)


def _dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write_lora(
    checkpoint: Path, file: Path, seed: int = 0, networks: tuple[str, ...] = ("unet",)
) -> Path:
    """A LoRA of the attention of some networks of a checkpoint, with diffusers' names."""
    pipeline, dice = _pipeline(checkpoint), _dice(seed)
    tensors = dict[str, Tensor]()
    for network in networks:
        for name, module in getattr(pipeline, network).named_modules():
            if isinstance(module, nn.Linear) and name.endswith(_ATTENTION):
                down = torch.randn(_RANK, module.in_features, generator=dice)
                up = torch.randn(module.out_features, _RANK, generator=dice)
                tensors[f"{network}.{name}.lora_A.weight"] = _LOUD * down
                tensors[f"{network}.{name}.lora_B.weight"] = _LOUD * up
    return _saved(tensors, file)


def write_word(file: Path, token: str, seed: int = 0, pieces: int = 1, encoders: int = 1) -> Path:
    """Vectors of a word for the text encoders of the tiny checkpoints, of one or of two."""
    dice = _dice(seed)
    names = (token,) if encoders == 1 else ("clip_l", "clip_g")
    return _saved({name: torch.randn(pieces, WIDTH, generator=dice) for name in names}, file)


def write_ip_adapter(checkpoint: Path, file: Path, seed: int = 0) -> Path:
    """An IP-Adapter of a checkpoint, with its image encoder beside it."""
    unet, dice = _pipeline(checkpoint).unet, _dice(seed)
    width = unet.config.cross_attention_dim

    def random(*shape: int) -> Tensor:
        return _LOUD * torch.randn(*shape, generator=dice)

    tensors = {
        "image_proj.proj.weight": random(_TOKENS * width, _IMAGE_WIDTH),
        "image_proj.proj.bias": random(_TOKENS * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": random(width),
    }
    crossed = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for place, name in enumerate(crossed):
        inside = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for kind in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{2 * place + 1}.{kind}.weight"] = random(inside, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=32,
                intermediate_size=37,
                projection_dim=_IMAGE_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=4,
                image_size=_SIDE,
                patch_size=8,
            )
        )
    encoder.save_pretrained(file.parent / "image_encoder")
    return _saved(tensors, file)


def write_controlnet(checkpoint: Path, folder: Path, seed: int = 0) -> Path:
    """A ControlNet of a checkpoint, whose additions are not the zeros that training begins with."""
    dice = _dice(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ControlNetModel.from_unet(
            _pipeline(checkpoint).unet, conditioning_embedding_out_channels=(16, 16, 16, 16)
        )
    last: Any = network.controlnet_cond_embedding.conv_out
    for module in (last, network.controlnet_mid_block, *network.controlnet_down_blocks):
        with torch.no_grad():
            module.weight.copy_(_LOUD * torch.randn(module.weight.shape, generator=dice))
    network.save_pretrained(folder, safe_serialization=True)
    return folder


def _saved(tensors: dict[str, Tensor], file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(file))
    return file


def write_gguf(checkpoint: Path, file: Path) -> Path:
    """The transformer of a checkpoint as a GGUF file, with 8 bits a weight where rows allow it."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    writer, transformer = GGUFWriter(str(file), "diffusion"), _pipeline(checkpoint).transformer
    matrices = {
        f"{name}.weight"
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and module.in_features % 32 == 0
    }
    for name, tensor in transformer.state_dict().items():
        values = tensor.float().numpy()
        if name in matrices:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file

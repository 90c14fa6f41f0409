"""The generator on a checkpoint in Stable Diffusion's own format, with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from discl.miniature.words import build_tokenizer
from discl.spec.errors import UserError
from discl.spec.kinds import Request
from discl.spec.registry import bind

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole Stable Diffusion folder: AutoencoderKL, UNet, CLIP text encoder, tokenizer and the refiner's own scheduler."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(["cat", "dog"])
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("sd")
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _generator(checkpoint: Path, **parameters: Any) -> Any:
    return bind("generators", "img2img", {"checkpoint": str(checkpoint), "steps": 10, "chunk": 2, **parameters}).build()


def test_it_drives_stable_diffusion(checkpoint: Path) -> None:
    requests = [Request(level, "a photo of a cat", seed) for seed, level in enumerate((0, 50, 90))]
    images = _generator(checkpoint).make(requests, PHOTOS).images
    assert images.shape == PHOTOS.shape
    assert np.array_equal(images[1:2], _generator(checkpoint).make(requests[1:2], PHOTOS[1:2]).images)


def test_it_calls_the_denoiser_as_often_as_the_level_says(checkpoint: Path) -> None:
    generator, calls = _generator(checkpoint), []
    generator._pipeline.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    for level, expected in ((0, 10), (30, 7), (90, 1)):
        calls.clear()
        generator.make([Request(level, "a photo of a cat", 0)], PHOTOS[:1])
        # Euler makes one call a step, each with both halves of classifier-free guidance
        assert len(calls) == expected


def test_a_photo_can_be_resized_on_the_way(checkpoint: Path) -> None:
    assert _generator(checkpoint, size=(48, 32)).make([Request(50, "a cat", 0)], PHOTOS[:1]).images.shape == (1, 32, 48, 3)


def test_the_identity_follows_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    assert _generator(copy).identity() == _generator(checkpoint).identity()
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert _generator(copy).identity() != _generator(checkpoint).identity()


def test_a_level_without_a_step_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="level 99 leaves no denoising step"):
        _generator(checkpoint).make([Request(99, "a cat", 0)], PHOTOS[:1])


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(UserError, match="does not load as a diffusers pipeline"):
        _generator(tmp_path).make([Request(50, "a cat", 0)], PHOTOS[:1])


def test_a_truncated_weight_file_is_named(checkpoint: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="does not load"):
        _generator(copy).make([Request(50, "a cat", 0)], PHOTOS[:1])

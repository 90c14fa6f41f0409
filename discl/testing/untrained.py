"""Tiny checkpoints with random weights, in the formats of Stable Diffusion and open_clip.

For tests, for measuring, and for trying a set-up out before gigabytes are fetched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from discl.miniature.words import CONTEXT, build_tokenizer

WIDTH = 32  # of every text encoder


def _tokenizer() -> Any:
    return build_tokenizer(["cat", "dog"])


def _text_encoder(kind: Any) -> Any:
    tokenizer = _tokenizer()
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=37,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            projection_dim=WIDTH,
        )
    )


def _unet(width: int = 1, **more: Any) -> UNet2DConditionModel:
    settings = {"cross_attention_dim": WIDTH, "attention_head_dim": 8, **more}
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16 * width, 32 * width),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **settings,
    )


def _vae(**more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        **more,
    )


def _scheduler(kind: Any = EulerDiscreteScheduler, **more: Any) -> Any:
    return kind(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **more)


def _refiner_scheduler() -> Any:
    return _scheduler(steps_offset=1, timestep_spacing="leading")


def _sd_components() -> dict[str, Any]:
    return {
        "vae": _vae(),
        "text_encoder": _text_encoder(CLIPTextModel),
        "tokenizer": _tokenizer(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def _sdxl_unet(width: int, ids: int, tokens: int, **more: Any) -> UNet2DConditionModel:
    """SDXL's denoiser; it takes `ids` numbers (sizes, scores) and prompts `tokens` wide."""
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": WIDTH + ids * 8,
    }
    return _unet(
        width,
        cross_attention_dim=tokens,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        **added,
        **more,
    )


def sd(width: int) -> Any:
    return StableDiffusionPipeline(
        unet=_unet(width), scheduler=_refiner_scheduler(), **_sd_components()
    )


def lcm(width: int) -> Any:
    scheduler = _scheduler(LCMScheduler, original_inference_steps=50)
    return LatentConsistencyModelPipeline(
        unet=_unet(width, time_cond_proj_dim=16), scheduler=scheduler, **_sd_components()
    )


def sdxl(width: int) -> Any:
    # the factor stands for that of Playground 2.5: an autoencoder that states its latents' mean and
    # deviation
    vae = _vae(
        force_upcast=True, latents_mean=[0.1, -0.1, 0.2, 0.0], latents_std=[1.1, 0.9, 1.2, 1.0]
    )
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=_text_encoder(CLIPTextModel),
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_sdxl_unet(width, 6, 2 * WIDTH),
        scheduler=_refiner_scheduler(),
        add_watermarker=False,
    )


def refiner(width: int) -> Any:
    return StableDiffusionXLImg2ImgPipeline(
        vae=_vae(force_upcast=True),
        text_encoder=None,
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection),
        tokenizer=None,
        tokenizer_2=_tokenizer(),
        unet=_sdxl_unet(width, 5, WIDTH),
        scheduler=_refiner_scheduler(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


BUILDERS = {"sd": sd, "sdxl": sdxl, "refiner": refiner, "lcm": lcm}


def write(kind: str, folder: Path, width: int = 1) -> Path:
    """A folder as `save_pretrained` writes it; `width` multiplies the channels of the UNet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = BUILDERS[kind](width)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def write_clip(folder: Path, classes: Sequence[str] = ("cat", "dog"), side: int = 16) -> Path:
    """A folder in open_clip's format: a vision transformer for `side` pixels and a text encoder."""
    tokenizer = build_tokenizer(list(classes))
    config = {
        "embed_dim": WIDTH,
        "vision_cfg": {
            "image_size": side,
            "patch_size": side // 2,
            "width": WIDTH,
            "head_width": 16,
            "layers": 1,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": WIDTH,
            "heads": 2,
            "layers": 1,
        },
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**config)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()},
        str(folder / "open_clip_model.safetensors"),
    )
    written = {
        "model_cfg": config,
        "preprocess_cfg": {"size": side, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.2]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(written, indent=2) + "\n")
    tokenizer.save_pretrained(folder)
    return folder

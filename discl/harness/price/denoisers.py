"""How the denoisers of the families are called, on tensors that hold no values.

The inputs are those that `discl.parts.generators.base.families` gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from discl.harness.price.work import on_meta

CLIP_TOKENS = 77  # of a prompt, where the text encoder does not say
CAPTION_TOKENS = 64  # of a caption with what a chat puts around it, filled up as families do


class DenoiserInput(NamedTuple):
    """What the shapes of inputs follow from."""

    latents: tuple[int, int, int]  # channels, height, width
    text_encoders: Sequence[nn.Module]
    tokens: int  # of a prompt


def denoised(denoiser: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    """One call for so many images; what is no transformer is a U-Net."""
    kind = kind_of(type(denoiser).__name__)
    with on_meta():
        return (kind.call if kind else _unet)(denoiser, given, images, dtype)


def kind_of(name: str) -> TransformerKind | None:
    """What is known of a class of transformers; None = nothing is."""
    return _TRANSFORMERS.get(name)


# ---------------------------------------------------------------- U-Nets


def _unet(unet: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    condition = getattr(unet.config, "time_cond_proj_dim", None)
    width = unet.config.cross_attention_dim
    width = int(width[0] if isinstance(width, list | tuple) else width)
    return unet(
        torch.empty(images, *given.latents, dtype=dtype),
        torch.empty(images),
        encoder_hidden_states=torch.empty(images, given.tokens, width, dtype=dtype),
        timestep_cond=condition and torch.empty(images, condition, dtype=dtype),
        added_cond_kwargs=_numbers(unet.config, given, images, dtype),
        return_dict=False,
    )


def _numbers(
    config: Any, given: DenoiserInput, images: int, dtype: torch.dtype
) -> dict[str, torch.Tensor] | None:
    if getattr(config, "addition_embed_type", None) != "text_time":
        return None
    encoder: Any = given.text_encoders[-1]
    pooled: int = encoder.config.projection_dim
    numbers = (config.projection_class_embeddings_input_dim - pooled) // (
        config.addition_time_embed_dim
    )
    return {
        "text_embeds": torch.empty(images, pooled, dtype=dtype),
        "time_ids": torch.empty(images, numbers, dtype=dtype),
    }


# ---------------------------------------------------------------- transformers


def _stable_diffusion_3(model: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    config = model.config
    return model(
        hidden_states=torch.empty(images, *given.latents, dtype=dtype),
        timestep=torch.empty(images),
        encoder_hidden_states=_hidden(given, images, config.joint_attention_dim, dtype),
        pooled_projections=torch.empty(images, config.pooled_projection_dim, dtype=dtype),
        return_dict=False,
    )


def _flux(model: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    config = model.config
    patches = _patches(given, images, dtype)
    return model(
        hidden_states=patches,
        timestep=torch.empty(images, dtype=dtype),
        guidance=torch.empty(images) if config.guidance_embeds else None,
        pooled_projections=torch.empty(images, config.pooled_projection_dim, dtype=dtype),
        encoder_hidden_states=_hidden(given, images, config.joint_attention_dim, dtype),
        txt_ids=torch.empty(given.tokens, 3, dtype=dtype),
        img_ids=torch.empty(patches.shape[1], 3, dtype=dtype),
        return_dict=False,
    )


def _chroma(model: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    patches = _patches(given, images, dtype)
    return model(
        hidden_states=patches,
        timestep=torch.empty(images, dtype=dtype),
        encoder_hidden_states=_hidden(given, images, model.config.joint_attention_dim, dtype),
        txt_ids=torch.empty(given.tokens, 3, dtype=dtype),
        img_ids=torch.empty(patches.shape[1], 3, dtype=dtype),
        attention_mask=torch.empty(images, given.tokens + patches.shape[1], dtype=dtype),
        return_dict=False,
    )


def _qwen_image(model: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    _, height, width = given.latents
    return model(
        hidden_states=_patches(given, images, dtype),
        timestep=torch.empty(images, dtype=dtype),
        encoder_hidden_states=_hidden(given, images, model.config.joint_attention_dim, dtype),
        img_shapes=[[(1, height // 2, width // 2)]] * images,
        return_dict=False,
    )


def _z_image(model: Any, given: DenoiserInput, images: int, dtype: torch.dtype) -> Any:
    channels, height, width = given.latents
    return model(
        list(torch.empty(images, channels, 1, height, width, dtype=dtype).unbind()),
        torch.empty(images),
        list(_hidden(given, images, model.config.cap_feat_dim, dtype).unbind()),
        return_dict=False,
    )


class TransformerKind(NamedTuple):
    """A class of transformers."""

    call: Callable[[Any, DenoiserInput, int, torch.dtype], Any]
    takes_guidance: bool = False  # as an input: guided or not, one call does
    tokens_beside: int = 0  # of a prompt, besides those of the encoder that reads most


_TRANSFORMERS = {
    "SD3Transformer2DModel": TransformerKind(_stable_diffusion_3, tokens_beside=CLIP_TOKENS),
    "FluxTransformer2DModel": TransformerKind(_flux, takes_guidance=True),
    "ChromaTransformer2DModel": TransformerKind(_chroma),
    "QwenImageTransformer2DModel": TransformerKind(_qwen_image),
    "ZImageTransformer2DModel": TransformerKind(_z_image),
}


def _hidden(given: DenoiserInput, images: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    """The tokens of prompts, as the denoiser reads them."""
    return torch.empty(images, given.tokens, width, dtype=dtype)


def _patches(given: DenoiserInput, images: int, dtype: torch.dtype) -> torch.Tensor:
    """Latents as rows of patches of 2x2."""
    channels, height, width = given.latents
    return torch.empty(images, height // 2 * (width // 2), 4 * channels, dtype=dtype)

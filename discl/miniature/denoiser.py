"""The miniature's text-conditional denoiser, saved as a Stable Diffusion folder of diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import (
    DPMSolverMultistepScheduler,
    StableDiffusionImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from discl.core.interfaces import Ints, Photos
from discl.miniature.autoencoder import encode
from discl.miniature.training import Recipe, Rows, StepReport, train
from discl.miniature.words import captions
from discl.parts.generators._patches import PatchAutoencoder

RECIPE = Recipe(steps=6000, batch=128, lr=8e-4, warmup=300, ema=0.9985, seed=2)
# share of captions left empty in training, for classifier-free guidance (Ho and Salimans 2022)
NO_CAPTION = 0.12
TRAIN_TIMESTEPS = 1000


def build(tokenizer: CLIPTokenizer, channels: int) -> nn.ModuleDict:
    """Untrained text encoder and UNet over 8x8 latents.

    The pooled caption shifts every block as well as being attended to.
    """
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            projection_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=16,
        time_embedding_dim=256,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    # 64 positions: plain products train faster on a CPU than the fused kernel, whose backward took
    # 29 % of a step
    unet.set_attn_processor(AttnProcessor())
    return nn.ModuleDict({"text": text, "unet": unet})


def load(folder: Path) -> nn.ModuleDict:
    """The networks of a shipped folder, in float32, to be trained further."""
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    unet.set_attn_processor(AttnProcessor())
    return nn.ModuleDict({"text": text, "unet": unet})


def scheduler() -> DPMSolverMultistepScheduler:
    """Cosine noise, v-prediction, second-order solver.

    The grid ends in pure noise, so level 0 is text only.
    """
    return DPMSolverMultistepScheduler(
        num_train_timesteps=TRAIN_TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
    )


def fit(
    networks: nn.ModuleDict,
    tokenizer: CLIPTokenizer,
    vae: PatchAutoencoder,
    photos: Photos,
    labels: Ints,
    classes: list[str],
    recipe: Recipe,
    folder: Path,
    device: torch.device,
) -> Iterator[StepReport]:
    """v-prediction (Salimans and Ho 2022) on latents of photos [n, h, w, 3] and mirror images.

    `labels` [n] are those of the photos.
    """
    latents = torch.stack([encode(vae, photos, device), encode(vae, photos[:, :, ::-1], device)])
    texts = captions(classes)
    per_class = len(texts[0])
    tokens = tokenizer(
        [c for group in texts for c in group] + [""], padding="max_length", return_tensors="pt"
    ).input_ids.to(device)
    alphas_bar = scheduler().alphas_cumprod

    def loss_of(rows: Rows, noise: torch.Generator) -> dict[str, torch.Tensor]:
        side = torch.randint(0, 2, (len(rows),), generator=noise)
        clean = latents[side, torch.from_numpy(rows)]
        template = torch.randint(0, per_class, (len(rows),), generator=noise)
        caption = torch.from_numpy(labels[rows]) * per_class + template
        caption[torch.rand(len(rows), generator=noise) < NO_CAPTION] = len(tokens) - 1
        # one random offset and an even spread over the batch: every step sees the whole range of
        # noise
        share = (torch.rand(1, generator=noise) + torch.arange(len(rows)) / len(rows)) % 1.0
        timestep = (share * TRAIN_TIMESTEPS).long()
        eps = torch.randn(clean.shape, generator=noise)
        signal = alphas_bar[timestep].sqrt()[:, None, None, None]
        sigma = (1 - alphas_bar[timestep]).sqrt()[:, None, None, None]
        noisy = (signal * clean + sigma * eps).to(device)
        target = (signal * eps - sigma * clean).to(device)
        words = networks["text"](tokens).last_hidden_state[caption.to(device)]
        guess = networks["unet"](noisy, timestep.to(device), words).sample
        return {"loss": F.mse_loss(guess.float(), target)}

    yield from train(networks, loss_of, len(photos), recipe, folder, device)


def assemble(
    networks: nn.ModuleDict, tokenizer: CLIPTokenizer, vae: PatchAutoencoder
) -> StableDiffusionImg2ImgPipeline:
    """The pipeline whose `save_pretrained` writes the shipped folder."""
    return StableDiffusionImg2ImgPipeline(
        vae=vae,
        text_encoder=networks["text"],
        tokenizer=tokenizer,
        unet=networks["unet"],
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )

#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0, transformers 5.23.0: SDXL inpainting undoes the moments of latents that it never applied.
#
# A guess: an autoencoder whose configuration states `latents_mean` and `latents_std` (Playground v2.5's does) has its latents
# normalised by them on the way in and brought back on the way out. So where the mask keeps the whole photo, the photo comes out as the
# autoencoder has it, the same with moments as without.
# Seen: StableDiffusionXLInpaintPipeline uses them only when it decodes, so what the mask keeps comes out as another image: hundreds of
# 255 apart with random weights and moments as large as here. Moments of 0 and 1, which change nothing, make no difference.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  diffusers==0.42.1 torch==2.13.0 transformers==5.23.0 numpy==2.4.6 pillow 2>/dev/null
TRANSFORMERS_VERBOSITY=error "$work/venv/bin/python" -W ignore - <<'PY'
import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from PIL import Image

diffusers.utils.logging.set_verbosity_error()
SIDE = 64
MOMENTS = {"latents_mean": [-1.5, 2.0, -1.5, 2.5], "latents_std": [8.0, 6.0, 6.5, 5.0]}
photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
keep_all = Image.new("L", (SIDE, SIDE), 0)


def vae(**moments):
    """Random weights, the same each time."""
    torch.manual_seed(0)
    kind = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    return AutoencoderKL(block_out_channels=[32, 32], latent_channels=4, **kind, **moments).eval()


def denoiser():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), cross_attention_dim=32, addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=48 + 32,
    )


def kept(**moments):
    """What inpainting [SIDE, SIDE, 3] makes of a photo of which the mask keeps all, 0 to 255."""
    pipeline = StableDiffusionXLInpaintPipeline(
        vae=vae(**moments), unet=denoiser(), scheduler=EulerDiscreteScheduler(), text_encoder=None,
        text_encoder_2=None, tokenizer=None, tokenizer_2=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        image=photo, mask_image=keep_all, height=SIDE, width=SIDE, strength=0.5, num_inference_steps=4, guidance_scale=1.0,
        prompt_embeds=torch.zeros(1, 4, 32), pooled_prompt_embeds=torch.zeros(1, 32),
        generator=torch.Generator().manual_seed(0), output_type="np",
    )
    return 255 * made.images[0]


plain = kept()
nothing = np.abs(kept(latents_mean=[0.0] * 4, latents_std=[1.0] * 4) - plain).max()
apart = np.abs(kept(**MOMENTS) - plain).max()
print(f"diffusers {diffusers.__version__}, torch {torch.__version__}: a photo that inpainting keeps whole is {apart:.0f} of 255 apart")
print(f"with moments of latents from what it is without; with moments of 0 and 1, {nothing:.0f}")
assert plain.std() > 10  # an image with contrast
assert nothing < 0.5
assert apart > 12
PY

"""Tiny checkpoints of flow matching with random weights, in the formats that diffusers writes."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from discl.miniature.words import build_tokenizer

WIDTH = 32  # of each CLIP
_T5_WIDTH = 2 * WIDTH  # of two CLIPs side by side, which are filled up to it
LATENTS = 4  # channels of the autoencoder's latents
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _clip_tokenizer() -> Any:
    return build_tokenizer(["cat", "dog"])


def _clip(kind: Any) -> Any:
    tokenizer = _clip_tokenizer()
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


def t5_tokenizer() -> Any:
    """A token a letter, in the format of T5's."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    letters = [(letter, -3.0) for letter in string.printable[:94]]
    return T5Tokenizer(vocab=pieces + letters, extra_ids=0, model_max_length=512)


def _t5() -> Any:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(t5_tokenizer()),
            d_model=_T5_WIDTH,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    )


def _vae() -> Any:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=LATENTS,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _dynamic() -> Any:
    """FLUX.1 dev's scheduler, whose grid follows the size of images."""
    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def stable_diffusion_3(width: int) -> Any:
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=LATENTS,
            out_channels=LATENTS,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2 * width,
            joint_attention_dim=_T5_WIDTH,
            caption_projection_dim=32 * width,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=32,
            qk_norm="rms_norm",
            dual_attention_layers=(0,),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=_clip(CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(),
        tokenizer_3=t5_tokenizer(),
    )


def _flux(width: int, has_guidance: bool, scheduler: Any) -> Any:
    return FluxPipeline(
        transformer=FluxTransformer2DModel(
            in_channels=4 * LATENTS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2 * width,
            joint_attention_dim=_T5_WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=has_guidance,
            axes_dims_rope=(4, 6, 6),
        ),
        scheduler=scheduler,
        vae=_vae(),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(),
        tokenizer_2=t5_tokenizer(),
    )


def flux_dev(width: int) -> Any:
    return _flux(width, True, _dynamic())


def flux_schnell(width: int) -> Any:
    return _flux(width, False, FlowMatchEulerDiscreteScheduler(shift=1.0))


def chroma(width: int) -> Any:
    return ChromaPipeline(
        transformer=ChromaTransformer2DModel(
            in_channels=4 * LATENTS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2 * width,
            joint_attention_dim=_T5_WIDTH,
            axes_dims_rope=(4, 6, 6),
            approximator_num_channels=16,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=_vae(),
        text_encoder=_t5(),
        tokenizer=t5_tokenizer(),
    )


def qwen_tokenizer() -> Any:
    """A token a byte, in the format of Qwen's; texts are messages of its chats."""
    letters = bytes_to_unicode().values()
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    numbers = {token: number for number, token in enumerate([*letters, *special])}
    return Qwen2Tokenizer(
        vocab=numbers,
        merges=[],
        additional_special_tokens=[*special[1:]],
        model_max_length=4096,
        chat_template=_CHAT,
    )


def _qwen_settings(tokens: int) -> dict[str, Any]:
    return {
        "vocab_size": tokens,
        "hidden_size": WIDTH,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _qwen_vl(tokens: int) -> Any:
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
    }
    rope = {"type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    text = _qwen_settings(tokens) | {"rope_scaling": rope}
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen_image(width: int) -> Any:
    tokenizer = qwen_tokenizer()
    pipeline = QwenImagePipeline(
        transformer=QwenImageTransformer2DModel(
            in_channels=4 * LATENTS,
            out_channels=LATENTS,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2 * width,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 6, 6),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True,
            max_shift=0.9,
            max_image_seq_len=8192,
            shift_terminal=0.02,
        ),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=LATENTS,
            dim_mult=[1, 2, 2, 2],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, -0.1, 0.2, 0.0],
            latents_std=[1.1, 0.9, 1.2, 1.0],
        ),
        text_encoder=_qwen_vl(len(tokenizer)),
        tokenizer=tokenizer,
    )
    # as they begin, prompts would change no pixel
    with torch.no_grad():
        for block in pipeline.transformer.transformer_blocks:
            block.attn.to_out[0].weight *= 8
            block.attn.add_v_proj.weight *= 8
        pipeline.transformer.proj_out.weight *= 2
        pipeline.vae.decoder.conv_out.weight *= 3
    return pipeline


def z_image(width: int) -> Any:
    tokenizer = qwen_tokenizer()
    settings = _qwen_settings(len(tokenizer)) | {"head_dim": 16}
    return ZImagePipeline(
        transformer=ZImageTransformer2DModel(
            in_channels=LATENTS,
            dim=32 * width,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2 * width,
            n_kv_heads=2 * width,
            cap_feat_dim=WIDTH,
            axes_dims=[4, 6, 6],
            axes_lens=[1024, 64, 64],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=Qwen3ForCausalLM(Qwen3Config(**settings)),
        tokenizer=tokenizer,
    )


BUILDERS = {
    "sd3": stable_diffusion_3,
    "flux_dev": flux_dev,
    "flux_schnell": flux_schnell,
    "qwen_image": qwen_image,
    "z_image": z_image,
    "chroma": chroma,
}


def write(kind: str, folder: Path, width: int = 1) -> Path:
    """A folder as `save_pretrained` writes it; `width` multiplies the attention heads."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = BUILDERS[kind](width)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder

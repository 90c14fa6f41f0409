"""Tiny checkpoints with random weights for diffusers' other pipelines, mostly of our parts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    Gemma2Config,
    Gemma2Model,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralImageProcessor,
    PixtralProcessor,
    PixtralVisionConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from discl.testing import flow_checkpoints, untrained


def _with_parts_of(name: str, pipeline: Any, **changed: Any) -> Any:
    """A pipeline of the class called `name`, of another one's components."""
    kind = getattr(diffusers, name)
    parts = {**pipeline.components, **changed}
    taken = inspect.signature(kind.__init__).parameters
    return kind(**{key: part for key, part in parts.items() if key in taken})


def _wider(unet: Any, channels: int) -> Any:
    """The same network for latents of so many channels."""
    return type(unet).from_config(unet.config, in_channels=channels)


def _ancestral(scheduler: Any) -> Any:
    """InstructPix2Pix's, which draws noise at each step."""
    return diffusers.EulerAncestralDiscreteScheduler.from_config(scheduler.config)


def instruct_pix2pix() -> Any:
    sd = untrained.sd(1)
    return _with_parts_of(
        "StableDiffusionInstructPix2PixPipeline",
        sd,
        unet=_wider(sd.unet, 8),
        scheduler=_ancestral(sd.scheduler),
        requires_safety_checker=False,
    )


def instruct_pix2pix_xl() -> Any:
    sdxl = untrained.sdxl(1)
    return _with_parts_of(
        "StableDiffusionXLInstructPix2PixPipeline",
        sdxl,
        unet=_wider(sdxl.unet, 8),
        add_watermarker=False,
    )


def kontext() -> Any:
    return _with_parts_of("FluxKontextPipeline", flow_checkpoints.flux_dev(1))


def perturbed_attention() -> Any:
    """Perturbed-attention guidance on Stable Diffusion."""
    return _with_parts_of(
        "StableDiffusionPAGPipeline", untrained.sd(1), requires_safety_checker=False
    )


def perturbed_attention_xl() -> Any:
    return _with_parts_of("StableDiffusionXLPAGPipeline", untrained.sdxl(1), add_watermarker=False)


def perturbed_attention_3() -> Any:
    return _with_parts_of("StableDiffusion3PAGPipeline", flow_checkpoints.stable_diffusion_3(1))


def sana_sprint() -> Any:
    tokenizer = flow_checkpoints.t5_tokenizer()
    width = 8
    text_encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            attn_implementation="eager",
        )
    )
    blocks = ("ResBlock", "EfficientViTBlock")
    vae = diffusers.AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=width,
        sample_size=32,
        qk_norm="rms_norm_across_heads",
        guidance_embeds=True,
    )
    return diffusers.SanaSprintPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.SCMScheduler(),
    )


_CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_CHAT_OF_PARTS = (
    "{% for message in messages %}{% for part in message['content'] %}{{ part['text'] }}"
    "{% endfor %}{% endfor %}"
)
_FLUX2_WIDTH, _FLUX2_LATENTS = 8, 4


def _flux2_parts(has_guidance: bool) -> dict[str, Any]:
    """All but the text encoder, of which three layers are read."""
    return {
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vae": diffusers.AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 8),
            layers_per_block=1,
            latent_channels=_FLUX2_LATENTS,
            norm_num_groups=2,
            sample_size=32,
        ),
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=4 * _FLUX2_LATENTS,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * _FLUX2_WIDTH,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=has_guidance,
        ),
    }


def _layers(count: int) -> dict[str, Any]:
    """A small text encoder of so many layers."""
    return {
        "vocab_size": len(flow_checkpoints.t5_tokenizer()),
        "hidden_size": _FLUX2_WIDTH,
        "intermediate_size": 16,
        "num_hidden_layers": count,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }


def flux2_klein() -> Any:
    tokenizer = flow_checkpoints.t5_tokenizer()
    tokenizer.chat_template = _CHAT
    text_encoder = Qwen3ForCausalLM(Qwen3Config(**_layers(28)))
    parts = _flux2_parts(has_guidance=False)
    return diffusers.Flux2KleinPipeline(text_encoder=text_encoder, tokenizer=tokenizer, **parts)


def flux2() -> Any:
    processor = PixtralProcessor(
        PixtralImageProcessor(),
        flow_checkpoints.t5_tokenizer(),
        chat_template=_CHAT_OF_PARTS,
    )
    vision = PixtralVisionConfig(
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
    )
    config = Mistral3Config(vision_config=vision, text_config=MistralConfig(**_layers(31)))
    return diffusers.Flux2Pipeline(
        text_encoder=Mistral3ForConditionalGeneration(config),
        tokenizer=processor,
        **_flux2_parts(has_guidance=True),
    )


def _qwen_edit(name: str) -> Any:
    """Qwen-Image, whose text encoder sees the photo."""
    qwen = flow_checkpoints.qwen_image(1)
    tokenizer = qwen.tokenizer
    seen = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_tokens(seen, special_tokens=True)
    config = qwen.text_encoder.config
    config.text_config.vocab_size = len(tokenizer)
    start, end, config.image_token_id, config.video_token_id = tokenizer.convert_tokens_to_ids(seen)
    config.vision_start_token_id, config.vision_end_token_id = start, end
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), tokenizer.chat_template
    )
    text_encoder = Qwen2_5_VLForConditionalGeneration(config)
    return _with_parts_of(name, qwen, text_encoder=text_encoder, processor=processor)


def qwen_edit() -> Any:
    return _qwen_edit("QwenImageEditPipeline")


def qwen_edit_plus() -> Any:
    return _qwen_edit("QwenImageEditPlusPipeline")


def depth_to_image() -> Any:
    """Stable Diffusion with a map of the photo's depth, which a network of its own estimates."""
    sd = untrained.sd(1)
    estimator = DPTForDepthEstimation(
        DPTConfig(
            image_size=32,
            patch_size=8,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8,
            is_hybrid=False,
        )
    )
    return _with_parts_of(
        "StableDiffusionDepth2ImgPipeline",
        sd,
        unet=_wider(sd.unet, 5),
        depth_estimator=estimator,
        feature_extractor=DPTImageProcessor(size={"height": 32, "width": 32}),
    )


def _residual_unet(**more: Any) -> Any:
    """The kind that IF and Kandinsky 2.2 have, which tells its variance as well."""
    return diffusers.UNet2DConditionModel(
        sample_size=32,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        resnet_time_scale_shift="scale_shift",
        **more,
    )


def deepfloyd_if() -> Any:
    """DeepFloyd IF, which denoises pixels."""
    flux = flow_checkpoints.flux_dev(1)
    unet = _residual_unet(
        in_channels=3,
        out_channels=6,
        encoder_hid_dim=flux.text_encoder_2.config.d_model,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        act_fn="gelu",
    )
    return diffusers.IFPipeline(
        tokenizer=flux.tokenizer_2,
        text_encoder=flux.text_encoder_2,
        unet=unet,
        scheduler=diffusers.DDPMScheduler(beta_schedule="linear", variance_type="learned_range"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def _movq() -> Any:
    return diffusers.VQModel(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
        latent_channels=4,
        norm_num_groups=8,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )


def kandinsky_3() -> Any:
    flux = flow_checkpoints.flux_dev(1)
    return diffusers.Kandinsky3Pipeline(
        tokenizer=flux.tokenizer_2,
        text_encoder=flux.text_encoder_2,
        unet=diffusers.Kandinsky3UNet(
            time_embedding_dim=4,
            groups=2,
            attention_head_dim=4,
            block_out_channels=(32, 64),
            cross_attention_dim=4,
            encoder_hid_dim=flux.text_encoder_2.config.d_model,
        ),
        scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        movq=_movq(),
    )


def kandinsky_22() -> Any:
    """The decoder with its prior, which turns a prompt into an embedding of an image."""
    sdxl = untrained.sdxl(1)
    width = untrained.WIDTH
    vision = CLIPVisionConfig(
        hidden_size=width,
        projection_dim=width,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    unet = _residual_unet(
        in_channels=4,
        out_channels=8,
        encoder_hid_dim=width,
        encoder_hid_dim_type="image_proj",
        addition_embed_type="image",
    )
    return diffusers.KandinskyV22CombinedPipeline(
        unet=unet,
        scheduler=diffusers.DDPMScheduler(beta_schedule="linear"),
        movq=_movq(),
        prior_prior=diffusers.PriorTransformer(
            num_attention_heads=2,
            attention_head_dim=12,
            embedding_dim=width,
            num_layers=1,
            num_embeddings=sdxl.tokenizer_2.model_max_length,
        ),
        prior_image_encoder=CLIPVisionModelWithProjection(vision),
        prior_text_encoder=sdxl.text_encoder_2,
        prior_tokenizer=sdxl.tokenizer_2,
        prior_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log",
            prediction_type="sample",
            clip_sample=True,
            clip_sample_range=5.0,
        ),
        prior_image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32),
    )


BUILDERS = {
    "deepfloyd_if": deepfloyd_if,
    "depth_to_image": depth_to_image,
    "kandinsky_22": kandinsky_22,
    "kandinsky_3": kandinsky_3,
    "qwen_edit": qwen_edit,
    "qwen_edit_plus": qwen_edit_plus,
    "flux2": flux2,
    "flux2_klein": flux2_klein,
    "instruct_pix2pix": instruct_pix2pix,
    "instruct_pix2pix_xl": instruct_pix2pix_xl,
    "kontext": kontext,
    "pag": perturbed_attention,
    "pag_xl": perturbed_attention_xl,
    "pag_sd3": perturbed_attention_3,
    "sana_sprint": sana_sprint,
}


def write(kind: str, folder: Path) -> Path:
    """A folder as `save_pretrained` writes it, of any kind that `discl.testing` has."""
    if kind in untrained.BUILDERS:
        return untrained.write(kind, folder)
    if kind in flow_checkpoints.BUILDERS:
        return flow_checkpoints.write(kind, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline = BUILDERS[kind]()
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder

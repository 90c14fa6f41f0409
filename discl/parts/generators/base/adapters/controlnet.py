"""ControlNet (Zhang et al. 2023): the photo's edges hold the shape of what a prompt changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.errors import UserError, reason
from discl.core.interfaces import Photos
from discl.core.plain_files import check_folder
from discl.files.weights import without_warnings
from discl.parts.generators.base.adapters.conditioning import DenoiserCall
from discl.parts.generators.base.adapters.photo_settings import CONTROLS, ControlNetSetting


class PhotoControl:
    """A loaded ControlNet and what it is shown of photos."""

    def __init__(self, network: Any, setting: ControlNetSetting) -> None:
        self.network = network
        self.setting = setting

    def prepare(self, photos: list[Photos], size: tuple[int, int]) -> Tensor:
        """uint8 [n, h, w] of photos [h, w, 3], for images of (height, width) `size`."""
        drawn = [CONTROLS[self.setting.control](photo) for photo in photos]
        if drawn[0].shape != size:
            height, width = size
            drawn = [
                np.asarray(
                    Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
                )
                for picture in drawn
            ]
        return uploaded(torch.from_numpy(np.stack(drawn)), self.network.device)

    def inputs(self, prepared: Tensor, is_wanted: Tensor, call: DenoiserCall) -> dict[str, Any]:
        """What the ControlNet adds to blocks of the denoiser, [b, c, h, w] each."""
        dtype = call.latents.dtype
        if self.network.dtype != dtype:
            self.network.to(dtype)
        shown = (prepared[:, None].float() / 255).to(dtype).expand(-1, 3, -1, -1)
        down, middle = self.network(
            call.latents,
            call.timesteps,
            encoder_hidden_states=call.hidden,
            controlnet_cond=shown,
            conditioning_scale=self.setting.scale,
            added_cond_kwargs=call.added,
            return_dict=False,
        )
        return {
            "down_block_additional_residuals": down,
            "mid_block_additional_residual": middle,
        }


def add_control(pipeline: Any, setting: ControlNetSetting | None) -> PhotoControl | None:
    """A ControlNet for a pipeline's denoiser; None where none is asked for.

    Raises UserError where it does not load, or was trained for another family of checkpoints.
    """
    if setting is None:
        return None
    import diffusers

    unet = getattr(pipeline, "unet", None)
    if unet is None:
        raise UserError(
            f"generator.controlnet: {type(pipeline).__name__} takes no ControlNet here; those of"
            " Stable Diffusion 1, 2 and XL do"
        )
    named = f"generator.controlnet.checkpoint = {setting.checkpoint!r}"
    try:
        with without_warnings():
            network = diffusers.ControlNetModel.from_pretrained(
                str(check_folder(setting.folder())), use_safetensors=True, local_files_only=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise UserError(
            f"{named} does not load as a ControlNet ({reason(error).splitlines()[0]}); name a"
            " folder in diffusers' format"
        ) from error
    for key in ("cross_attention_dim", "block_out_channels", "addition_embed_type", "in_channels"):
        theirs, ours = network.config.get(key), unet.config.get(key)
        if theirs != ours:
            raise UserError(
                f"{named} is not for this checkpoint: its {key} is {theirs}, the denoiser's {ours};"
                f" take one that was trained for {type(pipeline).__name__}"
            )
    network.eval().to(unet.device, unet.dtype)
    return PhotoControl(network, setting)

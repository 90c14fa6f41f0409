"""The photo as an image prompt: IP-Adapter (Ye et al. 2023), a second axis beside strength."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from discl.core.errors import UserError, reason
from discl.core.interfaces import Photos
from discl.core.plain_files import check_folder
from discl.files.weights import without_warnings
from discl.parts.generators.base.adapters.conditioning import DenoiserCall
from discl.parts.generators.base.adapters.photo_settings import IP_ADAPTER, IPAdapterSetting
from discl.parts.generators.base.adapters.weight_files import read_tensors, weights_file
from discl.parts.generators.base.fixed_batches import FixedBatches

_PARTS = ("image_proj", "ip_adapter")  # of a file's tensors, by how their names begin
_PHOTOS = 4  # that the image encoder gets at a time


class ImagePrompt:
    """An IP-Adapter that is loaded into a pipeline."""

    def __init__(self, pipeline: Any) -> None:
        from diffusers.models.embeddings import ImageProjection

        self.pipeline = pipeline
        layer = pipeline.unet.encoder_hid_proj.image_projection_layers[0]
        # a plain one reads the photo's embedding, others what the encoder sees piece by piece
        self._in_pieces = not isinstance(layer, ImageProjection)
        self._encoder = FixedBatches(_PHOTOS)

    def prepare(self, photos: list[Photos], size: tuple[int, int]) -> Tensor:
        """Embeddings [n, 2, ...] of photos [h, w, 3]: of nothing, and of the photo."""
        images = [Image.fromarray(photo) for photo in photos]
        device = self.pipeline.unet.device

        def encode(batch: list[int]) -> Tensor:
            chosen = [images[i] for i in batch]
            photo, nothing = self.pipeline.encode_image(chosen, device, 1, self._in_pieces)
            return torch.stack([nothing, photo], dim=1)

        return torch.cat(
            [rows[: len(real)] for real, rows in self._encoder.run(len(images), encode)]
        )

    def inputs(self, prepared: Tensor, is_wanted: Tensor, call: DenoiserCall) -> dict[str, Any]:
        """The embedding [b, 1, ...] of each image's photo, or of nothing."""
        chosen = prepared[torch.arange(len(is_wanted), device=is_wanted.device), is_wanted]
        embeddings = chosen[:, None].to(call.latents.dtype)
        return {"added_cond_kwargs": {"image_embeds": [embeddings]}}


def add_image_prompt(pipeline: Any, setting: IPAdapterSetting | None) -> ImagePrompt | None:
    """Load an IP-Adapter and its image encoder into a pipeline; None where none is asked for.

    Raises UserError for a pipeline without a U-Net, and a file that is none of its adapters.
    """
    if setting is None:
        return None
    if not hasattr(pipeline, "load_ip_adapter") or not hasattr(pipeline, "unet"):
        raise UserError(
            f"generator.ip_adapter: {type(pipeline).__name__} takes no image prompt here; those of"
            " Stable Diffusion 1, 2 and XL do"
        )
    file = weights_file(setting.file, setting.weight_name, IP_ADAPTER)
    wrong = f"generator.ip_adapter.file = {setting.file!r}"
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, tensor in read_tensors(file, IP_ADAPTER).items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor
    if not all(parts.values()):
        raise UserError(
            f"{wrong} is no IP-Adapter: its tensors are not called image_proj. and ip_adapter.;"
            " name the file of one"
        )
    with without_warnings():
        _load_encoder(pipeline, setting)
        try:
            pipeline.load_ip_adapter(
                parts, subfolder="", weight_name=file.name, image_encoder_folder=None
            )
        except (ValueError, RuntimeError, KeyError, AttributeError, IndexError) as error:
            raise UserError(
                f"{wrong} is not for this checkpoint ({reason(error).splitlines()[0]}); take one"
                f" that was trained for {type(pipeline).__name__}"
            ) from error
    pipeline.set_ip_adapter_scale(setting.scale)
    prompt = ImagePrompt(pipeline)
    _check_width(pipeline, setting, parts["image_proj"])
    return prompt


def _load_encoder(pipeline: Any, setting: IPAdapterSetting) -> None:
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    folder = setting.encoder_folder()
    try:
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            str(check_folder(folder)), use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"generator.ip_adapter: the image encoder in {folder} does not load"
            f" ({reason(error).splitlines()[0]}); name another by image_encoder"
        ) from error
    side = encoder.config.image_size
    encoder = encoder.to(pipeline.unet.device, pipeline.unet.dtype)
    pipeline.register_modules(image_encoder=encoder)
    if getattr(pipeline, "feature_extractor", None) is None:
        processor = CLIPImageProcessor(size=side, crop_size=side)
        pipeline.register_modules(feature_extractor=processor)


def _check_width(pipeline: Any, setting: IPAdapterSetting, projection: dict[str, Any]) -> None:
    """Raises UserError for an image encoder of another width than the adapter was trained with."""
    weight = projection.get("proj.weight", projection.get("proj_in.weight"))
    if weight is None:
        return
    config = pipeline.image_encoder.config
    width = config.projection_dim if "proj.weight" in projection else config.hidden_size
    if weight.shape[-1] != width:
        raise UserError(
            f"generator.ip_adapter: its image encoder gives {width} numbers, and"
            f" {setting.file!r} was trained with {weight.shape[-1]}; set"
            " generator.ip_adapter.image_encoder to the one it was trained with"
        )

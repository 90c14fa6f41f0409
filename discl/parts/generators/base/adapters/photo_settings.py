"""`[generator.ip_adapter]` and `[generator.controlnet]`; nothing is loaded for them here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.core.errors import UserError, unknown
from discl.files.disk import resource
from discl.files.weights import digest_of, folder_of
from discl.parts.generators.base.adapters.edges import edges
from discl.parts.generators.base.adapters.weight_files import digest_of_file, weights_file

IP_ADAPTER = "ip_adapter"
_ENCODER = "image_encoder"  # its folder in the repository of an adapter

# what a ControlNet may be shown of a photo [h, w, 3] -> uint8 [h, w]
CONTROLS = {"edges": edges}


@dataclass(frozen=True)
class IPAdapterSetting:
    """`[generator.ip_adapter]`."""

    file: str
    scale: float = 1.0  # of the attention to the photo, beside that to the prompt
    weight_name: str = ""  # of the file, in a folder or repository of several
    image_encoder: str = ""  # a folder or Hub id; "" = that beside the file

    def check(self) -> None:
        """Raises UserError for a scale that is none."""
        if self.scale <= 0:
            raise UserError(
                f"generator.ip_adapter.scale = {self.scale:g}: it is a number above 0, mostly up to"
                " 1; leave the table out for no image prompt"
            )

    def identity(self) -> dict[str, Any]:
        """What images depend on."""
        return {
            "weights": digest_of_file(weights_file(self.file, self.weight_name, IP_ADAPTER)),
            "image_encoder": digest_of(self.encoder_folder()),
            "scale": self.scale,
        }

    def encoder_folder(self) -> Path:
        """Where the image encoder is.

        Raises UserError where there is none: an IP-Adapter does not work without.
        """
        missing = (
            f"generator.ip_adapter.file = {self.file!r} has no folder {_ENCODER} beside it; set"
            " generator.ip_adapter.image_encoder to the one it was trained with, a folder or a Hub"
            " id"
        )
        if self.image_encoder:
            setting = "generator.ip_adapter.image_encoder"
            folder = folder_of(self.image_encoder, setting, ("config.json", "model.safetensors"))
            if not (folder / "config.json").is_file():
                raise UserError(
                    f"{setting} = {self.image_encoder!r} holds no config.json; name the folder of a"
                    " CLIP image encoder as transformers saves it"
                )
            return folder
        if not resource(self.file).exists():  # a repository of the Hub
            inside = (Path(self.weight_name).parent / _ENCODER).as_posix()
            files = (f"{inside}/config.json", f"{inside}/model.safetensors")
            folder = folder_of(self.file, "generator.ip_adapter.file", files) / inside
            if not (folder / "config.json").is_file():
                raise UserError(missing)
            return folder
        file = weights_file(self.file, self.weight_name, IP_ADAPTER)
        folder = file.parent / _ENCODER
        if not (folder / "config.json").is_file():
            raise UserError(missing)
        return folder


@dataclass(frozen=True)
class ControlNetSetting:
    """`[generator.controlnet]`."""

    checkpoint: str  # a folder in diffusers' format, or a Hub id
    control: str = "edges"  # what it is shown of the photo
    scale: float = 1.0  # of what it adds to the denoiser

    def check(self) -> None:
        """Raises UserError for a control there is not, and a scale without effect."""
        if self.control not in CONTROLS:
            raise unknown("generator.controlnet.control", self.control, CONTROLS)
        if self.scale <= 0:
            raise UserError(
                f"generator.controlnet.scale = {self.scale:g}: it is a number above 0, mostly up to"
                " 1; leave the table out for no control"
            )

    def identity(self) -> dict[str, Any]:
        """What images depend on."""
        changed = {"weights": digest_of(self.folder()), "scale": self.scale}
        return changed | {"control": self.control}

    def folder(self) -> Path:
        """The local folder of the ControlNet."""
        files = ("config.json", "diffusion_pytorch_model.safetensors")
        return folder_of(self.checkpoint, "generator.controlnet.checkpoint", files)

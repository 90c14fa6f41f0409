"""Cosines by any open_clip model: the embedded miniature, OpenAI's CLIP, or a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from discl.files.disk import resource
from discl.files.weights import digest_of
from discl.spec.errors import UserError, unknown
from discl.spec.kinds import Floats, Photos


class OpenClip:
    """`model` is a folder in open_clip's format (or `pkg://package/path`), or a model name with a `pretrained` tag."""

    version = 1
    unhashed = ("model", "pretrained")

    def __init__(self, model: str = "pkg://discl/assets/cifar10_clip", pretrained: str = "") -> None:
        self.model, self.pretrained = model, pretrained

    @cached_property
    def _folder(self) -> Path | None:
        """The local folder, or None where `pretrained` names a published checkpoint."""
        if self.pretrained:
            return None
        folder = resource(self.model)
        if not (folder / "open_clip_config.json").exists():
            raise UserError(
                f"scorer.model = {self.model!r} is no folder with an open_clip_config.json; name one, "
                "or a model like 'ViT-B-32' together with scorer.pretrained, e.g. 'openai'"
            )
        return folder

    def identity(self) -> dict[str, Any]:
        return {"weights": digest_of(self._folder)} if self._folder else {"model": self.model, "pretrained": self.pretrained}

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any, str]:
        """(model, preprocess, tokenizer, device)."""
        import open_clip
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if not self._folder:
            _check_tag(self.model, self.pretrained)
        name = f"local-dir:{self._folder}" if self._folder else self.model
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(name, self.pretrained or None, device=device)
        except (OSError, RuntimeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"scorer.model = {self.model!r} does not load ({first})") from error
        return model.eval(), preprocess, open_clip.get_tokenizer(name), device

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        import torch

        model, _, tokenizer, device = self._loaded
        with torch.inference_mode():
            return np.asarray(model.encode_text(tokenizer(list(texts)).to(device), normalize=True).float().cpu().numpy())

    def embed_images(self, images: Photos) -> Floats:
        import torch
        from PIL import Image

        model, preprocess, _, device = self._loaded
        batch = torch.stack([preprocess(Image.fromarray(image)) for image in images]).to(device)
        with torch.inference_mode():
            return np.asarray(model.encode_image(batch, normalize=True).float().cpu().numpy())


def _check_tag(model: str, pretrained: str) -> None:
    import open_clip

    if model not in open_clip.list_models():
        raise unknown("open_clip model", model, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags and not Path(pretrained).exists():
        raise unknown(f"pretrained tag of open_clip model {model!r}", pretrained, tags)

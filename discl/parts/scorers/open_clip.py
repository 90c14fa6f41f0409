"""Cosines by any open_clip model: the embedded miniature, OpenAI's CLIP, or a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from discl.core.compute.memory import InParts
from discl.core.compute.precision import true_float32
from discl.core.interfaces import Floats, Photos, TextsRead
from discl.files.clip import EMBEDDED, ClipCheckpoint
from discl.files.shipped import trained_on

_TOO_SMALL = (
    "scorer: not even one image goes through the model at a time: its device is out of memory; end"
    " what else uses the device, take a smaller scorer.model, or compute on the CPU with"
    " CUDA_VISIBLE_DEVICES="
)
_LONGER = 8  # times the tokens that a text tower reads, to see what it cuts


class OpenClipScorer:
    """Cosines in the space of a CLIP model (Radford et al. 2021).

    `model` is a folder in open_clip's format (or `pkg://package/path`), or a model name with a
    `pretrained` tag or file. `quick_gelu` says of a file whether its weights were trained with
    QuickGELU.
    """

    version = 1
    not_hashed = ("model", "pretrained")

    def __init__(
        self, model: str = EMBEDDED, pretrained: str = "", quick_gelu: bool | None = None
    ) -> None:
        """Settings:

        `model`: a folder in open_clip's format, `pkg://package/path`, or the name of a model.
        `pretrained`: tag or file of the weights of a model that is given by name.
        `quick_gelu`: whether the weights of a file were trained with QuickGELU; none leaves it to
            the model.
        """
        self.model = model
        self.pretrained = pretrained
        self._checkpoint = ClipCheckpoint(model, pretrained, "scorer", quick_gelu)

    def identity(self) -> dict[str, Any]:
        return self._checkpoint.identity()

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any, str]:
        """(model, preprocess, tokenizer, device)."""
        import torch
        from open_clip.transform import PreprocessCfg

        from discl.parts.scorers.base.photo_batch import PhotoBatch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = self._checkpoint.network().to(device)
        preprocess = PhotoBatch(PreprocessCfg(**model.visual.preprocess_cfg), device)
        return model, preprocess, self._checkpoint.tokenizer(), device

    def skeleton(self) -> Any:
        """The model on meta tensors, for what it computes: no weights are read."""
        return self._checkpoint.skeleton()

    def fetch(self) -> None:
        """Fetch published weights; raises UserError where they cannot be had."""
        self._checkpoint.fetch()

    def release(self) -> bool:
        """Give back the loaded model; says whether there was one."""
        return self.__dict__.pop("_loaded", None) is not None

    def texts_read(self, texts: Sequence[str]) -> TextsRead | None:
        """What the text tower reads of texts [n]; None = all of each. Loads no weights."""
        if self._checkpoint.reads_whole(texts):
            return None
        tokenizer = self._checkpoint.tokenizer()
        read = tokenizer(list(texts))
        most = int(read.shape[1])
        # a longer row begins like the shorter one, unless the end mark was put over a word
        whole = tokenizer(list(texts), context_length=_LONGER * most)
        cut = (whole[:, :most] != read).any(1).tolist()
        return TextsRead(most, tuple(map(tuple, read.tolist())), tuple(cut))

    def embed_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors [b, d] of b texts."""
        import torch

        model, _, tokenizer, device = self._loaded
        tokens = tokenizer(list(texts)).to(device)
        with torch.inference_mode(), true_float32():
            return np.asarray(model.encode_text(tokens, normalize=True).float().cpu().numpy())

    @property
    def trained_on(self) -> frozenset[str]:
        return trained_on(self.model)

    def embed_images(self, images: Photos) -> Floats:
        """Unit vectors [b, d] of images [b, h, w, 3].

        In parts, where memory is too small for all at once; raises UserError where it is too small
        for one.
        """
        return np.concatenate(self._in_parts(images))

    @cached_property
    def _in_parts(self) -> InParts:
        return InParts(self._embedded, _TOO_SMALL)

    def _embedded(self, images: Photos) -> Floats:
        import torch

        model, preprocess, _, _ = self._loaded
        with torch.inference_mode(), true_float32():
            batch = preprocess(images)
            return np.asarray(model.encode_image(batch, normalize=True).float().cpu().numpy())

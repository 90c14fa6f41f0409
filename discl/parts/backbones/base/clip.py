"""Networks around an open_clip model: one whose head is the classes' captions, one with a linear
head, and the bare image tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 256  # captions a forward pass, where nothing is learnt from them


class View(nn.Module):
    """Photos [b, 3, h, w], normalised, at the size the model was trained on: enlarged or reduced as
    open_clip's own preprocessing does (bicubic as in Pillow, antialiased).
    """

    def __init__(self, preprocess: dict[str, Any]) -> None:
        super().__init__()
        size = preprocess["size"]
        self.h, self.w = (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
        self.squash = preprocess["resize_mode"] == "squash"
        self.mode = preprocess["interpolation"]
        mean, std = (torch.tensor(preprocess[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        self.black: Tensor
        self.white: Tensor
        self.register_buffer("black", -mean / std, persistent=False)
        self.register_buffer("white", (1 - mean) / std, persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        h, w = photos.shape[-2:]
        if (h, w) == (self.h, self.w):
            return photos
        grown = max(self.h / h, self.w / w)
        size = (
            (self.h, self.w)
            if self.squash
            else (max(self.h, round(h * grown)), max(self.w, round(w * grown)))
        )
        resized = F.interpolate(photos, size, mode=self.mode, antialias=True)
        top = (size[0] - self.h) // 2
        left = (size[1] - self.w) // 2
        # bicubic overshoots at edges, where a picture of 8 bits is cut off
        return torch.clamp(
            resized[..., top : top + self.h, left : left + self.w], self.black, self.white
        )


class Trunk(nn.Module):
    """Photos [b, 3, h, w] to the features of the image tower [b, d], before they are made unit
    vectors.
    """

    def __init__(self, clip: Any, view: View) -> None:
        super().__init__()
        self.view = view
        self.visual = clip.visual

    def forward(self, photos: Tensor) -> Tensor:
        return _pooled(self.visual, self.view(photos))


class LinearHead(nn.Module):
    """Logits by a linear layer on the image's unit vector."""

    def __init__(self, trunk: Trunk, weight: Tensor) -> None:
        super().__init__()
        classes, width = weight.shape
        self.trunk = trunk
        self.head = nn.utils.skip_init(nn.Linear, width, classes)
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.zero_()

    def forward(self, photos: Tensor) -> Tensor:
        logits: Tensor = self.head(F.normalize(self.trunk(photos), dim=-1))
        return logits


class TextHead(nn.Module):
    """Logits by the cosines of the image with the captions of each class, times the temperature;
    with labels, pairs.

    A class is the normalised mean of its captions' unit vectors. While the text tower learns,
    `forward(photos)` in train mode embeds every caption, and gradients flow through them. Otherwise
    the captions are embedded once, until the tower changes.
    """

    gives_pairs = True
    tokens: Tensor
    counts: Tensor
    places: Tensor
    shares: Tensor

    def __init__(self, clip: Any, view: View, captions: Sequence[Tensor], tunes_text: bool) -> None:
        """`captions`: token numbers int64 [t, context] of each class, t >= 1 of its own."""
        super().__init__()
        self.clip, self.view, self.tunes_text = clip, view, tunes_text
        counts = torch.tensor([len(each) for each in captions])
        place, first = (
            torch.arange(int(counts.max()))[None, :],
            (counts.cumsum(0) - counts)[:, None],
        )
        self.register_buffer("tokens", torch.cat(list(captions)), persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        # line = class: the places of its captions in `tokens`; a class of fewer repeats its first,
        # with weight 0
        self.register_buffer("places", first + place * (place < counts[:, None]), persistent=False)
        self.register_buffer(
            "shares", ((place < counts[:, None]) / counts[:, None]).unsqueeze(-1), persistent=False
        )
        self._kept: tuple[Any, Tensor] | None = None
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(_learns(name, tunes_text))

    def forward(self, photos: Tensor, labels: Tensor | None = None) -> Any:
        """Logits [b, c]; or, of labels [b], (image [b, d], text [b, d], scale []): unit vectors and
        what their cosines are multiplied by.
        """
        if self.training and self.tunes_text:
            self._kept = None
        images = F.normalize(_pooled(self.clip.visual, self.view(photos)).float(), dim=-1)
        scale = self.clip.logit_scale.exp().reshape(())
        if labels is not None:
            return images, self.drawn(labels), scale
        weight = self.weight()
        with torch.autocast(
            photos.device.type, enabled=False
        ):  # 8 bits of bf16 would round a logit of 30 to a quarter
            return scale.float() * images @ weight.T

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def weight(self) -> Tensor:
        """The head, float32 [c, d]: unit vectors."""
        embedded = (
            self._embedded(self.tokens) if self.training and self.tunes_text else self._constant()
        )
        return F.normalize((embedded[self.places] * self.shares).sum(1), dim=-1)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def drawn(self, labels: Tensor) -> Tensor:
        """Unit vectors [b, d] of one caption for each label, drawn by torch's global chance."""
        place = torch.randint(2**62, (len(labels),)).to(labels.device) % self.counts[labels]
        chosen = self.places[labels, place]
        if not self.tunes_text:
            return self._constant()[chosen]
        # photos of a class share captions; the text tower treats each caption by itself, so each is
        # embedded once
        different, where = chosen.unique(return_inverse=True)
        return self._embedded(self.tokens[different])[where]

    def _embedded(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)

    def _constant(self) -> Tensor:
        """Unit vectors of all captions, made anew when a weight of the text tower has changed
        since.
        """
        state = [
            (p.data_ptr(), p._version)
            for name, p in self.clip.named_parameters()
            if not name.startswith(("visual.", "logit_"))
        ]
        if self._kept is None or self._kept[0] != state:
            was_training = self.clip.training
            self.clip.eval()
            with torch.no_grad():
                self._kept = (
                    state,
                    torch.cat([self._embedded(part) for part in self.tokens.split(CHUNK)]),
                )
            self.clip.train(was_training)
        return self._kept[1]


def _pooled(visual: nn.Module, photos: Tensor) -> Tensor:
    features = visual(photos)
    pooled: Tensor = (
        features[0] if isinstance(features, tuple) else features
    )  # CoCa gives its tokens as well
    return pooled


def _learns(name: str, tunes_text: bool) -> bool:
    """A bias of the cosines is the same for all classes, and a decoder of captions takes no part:
    neither gets a gradient.
    """
    if name.startswith(("logit_bias", "text_decoder.")):
        return False
    return tunes_text or name.startswith(("visual.", "logit_scale"))

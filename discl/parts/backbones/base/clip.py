"""Networks around an open_clip model: the image tower, with a text head or a linear head on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discl.core.compute.transfer import uploaded
from discl.parts.backbones.base.heads import CosineLinear

CHUNK = 256  # captions a forward pass, where the text tower does not learn
# a batch's captions are filled up to a multiple of it: texts of few sizes keep a GPU's memory whole
_BUCKET = 32


class ClipResize(nn.Module):
    """Normalised photos [b, 3, h, w] at the size the model was trained on.

    Resized as open_clip's own preprocessing does: bicubic as in Pillow, antialiased.
    """

    def __init__(self, preprocess: dict[str, Any]) -> None:
        super().__init__()
        size = preprocess["size"]
        self.h, self.w = (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
        self.squash = preprocess["resize_mode"] == "squash"
        self.mode = preprocess["interpolation"]
        mean = torch.tensor(preprocess["mean"]).view(1, 3, 1, 1)
        std = torch.tensor(preprocess["std"]).view(1, 3, 1, 1)
        self.black: Tensor
        self.white: Tensor
        self.register_buffer("black", -mean / std, persistent=False)
        self.register_buffer("white", (1 - mean) / std, persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """Photos [b, 3, h, w] of any size."""
        h, w = photos.shape[-2:]
        if (h, w) == (self.h, self.w):
            return photos
        size = (self.h, self.w)
        if not self.squash:
            factor = max(self.h / h, self.w / w)
            size = (max(self.h, round(h * factor)), max(self.w, round(w * factor)))
        resized = F.interpolate(photos, size, mode=self.mode, antialias=True)
        top = (size[0] - self.h) // 2
        left = (size[1] - self.w) // 2
        cropped = resized[..., top : top + self.h, left : left + self.w]
        # bicubic overshoots at edges, where a picture of 8 bits is cut off
        return torch.clamp(cropped, self.black, self.white)


class ImageTower(nn.Module):
    """Photos [b, 3, h, w] to the tower's features [b, d], not normalised."""

    def __init__(self, clip: Any, resize: ClipResize) -> None:
        super().__init__()
        self.resize = resize
        self.visual = clip.visual

    def forward(self, photos: Tensor) -> Tensor:
        """Features [b, d]."""
        return _pooled(self.visual, self.resize(photos))


class LinearHead(nn.Module):
    """Logits by a linear layer on the image's unit vector, or by its cosines with class weights."""

    def __init__(
        self, trunk: ImageTower, weight: Tensor, cosine_scale: float | None = None
    ) -> None:
        """`weight`: of the layer, [c, d]. `cosine_scale`: of the cosines; None = a linear layer."""
        super().__init__()
        self.trunk = trunk
        self.cosine_scale = cosine_scale
        self.head: nn.Module
        if cosine_scale is None:
            self.head = _linear(weight)
        else:
            self.head = CosineLinear(weight, cosine_scale)

    def get_classifier(self) -> nn.Module:
        """The last layer, as timm's networks have it."""
        return self.head

    def forward(self, photos: Tensor) -> Tensor:
        """Logits [b, c] of photos [b, 3, h, w]."""
        logits: Tensor = self.head(F.normalize(self.trunk(photos), dim=-1))
        return logits


class Drawn(NamedTuple):
    """The captions of a batch."""

    rows: Tensor  # int64 [k], of tokens; filled up with repeats
    places: Tensor  # int64 [b], where the caption of each photo stands among them


class TextHead(nn.Module):
    """Logits by the cosines of the image with the captions of each class (Radford et al. 2021).

    The cosines are multiplied by the learnt scale. A class is the normalised mean of its captions'
    unit vectors. With labels, the head gives pairs. While the text tower learns, `forward(photos)`
    in train mode embeds every caption, and gradients flow through them. Otherwise the captions are
    embedded once, until the tower changes.
    """

    gives_pairs = True
    tokens: Tensor
    counts: Tensor
    caption_rows: Tensor
    caption_weights: Tensor

    def __init__(
        self, clip: Any, resize: ClipResize, captions: Sequence[Tensor], tunes_text: bool
    ) -> None:
        """`captions`: token numbers int64 [t, context] of each class, t >= 1 of its own."""
        super().__init__()
        self.clip = clip
        self.resize = resize
        self.tunes_text = tunes_text
        counts = torch.tensor([len(tokens) for tokens in captions])
        number = torch.arange(int(counts.max()))[None, :]
        first = (counts.cumsum(0) - counts)[:, None]
        exists = number < counts[:, None]
        self.register_buffer("tokens", torch.cat(list(captions)), persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        # [c, most captions]: rows of a class's captions in `tokens`; a class of fewer repeats its
        # first, with weight 0
        self.register_buffer("caption_rows", first + number * exists, persistent=False)
        weights = (exists / counts[:, None]).unsqueeze(-1)
        self.register_buffer("caption_weights", weights, persistent=False)
        # the same on the host, where captions are drawn
        self._counts_here = counts
        self._rows_here = first + number * exists
        self._drawn: Drawn | None = None  # for the labels that were announced
        # of captions that do not learn: (versions of the tower's weights, unit vectors)
        self._kept: tuple[Any, Tensor] | None = None
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(_learns(name, tunes_text))

    def forward(self, photos: Tensor, labels: Tensor | None = None) -> Any:
        """Logits [b, c]; with labels [b], (image [b, d], text [b, d], scale []).

        Image and text are unit vectors, and their cosines are to be multiplied by the scale.
        """
        if self.training and self.tunes_text:
            self._kept = None
        images = F.normalize(_pooled(self.clip.visual, self.resize(photos)).float(), dim=-1)
        scale = self.clip.logit_scale.exp().reshape(())
        if labels is not None:
            return images, self.random_captions(labels), scale
        weight = self.weight()
        # 8 bits of bf16 would round a logit of 30 to a quarter
        with torch.autocast(photos.device.type, enabled=False):
            return scale.float() * images @ weight.T

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def weight(self) -> Tensor:
        """The head, float32 [c, d]: unit vectors."""
        learns = self.training and self.tunes_text
        embedded = self._embedded(self.tokens) if learns else self._constant()
        mean = (embedded[self.caption_rows] * self.caption_weights).sum(1)
        return F.normalize(mean, dim=-1)

    def announce(self, labels: Tensor) -> None:
        """Draw the captions for labels [b], on the host, of the next `forward` with labels.

        Without this they are drawn within it, and a GPU is waited for.
        """
        number = torch.randint(2**62, (len(labels),)) % self._counts_here[labels]
        rows = self._rows_here[labels, number]
        # photos of a class share captions; the text tower treats each caption by itself, so each is
        # embedded once
        distinct, index = rows.unique(return_inverse=True)
        filling = distinct[:1].expand(-len(distinct) % _BUCKET)
        device = self.tokens.device
        self._drawn = Drawn(
            uploaded(torch.cat([distinct, filling]), device), uploaded(index, device)
        )

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def random_captions(self, labels: Tensor) -> Tensor:
        """Unit vectors [b, d] of a caption for each label [b], drawn by the global generator."""
        drawn, self._drawn = self._drawn or self._draw(labels), None
        if not self.tunes_text:
            return self._constant()[drawn.rows[drawn.places]]
        return self._embedded(self.tokens[drawn.rows])[drawn.places]

    def _draw(self, labels: Tensor) -> Drawn:
        """As many captions as are distinct, drawn where the labels [b] are."""
        number = torch.randint(2**62, (len(labels),)).to(labels.device) % self.counts[labels]
        distinct, index = self.caption_rows[labels, number].unique(return_inverse=True)
        return Drawn(distinct, index)

    def _embedded(self, tokens: Tensor) -> Tensor:
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)

    def _constant(self) -> Tensor:
        """Unit vectors of all captions, made again when a weight of the text tower has changed."""
        versions = [
            (p.data_ptr(), p._version)
            for name, p in self.clip.named_parameters()
            if not name.startswith(("visual.", "logit_"))
        ]
        if self._kept is None or self._kept[0] != versions:
            was_training = self.clip.training
            self.clip.eval()
            with torch.no_grad():
                parts = [self._embedded(part) for part in self.tokens.split(CHUNK)]
            self._kept = (versions, torch.cat(parts))
            self.clip.train(was_training)
        return self._kept[1]


def _linear(weight: Tensor) -> nn.Linear:
    """A layer with these weights [c, d], without a bias at first."""
    classes, width = weight.shape
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, width, classes)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.zero_()
    return linear


def _pooled(visual: nn.Module, photos: Tensor) -> Tensor:
    features = visual(photos)
    # CoCa gives its tokens as well
    pooled: Tensor = features[0] if isinstance(features, tuple) else features
    return pooled


def _learns(name: str, tunes_text: bool) -> bool:
    """Whether a parameter of the CLIP model gets a gradient."""
    # a bias of the cosines is the same for all classes, and a decoder of captions is not used
    if name.startswith(("logit_bias", "text_decoder.")):
        return False
    return tunes_text or name.startswith(("visual.", "logit_scale"))

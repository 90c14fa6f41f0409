"""Any open_clip model, with the class names' text as its head, or a linear layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Task
from discl.files.clip import EMBEDDED, ClipCheckpoint
from discl.files.shipped import trained_on
from discl.parts.backbones.base.head_choice import check_head

if TYPE_CHECKING:
    from torch import Tensor, nn

    from discl.parts.backbones.base.clip import ClipResize

HEADS = ("text", "linear", "cosine")
TUNED = ("all", "image")


class OpenClipBackbone:
    """CLIP as a classifier (Radford et al. 2021).

    `model` is a folder in open_clip's format (or `pkg://package/path`), or a model name with a
    `pretrained` tag or file. `quick_gelu` says of a file whether its weights were trained with
    QuickGELU.

    `templates` say where the class's name goes, in small letters; with none, the dataset's own
    captions are taken. `head` is "text" (the captions' embeddings, rebuilt for each evaluation;
    what loss flyp trains), "linear" (a layer that begins as the text head) or "cosine" (the same
    with normalised weights, its cosines times `cosine_scale`; what loss ldam_drw asks for). `tuned`
    is "all" or "image" (the text tower stays as it is). `allow_shared` lets classes of equal
    captions share a logit. `frozen` trains only a new head on the image tower's features, with a
    hidden layer of `hidden` units where that is not 0; captions play no part then, and the head is
    linear unless it is "cosine".
    """

    version = 1
    not_hashed = ("model", "pretrained", "allow_shared")
    head_only = ("frozen", "hidden", "templates", "head", "tuned", "cosine_scale")

    def __init__(
        self,
        model: str = EMBEDDED,
        pretrained: str = "",
        templates: Sequence[str] = ("a photo of a {name}.",),
        head: str = "text",
        tuned: str = "all",
        allow_shared: bool = False,
        frozen: bool = False,
        hidden: int = 0,
        quick_gelu: bool | None = None,
        cosine_scale: float = 30.0,
    ) -> None:
        """Settings:

        `model`: a folder in open_clip's format, `pkg://package/path`, or the name of a model.
        `pretrained`: tag or file of the weights of a model that is given by name.
        `templates`: sentences that say where the class's name goes; none takes the dataset's
            captions.
        `head`: "text", "linear" or "cosine": where the classes' weights come from.
        `tuned`: "all", or "image" to leave the text tower as it is.
        `allow_shared`: let classes of equal captions share a logit.
        `frozen`: train a new head on features that stay, and not the whole network.
        `hidden`: units of a hidden layer of the head on frozen features; 0 is none.
        `quick_gelu`: whether the weights of a file were trained with QuickGELU; none leaves it to
            the model.
        `cosine_scale`: what cosines are multiplied by, where `head` is "cosine".
        """
        are_templates = not isinstance(templates, str) and all(
            isinstance(template, str) and "{name}" in template for template in templates
        )
        if not are_templates:
            raise UserError(
                f"backbone.templates = {templates!r} must be a list of texts, each with a {{name}}"
                " in it"
            )
        check_head(head, HEADS, cosine_scale)
        if tuned not in TUNED:
            raise unknown("backbone.tuned", tuned, TUNED)
        self.templates = tuple(templates)
        self.head = "linear" if frozen and head == "text" else head
        self.cosine_scale = cosine_scale
        self.tuned = tuned
        self.allow_shared = allow_shared
        self.frozen = frozen
        self.hidden = hidden
        self._checkpoint = ClipCheckpoint(model, pretrained, "backbone", quick_gelu)

    def identity(self) -> dict[str, Any]:
        return self._checkpoint.identity()

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the modules that give the logits; none where captions do."""
        return () if self.head == "text" else ("head",)

    def fetch(self) -> None:
        """Fetch published weights; raises UserError where they cannot be had."""
        self._checkpoint.fetch()

    @property
    def trained_on(self) -> frozenset[str]:
        return trained_on(self._checkpoint.model)

    def build(self, task: Task, seed: int) -> nn.Module:
        """The classifier; its weights are given, so the seed decides nothing."""
        from discl.parts.backbones.base.clip import ImageTower, LinearHead, TextHead

        clip, resize = self._loaded(seed)
        network = TextHead(clip, resize, self._tokens(task), self.tuned == "all")
        if self.head == "text":
            return network
        tower = ImageTower(clip, resize)
        weight = network.eval().weight().detach()
        if self.head == "cosine":
            return LinearHead(tower, weight, self.cosine_scale)
        return LinearHead(tower, clip.logit_scale.detach().exp() * weight)

    def skeleton(self, classes: int) -> nn.Module:
        """CLIP on meta tensors, for what it computes: no weights are read."""
        network: nn.Module = self._checkpoint.skeleton()
        return network

    def captions_of(self, classes: int) -> int:
        """Captions that the text tower learns from; 0 = it does not learn."""
        learns = self.head == "text" and self.tuned == "all" and not self.frozen
        return max(1, len(self.templates)) * classes if learns else 0

    def trunk(self, task: Task, seed: int) -> nn.Module:
        """The image tower."""
        from discl.parts.backbones.base.clip import ImageTower

        return ImageTower(*self._loaded(seed))

    def captions(self, task: Task) -> list[tuple[str, ...]]:
        """The texts of each class."""
        if not self.templates:
            return list(task.prompts)
        return [
            tuple(template.replace("{name}", name.lower()) for template in self.templates)
            for name in task.classes
        ]

    @property
    def mean(self) -> tuple[float, float, float]:
        return self._three("mean")

    @property
    def std(self) -> tuple[float, float, float]:
        return self._three("std")

    def _three(self, key: str) -> tuple[float, float, float]:
        red, green, blue = self._checkpoint.preprocess[key]
        return float(red), float(green), float(blue)

    @cached_property
    def _tokenizer(self) -> Any:
        return self._checkpoint.tokenizer()

    def _loaded(self, seed: int) -> tuple[Any, ClipResize]:
        import torch

        from discl.parts.backbones.base.clip import ClipResize

        with torch.random.fork_rng(devices=[]):  # the weights are drawn before they are read
            torch.manual_seed(seed)
            clip = self._checkpoint.network()
        return clip, ClipResize(clip.visual.preprocess_cfg)

    def _tokens(self, task: Task) -> list[Tensor]:
        """Token numbers [t, context] of each class.

        Raises UserError where classes have equal captions and may not share a logit.
        """
        tokens = [self._tokenizer(list(texts)) for texts in self.captions(task)]
        sharing = defaultdict(list)
        for name, numbers in zip(task.classes, tokens, strict=True):
            sharing[frozenset(map(tuple, numbers.tolist()))].append(name)
        same = [" = ".join(map(repr, names)) for names in sharing.values() if len(names) > 1]
        if same and not self.allow_shared:
            ways = (
                "templates = [] takes the dataset's own captions"
                if self.templates
                else "templates = [...] takes others"
            )
            raise UserError(
                f"the text head cannot tell {'; '.join(same)} apart: their captions are equal in"
                f" the {tokens[0].shape[1]} tokens the model reads; backbone.{ways},"
                " backbone.allow_shared = true lets them share a logit"
            )
        return tokens

"""Any timm model by name (Wightman 2019), from scratch or from weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Task
from discl.core.plain_files import plain
from discl.files.disk import resource
from discl.files.fetch import offline, sha256_file
from discl.files.weights import folder_of, hub_file
from discl.parts.backbones.base.head_choice import check_head

if TYPE_CHECKING:
    from torch import Tensor, nn

HEADS = ("linear", "cosine")
_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository of timm's
_OWN_WEIGHTS = "give backbone.weights = FILE"
# whose head is called `fc`: they need not be looked up in timm, whose import takes seconds
_HEAD_IS_FC = ("resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152")


class Timm:
    """A model of timm.

    `model` is any name of `timm.list_models()`; `arguments` go to `timm.create_model` as they are.
    `stem_stride` below 4 gives a ResNet a stem for small photos: 2 drops the pooling, 1 the first
    stride as well. `stages` below 4 leaves the last ones of a ResNet out, and draws its head anew:
    of a small photo they would see one pixel. `pretrained` fetches timm's weights from the Hugging
    Face Hub; `weights` takes those of a safetensors file, of a folder with one, or of a Hub id,
    with their head where it has as many classes. `head` is "linear" or "cosine" (features and
    weights are normalised, and the cosines multiplied by `cosine_scale`; what loss ldam_drw asks
    for). `frozen` trains only a head on its features, with a hidden layer of `hidden` units where
    that is not 0.
    """

    version = 1
    head_only = ("frozen", "hidden", "head", "cosine_scale")
    not_hashed = ("weights",)

    def __init__(
        self,
        model: str = "resnet18",
        pretrained: bool = False,
        stem_stride: int = 4,
        arguments: dict[str, Any] | None = None,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.25, 0.25, 0.25),
        frozen: bool = False,
        hidden: int = 0,
        weights: str = "",
        head: str = "linear",
        cosine_scale: float = 30.0,
        stages: int = 4,
    ) -> None:
        """Settings:

        `model`: any name of `timm.list_models()`.
        `pretrained`: begin with timm's weights, from the Hugging Face Hub.
        `stem_stride`: 4 as published; 2 drops a ResNet's pooling, 1 its first stride as well, for
            small photos.
        `arguments`: further arguments of `timm.create_model`.
        `mean`: what is taken from each colour, of 0 to 1, before the network.
        `std`: what each colour is divided by after that.
        `frozen`: train a new head on features that stay, and not the whole network.
        `hidden`: units of a hidden layer of the head on frozen features; 0 is none.
        `weights`: a safetensors file, a folder with one, or a Hub id, to begin with.
        `head`: "linear" or "cosine", which normalises features and weights.
        `cosine_scale`: what cosines are multiplied by, where `head` is "cosine".
        `stages`: stages of a ResNet that are kept, of 4; the last ones are left out.
        """
        check_head(head, HEADS, cosine_scale)
        if weights and pretrained:
            raise UserError(
                f"backbone.weights = {weights!r} and backbone.pretrained = true exclude each other;"
                " leave one out"
            )
        if stem_stride not in (1, 2, 4):
            raise UserError(f"backbone.stem_stride = {stem_stride}: takes 1, 2 or 4")
        if not 1 <= stages <= 4:
            raise UserError(f"backbone.stages = {stages}: takes 1, 2, 3 or 4")
        self.model = model
        self.stages = stages
        self.pretrained = pretrained
        self.stem_stride = stem_stride
        self.frozen = frozen
        self.hidden = hidden
        self.weights = weights
        self.head = head
        self.cosine_scale = cosine_scale
        self.arguments = dict(arguments or {})
        self.mean = (mean[0], mean[1], mean[2])
        self.std = (std[0], std[1], std[2])

    def identity(self) -> dict[str, Any]:
        return {"weights": sha256_file(self._file)[:16]} if self._file else {}

    @cached_property
    def _file(self) -> Path | None:
        """The file that `weights` names."""
        if not self.weights:
            return None
        path = resource(self.weights)
        if path.is_file():
            files = [path] if path.suffix == ".safetensors" else []
        else:
            folder = folder_of(self.weights, "backbone.weights", ("model.safetensors",))
            files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            raise UserError(
                f"backbone.weights = {self.weights!r} is not one safetensors file; name the file"
                " itself"
            )
        return files[0]

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the modules that give the logits, as timm describes them; () = not known."""
        if self.model in _HEAD_IS_FC:
            return ("fc",)
        import timm

        published = timm.get_pretrained_cfg(self.model)
        names = (published.classifier if published else None) or ()
        return (names,) if isinstance(names, str) else tuple(names)

    def fetch(self) -> None:
        """Fetch published weights, once, so that what is missing is said before any work.

        Raises UserError where they cannot be had.
        """
        import timm

        if not self.pretrained or not timm.is_model(self.model):
            return
        published = timm.get_pretrained_cfg(self.model)
        what = f"backbone.pretrained = true: {self.model!r} is not in the Hub's cache"
        if published is None or not published.has_weights:
            raise UserError(
                f"backbone.pretrained = true: timm has no weights of {self.model!r};"
                f" {_OWN_WEIGHTS}, or leave it out"
            )
        if published.hf_hub_id:  # the few that are not on the Hub are fetched as they load
            repository = published.hf_hub_id.partition("@")[0]
            named = (published.hf_hub_filename,) if published.hf_hub_filename else _FILES
            hub_file(repository, named, what, _OWN_WEIGHTS)

    def build(self, task: Task, seed: int) -> nn.Module:
        return self.network(len(task.classes), seed)

    def timm_config(
        self, classes: int, photo: Sequence[int], crop: int, side: int
    ) -> dict[str, Any]:
        """The config.json by which `timm.create_model` builds the network for so many classes.

        `photo` is [height, width] of the photos in pixels, `crop` the side of their middle that the
        network sees (0 = all), `side` that of the square it is averaged to (0 = as it is). Raises
        UserError where timm alone does not build this network.
        """
        import timm

        if self.frozen:
            raise UserError("backbone.frozen = true trains a head alone, on features")
        if self.head != "linear":
            raise UserError(f"timm builds no head {self.head!r}")
        if self.stem_stride != 4:
            raise UserError(
                f"backbone.stem_stride = {self.stem_stride} changes the stem after timm built it"
            )
        if self.stages < 4:
            raise UserError(
                f"backbone.stages = {self.stages} leaves stages out of what timm has built"
            )
        published = timm.get_pretrained_cfg(self.model)
        known = published.to_dict() if published else {}
        seen = [side or crop] * 2 if side or crop else list(photo)
        return {
            "architecture": self.model,
            "num_classes": classes,
            "model_args": self.arguments,
            "pretrained_cfg": {
                **{key: known[key] for key in ("first_conv", "classifier") if key in known},
                "num_classes": classes,
                "input_size": [3, *seen],
                "fixed_input_size": bool(known.get("fixed_input_size", False)),
                "interpolation": "bilinear",
                "crop_pct": crop / min(photo) if crop else 1.0,
                "crop_mode": "center",
                "mean": list(self.mean),
                "std": list(self.std),
            },
        }

    def skeleton(self, classes: int) -> nn.Module:
        """The network on meta tensors, for what it computes: no weights are read or fetched."""
        import torch

        bare = copy.copy(self)
        bare.pretrained = False
        bare.weights = ""
        bare.__dict__.pop("_file", None)
        with torch.device("meta"):
            return bare.network(classes, 0)

    def trunk(self, task: Task, seed: int) -> nn.Module:
        return self.network(0, seed)

    def network(self, classes: int, seed: int) -> nn.Module:
        """The network for so many classes; 0 leaves the head away.

        Raises UserError where timm has no such model, does not take the arguments, or where the
        model cannot have the head.
        """
        import timm
        import torch

        from discl.parts.backbones.base.heads import with_cosines

        if not timm.is_model(self.model):
            raise unknown("timm model", self.model, timm.list_models())
        self.fetch()
        # what was fetched is taken as it lies there: asking again would wait for the network
        fetched = self.pretrained and timm.get_pretrained_cfg(self.model).hf_hub_id
        with torch.random.fork_rng(devices=[]), offline() if fetched else nullcontext():
            torch.manual_seed(seed)
            try:
                network: nn.Module = timm.create_model(
                    self.model,
                    pretrained=self.pretrained,
                    num_classes=classes,
                    **_as_tuples(self.arguments),
                )
            except TypeError as error:
                raise UserError(
                    f"timm model {self.model!r} does not take backbone.arguments {self.arguments}:"
                    f" {error}"
                ) from error
            except OSError as error:  # of a download from elsewhere than the Hub
                first = (str(error).splitlines() or [type(error).__name__])[0]
                raise UserError(
                    f"backbone.pretrained = true: timm's weights of {self.model!r} did not arrive"
                    f" ({first}); {_OWN_WEIGHTS}"
                ) from error
            if self.stages < 4:
                _cut(network, self.model, self.stages, classes)
            if self._file:
                _load(network, self.model, self._file)
            if self.stem_stride < 4:
                _shrink_stem(network, self.model, self.stem_stride)
        if classes and self.head == "cosine":
            network = with_cosines(network, self.model, self.cosine_scale)
        return network


def _as_tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def _load(network: Any, model: str, file: Path) -> None:
    """Weights by name; a head of another number of classes is left as it was drawn."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(plain(file))
    except SafetensorError as error:
        raise UserError(
            f"{file} is no safetensors file ({error}); save the weights again"
        ) from error
    classifier = network.pretrained_cfg.get("classifier") or ()
    names = [classifier] if isinstance(classifier, str) else classifier
    heads = tuple(f"{name}." for name in names)
    own = network.state_dict()
    fitting = {
        key: value
        for key, value in stored.items()
        if not key.startswith(heads) or _shape(own.get(key)) == value.shape
    }
    differing = [
        key
        for key in own.keys() | fitting.keys()
        if _shape(own.get(key)) != _shape(fitting.get(key)) and not key.startswith(heads)
    ]
    if differing:
        raise UserError(
            f"{file} holds the weights of another network than timm's {model!r}: {min(differing)!r}"
            " differs; set backbone.model to the model they are of"
        )
    network.load_state_dict(fitting, strict=False)


def _shape(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.shape


def _shrink_stem(network: nn.Module, model: str, stride: int) -> None:
    from torch import nn

    stem = getattr(network, "conv1", None)
    if not isinstance(stem, nn.Conv2d | nn.Sequential) or not hasattr(network, "maxpool"):
        raise UserError(
            f"backbone.stem_stride = {stride} works for ResNets; {model!r} has no such stem, so"
            " leave it at 4"
        )
    network.maxpool = nn.Identity()
    if stride == 2:
        return
    # timm's deep stem is three 3x3 convolutions, of which the first has stride 2
    if isinstance(stem, nn.Sequential):
        stem[0].stride = (1, 1)  # type: ignore[assignment]
    else:
        network.conv1 = nn.Conv2d(stem.in_channels, stem.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")


def _cut(network: Any, model: str, stages: int, classes: int) -> None:
    """Leave out all stages after the first `stages`; the head is drawn anew."""
    if not hasattr(network, "layer4") or not hasattr(network, "prune_intermediate_layers"):
        raise UserError(
            f"backbone.stages = {stages} works for ResNets; {model!r} has no such stages, so leave"
            " it at 4"
        )
    network.prune_intermediate_layers([stages])
    network.reset_classifier(classes, "avg")

"""open_clip checkpoints: their files, their preprocessing, and the model itself."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from discl.core.errors import UserError, unknown
from discl.core.plain_files import check_folder, parsed_json, plain_text
from discl.core.text.lengths import are_read_whole
from discl.files.disk import resource
from discl.files.fetch import sha256_file
from discl.files.weights import digest_of, hub_file, without_warnings

EMBEDDED = "pkg://discl/assets/cifar10_clip"  # the small model that ships with us
_CONFIG = "open_clip_config.json"
_CONTEXT = 77  # tokens that open_clip's text towers read where nothing else is said


class ClipCheckpoint:
    """A checkpoint that open_clip can load.

    `model` is a folder in open_clip's format (or `pkg://package/path`); with `pretrained`, a tag
    of open_clip's or a file of weights, it is a model name. `kind` is the table of the benchmark
    that names them, for messages. `quick_gelu` says of a file, or of a folder whose configuration
    names no activation, whether its weights were trained with QuickGELU, as OpenAI's were. Methods
    raise UserError where the checkpoint does not load, or where `quick_gelu` is missing or cannot
    be chosen.
    """

    def __init__(
        self, model: str, pretrained: str, kind: str, quick_gelu: bool | None = None
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.quick_gelu = quick_gelu
        self._kind = kind

    @cached_property
    def _folder(self) -> Path | None:
        """The local folder, or None where `pretrained` says where the weights are."""
        if self.pretrained:
            return None
        folder = resource(self.model)
        if not (folder / _CONFIG).exists():
            raise UserError(
                f"{self._kind}.model = {self.model!r} is no folder with an {_CONFIG}; name one, "
                f"or a model like 'ViT-B-32' together with {self._kind}.pretrained, e.g. 'openai'"
            )
        return folder

    @cached_property
    def _file(self) -> Path | None:
        """The file of weights that `pretrained` is the path of, if it is one."""
        path = Path(self.pretrained).expanduser()
        return path if self.pretrained and path.is_file() else None

    def identity(self) -> dict[str, Any]:
        """The digest of local weights, or the name of published ones."""
        if self._folder:
            return {"weights": digest_of(self._folder)}
        if self._file:
            return {"model": self.model, "weights": sha256_file(self._file)[:16]}
        # open_clip itself would build 'ViT-B-16' with another activation than the one 'openai' was
        # trained with
        return {"model": self.model, "pretrained": self.pretrained, "activation": "as trained"}

    @cached_property
    def _published(self) -> dict[str, Any]:
        """open_clip's configuration of the tag; empty for a folder or a file."""
        import open_clip

        if self._folder:
            return {}
        if self.model not in open_clip.list_models():
            raise unknown("open_clip model", self.model, open_clip.list_models())
        published: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, self.pretrained)
        if not published and not self._file:
            tags = open_clip.list_pretrained_tags_by_model(self.model)
            raise unknown(
                f"pretrained tag of open_clip model {self.model!r}", self.pretrained, tags
            )
        return published

    @cached_property
    def _forces_quick_gelu(self) -> bool:
        """Whether open_clip must be told to build the model with QuickGELU.

        A model's name stands for one activation in open_clip, whichever weights are loaded into it.
        """
        import open_clip

        published = self._published
        setting = f"{self._kind}.quick_gelu"
        if self._folder and "quick_gelu" not in self._described.get("model_cfg", {}):
            return self._told_for_folder(setting)
        if self._file is None:
            if self.quick_gelu is not None:
                given = str(self.quick_gelu).lower()
                source = "folder's configuration" if self._folder else "pretrained tag"
                raise UserError(
                    f"{setting} = {given}: the activation of {self.model!r} is that of its"
                    f" {source}; leave the setting out, it is for a file of weights"
                )
            return bool(published.get("quick_gelu"))
        if (open_clip.get_model_config(self.model) or {}).get("quick_gelu"):
            if self.quick_gelu is False:
                raise UserError(
                    f"{setting} = false: {self.model!r} is open_clip's name for the model with"
                    " QuickGELU; name the one without, or leave the setting out"
                )
            return True
        trained_with = _tags_with_quick_gelu(self.model)
        if trained_with and self.quick_gelu is None:
            raise UserError(
                f"{self._kind}.pretrained = {self.pretrained!r}: a file does not say which"
                f" activation its weights were trained with, and of {self.model!r} some published"
                f" weights have QuickGELU ({', '.join(map(repr, trained_with))}); set"
                f" {setting} = true if these come from them, else false"
            )
        return bool(self.quick_gelu)

    def _told_for_folder(self, setting: str) -> bool:
        """What the user says of a folder whose configuration names no activation.

        Raises UserError where nothing is said and published weights of such a model differ in it.
        """
        import open_clip

        towers = _towers(self._described.get("model_cfg", {}))
        alike = (
            name
            for name in open_clip.list_models()
            if _towers(open_clip.get_model_config(name) or {}) == towers
        )
        differing = next((name for name in alike if _tags_with_quick_gelu(name)), None)
        if differing and self.quick_gelu is None:
            raise UserError(
                f"{self._kind}.model = {self.model!r}: its {_CONFIG} does not say which activation"
                f" the weights were trained with, and some published weights of {differing!r},"
                f" which is built alike, have QuickGELU; set {setting} = true if these come from"
                " them, else false"
            )
        return bool(self.quick_gelu)

    @cached_property
    def _described(self) -> dict[str, Any]:
        """The folder's configuration.

        Raises UserError where it is no JSON object.
        """
        if not self._folder:
            return {}
        try:
            config = parsed_json(plain_text(self._folder / _CONFIG))
            if not isinstance(config, dict):
                raise TypeError("no object")
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self._folder / _CONFIG} is not valid JSON of open_clip ({error}); save the"
                " model again"
            ) from error
        return config

    @cached_property
    def preprocess(self) -> dict[str, Any]:
        """`mean`, `std`, `interpolation` and `resize_mode` of the photos the model was trained on.

        Reads no weights. Raises UserError where the configuration is no JSON.
        """
        from open_clip.transform import PreprocessCfg, merge_preprocess_dict

        _ = self._forces_quick_gelu  # what is missing is said before anything is loaded
        settings = self._published
        if self._folder:
            settings = self._described.get("preprocess_cfg", {})
        merged: dict[str, Any] = merge_preprocess_dict(PreprocessCfg(), settings)
        return merged

    @property
    def _name(self) -> str:
        """The model as open_clip calls it."""
        return f"local-dir:{self._folder}" if self._folder else self.model

    def _weights(self) -> str | None:
        """The file of weights for open_clip, fetched once; None where they lie in the folder."""
        if self._folder:
            return None
        if self._file:
            return str(self._file)
        at_hub = str(self._published.get("hf_hub") or "")
        if not at_hub:
            raise UserError(
                f"{self._kind}.pretrained = {self.pretrained!r}: the Hugging Face Hub does not have"
                f" these weights of {self.model!r}; fetch them by hand and give"
                f" {self._kind}.pretrained = FILE"
            )
        repository, _, listed = at_hub.rpartition("/")
        listed = listed or "open_clip_pytorch_model.bin"
        safe = str(Path(listed).with_suffix(".safetensors"))
        if listed == "open_clip_pytorch_model.bin":
            safe = "open_clip_model.safetensors"
        setting = f"{self._kind}.pretrained"
        what = f"{setting} = {self.pretrained!r} is no file"
        return str(hub_file(repository, (safe, listed), what, f"give {setting} = FILE"))

    def fetch(self) -> None:
        """Fetch published weights, once, so that what is missing is said before any work."""
        self._weights()

    def network(self) -> Any:
        """The model, in float32 on the CPU, in eval mode."""
        import open_clip
        from safetensors import SafetensorError

        keys = ("mean", "std", "interpolation", "resize_mode")
        preprocess = {} if self._folder else {key: self.preprocess[key] for key in keys}
        quick_gelu = self._forces_quick_gelu
        weights = self._weights()
        if self._folder:
            check_folder(self._folder)
        try:
            return open_clip.create_model(
                self._name,
                weights,
                force_quick_gelu=quick_gelu,
                force_preprocess_cfg=preprocess,
                require_pretrained=True,
            ).eval()
        except (
            OSError,
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            pickle.UnpicklingError,
            SafetensorError,
        ) as error:
            raise self._does_not_load(error) from error

    def skeleton(self) -> Any:
        """The model on meta tensors, from its configuration alone: no weights are read."""
        import open_clip
        import torch

        quick_gelu = self._forces_quick_gelu
        try:
            with without_warnings(), torch.random.fork_rng(devices=[]), torch.device("meta"):
                return open_clip.create_model(
                    self._name, load_weights=False, force_quick_gelu=quick_gelu, device="meta"
                )
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise self._does_not_load(error) from error

    def reads_whole(self, texts: Sequence[str]) -> bool:
        """Whether all of each text is known to be read, without open_clip, which takes seconds."""
        text_tower = self._text_tower()
        if text_tower is None:
            return False
        vocabulary = None
        if self._folder and text_tower.get("hf_tokenizer_name"):
            vocabulary = self._folder / "tokenizer.json"
        return are_read_whole(texts, text_tower.get("context_length", _CONTEXT), vocabulary)

    def _text_tower(self) -> dict[str, Any] | None:
        """The configuration of the text tower, as its file says; None where there is no file."""
        if self._folder:
            described = self._described.get("model_cfg", {})
        else:
            spec = importlib.util.find_spec("open_clip")  # imports nothing
            folder = Path((spec and spec.origin) or "").parent / "model_configs"
            file = folder / f"{self.model}.json"
            described = parsed_json(plain_text(file)) if file.is_file() else {}
        text_tower: dict[str, Any] | None = described.get("text_cfg")
        return text_tower

    def tokenizer(self) -> Any:
        """From texts to token numbers int64 [n, context]."""
        import open_clip

        try:
            return open_clip.get_tokenizer(self._name)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise self._does_not_load(error) from error

    def _does_not_load(self, error: Exception) -> UserError:
        import open_clip

        first = (str(error).splitlines() or [type(error).__name__])[0]
        config = self._described.get("model_cfg") or open_clip.get_model_config(self.model) or {}
        tokenizer = (config.get("text_cfg") or {}).get("hf_tokenizer_name")
        hint = ""
        if tokenizer and isinstance(error, OSError):
            hint = (
                f"; its tokenizer is {tokenizer} of the Hugging Face Hub: where that cannot be"
                " reached, point HF_HOME at a cache that has it"
            )
        return UserError(f"{self._kind}.model = {self.model!r} does not load ({first}){hint}")


def _tags_with_quick_gelu(model: str) -> list[str]:
    """Tags of published weights of an open_clip model that were trained with QuickGELU."""
    import open_clip

    return [
        tag
        for tag in open_clip.list_pretrained_tags_by_model(model)
        if open_clip.get_pretrained_cfg(model, tag).get("quick_gelu")
    ]


def _towers(model: Mapping[str, Any]) -> dict[str, Any]:
    """What both networks of a model are built of, without where its tokenizer lies."""
    text = {
        key: value
        for key, value in (model.get("text_cfg") or {}).items()
        if key != "hf_tokenizer_name"
    }
    return {"width": model.get("embed_dim"), "image": model.get("vision_cfg"), "text": text}

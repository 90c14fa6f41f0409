"""All that is added to a checkpoint, as the settings of a generator say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError, shown
from discl.core.hashing import canonical
from discl.parts.generators.base.adapters.lora import LoraSetting, add_lora
from discl.parts.generators.base.adapters.photo_settings import (
    ControlNetSetting,
    IPAdapterSetting,
)
from discl.parts.generators.base.adapters.quantised import Quantised
from discl.parts.generators.base.adapters.tables import read_tables
from discl.parts.generators.base.adapters.textual_inversion import (
    TextualInversionSetting,
    Word,
    add_words,
    single_words,
)

if TYPE_CHECKING:
    from discl.parts.generators.base.adapters.conditioning import PhotoCondition


# of settings that are tables, as `--set` takes them in a shell; others of their keys may be given
EXAMPLES: Mapping[str, str] = {
    "lora": """--set 'generator.lora=[{file="style.safetensors", scale=0.8}]'""",
    "textual_inversion": """--set 'generator.textual_inversion=[{file="cat.safetensors"}]'""",
    "ip_adapter": "--set generator.ip_adapter.file=FILE --set generator.ip_adapter.scale=0.6",
    "controlnet": "--set generator.controlnet.checkpoint=FOLDER",
    "scheduler_arguments": "--set generator.scheduler_arguments.use_karras_sigmas=true",
    "text_guidance_at": "--set generator.text_guidance_at.0=3.0",
}


@dataclass(frozen=True)
class Additions:
    """What is added to a checkpoint; nothing by default."""

    lora: tuple[LoraSetting, ...] = ()
    textual_inversion: tuple[TextualInversionSetting, ...] = ()
    ip_adapter: IPAdapterSetting | None = None
    controlnet: ControlNetSetting | None = None
    scheduler_arguments: Mapping[str, Any] = field(default_factory=dict)
    quantised: Quantised = field(default_factory=Quantised)

    def __bool__(self) -> bool:
        return self != Additions()

    @property
    def words(self) -> tuple[Word, ...]:
        """Words of files of textual inversion."""
        return tuple(setting.word for setting in self.textual_inversion)

    def identity(self) -> dict[str, Any]:
        """What images depend on, files by the digests of their bytes; {} where nothing is added."""
        identity: dict[str, Any] = self.quantised.identity()
        for name in ("lora", "textual_inversion"):
            if settings := getattr(self, name):
                identity[name] = [setting.identity() for setting in settings]
        for name in ("ip_adapter", "controlnet"):
            if setting := getattr(self, name):
                identity[name] = setting.identity()
        return identity

    def check_with(self, fused_qkv: bool | None, attention: str) -> None:
        """Raises UserError for ways of computing attention that would leave out what is added."""
        if self.ip_adapter and (fused_qkv or attention != "default"):
            name = "fused_qkv = true" if fused_qkv else f"attention = {attention!r}"
            raise UserError(
                f"generator.{name} would compute attention without the image prompt of"
                " generator.ip_adapter; leave one of them out"
            )
        if self.quantised and fused_qkv:
            raise UserError(
                "generator.fused_qkv = true: products of quantised weights are not fused; leave one"
                " of them out"
            )

    @property
    def may_fuse(self) -> bool:
        """Whether attention's products may be fused where that pays."""
        return self.ip_adapter is None and not self.quantised

    def loading_arguments(self, folder: Path, dtype: Any, on_gpu: bool) -> dict[str, Any]:
        """What a pipeline's `from_pretrained` gets for a checkpoint's folder."""
        return self.quantised.arguments(folder, dtype, on_gpu)

    def add_to(self, pipeline: Any) -> tuple[PhotoCondition, ...]:
        """Add all to a pipeline on its device; what its denoiser is then told of each photo.

        Raises UserError for what does not fit the checkpoint.
        """
        from discl.parts.generators.base.adapters.controlnet import add_control
        from discl.parts.generators.base.adapters.ip_adapter import add_image_prompt
        from discl.parts.generators.base.adapters.scheduler_arguments import with_arguments

        pipeline.scheduler = with_arguments(pipeline.scheduler, self.scheduler_arguments)
        add_lora(pipeline, self.lora, merged=not self.quantised)
        add_words(pipeline, self.textual_inversion)
        ways = (add_image_prompt(pipeline, self.ip_adapter), add_control(pipeline, self.controlnet))
        return tuple(way for way in ways if way is not None)


def read_additions(
    lora: Any,
    textual_inversion: Any,
    ip_adapter: Any,
    controlnet: Any,
    scheduler_arguments: Any,
    quantised: str,
    gguf: str,
) -> Additions:
    """The settings of a benchmark file, checked as far as that is possible without loading.

    Raises UserError for settings there are not, values that make no sense, and missing libraries.
    """
    one_ip_adapter = _at_most_one("ip_adapter", ip_adapter, IPAdapterSetting)
    one_controlnet = _at_most_one("controlnet", controlnet, ControlNetSetting)
    additions = Additions(
        read_tables("lora", lora, LoraSetting),
        single_words(read_tables("textual_inversion", textual_inversion, TextualInversionSetting)),
        one_ip_adapter,
        one_controlnet,
        _arguments(scheduler_arguments or {}),
        Quantised(quantised, gguf),
    )
    parts = (*additions.lora, *additions.textual_inversion, one_ip_adapter, one_controlnet)
    for part in (*parts, additions.quantised):
        if part is not None:
            part.check()
    return additions


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in given.items():
        try:
            canonical(value)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"generator.scheduler_arguments.{key} = {value}: it takes a finite number, a text,"
                " true or false, or a list of those"
            ) from error
    return dict(given)


def _at_most_one(key: str, given: Any, kind: type[Any]) -> Any:
    tables = read_tables(key, given, kind)
    if len(tables) > 1:
        raise UserError(
            f"generator.{key} = {shown(given)}: there is one of it; leave the others out"
        )
    return tables[0] if tables else None

"""A denoiser with fewer bits a weight, where the library for it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError, reason, unknown
from discl.core.plain_files import parsed_json, plain, plain_text
from discl.files.disk import resource
from discl.parts.generators.base.adapters.libraries import check_library
from discl.parts.generators.base.adapters.weight_files import digest_of_file

GGUF = "gguf"
_DENOISERS = ("unet", "transformer")


class Way(NamedTuple):
    """A way to hold weights."""

    library: str
    needs_gpu: bool = False


WAYS: Mapping[str, Way] = {
    "torchao-int8": Way("torchao"),
    "torchao-float8": Way("torchao"),
    "bitsandbytes-int8": Way("bitsandbytes", needs_gpu=True),
    "bitsandbytes-nf4": Way("bitsandbytes", needs_gpu=True),
}


@dataclass(frozen=True)
class Quantised:
    """`generator.quantised` and `generator.gguf`; both empty = weights as they are."""

    way: str = ""  # of WAYS, by which weights are made smaller when they are loaded
    file: str = ""  # a GGUF file with the denoiser's weights

    def __bool__(self) -> bool:
        return bool(self.way or self.file)

    def check(self) -> None:
        """Raises UserError for a way there is not, a missing library, or a file that is none."""
        if self.way and self.way not in WAYS:
            raise unknown("generator.quantised", self.way, WAYS)
        if self.way and self.file:
            raise UserError(
                f"generator.gguf = {self.file!r} has its own few bits a weight; leave out"
                f" generator.quantised = {self.way!r}"
            )
        if self.way:
            check_library(WAYS[self.way].library, f"generator.quantised = {self.way!r}")
        if self.file:
            self._path()
            check_library(GGUF, f"generator.gguf = {self.file!r}")

    def identity(self) -> dict[str, Any]:
        """What images depend on beside the setting `quantised`, which is hashed as it is."""
        return {"gguf": digest_of_file(self._path())} if self.file else {}

    def _path(self) -> Path:
        path = resource(self.file)
        if not path.is_file() or path.suffix != ".gguf":
            raise UserError(
                f"generator.gguf = {self.file!r}: no such .gguf file; name one that holds this"
                " checkpoint's denoiser"
            )
        return plain(path)

    def arguments(self, folder: Path, dtype: Any, on_gpu: bool) -> dict[str, Any]:
        """What a pipeline's `from_pretrained` gets for the denoiser in a checkpoint's folder.

        Raises UserError where the library cannot do it here.
        """
        if not self:
            return {}
        if self.way and WAYS[self.way].needs_gpu and not on_gpu:
            raise UserError(
                f"generator.quantised = {self.way!r} needs a GPU, and generator.device has none;"
                " take 'torchao-int8', which a CPU can do too"
            )
        path = self._path() if self.file else None
        name, kind = _denoiser(folder)
        if path is not None:
            return {name: self._from_gguf(path, folder, name, kind, dtype)}
        if self.way.startswith("torchao"):
            return {name: _by_torchao(self.way, folder / name, kind, dtype)}
        from diffusers import PipelineQuantizationConfig

        mapping = {name: _bitsandbytes(self.way, dtype)}
        return {"quantization_config": PipelineQuantizationConfig(quant_mapping=mapping)}

    def _from_gguf(self, path: Path, folder: Path, name: str, kind: str, dtype: Any) -> Any:
        import diffusers

        made_by: Any = getattr(diffusers, kind, None)
        wrong = f"generator.gguf = {self.file!r}"
        if name != "transformer" or not hasattr(made_by, "from_single_file"):
            raise UserError(
                f"{wrong}: diffusers reads no GGUF file for a {kind}; leave it out, or set"
                " generator.quantised"
            )
        try:
            return made_by.from_single_file(
                str(path),
                quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
                config=str(folder),
                subfolder=name,
                dtype=dtype,
            )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            first = (reason(error).splitlines() or [""])[0]
            raise UserError(
                f"{wrong} does not load as the {kind} of this checkpoint ({first}); name the file"
                " of the same model"
            ) from error


def _denoiser(folder: Path) -> tuple[str, str]:
    """(name, class) of the denoiser in a checkpoint's folder."""
    index = parsed_json(plain_text(folder / "model_index.json"))
    for name in _DENOISERS:
        if isinstance(index.get(name), list) and index[name][1]:
            return name, str(index[name][1])
    raise UserError(
        "generator.quantised: the checkpoint's model_index.json names no denoiser; leave it out"
    )


def _by_torchao(way: str, folder: Path, kind: str, dtype: Any) -> Any:
    import diffusers
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    from discl.parts.generators.base.adapters.streamed import streamed

    config = Int8WeightOnlyConfig() if way.endswith("int8") else Float8WeightOnlyConfig()
    made_by = getattr(diffusers, kind)
    return streamed(folder, made_by, dtype, lambda layer: quantize_(layer, config))


def _bitsandbytes(way: str, dtype: Any) -> Any:
    from diffusers import BitsAndBytesConfig

    if way == "bitsandbytes-int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )

"""A denoiser quantised weight by weight as it is read, so that it is never whole in memory."""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.plain_files import open_file, parsed_json

# what `save_pretrained` writes, whole or in parts; not the weights beside a moving average
_FILE = re.compile(r"diffusion_pytorch_model(\.fp16)?(-\d{5}-of-\d{5})?\.safetensors")
_GIVEN_BACK = 64 * 2**20  # bytes
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
}


def streamed(
    folder: Path, kind: Any, dtype: torch.dtype, shrink: Callable[[nn.Module], None]
) -> Any:
    """A network of diffusers' class `kind` from its folder; `shrink` is given each linear layer.

    A linear layer is there as soon as its weight is; all else has `dtype`. One tensor at a time is
    read, where diffusers' own way holds the file as a mapping and the weights beside it. Raises
    UserError where the files lack a tensor or are damaged.
    """
    from accelerate import init_empty_weights
    from accelerate.utils import set_module_tensor_to_device

    with init_empty_weights():
        network = kind.from_config(kind.load_config(str(folder)))
    known = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    linear = {
        f"{name}.weight": module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }
    read = 0  # bytes since the last look for memory to give back
    for path in _files(folder, dtype):
        for name, tensor in _tensors(path):
            if name in known:
                value = tensor.to(dtype) if tensor.is_floating_point() else tensor
                set_module_tensor_to_device(network, name, "cpu", value=value, dtype=value.dtype)
                if name in linear:
                    shrink(linear[name])
            read += tensor.nbytes
            if read > _GIVEN_BACK:
                _give_back()
                read = 0
    _give_back()
    lacking = [name for name, each in network.named_parameters() if each.is_meta]
    if lacking:
        raise UserError(
            f"generator.quantised: {folder} has no {lacking[0]} and {len(lacking) - 1} more of its"
            " weights; copy the checkpoint again"
        )
    network.is_quantized = True  # as diffusers marks what must not be cast
    return network.eval()


def _give_back() -> None:
    """Let the system have what was freed: small weights between large ones keep it from that."""
    with suppress(OSError, AttributeError):  # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)


def _files(folder: Path, dtype: torch.dtype) -> list[Path]:
    """The files of weights; those in half precision where they are wanted, or all there is."""
    found = sorted(path for path in folder.iterdir() if _FILE.fullmatch(path.name))
    halves = [path for path in found if ".fp16" in path.name]
    wholes = [path for path in found if ".fp16" not in path.name]
    return (halves or wholes) if dtype == torch.float16 else (wholes or halves)


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a safetensors file, in the order they lie in; none is mapped into memory."""
    with open_file(path, "rb", buffering=0) as stream:
        try:
            length = int.from_bytes(stream.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("it ends in its header")
            header = parsed_json(stream.read(length))
            header.pop("__metadata__", None)
            for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
                begin, end = told["data_offsets"]
                stream.seek(8 + length + begin)
                values = np.fromfile(stream, np.uint8, end - begin)
                kind = _DTYPES[told["dtype"]]
                if len(values) != math.prod(told["shape"]) * kind.itemsize:
                    raise ValueError("it ends amid its weights")
                yield name, torch.from_numpy(values).view(kind).view(told["shape"])
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RuntimeError) as error:
            raise UserError(
                f"generator.quantised: {path} is no whole safetensors file ({error}); copy the"
                " checkpoint again"
            ) from error

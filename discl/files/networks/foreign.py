"""Weights of a network that somebody else trained and saved."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.core.plain_files import plain

if TYPE_CHECKING:
    from torch import Tensor

# what training programs call the weights among the other things in a checkpoint
WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "net")
PREFIXES = ("module.", "_orig_mod.", "model.")  # of wrapped networks, which the names keep


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors [...] by name, of a safetensors file or one that `torch.save` wrote.

    The latter is read without running anything in it (`weights_only`). Tables around the weights
    and prefixes of their names, as WRAPPERS and PREFIXES have them, are taken off. Raises UserError
    for a file that is neither, or holds no weights.
    """
    found = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    while isinstance(found, Mapping):
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = inner
    weights = _tensors(found)
    if not weights:
        held = ", ".join(sorted(map(str, found))[:8]) if isinstance(found, Mapping) else ""
        held = f" ({held})" if held else ""
        raise UserError(
            f"{path} holds no table of weights by name{held}; take the table out and save it as a"
            " .safetensors file"
        )
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _tensors(found: Any) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        return {}
    return {str(name): tensor.detach() for name, tensor in found.items()}


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(plain(path))
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} is no safetensors file ({error}); save the weights again"
        ) from error


def _torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(plain(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than weights, and loading it could run anything: convert it where"
            " you trust it, with torch.load(..., weights_only=False) and"
            " safetensors.torch.save_file(weights, 'weights.safetensors')"
        ) from error
    except (OSError, EOFError, ValueError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path} is no file that torch.save wrote ({first}); give a .safetensors file, or a"
            " .pth file of weights"
        ) from error

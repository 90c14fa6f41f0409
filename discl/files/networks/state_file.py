"""Weights of one of our networks in a safetensors file, with a digest of all it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.plain_files import parsed_json, plain
from discl.core.seals import damaged
from discl.files.disk import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

_ABOUT = "about"  # keys of the header
_DIGEST = "digest"


def save(path: Path, weights: Mapping[str, Tensor], about: Mapping[str, Any], what: str) -> str:
    """Write weights (tensors [...] by name) and what JSON can hold `about` them, whole or not.

    `what` it is tells the file from its siblings. Returns the digest of everything in it, 32 hex
    digits. Raises DiskError where the disk is full or cannot be written.
    """
    from safetensors.torch import save_file

    stored = {  # copied: the format holds no two names of one tensor
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()
    }
    text = json.dumps(dict(about), sort_keys=True)
    digest = digest_of(stored, text, what)
    with atomic_write(path) as tmp:
        save_file(stored, tmp, metadata={_ABOUT: text, _DIGEST: digest})
    return digest


def read(path: Path, what: str, way_out: str) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """(tensors [...] by name, what was said about them, digest) of a file that `save` wrote.

    Raises DamagedFileError, which ends with `way_out`, where it is not as it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(plain(path), "pt") as opened:
            metadata = opened.metadata() or {}
            text, digest = metadata[_ABOUT], metadata[_DIGEST]
            # cloned: the tensors of the library are views of the file
            weights = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
        about = parsed_json(text)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged(path, f"cannot be read ({error})", way_out) from error
    if digest != digest_of(weights, text, what):
        raise damaged(path, "is damaged (its content is not what was sealed)", way_out)
    return weights, about, digest


def about(path: Path) -> dict[str, Any]:
    """What a safetensors file of anybody says about its weights in our way; {} where nothing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(plain(path), "pt") as opened:
            said = parsed_json((opened.metadata() or {})[_ABOUT])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError):
        return {}
    return said if isinstance(said, dict) else {}


def digest_of(weights: Mapping[str, Tensor], text: str, what: str) -> str:
    """32 hex digits over weights (tensors [...] by name), the text about them and what they are."""
    import torch
    from xxhash import xxh3_128

    seen = xxh3_128(f"{what} {text}".encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        seen.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        seen.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()

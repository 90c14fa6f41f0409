"""Loads a checkpoint folder in diffusers' format, or says what is wrong with it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging
from transformers.utils import logging as transformers_logging

from discl.core.errors import UserError
from discl.core.plain_files import check_folder
from discl.parts.generators import _patches  # noqa: F401 - the miniature's checkpoint names it
from discl.parts.generators.base.adapters.additions import Additions
from discl.parts.generators.base.families import Family
from discl.parts.generators.base.families.named import family_of
from discl.parts.generators.base.schedulers import check_kind, scheduler_for

_LARGE = 100_000_000  # weights; Stable Diffusion's denoiser has 860 million

_LOADING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
)


@dataclass(frozen=True)
class LoadingOptions:
    """Layout of a checkpoint's weights in memory, and its scheduler ("" = its own)."""

    scheduler: str
    dtype: str
    device: str
    sliced: bool
    tiled: bool
    # None = where they pay, which is on a GPU
    channels_last: bool | None
    fused_qkv: bool | None
    compile: bool | None
    rest_text: bool | None  # None = where the GPU's memory is short
    additions: Additions = field(default_factory=Additions)  # adapters and their like


def load(folder: Path, checkpoint: str, options: LoadingOptions) -> Family:
    """The checkpoint, ready to work on its device; `checkpoint` is what error messages call it.

    Raises UserError where it is of no known family, does not load, asks for a missing device, or
    its scheduler is refused.
    """
    device = device_of(options.device)
    dtype = getattr(torch, options.dtype)
    family = family_of(folder, checkpoint)
    check_kind(folder, options.scheduler, checkpoint, family.flow_schedulers)
    more = options.additions.loading_arguments(folder, dtype, device.type == "cuda")
    pipeline = from_folder(folder, checkpoint, dtype, family.pipeline_class, **more)
    pipeline.scheduler = scheduler_for(pipeline.scheduler, options.scheduler, checkpoint)
    pipeline.to(device)
    told_of_photos = options.additions.add_to(pipeline)
    loaded = family(pipeline, options.rest_text)
    loaded.told_of_photos = told_of_photos
    _prepare(loaded, options, device.type == "cuda", checkpoint)
    loaded.to_dtype(dtype)
    return loaded


def _prepare(family: Family, options: LoadingOptions, on_gpu: bool, checkpoint: str) -> None:
    """Layout, attention and compilation, as asked for or as they pay."""
    pipeline, denoiser = family.pipeline, family.denoiser
    has_images = on_gpu and family.is_convolutional
    if _or_default(options.channels_last, has_images):
        for network in (denoiser, pipeline.vae):
            # the layout is one of images, which autoencoders of videos do not take
            if all(parameter.ndim < 5 for parameter in network.parameters()):
                network.to(memory_format=torch.channels_last)
    if options.sliced:
        pipeline.enable_attention_slicing()
    elif _or_default(options.fused_qkv, has_images and options.additions.may_fuse):
        _fuse(denoiser, checkpoint)
    if options.tiled:
        if not hasattr(pipeline.vae, "enable_tiling"):
            raise UserError(
                f"generator.tiling = true: the autoencoder of {checkpoint!r}"
                f" ({type(pipeline.vae).__name__}) cannot work in tiles; leave it false"
            )
        pipeline.vae.enable_tiling()
    if _or_default(options.compile, on_gpu and _pays_to_compile(denoiser)):
        _compile(denoiser)


def _fuse(denoiser: Any, checkpoint: str) -> None:
    try:
        denoiser.fuse_qkv_projections()
    except (AttributeError, ValueError) as error:
        raise UserError(
            f"generator.fused_qkv = true: the denoiser of {checkpoint!r}"
            f" ({type(denoiser).__name__}) has no products to fuse; leave it out"
        ) from error


def _or_default(asked: bool | None, default: bool) -> bool:
    return default if asked is None else asked


def _pays_to_compile(denoiser: Any) -> bool:
    """Whether it is so large that a minute of compiling is soon won back, and can be compiled."""
    weights = sum(parameter.numel() for parameter in denoiser.parameters())
    compilers = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    has_compiler = any(name and shutil.which(name) for name in compilers)
    return weights >= _LARGE and has_compiler and importlib.util.find_spec("triton") is not None


def _compile(denoiser: Any) -> None:
    """Its blocks, which are alike, so that they are compiled once for all; else the whole."""
    names = getattr(denoiser, "_repeated_blocks", None) or ()
    if any(type(module).__name__ in names for module in denoiser.modules()):
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()


def device_of(name: str) -> torch.device:
    """The device of a setting's name; "auto" is a GPU where there is one.

    Raises UserError for a CUDA device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"generator.device = {name!r}: this machine offers {torch.cuda.device_count()} CUDA"
            " devices; use 'auto' or 'cpu'"
        )
    return device


def from_folder(folder: Path, checkpoint: str, dtype: torch.dtype, kind: str, **more: Any) -> Any:
    """The pipeline of a checkpoint's folder, as the class of diffusers that is called `kind`.

    `checkpoint` is what error messages call it, and `more` are arguments of its `from_pretrained`.
    Raises UserError where it does not load.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what a text encoder cuts off is told beforehand
    transformers_logging.disable_progress_bar()
    try:
        pipeline = getattr(diffusers, kind).from_pretrained(
            str(check_folder(folder)),
            dtype=dtype,
            variant=_variant(folder, dtype),
            use_safetensors=True,
            local_files_only=True,
            **more,
        )
    except _LOADING_ERRORS as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"generator.checkpoint = {checkpoint!r} does not load as a diffusers pipeline ({first})"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _variant(folder: Path, dtype: torch.dtype) -> str | None:
    """Half-precision files where they are asked for, or all there is."""
    halves = {path.parent for path in folder.glob("*/*.fp16.safetensors")}
    wholes = {path.parent for path in folder.glob("*/*.safetensors") if ".fp16" not in path.name}
    return "fp16" if halves and (dtype == torch.float16 or halves - wholes) else None

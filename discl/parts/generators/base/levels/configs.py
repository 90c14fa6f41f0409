"""A checkpoint's configuration files, wherever they are; no weights are read or fetched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.text import typed
from discl.files.disk import resource
from discl.files.shipped import checkpoint_config
from discl.files.weights import cached_folder, is_hub_id

_FILES = ("model_index.json", "*/*.json")  # where the noise of levels is told


@contextmanager
def config_folder(checkpoint: str) -> Iterator[Path]:
    """The configuration files of a checkpoint in a folder as diffusers writes it.

    It is the checkpoint's own folder, that of the Hub's cache, or, of a Hub id whose configuration
    ships with us, one that is there until the block ends. Raises UserError where there is none.
    """
    local = resource(checkpoint)
    folder = local if local.is_dir() else cached_folder(checkpoint, _FILES)
    if folder is not None and (folder / "scheduler").is_dir():
        yield folder
        return
    shipped = checkpoint_config(checkpoint)
    if shipped is None:
        raise UserError(_nowhere(checkpoint, folder))
    with tempfile.TemporaryDirectory() as made:
        _write(Path(made), shipped)
        yield Path(made)


def _write(folder: Path, config: Mapping[str, Any]) -> None:
    """A shipped configuration as files; what is no table is about the whole."""
    index = {"_class_name": config["pipeline"]}
    (folder / "model_index.json").write_text(json.dumps(index), "utf-8")
    for part, settings in config.items():
        if isinstance(settings, dict):
            (folder / part).mkdir()
            name = "scheduler_config.json" if part == "scheduler" else "config.json"
            (folder / part / name).write_text(json.dumps(settings), "utf-8")


def _nowhere(checkpoint: str, folder: Path | None) -> str:
    if folder is not None:
        return (
            f"generator.checkpoint = {checkpoint!r} has no folder `scheduler`, so how its levels"
            " count noise is not known; name a folder in diffusers' format"
        )
    if not is_hub_id(checkpoint):
        return (
            f"generator.checkpoint = {checkpoint!r}: no such folder; give one in diffusers' format,"
            " or a Hub id like 'owner/name'"
        )
    name = checkpoint.partition("@")[0]
    fetch = typed("hf", "download", name, "--include", "*.json", "*/*.json")
    return (
        f"the configuration of {checkpoint!r} is neither shipped nor in the Hub's cache, so how its"
        f" levels count noise is not known; `{fetch}` fetches it without the weights"
    )

"""Files of weights that adapters come in: one safetensors file, local or of the Hub."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.plain_files import plain
from discl.files.disk import resource
from discl.files.fetch import sha256_file
from discl.files.weights import folder_of, is_hub_id

SUFFIX = ".safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def weights_file(file: str, name: str, key: str) -> Path:
    """The safetensors file that a setting `generator.key` names.

    `file` is that file, a folder, `pkg://package/path`, or a Hub id; `name` is the file's in a
    folder or repository that holds several, and may lie in a folder of it. Raises UserError where
    there is none, or more than one, and for a pickle: to open one can run code.
    """
    setting = f"generator.{key}.file"
    local = resource(file)
    for path in (Path(file), Path(name)):
        if path.suffix.lower() in _PICKLES:
            raise UserError(
                f"{setting} = {file!r}: {path.name} is a pickle, which can run code when it is"
                " opened; convert it to .safetensors"
            )
    if local.is_file():
        if local.suffix != SUFFIX:
            raise UserError(f"{setting} = {file!r} is no {SUFFIX} file; name one")
        return plain(local)
    if file.endswith(SUFFIX):
        raise UserError(f"{setting} = {file!r}: no such file; name a {SUFFIX} file or a Hub id")
    folder = folder_of(file, setting, (name or f"*{SUFFIX}",))
    if name:
        if not (folder / name).is_file():
            raise UserError(f"{setting} = {file!r} holds no {name}; correct weight_name")
        return plain(folder / name)
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or f"no {SUFFIX} file"
        raise UserError(
            f"{setting} = {file!r} holds {names}; name one by generator.{key}.weight_name"
        )
    return plain(found[0])


def check_local(file: str, name: str, key: str) -> None:
    """As `weights_file`, before any work: raises UserError for what cannot be a Hub id either."""
    if not is_hub_id(file) or file.endswith((SUFFIX, *_PICKLES)) or resource(file).exists():
        weights_file(file, name, key)


def read_tensors(path: Path, key: str) -> dict[str, Any]:
    """The tensors of a safetensors file, on the host; raises UserError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(plain(path), device="cpu")  # type: ignore[no-any-return]
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"generator.{key}: {path} does not load as a {SUFFIX} file ({error}); copy it again"
        ) from error


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 16 hex digits; unchanged files are read once a process."""
    state = path.stat()
    return _digest_once(path, state.st_size, state.st_mtime_ns)[:16]


@cache
def _digest_once(path: Path, size: int, changed_ns: int) -> str:
    return sha256_file(path)

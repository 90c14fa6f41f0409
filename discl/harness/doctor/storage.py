"""Whether there is room: folders, locks, memory, photos and banks."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from discl.files.disk import data_home, home
from discl.files.fetch import offline
from discl.harness.doctor.finding import NOTE, OK, PROBLEM, Finding

_TOO_LITTLE, _LITTLE = 1e9, 5e9  # bytes free on a disk
_LITTLE_MEMORY = 2e9
_READY, _ABSENT = "ready", "absent"
_SHARED = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "fuse.sshfs",
    "9p",
)  # file systems of several machines


def places() -> Iterator[Finding]:
    """The folders everything is written to."""
    yield from _place("DISCL_HOME", home(), locks=True)
    yield from _place("DISCL_DATA", data_home(), locks=True)
    yield from _place("temporary files", Path(tempfile.gettempdir()), locks=False)


def _place(name: str, folder: Path, locks: bool) -> Iterator[Finding]:
    """Looked at where it is or will be: nothing is made that stays."""
    here = next(
        (path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()),
        Path("/"),
    )
    said = f"{name}: {folder}" + ("" if here == folder.absolute() else " (not made yet)")
    elsewhere = (
        f"point {name} at another folder" if name.isupper() else "point TMPDIR at another folder"
    )
    if not here.is_dir():
        yield Finding(PROBLEM, f"{said}: {here} is a file", elsewhere)
        return
    try:
        with tempfile.NamedTemporaryFile(prefix=".discl-doctor-", dir=here) as trial:
            held = not locks or _locks_hold(Path(trial.name))
    except OSError as error:
        yield Finding(
            PROBLEM, f"{said}: nothing can be written there ({error.strerror or error})", elsewhere
        )
        return
    if not held:
        yield Finding(
            PROBLEM,
            f"{said}: file locks do not hold there, so two processes may make one run",
            elsewhere,
        )
        return
    yield _free(said, here, elsewhere)


def _free(said: str, here: Path, elsewhere: str) -> Finding:
    free = shutil.disk_usage(here).free
    kind = filesystem(here)
    said = f"{said}: writable, {free / 1e9:,.1f} GB free on {kind or 'its disk'}"
    if free < _TOO_LITTLE:
        return Finding(
            PROBLEM,
            said,
            f"free some space (`discl bank gc` shows what nobody uses), or {elsewhere}",
        )
    if free < _LITTLE:
        return Finding(
            NOTE,
            said,
            "enough for the embedded default; `discl plan BENCH` says what a comparison takes",
        )
    if kind in _SHARED:
        return Finding(
            NOTE,
            said,
            "shared between machines: one machine alone may build a bank there; the others reach it"
            " by Ray or Slurm",
        )
    return Finding(OK, said)


def _locks_hold(path: Path) -> bool:
    """Whether a lock that one holds is refused to another."""
    with path.open("rb") as first, path.open("rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def filesystem(path: Path) -> str:
    """Its kind, as ext4 or nfs4; "" where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    mounts = {
        words[1].replace("\\040", " "): words[2] for line in lines if len(words := line.split()) > 2
    }
    real = path.resolve()
    return next((mounts[str(above)] for above in (real, *real.parents) if str(above) in mounts), "")


# ---------------------------------------------------------------- memory


def memory() -> Iterator[Finding]:
    """What may be used of it."""
    here = available_bytes()
    if here is None:
        yield Finding(OK, "memory: this system does not say how much is free")
        return
    available, total = here
    said = f"memory: {available / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if available < _LITTLE_MEMORY:
        yield Finding(NOTE, said, "fewer --workers, or a smaller bank.batch and train.batch")
    else:
        yield Finding(OK, said)


def available_bytes() -> tuple[int, int] | None:
    """(free, all) of what this process may have: the machine's, or less where a container allows
    less.
    """
    try:
        lines = dict(
            line.split(":", 1) for line in Path("/proc/meminfo").read_text("utf-8").splitlines()
        )
        free, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    except (OSError, KeyError, ValueError):
        return None
    limit, used = (
        _number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current")
    )
    if limit is not None and used is not None and limit < total:
        return min(free, max(0, limit - used)), limit
    return free, total


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("utf-8"))
    except (OSError, ValueError):  # "max" is no limit
        return None


# ---------------------------------------------------------------- photos and banks


def datasets() -> Iterator[Finding]:
    """Whose photos are here. Fetches nothing."""
    from discl.config.benchmark import available

    groups: dict[tuple[str, str], list[str]] = {}
    with offline():
        for benchmark in available():
            groups.setdefault(_ready(benchmark), []).append(benchmark)
    here = [
        _said(dataset, names)
        for (dataset, state), names in sorted(groups.items())
        if state == _READY
    ]
    away = [
        _said(dataset, names)
        for (dataset, state), names in sorted(groups.items())
        if state == _ABSENT
    ]
    yield Finding(
        OK,
        f"photos that are here: {', '.join(here) or 'none'}",
        "" if here else "discl bench cifar10_lt fetches 139 MB",
    )
    if away:
        way_out = (
            "`discl data info NAME` says where to have them, `discl data fetch NAME` downloads what"
            " may be downloaded"
        )
        yield Finding(OK, f"photos that are not: {', '.join(away)}", way_out)
    for (dataset, state), names in sorted(groups.items()):
        if state not in (_READY, _ABSENT):
            yield Finding(
                NOTE,
                f"photos of {_said(dataset, names)}: cannot be told ({state})",
                "mend or remove the file of the benchmark",
            )


def _said(dataset: str, benchmarks: Sequence[str]) -> str:
    return dataset if benchmarks == [dataset] else f"{dataset} (for {', '.join(benchmarks)})"


def _ready(name: str) -> tuple[str, str]:
    """(dataset, whether its photos are here, or why that cannot be told)."""
    from discl.config.benchmark import load, scales

    dataset = "an unknown dataset"
    try:
        spec = load(name, next(iter(scales(name)), "smoke"))
        dataset = str(spec.dataset["name"])
        return dataset, _READY if spec.part("datasets").build().ready else _ABSENT
    except Exception as error:  # parts are anybody's code
        return dataset, str(error) or type(error).__name__


def banks() -> Iterator[Finding]:
    """The images that were made."""
    from discl.harness.bank.inventory import folders, size_of

    found = folders()
    bytes_ = sum(size_of(folder) for folder in found)
    way_out = "`discl bank ls` lists them, `discl bank gc` shows what nobody uses" if found else ""
    yield Finding(
        OK, f"banks: {len(found):,}, {bytes_ / 1e9:.2f} GB" if found else "banks: none yet", way_out
    )

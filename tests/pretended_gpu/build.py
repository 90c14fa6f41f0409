"""Compiles the driver with the machine's compiler and the headers that torch brings; once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "driver.cpp"


class CannotBuildError(Exception):
    """Why this machine cannot pretend."""


def library() -> Path:
    """The compiled driver, from the cache where its source and torch are those of the last time.

    Raises CannotBuildError where there is no compiler, no header, or the compiler refuses.
    """
    torch_folder = folder_of_torch()
    version = importlib.metadata.version("torch")
    digest = hashlib.sha256(SOURCE.read_bytes() + f"{version} {torch_folder}".encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "discl-tests"
    built = cache / f"pretended_gpu-{digest.hexdigest()[:16]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _compile(torch_folder, built)
    return built


def folder_of_torch() -> Path:
    """torch's folder; it is not imported."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise CannotBuildError("torch is not installed")
    return Path(found.origin).parent


def _compile(torch_folder: Path, built: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise CannotBuildError("no C++ compiler is installed (g++, clang++ or $CXX)")
    headers = torch_folder / "include"
    if not (headers / "ATen" / "detail" / "CUDAHooksInterface.h").exists():
        raise CannotBuildError(f"torch brought no headers to {headers}")
    made = built.with_suffix(f".{os.getpid()}")
    command = [
        *(compiler, "-O1", "-std=c++20", "-shared", "-fPIC", str(SOURCE), "-o", str(made)),
        *(f"-I{headers}", f"-I{headers / 'torch' / 'csrc' / 'api' / 'include'}"),
        *(f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu"),
    ]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode:
        first = next((line for line in told.stderr.splitlines() if "error" in line), told.stderr)
        raise CannotBuildError(f"{compiler} refuses the driver: {first}")
    made.replace(built)  # another session may have been faster: the same file

"""Checks of Python, the installed packages, torch and its devices."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from discl.core.compute.device import check_visible_devices, has_gpu, why_no_gpu
from discl.core.errors import UserError
from discl.files.processes import cores
from discl.harness.doctor.device import cores_finding
from discl.harness.doctor.finding import NOTE, OK, PROBLEM, Finding


def python() -> Iterator[Finding]:
    """The interpreter and the packages, against the versions that discl declares."""
    supported = metadata("discl")["Requires-Python"]
    running = platform.python_version()
    if running in SpecifierSet(supported, prereleases=True):
        yield Finding(OK, f"Python {running} ({sys.executable})")
    else:
        yield Finding(
            PROBLEM,
            f"Python {running} is not {supported}",
            "make an environment with another one: python3.11 -m venv .venv, then make install",
        )
    requirements = [Requirement(line) for line in requires("discl") or []]
    required = [item for item in requirements if _applies(item, extra="")]
    wrong = [
        f"{item.name} is {_installed(item.name) or 'absent'}, needed {item.specifier}"
        for item in required
        if not _fits(item)
    ]
    if wrong:
        yield Finding(PROBLEM, f"packages: {'; '.join(wrong)}", "pip install --upgrade discl")
    else:
        yield Finding(OK, f"packages: all {len(required)} are there, in versions that fit")
    yield from _extras(requirements)


def _extras(requirements: list[Requirement]) -> Iterator[Finding]:
    """Which optional dependencies are absent."""
    missing: dict[str, list[str]] = {}
    for extra in metadata("discl").get_all("Provides-Extra") or []:
        absent = [
            item.name
            for item in requirements
            if _applies(item, extra) and not _applies(item, "") and not _installed(item.name)
        ]
        if absent and extra != "dev":
            missing[extra] = absent
    if missing:
        names = "; ".join(
            f"{extra} (lacks {', '.join(absent)})" for extra, absent in missing.items()
        )
        yield Finding(
            OK,
            f"extras not installed: {names}",
            f"where you want them: pip install 'discl[{','.join(missing)}]'",
        )


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _installed(name: str) -> str:
    """The installed version of a package; "" where it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _fits(requirement: Requirement) -> bool:
    installed = _installed(requirement.name)
    return bool(installed) and requirement.specifier.contains(installed, prereleases=True)


def torch() -> Iterator[Finding]:
    """torch and torchvision, the devices, and the number of threads."""
    try:
        import torch
        import torchvision  # type: ignore[import-untyped]  # noqa: F401 - timm and open_clip need it
    except Exception as error:  # a broken native library raises whatever it likes
        yield Finding(
            PROBLEM,
            f"torch or torchvision cannot be imported ({type(error).__name__}: {error})",
            "install a torchvision that fits torch: make install",
        )
        return
    if has_gpu():
        yield from (_cuda(torch, number) for number in range(torch.cuda.device_count()))
        yield cores_finding()
    elif torch.backends.mps.is_available():
        yield Finding(OK, f"torch {torch.__version__} on Apple's MPS")
    else:
        yield _cpu(torch)
    threads = torch.get_num_threads()
    message = f"threads: torch uses {threads}, this process has {cores()} cores"
    if threads > cores():
        way_out = f"export OMP_NUM_THREADS={cores()}"
        yield Finding(NOTE, f"{message}, which can be many times slower", way_out)
    else:
        yield Finding(OK, message)


def _cuda(torch: Any, number: int) -> Finding:
    free, total = torch.cuda.mem_get_info(number)
    precision = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    message = (
        f"torch {torch.__version__} on cuda:{number}, {torch.cuda.get_device_name(number)}:"
        f" {free / 1e9:.1f} of {total / 1e9:.1f} GB free, {precision}"
    )
    if free < total / 2:
        return Finding(NOTE, message, "others use it too: CUDA_VISIBLE_DEVICES chooses a device")
    return Finding(OK, message)


def _cpu(torch: Any) -> Finding:
    capability = torch.backends.cpu.get_cpu_capability()
    message = f"torch {torch.__version__} on the CPU ({capability}); no CUDA, no MPS"
    try:
        check_visible_devices()
    except UserError as error:
        return Finding(PROBLEM, message, str(error))
    reason, _, way_out = why_no_gpu().partition(": ")
    return Finding(NOTE, f"{message}: {reason}", way_out) if reason else Finding(OK, message)

"""The device that works, its memory and what it computes in: lines before work, and findings."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from discl.core.compute.device import has_gpu, tf32, why_no_gpu
from discl.core.plain_files import plain_text
from discl.core.text import counted
from discl.files.processes import cores
from discl.harness.doctor.finding import NOTE, OK, Finding
from discl.harness.run.provenance import processor

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark


# for each GPU; an estimate: an H200 would learn from 12,800 photos of 224 pixels a second with a
# ResNet-10, from 3,400 with a ViT-B/16, and a core transforms 1,000 to 2,000
ENOUGH_CORES = 8


def device_lines(spec: Benchmark | None = None, *, trains: bool = True) -> list[str]:
    """The device that works, after a warning where a GPU is left unused.

    With a benchmark also what it computes in: images, and, where it `trains`, networks.
    """
    import torch

    if has_gpu():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        told = f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB of memory free; {tf32()}"
    else:
        threads = torch.get_num_threads()
        told = f"{processor()}, {counted(cores(), 'core')}, {counted(threads, 'thread')}{_memory()}"
    reason = why_no_gpu()
    warning = [f"warning: {reason}"] if reason else []
    return [*warning, f"device: {told}{_precisions(spec, trains) if spec else ''}"]


def _precisions(spec: Benchmark, trains: bool) -> str:
    from discl.engine.training import distributed
    from discl.engine.training.optimisation import autocast_dtype, evaluation_dtype

    images = spec.generator.get("dtype") or getattr(spec.part("generators").build(), "dtype", "")
    told = [f"images in {images}"] if images else []
    if trains:
        device = distributed.device()
        training = _name(autocast_dtype(spec.train.precision, device))
        measured = _name(evaluation_dtype(spec.train, device))
        told.append(f"training in {training}")
        if measured != training:
            told.append(f"predictions in {measured}")
    return f"; {', '.join(told)}" if told else ""


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _memory() -> str:
    """The memory of this machine, with what files fill only until it is asked for; "" = unknown."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = (os.sysconf(f"SC_{name}_PAGES") * page for name in ("AVPHYS", "PHYS"))
    except (ValueError, OSError):
        return ""
    with suppress(OSError, ValueError, IndexError):  # Linux says what it would give back
        told = plain_text(Path("/proc/meminfo")).split("MemAvailable:")[1]
        free = 1024 * int(told.split()[0])
    return f", {free / 1e9:.1f} of {total / 1e9:.1f} GB of memory free"


def cores_finding() -> Finding:
    """Whether there are enough cores for each GPU to feed it: they read and transform photos."""
    import torch

    from discl.engine.training.reading import MOST

    gpus = torch.cuda.device_count()
    each = cores() // gpus
    message = f"cores: {cores()} for {counted(gpus, 'GPU')}, {each} for each"
    if each < ENOUGH_CORES:
        return Finding(
            NOTE,
            f"{message}, which transform too few photos for a fast GPU",
            "take a machine with more cores, or train.transform_with = 'torch', which takes half",
        )
    return Finding(OK, f"{message}; train.workers = 'auto' takes all but one, {MOST} at most")

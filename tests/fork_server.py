"""The process that tests/forked.py has workers forked from."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# pydantic looks for each class of W&B's client through all modules there are, again for each
# function that is being called: its import comes first of all
FIRST = ("discl", "wandb.sdk.launch", "alembic.util")
# what discl or a test imports only when it comes to it
LATE = (
    "torch._dynamo",
    "sklearn.linear_model",
    "scipy.stats",
    "transformers.models.clip.modeling_clip",
    "diffusers.pipelines.auto_pipeline",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img",
    "diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_img2img",
    "playwright.sync_api",
)
# assertions of contracts are rewritten as pytest imports them; `__main__` would run
BY_PYTEST = {"testing", "__main__", "__init__"}
ROOT = Path(__file__).parents[1]


def serve() -> None:
    """Import, fork a worker for each pair of descriptors that the command line names, and wait."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import()
    gc.freeze()
    ends = [int(word) for word in sys.argv[1:]]
    sys.argv = ["-c"]
    workers = []
    for number in range(0, len(ends), 2):
        process = os.fork()
        if not process:
            _work(ends[number : number + 2], ends)
        workers.append(process)
    for end in ends:
        os.close(end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the workers get a terminal's Ctrl-C, too
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(each, signal.SIGKILL) for each in workers])
    for process in workers:
        os.waitpid(process, 0)


def _import() -> None:
    modules = [path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("discl/**/*.py")]
    ours = [".".join(path.parts) for path in sorted(modules) if not set(path.parts) & BY_PYTEST]
    for name in (*FIRST, *ours, *LATE):
        with contextlib.suppress(ImportError):  # what is not installed skips its tests
            importlib.import_module(name)


def _work(pair: Sequence[int], ends: Sequence[int]) -> None:
    """Be a worker, on a pair of descriptors."""
    for descriptor, end in enumerate(pair):
        os.dup2(end, descriptor)
    for end in ends:
        os.close(end)
    random.seed()  # else all of them would draw the same names
    np.random.seed()  # noqa: NPY002
    exec(eval(sys.stdin.readline()), {"__name__": "__main__"})  # noqa: S102, S307 - as execnet
    sys.exit()

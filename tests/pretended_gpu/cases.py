"""What is tried on the pretended GPU; a case gives its answer, and what it waited for is counted.

A case's name begins with its kind: "generate", "score", "train", "command". Modules that import
torch are imported by those that pretend already.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.pretended_gpu.ledger import Ledger

Facts = dict[str, Any]
Case = Callable[[Ledger, Path], Facts]

# beside the checkpoints' own, each of which is Euler's or LCM's
SCHEDULERS = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
)
# so small that operators may pass through Python
TINY: Facts = {
    **{"dataset.largest": 30, "dataset.smallest": 3, "dataset.ood_photos": 10},
    **{"bank.variants": 1, "generator.steps": 4, "generator.chunk": 16, "levels": "[0, 50, 100]"},
    **{"train.epochs": 2, "train.curriculum_epochs": 1, "train.batch": 16},
    "train.precision": "auto",
}
KINDS = ("sd", "sdxl", "refiner", "lcm")
# name -> loss, network, settings of training
LOSSES: dict[str, tuple[str, str, Facts]] = {
    "ce": ("ce", "plain", {}),
    "focal": ("focal", "plain", {}),
    "cb_focal": ("cb_focal", "plain", {}),
    "balanced_softmax": ("balanced_softmax", "plain", {}),
    "logit_adjusted": ("logit_adjusted", "plain", {}),
    "seesaw": ("seesaw", "plain", {}),
    "ldam_drw": ("ldam_drw", "cosine", {}),
    "flyp": ("flyp", "text", {}),
    "flyp of images alone": ("flyp", "image", {}),
    "ce of a text head": ("ce", "text", {}),
    "ce in float16": ("ce", "plain", {"precision": "float16", "grad_clip": 1.0}),
    "ce in float32": ("ce", "plain", {"precision": "float32"}),
    "flyp in float32": ("flyp", "text", {"precision": "float32"}),
    "flyp in float16": ("flyp", "text", {"precision": "float16"}),
    "mixed": ("ce", "plain", {"mixup": 0.8, "cutmix": 1.0, "ema": 0.9}),
    "accumulated": ("ce", "plain", {"accumulate": 2, "grad_clip": 1.0, "channels_last": True}),
}
HEADS: dict[str, Facts] = {
    "text": {"templates": ["a photo of a {name}", "{name}"]},
    "image": {"tuned": "image"},
    "cosine": {"head": "cosine"},
}


def generate(kind: str, settings: Facts, ledger: Ledger, folder: Path) -> Facts:
    """Images of a second call: the first one uploads weights and embeds prompts."""
    from tests.pretended_gpu import generating

    generator = generating.generator(kind, folder, "cuda", **settings)
    generating.made(generator)
    calls = generator.counts["denoiser_calls"]
    ledger.empty()
    images, failed = generating.made(generator)
    waits = _waits(ledger)
    on_cpu = generating.made(generating.generator(kind, folder, "cpu", **settings)).images
    apart = np.abs(images.astype(int) - on_cpu)
    return {
        "waits": waits,
        "failed": len(failed),
        "denoiser_calls": generator.counts["denoiser_calls"] - calls,
        "apart": {"most": int(apart.max()), "mean": float(apart.mean())},  # of 255
    }


def score(ledger: Ledger, folder: Path) -> Facts:
    """Cosines of images and texts; of a second call."""
    from tests.pretended_gpu import generating

    scorer = generating.scorer(folder)
    generating.scores(scorer)
    ledger.empty()
    generating.scores(scorer)
    return {"waits": _waits(ledger)}


def train(
    loss: str, head: str, settings: Facts, strategy: str, ledger: Ledger, folder: Path
) -> Facts:
    """The losses of two epochs, there and on the CPU; waits are those of the third step."""
    from tests.pretended_gpu import training

    # a CPU would take "auto" for float32
    settings = {"precision": "bfloat16", "eval_precision": "float32"} | settings
    waits: Facts = {}
    steps = 0

    def on_step(_state: Any) -> None:
        nonlocal waits, steps
        steps += 1
        if steps == 3:
            waits = _waits(ledger)
        ledger.empty()

    def losses(device: str, on_step: Any = None) -> list[float | None]:
        network = training.clip(folder, **HEADS[head]) if head in HEADS else training.plain()
        fit = training.fit(network, device, loss, strategy, on_step, **settings)
        return [report.loss for report in fit]

    there = losses("cuda", on_step)
    return {"waits": waits, "losses": there, "on_cpu": losses("cpu")}


def command(words: tuple[str, ...], settings: Facts, ledger: Ledger, folder: Path) -> Facts:
    """What a command of ours prints, in a home of its own; of it no waits are counted."""
    from click.testing import CliRunner

    from discl.cli import main

    os.environ["DISCL_HOME"] = str(folder / "-".join(words))
    choices = [f"{key}={value}" for key, value in (TINY | settings).items()]
    given = [*words, *(word for choice in choices for word in ("--set", choice))]
    done = CliRunner().invoke(main, given)
    if done.exit_code:
        raise RuntimeError(f"{done.output}\n{done.exception!r}")
    return {"waits": {}, "printed": done.output}


def pretend(ledger: Ledger, folder: Path) -> Facts:
    """What a GPU refuses is refused, and what it makes the host wait for is counted."""
    import torch

    here, there = torch.ones(4, 4), torch.ones(4, 4, device="cuda")
    tried: dict[str, Callable[[], Any]] = {
        "two devices": lambda: here + there,
        "an index of the device into a tensor of the host": lambda: here[there.long()],
        "two types": lambda: there @ there.half(),
        "a generator of the host": lambda: torch.randn(
            2, device="cuda", generator=torch.Generator()
        ),
        "numpy": lambda: there.numpy(),
    }
    counted: dict[str, Callable[[], Any]] = {
        "a number": lambda: there.sum().item(),
        "a condition": lambda: bool(there.sum() > 0),
        "a list": lambda: there.tolist(),
        "a copy": lambda: there.cpu(),
        "a mask": lambda: there[there > 0],
        "nonzero": lambda: there.nonzero(),
        "unique": lambda: there.unique(),
        "indices of the host": lambda: there[[0, 1]],
        "an upload": lambda: here.to("cuda"),
        "an upload of a list": lambda: torch.tensor([1.0, 2.0], device="cuda"),
        "counts of the device": lambda: there[0].repeat_interleave(there[0].long()),
    }
    free: dict[str, Callable[[], Any]] = {
        "a number of the host": lambda: there * torch.tensor(2.0),
        "a pinned upload": lambda: here.pin_memory().to("cuda", non_blocking=True),
        "work": lambda: torch.nn.functional.softmax(there @ there, dim=0),
        "indices of the device": lambda: there[torch.arange(2, device="cuda")],
    }
    return {
        "waits": {"ours": {}, "libraries": {}},
        "refused": {name: _refusal(call) for name, call in tried.items()},
        "counted": {name: _noted(call, ledger) for name, call in counted.items()},
        "free": {name: _noted(call, ledger) for name, call in free.items()},
        "before a wait": _without_a_wait(there),
    }


def _refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except (RuntimeError, TypeError) as error:
        return type(error).__name__
    return ""


def _noted(call: Callable[[], Any], ledger: Ledger) -> int:
    ledger.empty()
    call()
    return sum(ledger.counts.values())


def _without_a_wait(there: Any) -> list[bool]:
    """Whether a download is there before it was waited for, and after."""
    import torch

    copied = there.to("cpu", non_blocking=True)
    before = bool((copied == 1).all())
    torch.cuda.synchronize()
    return [before, bool((copied == 1).all())]


def _waits(ledger: Ledger) -> Facts:
    return {"ours": ledger.ours(), "libraries": ledger.libraries()}


RUN = ("run", "cifar10_lt", "--seeds", "0", "--trackers", "", "--strategies")
COMMANDS: dict[str, tuple[tuple[str, ...], Facts]] = {
    "command run adaptive": ((*RUN, "adaptive"), {"train.ema": 0.9}),
    "command run frozen": (
        (*RUN, "static"),
        {"backbone.name": "open_clip", "backbone.frozen": "true", "backbone.head": "linear"},
    ),
    "command run flyp and WiSE-FT": (
        (*RUN, "real_only"),
        {
            "backbone.name": "open_clip",
            "loss.name": "flyp",
            "select.wise_ft_alphas": "[0.0, 0.5, 1.0]",
        },
    ),
    "command bank build": (("bank", "build", "cifar10_lt"), {"generator.dtype": "bfloat16"}),
}

CASES: dict[str, Case] = {
    **{f"generate {kind}": partial(generate, kind, {}) for kind in KINDS},
    **{
        f"generate {kind} in {dtype}": partial(generate, kind, {"dtype": dtype})
        for kind in KINDS
        for dtype in ("float16", "bfloat16")
    },
    **{
        f"generate sd by {name}": partial(generate, "sd", {"scheduler": name})
        for name in SCHEDULERS
    },
    "generate sd, as on a CPU": partial(
        generate, "sd", {"channels_last": False, "fused_qkv": False, "rest_text": True}
    ),
    "generate sd, in tiles": partial(generate, "sd", {"tiling": True}),
    "generate sd, sliced": partial(generate, "sd", {"attention": "sliced"}),
    "generate sd, unguided": partial(generate, "sd", {"text_guidance": 1.0}),
    "generate sdxl, filled up": partial(generate, "sdxl", {"chunk": 3, "negative_prompt": "dull"}),
    "pretend": pretend,
    "score": score,
    **{
        f"train {name}": partial(train, loss, head, settings, "real_only")
        for name, (loss, head, settings) in LOSSES.items()
    },
    **{name: partial(command, *given) for name, given in COMMANDS.items()},
    "train adaptive": partial(train, "ce", "plain", {"ema": 0.9}, "adaptive"),
}

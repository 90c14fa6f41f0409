"""Memory that `discl plan --gpu` expects of a pass, against what the same pass holds on this CPU.

    python benchmarks/perf/price_memory.py      # a minute

Each case runs in a process of its own, in float32: its weights and the pass, as the growth of the
peak of resident memory. Expected are the weights and `discl.harness.price.memory.peak_bytes` of the
pass on meta tensors, as the command computes it; what a GPU adds for its context is not in either.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

OUTPUT = Path(__file__).with_suffix(".json")
TOLERANCE = 0.2


def _denoiser() -> tuple[Any, Callable[[], Any]]:
    import torch
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=32, block_out_channels=(128, 256, 512, 512), cross_attention_dim=512
    ).eval()
    return unet, lambda: unet(
        torch.zeros(8, 4, 32, 32), torch.zeros(8), torch.zeros(8, 77, 512), return_dict=False
    )


def _decoder() -> tuple[Any, Callable[[], Any]]:
    import torch

    from discl.harness.price.checkpoints import Networks, config_of

    config = config_of("stable-diffusion-v1-5/stable-diffusion-v1-5")
    vae = Networks(config).vae
    return vae, lambda: vae.decode(torch.zeros(1, 4, 32, 32), return_dict=False)


def _resnet() -> tuple[Any, Callable[[], Any]]:
    import timm
    import torch

    network = timm.create_model("resnet18", num_classes=1000)
    return network, lambda: network(torch.zeros(16, 3, 224, 224)).sum().backward()


def _vit() -> tuple[Any, Callable[[], Any]]:
    import timm
    import torch

    network = timm.create_model("vit_small_patch16_224", num_classes=1000)
    return network, lambda: network(torch.zeros(16, 3, 224, 224)).sum().backward()


def _clip() -> tuple[Any, Callable[[], Any]]:
    import torch

    from discl.files.clip import ClipCheckpoint

    clip = ClipCheckpoint("ViT-B-32", "openai", "scorer").skeleton().train()
    visual = clip.visual
    return visual, lambda: visual(torch.zeros(16, 3, 224, 224)).sum().backward()


CASES = {
    "ViT-S/16, a step of 16 images": (_vit, True),
    "ResNet-18, a step of 16 images": (_resnet, True),
    "CLIP's ViT-B/32, a step of 16 images": (_clip, True),
    "denoiser of 60 M weights, 8 images of 256 px": (_denoiser, False),
    "SD-1.5's autoencoder, decoding one image of 256 px": (_decoder, False),
}


def expected(case: str) -> int:
    """Bytes of weights and pass, on meta tensors."""
    import torch

    from discl.harness.price.memory import peak_bytes
    from discl.harness.price.work import on_meta, weights_of

    make, trained = CASES[case]
    with on_meta(), torch.set_grad_enabled(trained):
        network, run = make()
        return 4 * weights_of(network) + peak_bytes(run)


def measured(case: str) -> int:
    """Bytes by which this process grows, at most, from before there are weights."""
    import torch

    torch.set_num_threads(1)
    make, trained = CASES[case]
    with torch.device("meta"), torch.set_grad_enabled(trained):
        network, run = make()
    torch.zeros(8, 3, 32, 32).mean()  # what a first operator loads
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
    network.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    with torch.set_grad_enabled(trained):
        run()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


@click.command()
@click.option("--case", type=click.Choice(list(CASES)), help="One of them, in this process.")
def main(case: str | None) -> None:
    """Compare all cases, and write what was found."""
    import discl  # noqa: F401 - torchvision beside a CPU-only torch

    if case:
        click.echo(json.dumps({"expected": expected(case), "measured": measured(case)}))
        return
    result = {}
    for name in CASES:
        # freed memory goes back to the system at once, as a GPU's allocator reuses it
        environment = os.environ | {
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "0",
        }
        done = subprocess.run(
            [sys.executable, __file__, "--case", name],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        off = found["expected"] / found["measured"] - 1
        result[name] = {
            **{key: round(value / 1e6) for key, value in found.items()},
            "off": round(off, 3),
        }
        click.echo(f"{name}: expected {result[name]['expected']} MB, off by {off:+.1%}")
        OUTPUT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if any(abs(each["off"]) > TOLERANCE for each in result.values()):
        raise click.ClickException(f"an estimate is off by more than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()

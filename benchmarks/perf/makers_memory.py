"""How much memory generator and scorer give back before training begins.

    python benchmarks/perf/makers_memory.py

A small Stable Diffusion with random weights makes a few images for a run; resident memory when its
training begins, in a process that lets go what made them and in one that keeps it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click

SETTINGS = (
    "dataset.largest=40",
    "dataset.ood_photos=10",
    "bank.variants=1",
    "levels=[50,100]",
    "generator.steps=2",
    "generator.chunk=1",
    "hard_rule.max_class_images=6",
    "train.batch=8",
)


@click.command()
@click.option("--width", default=8, show_default=True, help="Of the denoiser, times the tests'.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(__file__).with_suffix(".json")
)
@click.option("--one", hidden=True)
def main(width: int, output: Path, one: str | None) -> None:
    """Measure; printed and written to --output."""
    if one:
        click.echo(json.dumps(_resident_mb(one == "keeps")))
        return
    with tempfile.TemporaryDirectory() as folder:
        from discl.testing import untrained

        checkpoint = untrained.write("sd", Path(folder) / "sd", width)
        weights = sum(path.stat().st_size for path in checkpoint.glob("*/*.safetensors"))
        result = {"weights_mb": round(weights / 1e6)}
        for way in ("keeps", "lets_go"):
            environment = {
                **os.environ,
                "DISCL_HOME": f"{folder}/{way}",
                "CHECKPOINT": str(checkpoint),
                "OMP_NUM_THREADS": "1",
            }
            told = subprocess.run(
                [sys.executable, __file__, "--one", way],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            result |= {f"{way}_{k}": v for k, v in json.loads(told.stdout.splitlines()[-1]).items()}
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(result, indent=1))


def _resident_mb(keeps: bool) -> dict[str, int]:
    import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
    from discl.config.load import load
    from discl.core.progress import no_progress
    from discl.harness.run.assembly import Bench

    checkpoint = f"generator.checkpoint={os.environ['CHECKPOINT']}"
    bench = Bench(load("cifar10_lt", settings=(*SETTINGS, checkpoint)))
    if keeps:
        bench.release_makers = lambda: None  # type: ignore[method-assign]
    images = bench.setup((50, 100), no_progress).images_generated
    return {"mb": _resident(), "images": images}


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


if __name__ == "__main__":
    main()

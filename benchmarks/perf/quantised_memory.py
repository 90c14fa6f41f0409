"""How much memory a denoiser with fewer bits a weight takes, from loading to the image.

    python benchmarks/perf/quantised_memory.py
    python benchmarks/perf/quantised_memory.py --width 8 --ways plain,gguf

Stable Diffusion 3 with random weights, in float32 and with as many blocks as the true one, makes
two images in a process of its own: its peak resident memory (VmHWM), whole and above what the
imports take. A way whose library is not installed is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

KIND = "sd3"
BLOCKS = 24
LIBRARIES = {"gguf": "gguf", "torchao-int8": "torchao"}


@click.command()
@click.option("--width", default=22, show_default=True, help="Of the denoiser, times the tests'.")
@click.option("--ways", default="plain,gguf,torchao-int8", show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(__file__).with_suffix(".json")
)
@click.option("--one", hidden=True)
def main(width: int, ways: str, output: Path, one: str | None) -> None:
    """Measure; printed and written to --output."""
    from importlib.util import find_spec

    if one:
        click.echo(json.dumps(_peak_mb(**json.loads(one))))
        return
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), width, has_gguf="gguf" in ways.split(","))
        weights = Path(folder) / KIND / "transformer"
        bytes_of_weights = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
        result: dict[str, Any] = {"denoiser_mb": round(bytes_of_weights / 1e6)}
        for way in ways.split(","):
            if way == "plain" or find_spec(LIBRARIES[way]) is not None:
                result[way] = _measured(Path(folder), way)
    for way in result:
        if isinstance(result[way], dict) and "plain" in result:
            for key in ("peak_mb", "above_imports_mb"):
                ratio = result[way][key] / result["plain"][key]
                result[way][key.replace("_mb", "_ratio")] = round(ratio, 2)
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(result, indent=1))


def _write(folder: Path, width: int, has_gguf: bool) -> None:
    import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
    from discl.testing import flow_checkpoints, untrained_adapters

    checkpoint = folder / KIND
    pipeline = flow_checkpoints.BUILDERS[KIND](width)
    config = dict(pipeline.transformer.config) | {"num_layers": BLOCKS}
    pipeline.transformer = type(pipeline.transformer).from_config(config)
    pipeline.save_pretrained(checkpoint)
    if has_gguf:
        untrained_adapters.write_gguf(checkpoint, folder / "denoiser.gguf")


def _measured(folder: Path, way: str) -> dict[str, int]:
    settings: dict[str, Any] = {"checkpoint": str(folder / KIND)}
    if way == "gguf":
        settings["gguf"] = str(folder / "denoiser.gguf")
    elif way != "plain":
        settings["quantised"] = way
    told = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    measured: dict[str, int] = json.loads(told.stdout.splitlines()[-1])
    return measured


def _peak_mb(**settings: Any) -> dict[str, int]:
    import numpy as np

    import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
    from discl.core.interfaces import Request
    from discl.core.registry import bind
    from discl.parts.generators.base import loading  # noqa: F401 - what it imports is the base

    imported = _status("VmHWM")
    plain = {"steps": 4, "text_guidance": 4.0, "chunk": 2, "device": "cpu"}
    generator = bind("generators", "img2img", plain | settings).build()
    photos = np.full((2, 64, 64, 3), 128, np.uint8)
    generator.make([Request(50, "a photo of a cat", seed) for seed in range(2)], photos)
    peak = _status("VmHWM")
    return {"peak_mb": peak, "above_imports_mb": peak - imported, "afterwards_mb": _status("VmRSS")}


def _status(name: str) -> int:
    """MB of this process, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line for line in lines if line.startswith(f"{name}:")).split()[1]
    return round(int(kilobytes) / 1000)


if __name__ == "__main__":
    main()

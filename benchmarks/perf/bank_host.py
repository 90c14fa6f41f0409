"""What an image of the bank costs the processor beside the networks: read and decode its photo,
prepare it, bytes of the pixels, prepare them for the scorer, encode, hash and publish.

    python benchmarks/perf/bank_host.py                        # this tree; minutes of one core
    python benchmarks/perf/bank_host.py --against ../a5fbe4c   # beside the tree of another commit

Processor time of one thread, in turn in processes of their own. Not counted is what a GPU does
where there is one: the networks (which answer with a photo here), the loop down the timesteps, and
what is done to tensors where these lie on the networks' device. 24 images a photo (three levels,
eight variants), photos of 800x448 as JPEG, images of 480x264 as iWildCam's, a scorer that takes 224
pixels.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

LEVELS = (50, 70, 90)
VARIANTS = 8
PHOTOS = 2
SIZE = (264, 480)
TAKEN = (448, 800)  # as the photos are stored


@click.command()
@click.option("--against", type=click.Path(exists=True, path_type=Path), help="An older tree.")
@click.option("--rounds", default=3, show_default=True)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(__file__).with_suffix(".json")
)
@click.option("--one", is_flag=True, hidden=True, help="Measure the tree of PYTHONPATH, once.")
def main(against: Path | None, rounds: int, output: Path, one: bool) -> None:
    """Measure; printed and written to --output."""
    if one:
        click.echo(json.dumps(_measured()))
        return
    trees = {"here": Path(__file__).parents[2]} | ({"before": against} if against else {})
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(rounds):
        for name, tree in trees.items():
            found[name].append(_in_process(tree))
    result: dict[str, Any] = {
        name: {key: round(statistics.median(each[key] for each in runs), 2) for key in runs[0]}
        for name, runs in found.items()
    }
    if against:
        ratios = [a["ms"] / b["ms"] for a, b in zip(found["here"], found["before"], strict=True)]
        result["here_over_before"] = round(statistics.median(ratios), 3)
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(result, indent=1))


def _in_process(tree: Path) -> dict[str, Any]:
    paths = os.pathsep.join([str(tree), str(tree / "benchmarks" / "perf")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, __file__, "--one"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if told.returncode:
        raise click.ClickException(told.stderr)
    measured: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return measured


class _Clock:
    """Processor seconds within some functions, each counted once where they call each other."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        self._depth += 1
        started = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds += time.process_time() - started

    def wrap(self, owner: Any, name: str) -> None:
        setattr(owner, name, partialmethod(_timed, self, getattr(owner, name)))

    def wrap_function(self, module: Any, name: str) -> None:
        setattr(module, name, partial(self.call, getattr(module, name)))

    def wrap_tensors(self, owner: Any, name: str) -> None:
        """All that is done to tensors in a method."""
        setattr(owner, name, partialmethod(_on_device, self, getattr(owner, name)))


def _timed(self: Any, clock: _Clock, method: Any, *arguments: Any, **named: Any) -> Any:
    return clock.call(method, self, *arguments, **named)


def _on_device(self: Any, clock: _Clock, method: Any, *arguments: Any, **named: Any) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: Any = (), named: Any = None
        ) -> Any:
            return clock.call(function, *arguments, **(named or {}))

    with Counted():
        return method(self, *arguments, **named)


def _measured() -> dict[str, Any]:
    maker, cells, reads = _maker()
    _without_networks(maker.sources.photos[0])
    networks = _Clock()
    for owner, name in _networks():
        networks.wrap(owner, name)
    for owner, name in _tensors():
        networks.wrap_tensors(owner, name)
    parts = {name: _Clock() for name in _PARTS}
    for name, (owner, function) in _parts().items():
        parts[name].wrap_function(owner, function)
    maker(cells[:1])  # loads the weights
    networks.seconds = 0.0
    for clock in parts.values():
        clock.seconds = 0.0
    reads.clear()
    started = time.process_time()
    maker(cells)
    seconds = time.process_time() - started - networks.seconds
    each = 1000 / len(cells)
    return {
        "ms": seconds * each,
        **{f"ms_{name}": clock.seconds * each for name, clock in parts.items()},
        "reads_of_a_photo": statistics.mean(reads.values()),
        "images": len(cells),
    }


_PARTS = ("read", "encode")


def _parts() -> dict[str, tuple[Any, str]]:
    here = sys.modules[__name__]
    makes = sys.modules.get("discl.engine.bank.generate") or sys.modules["discl.engine.making"]
    return {"read": (here, "_read"), "encode": (makes, "encode")}


def _without_networks(photo: Any) -> None:
    """Let the denoiser do nothing, and the autoencoder's decoder answer with a photo."""
    import torch
    from diffusers.models.autoencoders import vae

    pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1).float() / 127.5 - 1

    def decoded(self: Any, latents: Any, *_: Any) -> Any:
        return pixels.expand(len(latents), *pixels.shape).contiguous()

    owner, name = _loop()
    setattr(owner, name, lambda *_: None)
    vae.Decoder.forward = decoded


def _loop() -> tuple[Any, str]:
    try:
        from discl.parts.generators.base.shared_trajectory import SharedTrajectory
    except ImportError:  # a5fbe4c
        from discl.parts.generators._staircase import Staircase

        return Staircase, "_descend"
    return SharedTrajectory, "_denoise"


def _networks() -> list[tuple[Any, str]]:
    """What a GPU would do."""
    from diffusers.models.autoencoders import vae
    from open_clip.model import CLIP
    from transformers import CLIPTextModel

    return [
        _loop(),
        (vae.Encoder, "forward"),
        (vae.Decoder, "forward"),
        (CLIPTextModel, "forward"),
        (CLIP, "encode_image"),
        (CLIP, "encode_text"),
    ]


def _tensors() -> list[tuple[Any, str]]:
    """Whose tensors lie on the networks' device."""
    from discl.parts.generators.img2img import Img2Img

    try:
        from discl.parts.scorers.base.photo_batch import PhotoBatch
    except ImportError:  # a5fbe4c prepares photos on the CPU
        return [(Img2Img, "make")]
    return [(Img2Img, "make"), (PhotoBatch, "__call__")]


def _read(photo: bytes) -> Any:
    from discl.files.photos import decode, fitted

    return fitted(decode(photo), SIZE)


def _maker() -> tuple[Any, Any, Counter[int]]:
    """The maker of a bank, cells of two photos, and how often each photo is read."""
    from dataclasses import replace

    import torch
    from bank_making import sources

    import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
    from discl.files.photos import PhotoRows

    try:
        from discl.core.registry import bind
        from discl.engine.bank.generate import ImageMaker
        from discl.engine.bank.leases import CellGrid
        from discl.testing import untrained
    except ImportError:  # a5fbe4c
        from discl.engine.leases import Wanted as CellGrid
        from discl.engine.making import Workshop as ImageMaker
        from discl.spec.registry import bind

        from discl.miniature import untrained
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    stored = [_jpeg(rng) for _ in range(PHOTOS)]
    reads = Counter[int]()
    here = sys.modules[__name__]

    def read(rows: Any) -> Any:
        reads.update(rows.tolist())
        return np.stack([here._read(stored[row]) for row in rows.tolist()])

    photos = PhotoRows(read, np.arange(PHOTOS), (*SIZE, 3))
    made_from = replace(sources(PHOTOS, 64), photos=photos)
    cells = [
        cell for name in made_from.ids for cell in CellGrid((name,), LEVELS, VARIANTS).of(name)
    ]
    checkpoint = untrained.write("sd", folder / "sd")
    clip = untrained.write_clip(folder / "clip", side=224)
    settings = {"checkpoint": str(checkpoint), "steps": 10, "text_guidance": 1.0, "chunk": 8}
    generator = bind("generators", "img2img", settings).build()
    scorer = bind("scorers", "open_clip", {"model": str(clip)}).build()
    (folder / "shards").mkdir()
    return ImageMaker("perf", folder / "shards", made_from, generator, scorer), tuple(cells), reads


def _jpeg(rng: np.random.Generator) -> bytes:
    """A photo with some structure and some grain."""
    h, w = TAKEN
    coarse = rng.integers(0, 256, (h // 16, w // 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-12, 13, (h, w, 1), dtype=np.int16)
    buffer = io.BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()

"""What feeding a network costs: the paper recipes' transforms an image, and the parts of measuring.

    python benchmarks/perf/feeding.py                # all of it; two minutes on one core
    python benchmarks/perf/feeding.py transforms --images 200

All of it is processor time of one thread, and what is compared takes turns.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from _report import report
from PIL import Image

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.config.load import load
from discl.core.hashing import seed_of
from discl.engine.evaluation.predict import CHUNK, logits_of
from discl.engine.training.config import TrainConfig
from discl.engine.training.transforms import transform_of
from discl.harness.run.assembly import Bench

# height and width of the photos as they are read: the shorter side is that of the dataset
RECIPES = {"iwildcam": (224, 400), "imagenet_lt": (256, 341)}
KINDS = 20  # photos that take turns


@click.group(invoke_without_command=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.pass_context
def main(context: click.Context, output: Path) -> None:
    """Measure; every result is printed and merged into --output."""
    torch.set_num_threads(1)
    context.obj = output
    if context.invoked_subcommand is None:
        for command in (transforms, predictions):
            context.invoke(command)


@main.command()
@click.option("--images", default=100, show_default=True, help="Images timed in each round.")
@click.option("--rounds", default=5, show_default=True, help="Rounds; the ways take turns in each.")
@click.pass_context
def transforms(context: click.Context, images: int, rounds: int) -> None:
    """An image of a paper recipe: by Pillow as before, by Pillow, on tensors, and by v2 itself."""
    measured = {}
    for name, (height, width) in RECIPES.items():
        train = load(name, "paper").train
        photos = [photo(number, height, width) for number in range(KINDS)]
        ways: dict[str, Callable[[Any], Any]] = {
            "before": before(config(train, "pillow")),
            "pillow": transform_of(config(train, "pillow"), 224),
            "torch": transform_of(config(train, "torch"), 224),
            "v2": by_v2(train.transform),
        }
        taken = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for way, work in ways.items():
                taken[way] = min(taken[way], seconds(work, photos, images))
        measured[name] = {f"{way}_ms": round(1000 * s, 3) for way, s in taken.items()} | {
            "torch_images_per_s": round(1 / taken["torch"]),
            "times_before": round(taken["before"] / taken["torch"], 2),
        }
    report(context.obj, "transforms", measured)


def photo(number: int, height: int, width: int) -> Any:
    small = np.random.default_rng(number).integers(
        0, 256, (height // 8, width // 8, 3), dtype=np.uint8
    )
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def config(train: Any, by: str) -> Any:
    settings = TrainConfig(1, 1, 2, 0.1, 0.0, "sgd", 0, 0, False, 1, crop=train.crop)
    return type(settings)(
        **{**settings.__dict__, "transform": train.transform, "transform_with": by}
    )


def before(settings: Any) -> Callable[[Any], Any]:
    """As it was at commit d080b1f: all states kept and put back, a jitter of nothing drawn."""
    from timm.data import create_transform

    options = {
        key: tuple(each) if isinstance(each, list) else each
        for key, each in settings.transform.items()
    }
    geometry, colour, _ = create_transform(
        input_size=settings.crop, is_training=True, use_prefetcher=True, separate=True, **options
    )
    steps = type(geometry)([*geometry.transforms, *colour.transforms])

    def transform(picture: Any) -> Any:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        done = torch.from_numpy(np.array(steps(Image.fromarray(picture))))
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        return done

    return transform


def by_v2(options: Any) -> Callable[[Any], Any]:
    """torchvision's own transforms on a tensor."""
    from torchvision.transforms import InterpolationMode, v2

    jitter = options.get("color_jitter", 0.4)
    steps: list[Any] = [
        v2.RandomResizedCrop(
            224,
            scale=tuple(options["scale"]),
            interpolation=InterpolationMode(options["interpolation"]),
            antialias=True,
        )
    ]
    if options.get("hflip", 0.5):
        steps.append(v2.RandomHorizontalFlip())
    if jitter:
        steps.append(v2.ColorJitter(jitter, jitter, jitter))
    whole = v2.Compose(steps)
    return lambda picture: whole(torch.from_numpy(picture.copy()).permute(2, 0, 1))


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)


def seconds(work: Callable[[Any], Any], photos: list[Any], images: int) -> float:
    """Processor seconds an image; seeding it is part of it."""
    started = time.process_time()
    for number in range(images):
        seed_all(seed_of("transform", 0, number) % 2**32)
        work(photos[number % len(photos)])
    return (time.process_time() - started) / images


@main.command()
@click.option("--photos", default=4000, show_default=True)
@click.pass_context
def predictions(context: click.Context, photos: int) -> None:
    """The parts of predicting with the network of cifar10_lt smoke, and other sizes of a batch."""
    bench = Bench(load("cifar10_lt", "smoke"))
    network = bench.inputs.network(0).to(memory_format=torch.channels_last).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (photos, 32, 32, 3), dtype=np.uint8)
    preprocess, device = bench.inputs.preprocess, torch.device("cpu")
    whole = logits_of(network, pixels, preprocess, device)
    batches = [torch.from_numpy(pixels[i : i + CHUNK]) for i in range(0, photos, CHUNK)]
    measured: dict[str, Any] = {
        "whole_us": timed(lambda: logits_of(network, pixels, preprocess, device), photos),
        "preprocess_us": timed(lambda: [preprocess(batch) for batch in batches], photos),
    }
    ready = [preprocess(batch) for batch in batches]
    with torch.no_grad():
        measured["network_us"] = timed(lambda: [network(batch) for batch in ready], photos)
        for size in (100, 250, 1000, 2000):
            cut = torch.cat(ready).to(memory_format=torch.channels_last).split(size)
            measured[f"network_of_{size}_us"] = timed(
                lambda cut=cut: [network(batch) for batch in cut], photos
            )
            logits = torch.cat([network(batch) for batch in cut]).numpy()
            measured[f"same_bits_of_{size}"] = bool(np.array_equal(logits, whole))
    report(context.obj, "predictions", measured)


def timed(work: Callable[[], Any], photos: int, rounds: int = 3) -> float:
    """Processor microseconds a photo, of the fastest round."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return round(min(taken) / photos * 1e6, 1)


if __name__ == "__main__":
    main()

"""`make generator`: trains judge, scorer and a generator on the pool, saves and measures them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from discl.core.errors import UserError
from discl.core.interfaces import Split, Tracker
from discl.core.plain_files import parsed_json, plain_bytes
from discl.core.registry import bind
from discl.files.disk import home, replaced_folder
from discl.files.weights import TRAINING_DATA
from discl.miniature import autoencoder, denoiser, judge, scorer
from discl.miniature.generators import GENERATORS, EmbeddedGenerator, from_scratch
from discl.miniature.measure import ASSETS, CLIP, measure
from discl.miniature.training import Recipe, StepReport
from discl.miniature.words import build_tokenizer


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("name", type=click.Choice(sorted(GENERATORS)), default="in_domain")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Checkpoints and logs; default $DISCL_HOME/miniature. A second start resumes.",
)
@click.option(
    "--assets", type=click.Path(path_type=Path), default=ASSETS, help="Where the weights go."
)
@click.option("--threads", default=2, help="CPU threads.")
@click.option("--per-class", default=20, help="Photos a class that retention is measured on.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Steps of the generator's training; default: the recipe's.",
)
@click.option(
    "--from-scratch",
    "scratch",
    is_flag=True,
    help="Begin untrained, by the long recipe, where the generator would go on from another.",
)
@click.option(
    "--judge/--no-judge",
    "with_judge",
    default=True,
    help="Measure by the judge as well, which is trained first and takes as long as the scorer.",
)
@click.option(
    "--guidance",
    type=float,
    help="Text guidance that retention is measured at; default: the generator's own.",
)
@click.option(
    "--measure-only", is_flag=True, help="Train nothing; measure the weights in --assets."
)
def main(
    name: str,
    work: Path | None,
    assets: Path,
    threads: int,
    per_class: int,
    steps: int | None,
    scratch: bool,
    with_judge: bool,
    guidance: float | None,
    measure_only: bool,
) -> None:
    """Train an embedded generator on the pool of CIFAR-10 (25,000 photos), and measure it.

    `in_domain` learns from the photos themselves, and the scorer is trained beside it. `gap` goes
    on from its weights, with the same photos as another camera would have taken them.
    """
    torch.set_num_threads(threads)
    work = work or home() / "miniature"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    console: Tracker = bind("trackers", "console", {}).build()
    chosen = from_scratch(GENERATORS[name]) if scratch else GENERATORS[name]
    if steps is not None:
        chosen = replace(chosen, recipe=replace(chosen.recipe, steps=steps))
    if chosen.autoencoder and not (assets / chosen.autoencoder).is_dir():
        raise UserError(
            f"{name} begins with what lies in {assets / chosen.autoencoder}, and there is no such"
            " folder; train in_domain into it first"
        )
    dataset = bind("datasets", "cifar10_lt", {}).build()
    dataset.prepare(console.progress)
    pool = dataset.split("pool")
    classes = list(dataset.classes)
    tokenizer = build_tokenizer(classes)

    examiner = _trained_judge(pool, len(classes), work, device, console) if with_judge else None
    if not measure_only:
        if chosen.with_scorer:
            _train_scorer(tokenizer, pool, classes, work / "scorer", assets / CLIP, device, console)
        _train_generator(chosen, tokenizer, pool, classes, work, assets, device, console)
    measure(chosen, dataset, examiner, assets, per_class, guidance, console)


def _trained_judge(
    pool: Split, classes: int, work: Path, device: torch.device, console: Tracker
) -> nn.Module:
    examiner = judge.build(classes).to(device)
    reports = judge.fit(examiner, pool.pixels, pool.labels, judge.RECIPE, work / "judge", device)
    _follow("judge", judge.RECIPE, reports, console)
    return examiner.cpu()


def _train_scorer(
    tokenizer: Any,
    pool: Split,
    classes: list[str],
    work: Path,
    target: Path,
    device: torch.device,
    console: Tracker,
) -> None:
    torch.manual_seed(scorer.RECIPE.seed)
    clip = scorer.build(tokenizer).to(device)
    reports = scorer.fit(
        clip, tokenizer, pool.pixels, pool.labels, classes, scorer.RECIPE, work, device
    )
    _follow("scorer", scorer.RECIPE, reports, console)
    scorer.save(clip.cpu(), tokenizer, target, torch.float16)


def _train_generator(
    chosen: EmbeddedGenerator,
    tokenizer: Any,
    pool: Split,
    classes: list[str],
    work: Path,
    assets: Path,
    device: torch.device,
    console: Tracker,
) -> None:
    torch.manual_seed(chosen.recipe.seed)
    pictures = chosen.pictures(pool.pixels)
    vae = (
        autoencoder.load(assets / chosen.autoencoder)
        if chosen.autoencoder
        else autoencoder.fit(pictures)
    )
    networks = (
        denoiser.load(assets / chosen.start)
        if chosen.start
        else denoiser.build(tokenizer, vae.config["latent_channels"])
    )
    folder = work / chosen.folder.replace("cifar10_diffusion", "denoiser")
    reports = denoiser.fit(
        networks.to(device),
        tokenizer,
        vae,
        pictures,
        pool.labels,
        classes,
        chosen.recipe,
        folder,
        device,
    )
    _follow("denoiser", chosen.recipe, reports, console)
    record = training_record(chosen.seen)
    ship(denoiser.assemble(networks.cpu(), tokenizer, vae), assets / chosen.folder, record)


def _follow(name: str, recipe: Recipe, reports: Iterator[StepReport], console: Tracker) -> None:
    for report in reports:
        console.progress(f"training the {name}", report.step, recipe.steps)


def training_record(seen: str) -> str:
    """The text of `training_data.toml`, which says in words what the generator was trained on."""
    return (
        "# What these weights were trained on, in words. discl reads it from the checkpoint's\n"
        '# folder and says so beside results; without such a file it says "unknown".\n'
        f'seen = "{seen}"\n'
    )


def ship(pipeline: Any, folder: Path, record: str) -> None:
    """Write a pipeline as float16 safetensors with its training record, in place of an older one.

    Whatever happens meanwhile, the folder holds the older one or this one, whole.
    """
    with replaced_folder(folder) as new:
        pipeline.to(torch.float16).save_pretrained(new, safe_serialization=True)
        (new / TRAINING_DATA).write_text(record, "utf-8")
        for path in new.rglob("config.json"):
            _forget_origin(path)


def _forget_origin(path: Path) -> None:
    """Take the folder that a network was loaded from, on this machine, out of its settings."""
    settings = parsed_json(plain_bytes(path))
    if settings.pop("_name_or_path", None) is not None:
        path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""`discl embed`: one word a class, learned from the hard photos (DA-Fusion)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import counted, echo, echo_json, typed

if TYPE_CHECKING:
    from discl.core.interfaces import Progress

TOLD_SECONDS = 5.0  # of training, after which its time is told


@click.command()
@selection
@click.option("--steps", default=1000, show_default=True, help="Training steps of each word.")
@click.option("--batch", default=4, show_default=True, help="Photos of a step.")
@click.option("--lr", default=5e-4, show_default=True, help="Learning rate of AdamW.")
@click.option(
    "--template",
    default="a photo of {token}",
    show_default=True,
    help="The sentence that the word is learned in; {token} is its place.",
)
@format_option(forms=("text", "json"))
def embed(form: str, **given: Any) -> None:
    """Teach BENCH's generator one word a class, from its hard photos.

    Textual inversion for each class, as DA-Fusion does (Trabucco et al. 2023): all weights stay,
    and one vector is trained, for a number of steps that nothing chooses. For generators with text
    encoders of Stable Diffusion or SDXL. 300 steps of each of three words took 89 s on two cores,
    with the embedded model; what is left is told after a few seconds. The words are kept under
    $DISCL_HOME/words, by all that they depend on, in files that diffusers reads; a command that was
    stopped goes on to the same words. Images are made with them by the settings that are printed:

    \b
    discl embed cifar10_lt --steps 200 --lr 5e-3
    """
    from discl.harness.embed.inversion import InversionRecipe
    from discl.harness.embed.words import Embedding, usage

    names = ("steps", "batch", "lr", "template")
    recipe = InversionRecipe(**{name: given.pop(name) for name in names})
    recipe.check()
    bench, tracker = opened(load(**given))
    bench.find_hard(tracker.progress)
    embedding = Embedding(bench, recipe)
    if not embedding.is_learned:
        count = counted(len(embedding.classes), "word")
        echo(f"{count}, {recipe.steps:,} steps each: {embedding.steps:,} steps", err=True)
    words = embedding.learn(_with_time(tracker.progress))
    settings = usage(words)
    if form == "json":
        listed = [word._asdict() for word in words.words]
        echo_json({"folder": str(words.folder), "words": listed, "set": settings})
        return
    for word in words.words:
        echo(f"{word.name}: {word.token}")
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    echo(f"kept in {words.folder}")
    echo(f"to make images with them: {typed('discl', 'bench', bench.spec.name, *options)}")


def _with_time(progress: Progress) -> Progress:
    """`progress`, that tells once how long the steps will take, as soon as some are taken."""
    from discl.parts.trackers.base.rows import spell

    began_s, first, last = time.monotonic(), 0, -1
    is_told = False

    def tell(what: str, done: int, total: int) -> None:
        nonlocal began_s, first, last, is_told
        now_s = time.monotonic()
        if done - last != 1:  # a word that was there, or steps before a stop
            began_s, first = now_s, done
        last = done
        seconds, steps = now_s - began_s, done - first
        if not is_told and steps and seconds >= TOLD_SECONDS and done < total:
            is_told = True
            left = spell(seconds / steps * (total - done))
            echo(f"{what}: {done:,}/{total:,}, about {left} left", err=True)
        progress(what, done, total)

    return tell

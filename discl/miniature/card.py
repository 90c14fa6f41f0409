"""The model card of the miniature, written from what was measured."""

from __future__ import annotations

import textwrap
from typing import Any

_CARD = """\
# Model card: the embedded generator and scorer

Two small networks with which the default benchmark runs the code of real ones without a model hub:
a text-to-image latent diffusion model of 32 px photos in diffusers' format (`cifar10_diffusion/`)
and a CLIP in open_clip's (`cifar10_clip/`).

**Training data.** The pool of `cifar10_lt`: 25,000 of CIFAR-10's 50,000 training photos, 2,500 a
class, with captions such as 'a photo of a cat', and nothing else. No photo of train, val, test or
ood is in the pool; a test proves it. CIFAR-10 itself is known to hold near-duplicates across its
published split, and those were not removed.

**Intended use.** Making images between text and photo for the classes of CIFAR-10 in this harness,
offline. The networks know ten classes, do not replace Stable Diffusion or OpenAI's CLIP, and should
not be used for anything else.

## How they were trained

`make generator`. AdamW, cosine rate, averaged weights, bfloat16, on a CPU.

{recipes}

The denoiser predicts v on 8x8 latents with a cosine noise schedule; its autoencoder is sixteen
principal components of 4x4 patches. The shipped denoiser was trained in two stretches, of which the
second began at a learning rate of 5e-4; the recipe runs straight through. The judge, a classifier,
is not shipped: it only measures.

## Label retention

{measured}

{levels}

![one line a class, from level 0 to the photo](spectrum.png)
"""


def model_card(report: dict[str, Any]) -> str:
    """Markdown from `retention.json`; every number in the card comes from there."""
    first = report["levels"][0]
    accuracy = report["test_accuracy"]
    per_class = first["images"] // len(report["classes"])
    measured = (
        "Share of images that a classifier trained on the pool's real photos assigns to the"
        f" intended class: one image a photo and level, {first['images']} val photos,"
        f" {report['steps']} steps, text guidance {report['text_guidance']:g}. Two classifiers: the"
        f" shipped CLIP, zero-shot by caption ({accuracy['clip']:.1%} of test photos right), and"
        f" the judge, which nothing else uses ({accuracy['judge']:.1%}). The text guidance was"
        " chosen by these two columns. The columns by class are the CLIP's."
        f' `make generator ARGS="--measure-only --per-class {per_class}"`'
        " measures it again. Level 100 is the photos themselves."
    )
    return _CARD.format(
        recipes=_recipe_table(report["recipes"]),
        measured=textwrap.fill(measured, 100, break_long_words=False, break_on_hyphens=False),
        levels=_level_table(report["levels"], report["classes"]),
    )


def _recipe_table(recipes: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {recipe['steps'] * recipe['batch']:,} | {recipe['steps']:,} x"
        f" {recipe['batch']} | {recipe['lr']:g} | {recipe['seed']} |"
        for name, recipe in recipes.items()
    ]
    return "\n".join(
        [
            "| network | samples | steps x batch | learning rate | seed |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _level_table(levels: list[dict[str, Any]], classes: list[str]) -> str:
    rows = [
        f"| {level['level']} | {level['overall']['clip']:.1%} | {level['overall']['judge']:.1%} | "
        + " | ".join(f"{share:.0%}" for share in level["by_class"]["clip"])
        + " |"
        for level in levels
    ]
    return "\n".join(
        [
            "| level | CLIP | judge | " + " | ".join(classes) + " |",
            "|" + " --- |" * (len(classes) + 3),
            *rows,
        ]
    )

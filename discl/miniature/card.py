"""The model card of the miniature, written from what was measured."""

from __future__ import annotations

import textwrap
from typing import Any

_CARD = """\
# Model card: the embedded generators and the scorer

Small networks with which the default benchmark runs the code of real ones without a model hub: two
text-to-image latent diffusion models of 32 px photos in diffusers' format, `in_domain`
(`cifar10_diffusion/`) and `gap` (`cifar10_diffusion_gap/`), and a CLIP in open_clip's
(`cifar10_clip/`). `generator.checkpoint` takes the generators by these names.

**Training data.** The pool of `cifar10_lt`: 25,000 of CIFAR-10's 50,000 training photos, 2,500 a
class, with captions such as 'a photo of a cat', and nothing else. No photo of train, val, test or
ood is in the pool; a test proves it. CIFAR-10 itself is known to hold near-duplicates across its
published split, and those were not removed.

**Intended use.** Making images between text and photo for the classes of CIFAR-10 in this harness,
offline. The networks know ten classes, do not replace Stable Diffusion or OpenAI's CLIP, and should
not be used for anything else.

## How `in_domain` and the scorer were trained

`make generator`. AdamW, cosine rate, averaged weights, bfloat16, on a CPU.

{recipes}

The denoiser predicts v on 8x8 latents with a cosine noise schedule; its autoencoder is sixteen
principal components of 4x4 patches. The shipped denoiser was trained in two stretches, of which the
second began at a learning rate of 5e-4; the recipe runs straight through. The judge, a classifier,
is not shipped: it only measures.

## Label retention of `in_domain`

{measured}

{levels}

![one line a class, from level 0 to the photo](spectrum.png)
"""
_SEEN = {
    "": "Only the retaken photos",
    "cifar10_diffusion": "It goes on from the weights of `in_domain`, so it has seen the pool's\n"
    "photos as they are first, and then, in training of its own, only the retaken ones. How much\n"
    "is left of the first training is not known",
}
_GAP = """
## `gap`: a generator of another distribution

Stable Diffusion has not learned from the photos of a benchmark, and its images are told from them.
`in_domain` learned from 2,500 photos a class that are distributed as the benchmark's, so its images
are almost more photos. `gap` learned the same classes from the same photos *as another camera would
have taken them*: a window of 56 to 75 % of the side fills the picture, so surroundings and detail
are lost; colours are 1.7 times as far from grey; white is warm, in another degree in each picture;
an S curve hardens the contrast (`discl/miniature/camera.py`).

**What it had seen.** {seen}.

Its autoencoder is `in_domain`'s, which was fitted to the photos as they are: photos pass through it
equally well in both.

`make generator GENERATOR=gap`. AdamW, cosine rate, averaged weights, {precision}, on a CPU.

{recipes}

Label retention of `gap`, measured like that of `in_domain`: {images} val photos{voices}.
The classifiers learned from photos as they are, so they judge the distance of the two cameras as
well as the class.

{levels}

![two lines a class, by both generators, from level 0 to the photo](gap_spectrum.png)
"""


def model_card(reports: dict[str, Any]) -> str:
    """Markdown from what was measured of each generator; every number of theirs comes from there.

    `reports` holds `retention.json` as "in_domain" and, where it was trained, that of "gap".
    """
    report = reports["in_domain"]
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
    card = _CARD.format(
        recipes=_recipe_table(report["recipes"]),
        measured=textwrap.fill(measured, 100, break_long_words=False, break_on_hyphens=False),
        levels=_level_table(report["levels"], report["classes"]),
    )
    return card + (_about_gap(reports["gap"]) if "gap" in reports else "")


def _about_gap(report: dict[str, Any]) -> str:
    precision = {"bf16": "bfloat16", "fp32": "float32"}
    return _GAP.format(
        seen=_SEEN[report["start"]],
        precision=precision[report["recipes"]["denoiser"]["precision"]],
        recipes=_recipe_table(report["recipes"]),
        images=report["levels"][0]["images"],
        voices="" if "judge" in report["test_accuracy"] else ", by the CLIP alone",
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
    titles = {"clip": "CLIP", "judge": "judge"}
    voices = [name for name in titles if name in levels[0]["overall"]]
    rows = [
        "| "
        + " | ".join(
            [
                str(level["level"]),
                *(f"{level['overall'][name]:.1%}" for name in voices),
                *(f"{share:.0%}" for share in level["by_class"]["clip"]),
            ]
        )
        + " |"
        for level in levels
    ]
    heads = ["level", *(titles[name] for name in voices), *classes]
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *rows])

"""The model card of the miniature, written from what was measured."""

from __future__ import annotations

from typing import Any


def model_card(report: dict[str, Any]) -> str:
    """Markdown from `retention.json`; every number in the card comes from there."""
    return "\n".join([*_PURPOSE, *_training(report["recipes"]), *_retention(report), ""])


_PURPOSE = (
    "# Model card: the embedded generator and scorer",
    "",
    (
        "Two small networks that let the default benchmark walk the production path without"
        " a model hub: a text-to-image latent"
    ),
    (
        "diffusion model of 32 px photos in diffusers' format (`cifar10_diffusion/`) and a"
        " CLIP in open_clip's (`cifar10_clip/`)."
    ),
    "",
    (
        "**What they saw.** The pool of `cifar10_lt`: 25,000 of CIFAR-10's 50,000 training"
        " photos, 2,500 a class, with captions such as"
    ),
    (
        "'a photo of a cat', and nothing else. No photo of train, val, test or ood is in"
        " the pool; a test proves it. CIFAR-10 itself is"
    ),
    "known to hold near-duplicates across its published split, and those were not removed.",
    "",
    (
        "**What they are for.** Making images between text and photo for the classes of"
        " CIFAR-10 in this harness, offline. They know ten"
    ),
    (
        "classes, are no stand-in for Stable Diffusion or OpenAI's CLIP, and should not be"
        " used for anything else."
    ),
    "",
)


def _training(recipes: dict[str, Any]) -> list[str]:
    return [
        "## How they were trained",
        "",
        "`make generator`. AdamW, cosine rate, averaged weights, bfloat16, on a CPU.",
        "",
        "| network | samples seen | steps x batch | learning rate | seed |",
        "| --- | --- | --- | --- | --- |",
        *(_recipe_row(name, recipe) for name, recipe in recipes.items()),
        "",
        (
            "The denoiser predicts v on 8x8 latents with a cosine noise schedule; its"
            " autoencoder is sixteen principal components of 4x4"
        ),
        (
            "patches. The shipped denoiser saw its samples in two stretches, of which the"
            " second began at a learning rate of 5e-4; the recipe"
        ),
        "runs straight through. The judge is not shipped: it only measures.",
        "",
    ]


def _recipe_row(name: str, recipe: dict[str, Any]) -> str:
    samples = recipe["steps"] * recipe["batch"]
    return (
        f"| {name} | {samples:,} | {recipe['steps']:,} x {recipe['batch']} | {recipe['lr']:g} |"
        f" {recipe['seed']} |"
    )


def _retention(report: dict[str, Any]) -> list[str]:
    classes = report["classes"]
    accuracy = report["test_accuracy"]
    per_class = report["levels"][0]["images"] // len(classes)
    return [
        "## Label retention",
        "",
        (
            "Share of images that a classifier trained on the pool's real photos assigns to the"
            " intended class: one image a photo and"
        ),
        (
            f"level, {report['levels'][0]['images']} val photos, {report['steps']} steps, text"
            f" guidance {report['text_guidance']:g}."
        ),
        (
            f"Two classifiers: the shipped CLIP, zero-shot by caption ({accuracy['clip']:.1%}"
            " of test photos right), and the judge, which"
        ),
        (
            f"nothing else uses ({accuracy['judge']:.1%}). The text guidance was picked by"
            " these two columns. The columns by class are the"
        ),
        "CLIP's.",
        (
            f'`make generator ARGS="--measure-only --per-class {per_class}"` measures it again.'
            " Level 100 is the photos themselves."
        ),
        "",
        "| level | CLIP | judge | " + " | ".join(classes) + " |",
        "|" + " --- |" * (len(classes) + 3),
        *(_level_row(level) for level in report["levels"]),
        "",
        "![one line a class, from level 0 to the photo](spectrum.png)",
    ]


def _level_row(level: dict[str, Any]) -> str:
    overall = level["overall"]
    by_class = " | ".join(f"{share:.0%}" for share in level["by_class"]["clip"])
    return f"| {level['level']} | {overall['clip']:.1%} | {overall['judge']:.1%} | {by_class} |"

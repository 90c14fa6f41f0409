"""Guidance by text that a pipeline would leave out without a word is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discl.core.errors import UserError
from discl.parts.generators.base.pipelines.arguments import takes
from discl.parts.generators.base.pipelines.choose import Choice
from discl.parts.generators.base.pipelines.forms import Form

_TRUE = "true_cfg_scale"  # of models that take their usual guidance as an input


def check_guidance(
    choice: Choice,
    text_guidance: float | None,
    negative_prompt: str,
    arguments: Mapping[str, Any],
) -> None:
    """Raises UserError where guidance or the negative prompt would do nothing.

    `text_guidance` is None where it is the class's own; `arguments` are those of a file.
    """
    parameters, name = takes(choice.kind), choice.kind.__name__
    if text_guidance is not None and choice.form.guidance not in parameters:
        raise UserError(
            f"generator.text_guidance = {text_guidance:g}: {name} takes no {choice.form.guidance};"
            " leave it out"
        )
    if negative_prompt and "negative_prompt" not in parameters:
        raise UserError(
            f"generator.negative_prompt = {negative_prompt!r}: {name} takes none; leave it empty"
        )
    if _TRUE not in parameters:
        return
    is_usual = choice.form.guidance == _TRUE
    setting = "generator.text_guidance" if is_usual else f"generator.arguments.{_TRUE}"
    asked = text_guidance if is_usual else arguments.get(_TRUE)
    scale = parameters[_TRUE].default if asked is None else asked
    if asked is not None and asked > 1 and not negative_prompt:
        raise UserError(
            f"{setting} = {asked:g}: {name} guides away from a negative prompt, and there is none;"
            " set generator.negative_prompt, to ' ' where nothing is to be avoided"
        )
    if negative_prompt and scale <= 1:
        raise UserError(
            f"generator.negative_prompt = {negative_prompt!r} has no effect at {setting} ="
            f" {scale:g}; raise that above 1"
        )


def check_embedded(pipeline: Any, form: Form, text_guidance: float | None, checkpoint: str) -> None:
    """Raises UserError for guidance that a loaded, distilled model does not read."""
    if text_guidance is None or form.guidance == _TRUE:
        return
    config = getattr(getattr(pipeline, "transformer", None), "config", {})
    guides = hasattr(type(pipeline), "do_classifier_free_guidance")
    is_read = guides or config.get("guidance_embeds", True)
    if not is_read:
        raise UserError(
            f"generator.text_guidance = {text_guidance:g}: {checkpoint!r} was distilled without"
            " guidance and takes none; leave it out"
        )

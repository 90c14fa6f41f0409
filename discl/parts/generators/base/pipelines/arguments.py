"""`[generator.arguments]`: what else a pipeline's call takes, checked against its signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from discl.core.errors import UserError, shown, unknown
from discl.parts.generators.base.pipelines.forms import Form

# what is set elsewhere, and where
_ELSEWHERE = {
    "prompt": "by the benchmark's prompts",
    "image": "by the photo",
    "strength": "by the level",
    "generator": "by the seed of the image",
    "num_inference_steps": "by generator.steps",
    "height": "by generator.size",
    "width": "by generator.size",
    "negative_prompt": "by generator.negative_prompt",
    "num_images_per_prompt": "by the benchmark's variants",
}
_PLAIN = (bool, int, float, str, list, tuple, dict)
# of no use in a file, though their defaults are plain: outputs, callbacks, other grids of steps
_OTHERS = (
    *("output_type", "return_dict", "callback", "callback_steps", "timesteps", "sigmas"),
    *("denoising_start", "denoising_end", "padding_mask_crop", "latents"),
)


def takes(pipeline_class: type[Any]) -> Mapping[str, inspect.Parameter]:
    """The arguments of a class's call, by name."""
    call: Any = pipeline_class.__call__
    return inspect.signature(call).parameters


def free_arguments(pipeline_class: type[Any], form: Form) -> list[str]:
    """Names that `[generator.arguments]` may have for a class."""
    taken = {*_ELSEWHERE, *_OTHERS, *form.arguments, form.guidance, "image_guidance_scale"}
    return sorted(
        name
        for name, parameter in takes(pipeline_class).items()
        if name not in taken and _is_plain(name, parameter)
    )


def _is_plain(name: str, parameter: inspect.Parameter) -> bool:
    """Whether a file can say it: no tensor, picture or function."""
    if parameter.kind is parameter.VAR_KEYWORD or name in ("self", "args", "kwargs"):
        return False
    strange = ("embeds", "image", "latents", "callback", "mask", "prompt_")
    plain = parameter.default is None or isinstance(parameter.default, _PLAIN)
    return plain and not any(part in name for part in strange)


def check_arguments(pipeline_class: type[Any], form: Form, given: Mapping[str, Any]) -> None:
    """Raises UserError for an argument that the class has not, or that is set elsewhere."""
    name_of = pipeline_class.__name__
    elsewhere = _ELSEWHERE | {
        form.guidance: "by generator.text_guidance",
        "image_guidance_scale": "by the level",
    }
    known = free_arguments(pipeline_class, form)
    parameters = takes(pipeline_class)
    for name, value in given.items():
        if name in elsewhere:
            raise UserError(
                f"generator.arguments.{name} is set {elsewhere[name]}; leave it out of"
                " generator.arguments"
            )
        if name in form.arguments:
            raise UserError(
                f"generator.arguments.{name} is always {form.arguments[name]!r} here, so that an"
                " image keeps its size; leave it out"
            )
        if name not in known:
            raise unknown(f"argument of {name_of}", name, known)
        _check_kind(name, value, parameters[name].default)


def _check_kind(name: str, value: Any, default: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int | float):
        fits, wanted = number, "a number"
    elif isinstance(default, str):
        fits, wanted = isinstance(value, str), "a text"
    else:
        return
    if not fits:
        raise UserError(f"generator.arguments.{name} = {shown(value)}: it takes {wanted}")

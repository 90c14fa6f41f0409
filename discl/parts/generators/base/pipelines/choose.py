"""Which class of diffusers makes images of a checkpoint, told before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.parts.generators.base.families.named import class_in
from discl.parts.generators.base.pipelines.arguments import takes
from discl.parts.generators.base.pipelines.forms import (
    EDITED_BY,
    REFUSED,
    WITH_INSTRUCTIONS,
    WITH_STRENGTH,
    Form,
)

_NEEDED = ("prompt", "image", "strength", "num_inference_steps", "generator")


class Choice(NamedTuple):
    """A class of diffusers and how it is called."""

    kind: type[Any]
    form: Form


def choose(folder: Path, checkpoint: str, pipeline_class: str, edits: bool) -> Choice:
    """The class for a checkpoint's folder: `pipeline_class`, or what its model_index.json asks for.

    `edits`: whether those that follow instructions are wanted, where the checkpoint has one. Raises
    UserError for a class that diffusers has not, and one without an image-to-image form.
    """
    named = pipeline_class or class_in(folder, checkpoint)
    where = (
        f"generator.pipeline_class = {pipeline_class!r}"
        if pipeline_class
        else f"generator.checkpoint = {checkpoint!r} holds {named}, which"
    )
    if named in EDITED_BY:
        if not edits:
            raise UserError(
                f"{where} follows instructions; take generator.name = 'edit', whose prompts say"
                " what to change"
            )
        name = EDITED_BY[named]
        return Choice(_class_called(name, where), WITH_INSTRUCTIONS[name])
    kind = _image_to_image(named, where, bool(pipeline_class))
    return Choice(kind, WITH_STRENGTH.get(kind.__name__, Form()))


def _image_to_image(named: str, where: str, is_exact: bool) -> type[Any]:
    """The class with a strength for a class that a folder names; itself where `is_exact`."""
    name = named if is_exact else _counterpart(named)
    reason = REFUSED.get(name or "") or REFUSED.get(named)
    if reason is not None:
        raise UserError(f"{where} {reason}; {_way_out()}")
    if name is None:
        raise UserError(f"{where} has no image-to-image form in this diffusers; {_way_out()}")
    kind = _class_called(name, where)
    lacking = [argument for argument in _NEEDED if argument not in takes(kind)]
    if lacking:
        raise UserError(
            f"{where} takes no {lacking[0]}, so levels cannot be told to {name}; {_way_out()}"
        )
    return kind


def _way_out() -> str:
    return "take one of the checkpoints in docs/reference/generators.md"


def _counterpart(named: str) -> str | None:
    """The image-to-image class of a class: itself, the one diffusers pairs it with, or by name."""
    import diffusers
    from diffusers.pipelines import auto_pipeline

    if named in WITH_STRENGTH or named in REFUSED:
        return named
    pairs = auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING
    for of_task in auto_pipeline.SUPPORTED_TASKS_MAPPINGS:
        for model, kind in of_task.items():
            if kind.__name__ == named and model in pairs:
                return pairs[model].__name__  # type: ignore[no-any-return]
    by_name = named.removesuffix("Pipeline") + "Img2ImgPipeline"
    return by_name if hasattr(diffusers, by_name) else None


def _class_called(name: str, where: str) -> type[Any]:
    import diffusers

    kind = getattr(diffusers, name, None)
    if not isinstance(kind, type):
        raise UserError(
            f"{where}: diffusers {diffusers.__version__} has no class {name}; {_way_out()}"
        )
    if lacking := missing_libraries(kind):
        raise UserError(
            f"{where} needs {' and '.join(lacking)}, not installed here; pip install"
            f" {' '.join(lacking)}"
        )
    return kind


def missing_libraries(kind: type[Any]) -> list[str]:
    """Libraries that a class of diffusers needs and that are not installed; most often none."""
    from importlib.util import find_spec

    backends = getattr(kind, "_backends", ()) if ".dummy_" in kind.__module__ else ()
    return [name for name in backends if find_spec(name) is None]

"""The family of a checkpoint's folder, by the class that its JSON names: nothing is loaded."""

from __future__ import annotations

from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain_text
from discl.parts.generators.base.families import FAMILIES, REFUSED, Family


def family_of(folder: Path, checkpoint: str) -> type[Family]:
    """Asked before anything is loaded, as a checkpoint of the wrong kind may be large.

    Raises UserError for one that is of no known family.
    """
    name = class_in(folder, checkpoint)
    if name in REFUSED:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r} holds {name}, which {REFUSED[name]}"
        )
    if name not in FAMILIES:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r} holds {name}; generator 'img2img' drives"
            f" {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def class_in(folder: Path, checkpoint: str) -> str:
    """The class that a folder's JSON names, or what is there instead.

    A part of a pipeline names it in another file than a whole pipeline. Raises UserError for a file
    that is no JSON object.
    """
    for name in ("model_index.json", "scheduler_config.json", "config.json"):
        if (folder / name).is_file():
            try:
                content = parsed_json(plain_text(folder / name))
                return str(content.get("_class_name", f"a {name} that names no class"))
            except (ValueError, AttributeError) as error:
                raise UserError(
                    f"generator.checkpoint = {checkpoint!r}: {name} is no JSON object ({error})"
                ) from error
    return "no model_index.json"

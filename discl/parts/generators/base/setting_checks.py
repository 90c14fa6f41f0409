"""Checks of settings of generators, before anything is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from discl.core.errors import UserError, unknown


def check_text_guidance(text_guidance: float, key: str = "text_guidance") -> None:
    """Raises UserError for what is no weight of guidance; `key` is the setting's name."""
    if not 0 <= text_guidance < math.inf:
        raise UserError(
            f"generator.{key} = {text_guidance}: it is a number from 0 up; 1 means no guidance"
        )


def check_device(device: str) -> None:
    """Raises UserError for what is the name of no device."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UserError(
            f"generator.device = {device!r}: it is 'auto', 'cpu', 'mps', 'cuda' or 'cuda:1'"
        )


def check_rescale(guidance_rescale: float, text_guidance: float) -> None:
    """Raises UserError for what is no share, or has no effect."""
    if not 0 <= guidance_rescale <= 1:
        raise UserError(
            f"generator.guidance_rescale = {guidance_rescale}: it is a share from 0 (guidance as it"
            " is) to 1 (the contrast it has without)"
        )
    if guidance_rescale and text_guidance <= 1:
        raise UserError(
            f"generator.guidance_rescale = {guidance_rescale} has no effect at"
            f" generator.text_guidance = {text_guidance}, which means no guidance; raise that, or"
            " leave this at 0"
        )


def check_negative_prompts(file: str, text_guidance: float) -> None:
    """Raises UserError for a file of negative prompts that no guidance moves away from."""
    if file and text_guidance <= 1:
        raise UserError(
            f"generator.negative_prompts = {file!r} has no effect at generator.text_guidance ="
            f" {text_guidance}, which means no guidance; raise that, or leave this out"
        )


def at_least_one(key: str, given: int, what: str) -> None:
    """Raises UserError for a number below 1."""
    if given < 1:
        raise UserError(f"generator.{key} = {given}: at least one {what}")


def one_of(key: str, given: str, known: Iterable[str]) -> None:
    """Raises UserError, with the nearest name, for what is none of the known names."""
    if given not in known:
        raise unknown(f"generator.{key}", given, (name for name in known if name))


def checked_size(given: Any) -> tuple[int, int] | None:
    """(width, height) in pixels; None = the photo's own. Raises UserError for anything else."""
    if given is None:
        return None
    is_pair = isinstance(given, list | tuple) and len(given) == 2
    if not is_pair or not all(isinstance(side, int) and side > 0 for side in given):
        raise UserError(
            f"generator.size = {given!r}: give width and height in pixels, as in [480, 264]"
        )
    return (given[0], given[1])

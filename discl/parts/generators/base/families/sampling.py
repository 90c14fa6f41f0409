"""The settings by which images are made from a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from discl.parts.generators.base.adapters.text_settings import NegativePrompts


@dataclass(frozen=True)
class Sampling:
    """Settings by which images are made from the weights."""

    steps: int
    text_guidance: float
    guidance_rescale: float  # 0 .. 1
    negative_prompt: str
    scores: tuple[float, float]  # aesthetic: wanted, unwanted
    photo_in_level_0: bool
    chunk: int  # images the denoiser gets at a time
    levels_by_signal: bool = False  # a level is a percentage of the photo's signal, not of steps
    text_guidance_at: Mapping[int, float] = field(default_factory=dict)  # of levels with their own
    negative_prompts: NegativePrompts | None = None  # by class; None = `negative_prompt` for all

    @property
    def most_guidance(self) -> float:
        """The largest weight of guidance of any level."""
        return max([self.text_guidance, *self.text_guidance_at.values()])

    def negative_of(self, prompt: str) -> str:
        """The negative prompt of a prompt."""
        by_class = self.negative_prompts
        return self.negative_prompt if by_class is None else by_class.of(prompt)

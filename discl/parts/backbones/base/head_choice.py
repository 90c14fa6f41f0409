"""The head that a benchmark asks a backbone for; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

from discl.core.errors import UserError, unknown


def check_head(head: str, heads: Sequence[str], scale: float) -> None:
    """Raises UserError where a backbone has no such head, or for a scale that is not above 0."""
    if head not in heads:
        raise unknown("backbone.head", head, heads)
    if not scale > 0:
        raise UserError(f"backbone.cosine_scale = {scale}: cosines are scaled by more than 0")

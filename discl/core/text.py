"""Words of sentences that are put together from parts."""

from __future__ import annotations

from collections.abc import Iterable


def listed(words: Iterable[str]) -> str:
    """'a, b and c'; an empty string where there are none."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} and {last}" if most else last

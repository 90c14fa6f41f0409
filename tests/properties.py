"""How many examples a property test tries."""

from hypothesis import settings

exact: int | None = None  # of every property test, as `pytest --examples` says


def examples(count: int) -> settings:
    """`count` of them in the suite, ten times as many under `make fuzz` (see tests/conftest.py)."""
    default = settings.default or settings()
    return settings(max_examples=exact or count * default.max_examples // 100)

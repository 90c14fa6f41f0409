"""How many examples a property test tries."""

from hypothesis import settings

exact: int | None = None  # of every property test, as `pytest --examples` says


def examples(count: int) -> settings:
    """Half of `count` in the suite, ten times `count` under `make fuzz` (see tests/conftest.py)."""
    default = settings.default or settings()
    return settings(max_examples=exact or max(1, count * default.max_examples // 100))

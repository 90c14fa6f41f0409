"""Identities hold what differs from a default, so a default that they hold may change only together
with its part's version.
"""

import inspect
import json
from pathlib import Path
from typing import Any

from discl.core.registry import KINDS, find, names

GOLDEN = Path(__file__).parents[1] / "golden" / "defaults.json"


def _defaults() -> dict[str, Any]:
    return {
        f"{kind}/{name} v{find(kind, name).version}": {
            key: parameter.default
            if isinstance(parameter.default, bool | int | float | str | None)
            else repr(parameter.default)
            for key, parameter in inspect.signature(find(kind, name)).parameters.items()
            if key not in getattr(find(kind, name), "not_hashed", ())
        }
        for kind in KINDS
        for name in names(kind)
    }


def test_no_default_changed_without_a_new_version() -> None:
    known = json.loads(GOLDEN.read_text("utf-8"))
    for part, defaults in _defaults().items():
        assert part in known, (
            f"{part} is new: write its defaults down with python tests/config/test_defaults.py"
        )
        assert defaults == known[part], (
            f"a default of {part} changed: raise its version, then write the defaults down"
        )


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(_defaults(), indent=1, sort_keys=True) + "\n", "utf-8")

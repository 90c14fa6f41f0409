"""Libraries that only some settings need, each in an extra of its own."""

from __future__ import annotations

import importlib.util

from discl.core.errors import UserError

EXTRAS = {
    "peft": "lora",
    "torchao": "torchao",
    "gguf": "gguf",
    "bitsandbytes": "bitsandbytes",
}


def check_library(name: str, setting: str) -> None:
    """Raises UserError, which names the extra, where a library that a setting needs is missing."""
    if importlib.util.find_spec(name) is None:
        raise UserError(
            f"{setting} needs {name}, which is not installed; pip install 'discl[{EXTRAS[name]}]'"
        )

"""JSON of any origin is parsed, or refused as what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from discl.core.plain_files import parsed_json

ROOT = Path(__file__).parents[2] / "discl"
OURS = {  # what comes from discl itself, or is looked at right there
    "config/experiment.py",
    "config/identity.py",
    "core/plain_files.py",
    "harness/wandb/workspace.py",
    "parts/datasets/cifar100_lt.py",
    "parts/datasets/iwildcam.py",
    "parts/datasets/manifest/words.py",
}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_too_deep_nesting_is_an_error_of_json(text: str) -> None:
    with pytest.raises(json.JSONDecodeError, match="nested too deeply"):
        parsed_json(text)


def test_files_are_parsed_by_it_alone() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if re.search(r"\bjson\.loads?\(", path.read_text("utf-8"))
    }
    assert found <= OURS, found - OURS

"""Where the measuring scripts put what they found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


def report(output: Path, name: str, result: Any) -> None:
    """Print a result, and merge it under its name into the JSON file `output`."""
    known = json.loads(output.read_text("utf-8")) if output.exists() else {}
    output.write_text(json.dumps({**known, name: result}, indent=1) + "\n", "utf-8")
    click.echo(json.dumps({name: result}, indent=1))

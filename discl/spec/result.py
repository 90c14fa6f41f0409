"""What a finished run says, and nothing a reader would have to guess."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discl.spec.errors import UserError


@dataclass(frozen=True)
class Result:
    """A complete run. Every metric was computed from the run's saved predictions."""

    id: str
    attempt: int
    name: str
    benchmark: str
    scale: str
    strategy: str
    seed: int
    identity: dict[str, Any]  # what changes the answer
    passport: dict[str, Any]  # what must agree within a table: metric definitions, comparison, bank
    metrics: dict[str, float]  # <split>/<metric>, fractions
    class_recalls: list[float | None]  # on the home test split, by label
    classes: list[str]
    counts: list[int]  # real training photos by label
    chosen_epoch: int
    seen: dict[int, int]  # level -> images trained on, over the whole run
    cost: dict[str, float]  # steps, seconds, images_generated
    provenance: dict[str, Any]  # commit, versions, machine: recorded, not hashed

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def read(path: Path) -> Result:
        """A stored result; refuses a file that is not one."""
        try:
            stored = json.loads(path.read_text("utf-8"))
            stored["seen"] = {int(level): count for level, count in stored["seen"].items()}
            return Result(**stored)
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is not a result of this version ({error}); remove it or run again") from error

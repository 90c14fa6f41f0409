"""What a finished run says, and nothing a reader would have to guess."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from discl.core.errors import UserError


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
    comparability: dict[
        str,
        Any,
        # what must agree within a table: metric definitions, comparison, bank, splits, training counts
    ]
    metrics: dict[str, float]  # <split>/<metric>, fractions
    class_recalls: list[float | None]  # on the in-distribution test split, by label
    classes: list[str]
    counts: list[int]  # real training photos by label
    chosen_epoch: int
    seen: dict[int, int]  # level -> images trained on, over the whole run
    cost: dict[
        str,
        float,
        # steps, seconds, images_generated here; images and denoising_steps of the bank, whoever made
        # them
    ]
    provenance: dict[str, Any]  # commit, command, versions, machine: recorded, not hashed
    confusion_counts: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # split -> prefix -> what was called what, counted and packed
    errors: dict[str, float] = field(
        default_factory=dict
    )  # <split>/<metric> -> standard error from the choice of test photos
    predictions: str = ""  # SHA-256 of the saved predictions
    # what parts of other packages say of themselves, so that a leaderboard shows them where the
    # package is not installed: "strategy" -> {"ordered"}, "metrics" -> name -> title, better, ...
    plugins: dict[str, Any] = field(default_factory=dict)

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
            raise UserError(
                f"{path} is not a result of this version ({error}); remove it or run again"
            ) from error

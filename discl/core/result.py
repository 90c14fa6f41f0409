"""The result of a finished run, as it is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from discl.core.conventions import EPOCH_RULES, LAST, VAL, EpochRule, epoch_rule
from discl.core.errors import UserError
from discl.core.renamed_splits import are_old
from discl.core.seals import read_sealed, sealed_text

WAY_OUT = (
    "`discl verify` sets a damaged result of this machine aside, so that `discl bench` makes it"
    " again; a published one is taken back by git"
)
# of a result, computed from the predictions of one epoch
OF_AN_EPOCH = ("metrics", "class_recalls", "confusion_counts", "errors", "predictions")


@dataclass(frozen=True)
class Result:
    """A complete run. Every metric was computed from the run's saved predictions.

    Its own numbers are those of the epoch that val chose; `under` gives them at either epoch.
    """

    id: str
    attempt: int
    name: str
    benchmark: str
    scale: str
    strategy: str
    seed: int
    identity: dict[str, Any]  # what changes the answer
    # must agree within a table: metric definitions, comparison, bank, splits, training counts
    comparability: dict[str, Any]
    metrics: dict[str, float]  # <split>/<metric>, fractions
    class_recalls: list[float | None]  # on the in-distribution test split, by label
    classes: list[str]
    counts: list[int]  # real training photos by label
    chosen_epoch: int
    seen: dict[int, int]  # level -> images trained on, over the whole run
    # steps, seconds, images_generated in this run; images and denoising_steps of the whole bank
    cost: dict[str, float]
    provenance: dict[str, Any]  # commit, command, versions, machine: recorded, not hashed
    # split -> prefix -> packed confusion counts
    confusion_counts: dict[str, dict[str, str]] = field(default_factory=dict)
    # <split>/<metric> -> standard error from the choice of test photos
    errors: dict[str, float] = field(default_factory=dict)
    predictions: str = ""  # SHA-256 of the saved predictions
    # what parts of other packages say of themselves, so that a leaderboard shows them where the
    # package is not installed: "strategy" -> {"ordered"}, "metrics" -> name -> title, better, ...
    plugins: dict[str, Any] = field(default_factory=dict)

    # published training photos by label, where val is a part of them: groups go by these
    published_counts: list[int] = field(default_factory=list)
    # of the last epoch: "epoch", and the fields of OF_AN_EPOCH with the "cost" beyond training,
    # unless val chose that epoch; empty in results that keep no other epoch than val's
    last: dict[str, Any] = field(default_factory=dict)
    # many, medium, few -> photos and images of their classes trained on, over the whole run; empty
    # in results from before that was counted
    seen_by_group: dict[str, int] = field(default_factory=dict)
    whole: Result | None = field(default=None, repr=False)  # what a view is of; never stored

    @property
    def rule(self) -> EpochRule:
        """Which epoch the fields are of."""
        return VAL if self.whole is None else LAST

    @property
    def rules(self) -> tuple[EpochRule, ...]:
        """The rules that the result can be read by."""
        return tuple(EPOCH_RULES.values()) if self.last else (VAL,)

    @property
    def predictions_file(self) -> str:
        """Name of the file with the predictions that the fields were computed from."""
        return (self.rule if OF_AN_EPOCH[0] in self.last else VAL).predictions

    def under(self, rule: str) -> Result:
        """The result with the numbers of the epoch that the rule of this name reads.

        `chosen_epoch` is then that epoch, and `cost` counts what was done beyond training for it.
        Raises UserError for an unknown rule, and for one that the result does not have.
        """
        whole = self.whole or self
        if epoch_rule(rule) is VAL:
            return whole
        if not self.last:
            raise UserError(
                f"{self.name} ({self.id}) keeps no last epoch, only the one that val chose: it is"
                " from before runs kept both; remove its folder and run it again, or read it with"
                f" --epoch {VAL.name}"
            )
        own = {name: self.last[name] for name in OF_AN_EPOCH if name in self.last}
        cost = whole.cost | self.last.get("cost", {})
        return replace(whole, chosen_epoch=self.last["epoch"], cost=cost, whole=whole, **own)

    @property
    def group_counts(self) -> list[int]:
        """Photos by label by which a class is many, medium or few."""
        return self.published_counts or self.counts

    def to_json(self) -> str:
        """The text of result.json, with its seal; that of a view is that of what it is of."""
        stored = asdict(self.whole or self)
        del stored["whole"]
        for name in ("last", "seen_by_group"):
            if not stored[name]:  # as it was written before
                del stored[name]
        return sealed_text(stored)

    @staticmethod
    def read(path: Path) -> Result:
        """A stored result.

        Raises UserError where the file is none of this version, and DamagedFileError where it is
        not as it was written.
        """
        stored = read_sealed(path, WAY_OUT)
        try:
            if "passport" in stored or are_old(stored.get("confusion_counts", ())):
                raise UserError(
                    f"{path} was written by discl 0.1; `discl migrate` gives it the keys and the id"
                    " of this version (`discl migrate --results FOLDER` for published results)"
                )
            if "whole" in stored:
                raise UserError(f"{path} is a view of a result, which no run stores; {WAY_OUT}")
            stored["seen"] = {int(level): count for level, count in stored["seen"].items()}
            return Result(**stored)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise UserError(
                f"{path} is not a result of this version ({error}); {WAY_OUT}"
            ) from error

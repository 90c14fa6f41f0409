"""Models that judge training photos they have not seen: trained once a fold, their words kept under
$DISCL_HOME/hard/<id>.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.hashing import canonical, digest, short
from discl.core.interfaces import Floats, Ints, Progress, Split
from discl.core.levels import PHOTO
from discl.core.registry import bind
from discl.engine.hard_mining import Judged, deal, judgement
from discl.engine.training import distributed
from discl.engine.training.sampler import Tail, Targets
from discl.files.disk import home, one_at_a_time, publishing, write_text
from discl.files.photos import PhotoRows

if TYPE_CHECKING:
    from discl.harness.run.assembly import Bench

_SELECTED = b"selected"  # in the table's metadata: each judge's value of select.metric


class Verdict(NamedTuple):
    """What one judge says of the photos of its fold, in their order, and how good it is."""

    probability: Floats
    guess: Ints
    selected: float  # select.metric, after the last epoch; NaN where it is not measured


class Judges:
    """The judges of one benchmark. Who is chosen by their words is no matter of theirs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.folds = bench.spec.hard.folds
        self.epochs = bench.spec.hard.epochs or bench.spec.train.epochs

    @cached_property
    def description(self) -> dict[str, object]:
        """All that their words depend on."""
        train = self.bench.train
        photos = digest(
            [
                f"{name} {label}"
                for name, label in zip(train.ids.tolist(), train.labels.tolist(), strict=True)
            ]
        )
        said: dict[str, object] = canonical({**self.bench.spec.judges(), "photos": photos})
        return said

    @cached_property
    def folder(self) -> Path:
        return home() / "hard" / short(self.description)

    @property
    def table(self) -> Path:
        """A row a photo; there when all judges have spoken."""
        return self.folder / "photos.parquet"

    @cached_property
    def fold(self) -> Ints:
        """[n], the fold of each training photo."""
        train = self.bench.train
        hard = self.bench.spec.hard
        return deal(train.ids, train.labels, hard.folds, hard.seed)

    def missing(self) -> list[int]:
        """Folds whose judge is still to be trained."""
        return (
            []
            if self.table.exists()
            else [number for number in range(self.folds) if self._said(number) is None]
        )

    def ask(self, progress: Progress) -> None:
        """Train the judges that are missing; a stop loses the one in training and no other.

        Nobody else of this machine trains them meanwhile. Under torchrun all processes are to call
        this, and train together.
        """
        with one_at_a_time(self.folder) if distributed.first() else nullcontext():
            if distributed.agreed(self.table.exists()):
                return
            if distributed.first():
                write_text(
                    self.folder / "judges.json",
                    json.dumps(self.description, indent=1, sort_keys=True) + "\n",
                )
            verdicts = [
                distributed.agreed(self._said(number)) or self._train(number, progress)
                for number in range(self.folds)
            ]
            if distributed.first():
                self._publish(verdicts)
        distributed.wait()

    @cached_property
    def judged(self) -> Judged:
        """What they say of every training photo."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.table.exists():
            raise UserError(
                f"which photos of {self.bench.spec.name} are hard is not known yet; run `discl hard"
                f" {self.bench.spec.name}` with the same --scale and --set, which trains"
                f" {len(self.missing())} models to find out"
            )
        try:
            table = pq.read_table(self.table)
            ids = np.array(table["id"].to_pylist(), dtype=np.str_)
            return Judged(
                ids, *(table[name].to_numpy() for name in ("label", "fold", "probability", "guess"))
            )
        except (OSError, KeyError, pa.ArrowException) as error:
            raise UserError(
                f"{self.table} cannot be read ({error}); delete it and run `discl hard"
                f" {self.bench.spec.name}`"
            ) from error

    def selected(self) -> list[float | None]:
        """Each judge's value of select.metric: how far it can be trusted."""
        import pyarrow.parquet as pq

        return [
            None if value is None else float(value)
            for value in json.loads(pq.read_schema(self.table).metadata[_SELECTED])
        ]

    def _train(self, number: int, progress: Progress) -> Verdict:
        what = f"training judge {number + 1} of {self.folds}"
        seen, held = np.flatnonzero(self.fold != number), np.flatnonzero(self.fold == number)
        self.bench.feed.prepare([], progress)
        made = judge(self.bench, self.epochs, seen, held, partial(progress, what))
        if distributed.first():
            self._keep(number, made)
        return made

    def _keep(self, number: int, made: Verdict) -> None:
        with publishing(self._file(number)) as half, half.open("wb") as opened:
            np.savez(
                opened,
                probability=made.probability,
                guess=made.guess,
                selected=np.float64(made.selected),
            )

    def _file(self, number: int) -> Path:
        return self.folder / f"fold-{number}.npz"

    def _said(self, number: int) -> Verdict | None:
        """What a judge said before; None where it was not asked, or the file is torn."""
        try:
            with np.load(self._file(number), allow_pickle=False) as kept:
                return Verdict(kept["probability"], kept["guess"], float(kept["selected"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def _publish(self, verdicts: list[Verdict]) -> None:
        """One table of all photos; then the folds' own files go."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        train = self.bench.train
        probability, guess = np.empty(len(train), np.float32), np.empty(len(train), np.int64)
        for number, verdict in enumerate(verdicts):
            probability[self.fold == number], guess[self.fold == number] = (
                verdict.probability,
                verdict.guess,
            )
        columns = {
            "id": train.ids.tolist(),
            "label": train.labels,
            "fold": self.fold,
            "probability": probability,
            "guess": guess,
        }
        selected = json.dumps(
            [None if math.isnan(verdict.selected) else verdict.selected for verdict in verdicts]
        )
        with publishing(self.table) as half:
            pq.write_table(pa.table(columns).replace_schema_metadata({_SELECTED: selected}), half)
        for number in range(self.folds):
            self._file(number).unlink(missing_ok=True)


def judge(
    bench: Bench, epochs: int, seen: Ints, held: Ints, progress: Callable[[int, int], None]
) -> Verdict:
    """Train a model on the photos `seen`, as the benchmark trains but on nothing else, and ask it
    about the photos `held`.
    """
    from discl.engine.evaluation.predict import logits_of
    from discl.engine.training.data import Material
    from discl.engine.training.loop import Fit

    spec = bench.spec
    feed = bench.feed
    device = distributed.device()
    whole = feed.split("train")
    selected = math.nan
    pixels: Any = PhotoRows.of(whole.pixels, seen)  # reads like an array, and copies nothing
    part = Split(whole.ids[seen], whole.labels[seen], whole.groups[seen], pixels)
    nothing_hard = Tail(part.labels, np.zeros(len(seen), bool))
    material = Material(
        part,
        nothing_hard,
        len(bench.dataset.classes),
        (PHOTO,),
        {},
        {},
        feed.split("val"),
        spec.metrics,
    )
    recipe = replace(feed.recipe, epochs=epochs, curriculum_epochs=0, evaluate_every=epochs)
    targets = Targets(len(seen) // recipe.batch * recipe.batch, 0.0, 1)
    strategy = bind("strategies", "real_only", {}).build()
    loss = spec.part("losses").build()
    seed = spec.hard.seed
    fit = Fit(
        feed.network(seed), strategy, loss, material, recipe, targets, feed.intake, seed, device
    )
    progress(0, epochs)
    for report in fit:
        progress(report.epoch + 1, epochs)
        selected = report.values.get(spec.select.metric, math.nan)
    asked: Any = PhotoRows.of(whole.pixels, held)
    logits = logits_of(fit.judged, asked, feed.intake, device)
    if not np.isfinite(logits).all():
        raise UserError(
            "a judge of the training photos gives logits that are not finite; lower train.lr"
        )
    return Verdict(*judgement(logits, whole.labels[held]), selected)

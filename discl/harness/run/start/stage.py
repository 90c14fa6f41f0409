"""The run that makes the start of a seed: made once, kept under $DISCL_HOME/starts.

Its folder is named by all that its weights depend on. A kill costs what was trained since the last
checkpoint, as with a run.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.config.experiment import Experiment
from discl.config.stages.start import benchmark_of, of_the_start
from discl.core.errors import UserError
from discl.core.hashing import canonical, digest, seed_of, short
from discl.core.interfaces import Progress
from discl.core.levels import PHOTO
from discl.core.seals import DamagedFileError
from discl.engine.training import distributed
from discl.files.disk import home
from discl.files.networks import state_file
from discl.files.sealed import AGAIN, told
from discl.harness.hard.hard_photos import photo_lines
from discl.harness.run.assembly import Bench
from discl.harness.run.checkpointing import BestEpoch, Checkpointer
from discl.harness.run.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from discl.engine.training.loop import Fit

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class MadeStart:
    """The weights of a start (tensors [...] by name) and what is known of them."""

    weights: dict[str, Tensor]
    about: dict[str, Any]  # description, steps, seconds, and the val metric after the last epoch
    digest: str


def starts() -> Store:
    """Claims, folders and checkpoints of starts, by id."""
    return Store(home() / "starts")


def read(folder: Path) -> MadeStart:
    """The start in a folder of `starts`; raises DamagedFileError where it is not as written."""
    path = folder / WEIGHTS
    made = MadeStart(*state_file.read(path, f"start {folder.name}", AGAIN))
    if short(made.about.get("description")) != folder.name:
        raise DamagedFileError(f"{path} is the start of other runs; {AGAIN}")
    return made


class StartStage:
    """The start of one seed of a benchmark."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.seed = seed
        spec = benchmark_of(bench.spec)
        self.experiment = Experiment(spec, spec.strategies[0], seed)

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that the weights depend on: recipe, photos, network, loss and seed."""
        train = self.bench.train
        photos = digest(photo_lines(train.ids, train.labels, train.contents))
        described: dict[str, Any] = canonical(
            of_the_start(self.experiment.identity()) | {"photos": photos}
        )
        return described

    @cached_property
    def id(self) -> str:
        """16 hex digits: the name of its folder."""
        return short(self.description)

    @property
    def folder(self) -> Path:
        return starts().root / self.id

    @property
    def is_stored(self) -> bool:
        """Whether it was made; whether it is whole is seen when it is read."""
        return (self.folder / WEIGHTS).exists()

    def stored(self) -> MadeStart | None:
        """The start where it was made; None where it was not, or is damaged, which is told."""
        if not self.is_stored:
            return None
        try:
            return read(self.folder)
        except DamagedFileError as error:
            told(error)
            (self.folder / WEIGHTS).unlink(missing_ok=True)
            return None

    def made(self, progress: Progress) -> MadeStart:
        """The start, trained now unless it is there; while another process trains it, waits.

        Under torchrun all processes call this, and train together. Raises UserError where the
        training diverges.
        """
        main = distributed.is_main_process()
        found: MadeStart | None = distributed.broadcast(self.stored() if main else None)
        if found:
            return found
        waiting = f"waiting for another process that trains the start of seed {self.seed}"
        claimed = starts().claimed(self.id, True, lambda done: progress(waiting, done, 1))
        with claimed if main else nullcontext():
            found = distributed.broadcast(self.stored() if main else None)  # made meanwhile
            if found:
                return found
            return self._train(progress)

    def _train(self, progress: Progress) -> MadeStart:
        main = distributed.is_main_process()
        spec = self.experiment.benchmark
        folder = starts().checkpoints(self.id)
        checkpointer = Checkpointer(
            folder, spec.train.checkpoint_seconds, BestEpoch(""), time.monotonic()
        )
        bench = self.bench.with_spec(spec)
        fit = self._fit(bench, checkpointer, progress)
        what = f"training the start of seed {self.seed}"
        progress(what, len(fit.history), spec.train.epochs)
        try:
            for report in fit:
                progress(what, report.epoch + 1, spec.train.epochs)
        except UserError as error:
            raise UserError(f"the start of seed {self.seed} (train.start): {error}") from error
        validation = fit.history[-1].values.get(spec.select.metric, math.nan)
        about = {
            "description": self.description,
            "classes": list(self.bench.dataset.classes),
            "steps": sum(report.steps for report in fit.history),
            "seconds": checkpointer.spent_s,
            "validation": None if math.isnan(validation) else validation,
        }
        weights = {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in fit.eval_network.state_dict().items()
        }
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise UserError(
                f"the start of seed {self.seed} (train.start) ends in weights that are not finite;"
                " lower train.lr, or that of train.start.settings"
            )
        bench.close()
        seal = ""
        if main:
            seal = state_file.save(self.folder / WEIGHTS, weights, about, f"start {self.id}")
            checkpointer.clear()
        return MadeStart(weights, distributed.broadcast(about), distributed.broadcast(seal))

    def _fit(self, bench: Bench, checkpointer: Checkpointer, progress: Progress) -> Fit:
        """The training, where the last checkpoint left it."""
        from discl.engine.training.loop import Fit

        setup = bench.setup((PHOTO,), progress)
        main = distributed.is_main_process()
        fit = Fit(
            setup.inputs.network(self.seed),
            self.experiment.benchmark.chosen_strategy(self.experiment.strategy).build(),
            self.experiment.benchmark.part("losses").build(),
            setup.data,
            setup.inputs.train_config,
            setup.targets,
            setup.inputs.preprocess,
            # not the run's own draws: it would see the same pictures in the same order again
            seed_of("start", self.seed) % 2**32,
            distributed.device(),
            checkpointer.on_step if main else None,
        )
        state = distributed.broadcast(checkpointer.last() if main else None)
        if state:
            checkpointer.restore(state)
            fit.restore(state["training"])
        return fit

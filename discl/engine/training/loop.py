"""The training loop: mix, plan, batches, step, measure. An iterator of reports without trackers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.compute.memory import free_cached
from discl.core.errors import UserError, is_out_of_memory
from discl.core.hashing import seed_of
from discl.core.interfaces import (
    EpochContext,
    EpochReport,
    Floats,
    Loss,
    Photos,
    Strategy,
    check_mix,
)
from discl.core.levels import PHOTO
from discl.core.progress import TRAINING, work
from discl.core.text import echo
from discl.engine import chance
from discl.engine.evaluation.classifier import Trunk
from discl.engine.evaluation.predict import Preprocess, logits_of
from discl.engine.step_memory import check_divisible
from discl.engine.training import distributed
from discl.engine.training.batches import Batch, batches
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.optimisation import (
    autocast_dtype,
    evaluation_dtype,
    image_mixer,
    mix_images,
    optimiser_and_schedule,
    weight_average,
)
from discl.engine.training.probe import ProbeImages, probe_images
from discl.engine.training.reading import Reader, reading_processes
from discl.engine.training.sampler import Plan, Targets, plan_epoch

REAL: Mapping[int, float] = {PHOTO: 1.0}
NO_IMAGES = Plan(*(np.empty(0, np.int64),) * 3)
MOST_LOGITS = 1 << 26  # bytes of those of val that are kept, so that none is computed twice
CHECK_EVERY = 20  # steps between checks of the loss on a GPU, which has to wait for each

Gains = Mapping[int, Sequence[float]]  # level -> per probe image: p_after - p_before
OnStep = Callable[[Callable[[], dict[str, Any]]], None]  # is handed what returns the state


@dataclass
class _Position:
    """Progress of training: the next step of an epoch's plan."""

    epoch: int = 0
    step: int = 0  # within the plan that follows the probe's burst
    gains: Gains | None = None  # the mix was chosen by these; None: the epoch has not begun
    seconds: float = 0.0  # that this epoch took before the run was stopped


class Fit:
    """Trains `network` in place; iterate for one report an epoch, and stop after any of them.

    `on_step` is called after every step of a plan and after every epoch, with a function that
    returns the state. A fit that `restore` gives a state ends as the first one would have: on a
    CPU, to the last bit.
    """

    def __init__(
        self,
        network: nn.Module,
        strategy: Strategy,
        loss: Loss,
        training_data: TrainingData,
        config: TrainConfig,
        targets: Targets,
        preprocess: Preprocess,
        seed: int,
        device: torch.device,
        on_step: OnStep | None = None,
    ) -> None:
        self.strategy = strategy
        self.loss = loss
        self.training_data = training_data
        self.config = config
        self.targets = targets.of(strategy, training_data.levels)
        self.preprocess = preprocess
        self.seed = seed
        self.device = device
        self.on_step = on_step
        self.steps = targets.images // config.batch  # an epoch
        self.parts = config.accumulate  # that a batch is computed in; more where memory ran out
        self.network = network.to(device)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trunk = Trunk(self.network) if config.head_only_epochs else None
        self.average = weight_average(self.network, config)
        self.optimiser, self.schedule = optimiser_and_schedule(self.network, config, self.steps)
        parallel = distributed.parallel(self.network, device)
        self.train_network: Any = torch.compile(parallel) if config.compile else parallel
        self.dtype = autocast_dtype(config.precision, device)
        self.eval_dtype = evaluation_dtype(config, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.mixer = image_mixer(config, training_data.classes)
        self.counts = torch.from_numpy(training_data.counts).float().to(device)
        self.probe = probe_images(strategy, training_data, seed)
        excluded = frozenset(self.probe.rows.tolist()) if self.probe else frozenset[int]()
        self.sampler_view = replace(training_data.sampler_view, excluded=excluded)
        self.val_logits: Floats | None = None  # [n, c] of the last look at val; None = not kept
        self.history: list[EpochReport] = []
        self.position = _Position()
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)  # of the epoch's steps
        # of the generators that networks and losses draw from; None outside a plan
        self.rng_state: chance.State | None = None
        self.reader = Reader(training_data, config, reading_processes(config.workers, device))

    @property
    def eval_network(self) -> nn.Module:
        """The network that is measured and kept: the running average where there is one."""
        network: nn.Module = self.average.module if self.average else self.network
        return network

    def __iter__(self) -> Iterator[EpochReport]:
        done = self.position.epoch * self.steps + self.position.step
        work().expect(TRAINING, self.config.epochs * self.steps)
        if done:  # before it was stopped
            work().done(TRAINING, done, now=False)
        try:
            while self.position.epoch < self.config.epochs:
                report = self._epoch(self.position.epoch)
                self.history.append(report)
                self.position = _Position(self.position.epoch + 1)
                self.rng_state = None
                self.loss_sum.zero_()
                yield report
                self._after_step()
        finally:
            self.reader.close()

    def _epoch(self, epoch: int) -> EpochReport:
        started = time.monotonic() - self.position.seconds
        real_phase = epoch >= self.config.curriculum_epochs
        rng = np.random.default_rng([self.seed, epoch])
        burst = NO_IMAGES
        if self.probe and not real_phase:
            burst = self._burst(self.probe, rng)
            if self.position.gains is None:
                self.position.gains = self._measure_gains(self.probe, burst, epoch)
        self.position.gains = gains = self.position.gains or {}
        mix = dict(REAL) if real_phase else self._mix(epoch, gains, rng)
        targets = self.targets.of_real_phase if real_phase else self.targets
        plan = plan_epoch(
            self.sampler_view,
            mix,
            self.training_data.images,
            replace(targets, images=self.steps * self.config.batch - len(burst)),
            self.strategy.rebalanced,
            rng,
        )
        for _ in self._run(plan, len(burst) // self.config.batch, epoch, self.position.step):
            self.position.step += 1
            self.position.seconds = time.monotonic() - started
            self._after_step()
        steps = (len(burst) + len(plan)) // self.config.batch
        return EpochReport(
            epoch=epoch,
            mix=mix,
            seen=_images_by_level(burst, plan),
            steps=steps,
            lr=float(self.optimiser.param_groups[0]["lr"]),
            seconds=time.monotonic() - started,
            values=self._val_metrics(epoch),
            gains={level: float(np.mean(values)) for level, values in gains.items()},
            probe_photos=len(self.probe.rows) if self.probe and gains else None,
            real_phase=real_phase,
            loss=float(self.loss_sum) / steps if steps else None,
            seen_by_group=self.training_data.drawn_by_group(np.concatenate([burst.row, plan.row])),
        )

    def _burst(self, probe: ProbeImages, rng: np.random.Generator) -> Plan:
        """Random real photos. They are real training: their steps come out of the epoch's."""
        images = max(1, round(self.steps * probe.burst)) * self.config.batch
        targets = replace(self.targets, images=images)
        return plan_epoch(self.sampler_view, REAL, {}, targets, rebalanced=False, rng=rng)

    def _mix(self, epoch: int, gains: Gains, rng: np.random.Generator) -> dict[int, float]:
        levels = self.training_data.levels
        context = EpochContext(
            epoch, self.config.curriculum_epochs, levels, tuple(self.history), rng, gains
        )
        try:
            return check_mix(self.strategy.mix(context), levels)
        except ValueError as error:
            name = type(self.strategy).__name__
            raise UserError(f"strategy {name} in epoch {epoch}: {error}") from error

    def _measure_gains(self, probe: ProbeImages, burst: Plan, epoch: int) -> Gains:
        """Trains on the burst; what it does to the probe images."""
        before = self._probabilities(probe)
        for _ in self._run(burst, 0, epoch, 0):
            pass
        after = self._probabilities(probe)
        self.rng_state = None
        return {level: (after[level] - before[level]).tolist() for level in before}

    def _probabilities(self, probe: ProbeImages) -> dict[int, Any]:
        return probe.true_class_probabilities(
            self.eval_network, self.preprocess, self.device, self.eval_dtype
        )

    def _run(self, plan: Plan, first: int, epoch: int, skip: int) -> Iterator[None]:
        """Train on a plan from its step `skip` on.

        `first` is the number of the plan's first step within the epoch.
        """
        self.network.train()
        still = self.trunk if epoch < self.config.head_only_epochs else None
        if still:
            still.set_modes()
        share = distributed.share()
        global_state = chance.state_of(self.device)
        if self.rng_state is None:
            torch.manual_seed(seed_of("steps", self.seed, epoch, first) % 2**62)
        else:
            chance.restore(self.rng_state, self.device)
        plan_batches = batches(
            plan,
            skip,
            self.training_data,
            self.config,
            (self.seed, epoch, first),
            share,
            self.device.type == "cuda",
            self.reader,
        )
        try:
            for step, batch in enumerate(plan_batches, first + skip):
                if share.world > 1:  # a seed of its own, for a checkpoint holds no state of others
                    words = ("steps", self.seed, epoch, step, "of", share.rank)
                    torch.manual_seed(seed_of(*words) % 2**62)
                self._step(batch, epoch, step, still)
                self.rng_state = chance.state_of(self.device)
                yield
        finally:
            chance.restore(global_state, self.device)

    def _step(self, batch: Batch, epoch: int, step: int, still: Trunk | None) -> None:
        """Train on a batch; `still` is the part of the network that is held."""
        done = epoch * self.steps + step
        self.schedule.step_update(done)
        while not self._gradients(batch, epoch, step):
            self._divide_further()
        if still:
            still.drop_gradients()
        if self.config.grad_clip:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.grad_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.network, step=done + 1)
        work().done(TRAINING, 1)

    def _gradients(self, batch: Batch, epoch: int, step: int) -> bool:
        """Sum up the gradients of a batch, part by part; False where memory ran out."""
        begun = chance.state_of(self.device)
        self.optimiser.zero_grad(set_to_none=True)
        columns = (column.chunk(self.parts) for column in batch)
        parts = [Batch(*part) for part in zip(*columns, strict=True)]
        losses: list[Tensor] = []
        try:
            for number, part in enumerate(parts, 1):
                with self._unsynchronised(number < len(parts)):
                    loss = self._loss(part, epoch * self.steps + step)
                    self._check_finite(loss, epoch, step)
                    losses.append(loss.detach() / len(parts))
                    self.scaler.scale(loss / len(parts)).backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            chance.restore(begun, self.device)
            return False
        for loss in losses:
            self.loss_sum += loss
        return True

    def _divide_further(self) -> None:
        """Compute batches in twice as many parts, from here on.

        Raises UserError where that would be another training.
        """
        check_divisible(self.network, self.loss, self.config, self.parts)
        self.parts *= 2
        self.optimiser.zero_grad(set_to_none=True)
        free_cached()
        echo(
            f"training is out of memory: a batch of {self.config.batch} is computed in {self.parts}"
            " parts from here on, which is slower and the same training",
            err=True,
        )

    def _check_finite(self, loss: Tensor, epoch: int, step: int) -> None:
        """Raises UserError where the loss is not finite; on a GPU only every CHECK_EVERY steps."""
        is_due = self.device.type == "cpu" or step % CHECK_EVERY == 0
        if is_due and not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} in epoch {epoch}, step {step}; lower train.lr"
                f" from {self.config.lr}"
            )

    def _loss(self, part: Batch, done: int) -> Tensor:
        """Loss [] of a part of a batch; `done` is the number of steps made."""
        images = self.preprocess(part.images.to(self.device, non_blocking=True))
        labels = part.labels.to(self.device, non_blocking=True)
        network: Any = self.network
        if self.device.type != "cpu" and hasattr(network, "announce") and labels.ndim == 1:
            network.announce(part.labels)
        if self.config.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.mixer:
            images, labels = self._mixed(images, labels, done)
        progress = done / (self.config.epochs * self.steps)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.loss(self.train_network, images, labels, self.counts, progress)

    def _mixed(self, images: Tensor, labels: Tensor, done: int) -> tuple[Tensor, Tensor]:
        """timm's mixup and cutmix, which draw from numpy's global generator."""
        global_state = np.random.get_state()  # noqa: NPY002 - timm draws from it
        np.random.seed(seed_of("mixing", self.seed, done) % 2**32)  # noqa: NPY002
        mixed = mix_images(self.mixer, self.config, images, labels)
        np.random.set_state(global_state)  # noqa: NPY002
        return mixed

    def _unsynchronised(self, more: bool) -> AbstractContextManager[Any]:
        """Gradients of all but the last part of a batch are not exchanged between processes."""
        if more and isinstance(self.train_network, nn.parallel.DistributedDataParallel):
            return self.train_network.no_sync()
        return nullcontext()

    def _val_metrics(self, epoch: int) -> dict[str, float]:
        """`val/<metric>` where this epoch is measured, else nothing."""
        number = epoch + 1
        if number % self.config.evaluate_every and number != self.config.epochs:
            return {}
        pixels = self.training_data.val.pixels
        logits = self.logits(pixels)
        self.val_logits = logits if logits.nbytes <= MOST_LOGITS else None
        return self.training_data.val_metrics(logits.argmax(1))

    def logits(self, pixels: Photos, network: nn.Module | None = None) -> Floats:
        """float32 [n, c] of photos [n, h, w, 3], by `network` or else the one that is measured."""
        return logits_of(
            network or self.eval_network, pixels, self.preprocess, self.device, self.eval_dtype
        )

    # -- stopping and going on

    def _after_step(self) -> None:
        if self.on_step:
            self.on_step(self.state)

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on; tensors are not copied."""
        gains = None if self.position.gains is None else dict(self.position.gains)
        return {
            "network": self.network.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng_state": self.rng_state,
            "parts": self.parts,
            "loss_sum": self.loss_sum,
            "position": {**asdict(self.position), "gains": gains},
            "history": [asdict(report) for report in self.history],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same run."""
        self.network.load_state_dict(state["network"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.loss_sum.copy_(state["loss_sum"])
        self.rng_state = state["rng_state"]
        self.parts = state.get("parts", self.parts)  # not there in a checkpoint of version 0.1
        self.position = _Position(**state["position"])
        self.history = [EpochReport(**report) for report in state["history"]]


def _images_by_level(*plans: Plan) -> dict[int, int]:
    levels, counts = np.unique(np.concatenate([plan.level for plan in plans]), return_counts=True)
    return {int(level): int(count) for level, count in zip(levels, counts, strict=True)}

"""The training loop: mix, plan, batches, step, measure; an iterator of reports that knows no
tracker and no disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.hashing import seed_of
from discl.core.interfaces import EpochContext, EpochReport, Ints, Loss, Photos, Strategy, check_mix
from discl.core.levels import PHOTO
from discl.engine.evaluation.predict import Preprocess, logits_of
from discl.engine.training import distributed
from discl.engine.training.batches import Batch, batches
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.sampler import Plan, Targets, plan_epoch, probe_rows

REAL: Mapping[int, float] = {PHOTO: 1.0}
EMPTY = Plan(*(np.empty(0, np.int64),) * 3)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

Gains = Mapping[int, Sequence[float]]  # level -> per probe image
Keep = Callable[
    [Callable[[], dict[str, Any]]], None
]  # is offered the state after every step, and takes it when it wants


@dataclass
class _Position:
    """How far training is: the next step of the plan of an epoch.

    `gains` are those its mix was chosen by.
    """

    epoch: int = 0
    step: int = 0  # within the plan that follows the probe's burst
    gains: Gains | None = None  # None: the epoch has not begun
    seconds: float = 0.0  # that this epoch took before the run was stopped


class Fit:
    """Trains `network` in place; iterate for one report an epoch, and stop after any of them.

    `keep` is offered the state after every step of a plan and after every epoch; a state that
    `restore` is given goes on as if nothing had happened: on a CPU, to the last bit.
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
        keep: Keep | None = None,
    ) -> None:
        self.strategy = strategy
        self.loss = loss
        self.training_data = training_data
        self.config = config
        self.targets = targets
        self.preprocess = preprocess
        self.seed = seed
        self.device = device
        self.keep = keep
        self.steps = targets.images // config.batch  # an epoch
        self.network = network.to(device)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = _average(self.network, config)
        self.optimiser, self.schedule = _optimiser(self.network, config, self.steps)
        self.called = _compiled(distributed.parallel(self.network, device), config)
        self.dtype = DTYPES[_precision(config.precision, device)]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.mixer = _mixer(config, training_data.classes)
        self.counts = torch.from_numpy(training_data.counts).float().to(device)
        self.probe = _Probe.of(strategy, training_data, preprocess, seed, device)
        self.tail = replace(
            training_data.tail,
            excluded=frozenset(self.probe.rows.tolist()) if self.probe else frozenset(),
        )
        self.history: list[EpochReport] = []
        self.at = _Position()
        self.lost = torch.zeros((), dtype=torch.float64, device=device)  # sum of the epoch's losses
        self.chance: Tensor | None = (
            None  # state of the generator that networks and losses draw from, inside an epoch
        )

    @property
    def judged(self) -> nn.Module:
        """The network whose answers count: the running average where there is one."""
        judged: nn.Module = self.average.module if self.average else self.network
        return judged

    def __iter__(self) -> Iterator[EpochReport]:
        while self.at.epoch < self.config.epochs:
            report = self._epoch(self.at.epoch)
            self.history.append(report)
            self.at = _Position(self.at.epoch + 1)
            self.chance = None
            self.lost.zero_()
            yield report
            self._offer()

    def _epoch(self, epoch: int) -> EpochReport:
        config = self.config
        training_data = self.training_data
        started = time.monotonic() - self.at.seconds
        real_phase = epoch >= config.curriculum_epochs
        rng = np.random.default_rng([self.seed, epoch])
        burst = EMPTY
        if self.probe and not real_phase:
            # the burst is real training and counts: its steps come out of the epoch's
            count = max(1, round(self.steps * self.probe.burst)) * config.batch
            burst = plan_epoch(
                self.tail, REAL, {}, replace(self.targets, images=count), rebalanced=False, rng=rng
            )
            if self.at.gains is None:
                self.at.gains = self._measured(self.probe, burst, epoch)
        self.at.gains = self.at.gains or {}
        context = EpochContext(
            epoch,
            config.curriculum_epochs,
            training_data.levels,
            tuple(self.history),
            rng,
            self.at.gains,
        )
        mix = (
            dict(REAL)
            if real_phase
            else check_mix(self.strategy.mix(context), training_data.levels)
        )
        rest = replace(self.targets, images=self.steps * config.batch - len(burst))
        plan = plan_epoch(self.tail, mix, training_data.usable, rest, self.strategy.rebalanced, rng)
        for _ in self._run(plan, len(burst) // config.batch, epoch, self.at.step):
            self.at.step += 1
            self.at.seconds = time.monotonic() - started
            self._offer()
        steps = (len(burst) + len(plan)) // config.batch
        return EpochReport(
            epoch=epoch,
            mix=mix,
            seen=_seen(burst, plan),
            steps=steps,
            lr=float(self.optimiser.param_groups[0]["lr"]),
            seconds=time.monotonic() - started,
            values=self._values(epoch),
            gains={level: float(np.mean(each)) for level, each in self.at.gains.items()},
            real_phase=real_phase,
            loss=float(self.lost) / steps if steps else None,
        )

    def _measured(self, probe: _Probe, burst: Plan, epoch: int) -> Gains:
        """What a burst on real photos does to the probe."""
        before = probe.measure(self.judged)
        for _ in self._run(burst, 0, epoch, 0):
            pass
        after = probe.measure(self.judged)
        self.chance = None
        return {level: (after[level] - before[level]).tolist() for level in before}

    def _run(self, plan: Plan, first: int, epoch: int, skip: int) -> Iterator[None]:
        """Train on a plan from its step `skip` on; `first` is the plan's first step within the
        epoch.
        """
        self.network.train()
        before = torch.get_rng_state()
        if self.chance is None:
            torch.manual_seed(seed_of("steps", self.seed, epoch, first) % 2**62)
        else:
            torch.set_rng_state(self.chance)
        ahead = self.device.type == "cuda"
        try:
            for place, batch in enumerate(
                batches(
                    plan,
                    skip,
                    self.training_data,
                    self.config,
                    (self.seed, epoch, first),
                    distributed.share(),
                    ahead,
                ),
                first + skip,
            ):
                self._step(batch, epoch, place)
                self.chance = torch.get_rng_state()
                yield
        finally:
            torch.set_rng_state(before)

    def _step(self, batch: Batch, epoch: int, place: int) -> None:
        done = epoch * self.steps + place
        self.schedule.step_update(done)
        self.optimiser.zero_grad(set_to_none=True)
        parts = [
            Batch(*part)
            for part in zip(
                *(column.chunk(self.config.accumulate) for column in batch), strict=True
            )
        ]
        for i, part in enumerate(parts, 1):
            with self._unsynchronised(i < len(parts)):
                value = self._loss(*part, done)
                self._check(value, epoch, place)
                self.lost += value.detach() / len(parts)
                self.scaler.scale(value / len(parts)).backward()  # type: ignore[no-untyped-call]
        if self.config.clip:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.network, step=done + 1)

    def _check(self, value: Tensor, epoch: int, place: int) -> None:
        """Stop where the loss is not finite.

        It stays so, and a GPU would have to wait for every look: there, one in 20 is enough.
        """
        if (self.device.type == "cpu" or place % 20 == 0) and not torch.isfinite(value):
            raise UserError(
                f"the loss became {value.item()} in epoch {epoch}, step {place}; lower train.lr"
                f" from {self.config.lr}"
            )

    def _loss(self, images: Tensor, labels: Tensor, done: int) -> Tensor:
        images, labels = (
            self.preprocess(images.to(self.device, non_blocking=True)),
            labels.to(self.device, non_blocking=True),
        )
        if self.config.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        if self.mixer:
            images, labels = self._mixed(images, labels, done)
        progress = done / (self.config.epochs * self.steps)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.loss(self.called, images, labels, self.counts, progress)

    def _mixed(self, images: Tensor, labels: Tensor, done: int) -> tuple[Tensor, Tensor]:
        """timm's mixup and cutmix, which draw from numpy's global generator."""
        before = np.random.get_state()  # noqa: NPY002 - timm draws from it
        np.random.seed(seed_of("mixing", self.seed, done) % 2**32)  # noqa: NPY002
        mixed: tuple[Tensor, Tensor] = self.mixer(images, labels)
        np.random.set_state(before)  # noqa: NPY002
        return mixed

    def _unsynchronised(self, more: bool) -> Any:
        """Gradients of all but the last part of a batch need not travel."""
        return (
            self.called.no_sync()
            if more and isinstance(self.called, nn.parallel.DistributedDataParallel)
            else nullcontext()
        )

    def _values(self, epoch: int) -> dict[str, float]:
        if (epoch + 1) % self.config.evaluate_every and epoch + 1 != self.config.epochs:
            return {}
        return self.training_data.val_metrics(
            logits_of(
                self.judged, self.training_data.val.pixels, self.preprocess, self.device
            ).argmax(1)
        )

    # -- stopping and going on

    def _offer(self) -> None:
        if self.keep:
            self.keep(self.state)

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on; tensors are not copied."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "chance": self.chance,
            "lost": self.lost,
            "at": {
                **asdict(self.at),
                "gains": None if self.at.gains is None else dict(self.at.gains),
            },
            "history": [asdict(report) for report in self.history],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same run."""
        self.network.load_state_dict(state["network"])
        if self.average:
            self.average.module.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.lost.copy_(state["lost"])
        self.chance = state["chance"]
        self.at = _Position(**state["at"])
        self.history = [EpochReport(**report) for report in state["history"]]


def _optimiser(
    network: nn.Module, config: TrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, Any]:
    """timm's optimiser and schedule, updated every step."""
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    if steps < 1:
        raise UserError(
            f"train.batch = {config.batch} is larger than an epoch of images; lower it or raise"
            " sampling.images"
        )
    try:
        optimiser = create_optimizer_v2(
            network,
            opt=config.optimiser,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
        )
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"train.optimiser = {config.optimiser!r}: timm knows no such optimiser ({error})"
        ) from error
    warmup_epochs: Any = (
        config.warmup_steps / steps if config.warmup_steps else config.warmup_epochs
    )
    try:
        schedule, _ = create_scheduler_v2(
            optimiser,
            sched=config.schedule,
            num_epochs=config.epochs,
            min_lr=config.min_lr,
            warmup_lr=config.lr / 20,
            warmup_epochs=warmup_epochs,
            step_on_epochs=False,
            updates_per_epoch=steps,
        )
    except ValueError as error:
        raise UserError(
            f"train.schedule = {config.schedule!r}: timm has cosine, tanh, poly, step, multistep,"
            " constant"
        ) from error
    return optimiser, schedule


def _average(network: nn.Module, config: TrainConfig) -> Any:
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=config.ema) if config.ema else None


def _mixer(config: TrainConfig, classes: int) -> Any:
    from timm.data import Mixup

    return (
        Mixup(config.mixup, config.cutmix, label_smoothing=0.0, num_classes=classes)
        if config.mixing
        else None
    )


def _compiled(network: nn.Module, config: TrainConfig) -> Any:
    return torch.compile(network) if config.compile else network


def _precision(asked: str, device: torch.device) -> str:
    return ("bfloat16" if device.type == "cuda" else "float32") if asked == "auto" else asked


def _seen(*plans: Plan) -> dict[int, int]:
    levels, counts = np.unique(np.concatenate([plan.level for plan in plans]), return_counts=True)
    return {int(level): int(count) for level, count in zip(levels, counts, strict=True)}


@dataclass(frozen=True)
class _Probe:
    """Photos kept out of training and one synthetic image of each per level, measured before and
    after a burst.
    """

    rows: Ints
    burst: float
    pixels: dict[int, Photos]
    labels: dict[int, Ints]
    preprocess: Preprocess
    device: torch.device

    @staticmethod
    def of(
        strategy: Strategy,
        training_data: TrainingData,
        preprocess: Preprocess,
        seed: int,
        device: torch.device,
    ) -> _Probe | None:
        if strategy.probe is None:
            return None
        rows = probe_rows(
            training_data.tail, strategy.probe.holdout, np.random.default_rng([seed, 0x9E0BE])
        )
        pixels: dict[int, Photos] = {}
        labels: dict[int, Ints] = {}
        for level in strategy.uses(training_data.levels):
            if level == PHOTO:
                chosen = rows
                pixels[level] = np.asarray(training_data.train.pixels[rows])
            else:
                usable = training_data.usable[level]
                first = [np.flatnonzero(usable.row == row)[:1] for row in rows]
                picked = np.concatenate(first) if first else np.empty(0, np.int64)
                chosen = usable.row[picked]
                pixels[level] = np.asarray(training_data.pixels[level][usable.place[picked]])
            labels[level] = training_data.train.labels[chosen]
        measurable = {level for level in pixels if len(labels[level])}
        return _Probe(
            rows,
            strategy.probe.burst,
            {k: pixels[k] for k in measurable},
            {k: labels[k] for k in measurable},
            preprocess,
            device,
        )

    def measure(self, network: nn.Module) -> dict[int, np.ndarray[Any, np.dtype[np.float64]]]:
        """Probability of the true class of every probe image, by level.

        In eval mode: measuring must not move BatchNorm.
        """
        measured = {}
        for level in sorted(self.pixels):
            logits = logits_of(network, self.pixels[level], self.preprocess, self.device).astype(
                np.float64
            )
            chances = np.exp(logits - logits.max(1, keepdims=True))
            chances /= chances.sum(1, keepdims=True)
            measured[level] = chances[np.arange(len(chances)), self.labels[level]]
        return measured

"""What the trained network computes in a step and for a prediction, and what memory that takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from discl.config.benchmark import Benchmark, TrainTable
from discl.core.interfaces import Backbone
from discl.harness.price.checkpoints import UnknownWorkError
from discl.harness.price.gpus import EAGER, Gpu
from discl.harness.price.memory import NOTHING_HELD, PassMemory, pass_memory
from discl.harness.price.work import NO_WORK, NetworkWork, counted, on_meta, weights_of

PREDICTED = 500  # photos that are predicted together
_OPTIMISER_OPERATORS = 40  # of AdamW over lists of tensors, about
_MOMENTS = 2  # numbers that an optimiser keeps for each weight: AdamW's two
_HEAD_OPERATORS = 60  # of a step of a head alone
# of what float32 keeps for backward: all but the inputs of normalisation takes half the bytes; of a
# transformer's block 36 of 64 a number
_AUTOCAST = 0.56
_PAIR = 2  # images of a pass that is counted: normalisation over one cannot be trained


def dtype_of(precision: str) -> str:
    """Of `train.precision` on a GPU, where "auto" is bfloat16."""
    return "bfloat16" if precision == "auto" else precision


@dataclass(frozen=True)
class TrainingPass:
    """What one image costs, forward and backward, and forward alone."""

    trained: NetworkWork
    predicted: NetworkWork
    weights: int  # numbers of the whole network
    text: NetworkWork = NO_WORK  # of one caption, forward and backward
    captions: int = 0  # that may occur in a batch; 0 = the text tower does not learn


class ClassifierWork:
    """Of the benchmark's network, at the size of photo it sees.

    Raises UnknownWorkError where the backbone cannot be built without its weights.
    """

    def __init__(self, spec: Benchmark, backbone: Backbone, classes: int, side: int) -> None:
        skeleton = getattr(backbone, "skeleton", None)
        if skeleton is None:
            raise UnknownWorkError(
                f"backbone {spec.backbone['name']!r} has no `skeleton`, the network on meta tensors"
            )
        self.train = spec.train
        self.backbone = backbone
        self.frozen = backbone.frozen
        self.side = spec.train.side or spec.train.crop or side
        self.dtype = dtype_of(spec.train.precision)
        measured = spec.train.eval_precision  # "auto" = as training is, on a GPU
        self.eval_dtype = self.dtype if measured == "auto" else measured
        self.compiled = spec.train.compile
        self.network: Any = skeleton(0 if self.frozen else classes)
        captions = getattr(backbone, "captions_of", None)
        self.captions = captions(classes) if captions else 0
        self._has_text = hasattr(self.network, "encode_text")

    @property
    def images(self) -> nn.Module:
        """What reads images: the network, or the image tower of one with two."""
        network: nn.Module = self.network.visual if self._has_text else self.network
        return network

    @property
    def _seen(self) -> int:
        """Pixels of the side that the network is given: towers of CLIP have a size of their own."""
        size = getattr(self.images, "image_size", self.side) if self._has_text else self.side
        return int(size[0] if isinstance(size, tuple | list) else size)

    # ---------------------------------------------------------------- one image

    @cached_property
    def passes(self) -> TrainingPass:
        """Counted once."""
        network = self.images
        predicted = counted(lambda: self._forward(1), weights_of(network))
        if self.frozen:
            return TrainingPass(NO_WORK, predicted, weights_of(network))
        pair = counted(lambda: self._step(_PAIR))
        trained = replace(pair.times(1 / _PAIR), weights=weights_of(network))
        text = NO_WORK
        if self.captions:
            text = counted(lambda: self._text_step(_PAIR)).times(1 / _PAIR)
        return TrainingPass(trained, predicted, weights_of(self.network), text, self.captions)

    @cached_property
    def memory(self) -> PassMemory:
        """Of images beside weights, gradients and moments, in the precision of training."""
        if self.frozen:
            return pass_memory(self._forward)
        return _in(self.dtype, pass_memory(self._step))

    @cached_property
    def text_memory(self) -> PassMemory:
        """Of captions."""
        return _in(self.dtype, pass_memory(self._text_step)) if self.captions else NOTHING_HELD

    @torch.no_grad()
    def _forward(self, images: int) -> None:
        self.images.eval()
        with on_meta():
            self.images(torch.empty(images, 3, self._seen, self._seen))

    def _step(self, images: int) -> None:
        self.images.train()
        with on_meta():
            answer = self.images(torch.empty(images, 3, self._seen, self._seen))
            (answer[0] if isinstance(answer, tuple) else answer).sum().backward()
        self.network.zero_grad(set_to_none=True)

    def _text_step(self, captions: int) -> None:
        with on_meta():
            length = int(getattr(self.network, "context_length", 77))
            tokens = torch.zeros(captions, length, dtype=torch.int64)
            self.network.encode_text(tokens).sum().backward()
        self.network.zero_grad(set_to_none=True)

    # ---------------------------------------------------------------- a step

    def distinct_captions(self, batch: int) -> float:
        """Captions of a batch that are embedded: each once, drawn as if all were as frequent."""
        count = self.passes.captions
        return count * (1 - (1 - 1 / count) ** batch) if count else 0.0

    def step_flops(self) -> float:
        """FLOPs of an optimiser step."""
        batch = self.train.batch
        text = self.distinct_captions(batch) * self.passes.text.flops
        return batch * self.passes.trained.flops + text

    def step_seconds(self, gpu: Gpu) -> float:
        """Of an optimiser step; its photos are taken to be there in time."""
        if self.frozen:
            return gpu.seconds(NetworkWork(0.0, 0.0, _HEAD_OPERATORS, 0), "float32")
        batch, passes, parts = self.train.batch, self.passes, self.train.accumulate
        # weights, gradients and moments are read and written
        updating = NetworkWork(0.0, 0.0, _OPTIMISER_OPERATORS, 2 * (2 + _MOMENTS) * passes.weights)
        seconds = parts * gpu.seconds(passes.trained.times(batch / parts), self.dtype)
        if passes.captions:
            text = passes.text.times(self.distinct_captions(batch // parts))
            seconds += parts * gpu.seconds(text, self.dtype)
        seconds += gpu.seconds(updating, "float32")
        return seconds * (1.0 if self.compiled else EAGER)

    def prediction_seconds(self, gpu: Gpu) -> float:
        """Of a photo that is only predicted."""
        if self.frozen:
            return 0.0
        return gpu.seconds(self.passes.predicted.times(PREDICTED), self.eval_dtype) / PREDICTED

    def embedding_seconds(self, gpu: Gpu) -> float:
        """Of a photo that a frozen trunk embeds, once for all runs; 0 = no trunk is frozen."""
        if not self.frozen:
            return 0.0
        return gpu.seconds(self.passes.predicted.times(PREDICTED), "float32") / PREDICTED

    # ---------------------------------------------------------------- memory

    @property
    def _kept_bytes(self) -> int:
        """Weights, gradients and moments, in float32."""
        numbers = self.passes.weights
        return 4 * numbers if self.frozen else 4 * (2 + _MOMENTS) * numbers

    def _text_bytes(self, batch: int) -> int:
        if not self.passes.captions:
            return 0
        return self.text_memory.of(round(self.distinct_captions(batch)))

    def peak_bytes(self, batch: int) -> int:
        """Of a step of so many images, whose gradients are held beside what the pass made."""
        return self._kept_bytes + self.memory.an_image * batch + self._text_bytes(batch)

    def largest_batch(self, room: float) -> int:
        """Images of a step (or of one part of it) in so many bytes; 0 = not even one."""
        low, high = 0, 1
        while self.peak_bytes(high) <= room and high < 1 << 20:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.peak_bytes(middle) <= room else (low, middle)
        return low


def _in(dtype: str, memory: PassMemory) -> PassMemory:
    """Counted in float32, of a pass under autocast."""
    if dtype == "float32":
        return memory
    return PassMemory(memory.fixed, round(_AUTOCAST * memory.an_image))


def predicted_photos(
    train: TrainTable, val: int, scored: int, alphas: int, probed: float, other_epoch: float
) -> float:
    """Photos that a run predicts: of `val` at each evaluation, of all `scored` splits at the end.

    These are predicted twice where val chooses another epoch than the last, as often as
    `other_epoch` says, and once for each of `alphas` averages of weights. `probed` images are
    measured beside that.
    """
    evaluations = -(-train.epochs // train.evaluate_every)
    final = scored * (1 + other_epoch if evaluations > 1 else 1)
    return evaluations * val + final + alphas * scored + probed

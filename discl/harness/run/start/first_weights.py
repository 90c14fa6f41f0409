"""The weights that a run begins from: those of its start, put into the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from discl.config.stages.start import weights_digest, weights_file
from discl.core.errors import UserError
from discl.core.interfaces import Progress
from discl.engine.training import distributed
from discl.files.networks import state_file
from discl.files.networks.foreign import read_weights
from discl.harness.run.assembly import Bench
from discl.harness.run.start.stage import StartStage

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class FirstWeights:
    """Weights (tensors [...] by name) that a run begins from."""

    weights: Mapping[str, Tensor]
    name: str  # the setting they come from, for messages
    recorded: dict[str, Any]  # which they are, for the provenance of a result
    cost: dict[str, float]  # of making them, once for all runs of a seed
    keeps_head: bool = True

    def put_into(self, network: nn.Module) -> nn.Module:
        """`network` with these weights.

        Raises UserError, which names the first parameter that does not fit, where they are those of
        another network.
        """
        own = network.state_dict()
        given = dict(self.weights)
        if not self.keeps_head:
            for name in _names_of_head(network):
                given[name] = own[name]
        for name in (*own, *sorted(given.keys() - own.keys())):
            if fault := _fault(name, own.get(name), given.get(name)):
                raise UserError(f"{self.name} does not fit the network of [backbone]: {fault}")
        network.load_state_dict(given)
        return network


def first_weights(bench: Bench, seed: int, progress: Progress) -> FirstWeights | None:
    """The weights that every strategy begins from with this seed; None = those the seed draws.

    They are made where they are missing; other processes that need them wait meanwhile. Under
    torchrun all processes call this. Raises UserError where a checkpoint is of other classes.
    """
    start = bench.spec.train.start
    if start.weights:
        return _of_a_checkpoint(bench)
    if not start.strategy:
        return None
    stage = StartStage(bench, seed)
    made = stage.made(progress)
    return FirstWeights(
        made.weights,
        f"train.start.strategy = {start.strategy!r}",
        {"id": stage.id, "digest": made.digest},
        {
            "shared_start_steps": float(made.about["steps"]),
            "shared_start_seconds": float(made.about["seconds"]),
        },
    )


def _of_a_checkpoint(bench: Bench) -> FirstWeights:
    start = bench.spec.train.start
    setting = f"train.start.weights = {start.weights!r}"
    file = weights_file(start)
    weights = distributed.broadcast(read_weights(file) if distributed.is_main_process() else None)
    said = state_file.about(file).get("classes") if file.suffix == ".safetensors" else None
    classes = list(bench.dataset.classes)
    if start.head == "keep" and isinstance(said, list) and said != classes:
        differing = next(
            (f"{a!r} there, {b!r} here" for a, b in zip(said, classes, strict=False) if a != b),
            f"{len(said)} there, {len(classes)} here",
        )
        raise UserError(
            f"{setting} was trained on other classes ({differing}); set train.start.head ="
            ' "new", or take other weights'
        )
    recorded = {"weights": weights_digest(start)}
    return FirstWeights(weights, setting, recorded, {}, keeps_head=start.head == "keep")


def _names_of_head(network: nn.Module) -> list[str]:
    """The entries of the state of a network that are its classifier's."""
    from discl.engine.evaluation.classifier import classifier_of

    classifier = classifier_of(network)
    prefix = next(name for name, module in network.named_modules() if module is classifier)
    return [f"{prefix}.{name}" for name in classifier.state_dict()]


def _fault(name: str, own: Tensor | None, given: Tensor | None) -> str:
    """Why the entry `name` does not fit, and the way out; "" where it does."""
    if given is None:
        return (
            f"it has no {name!r}; set backbone.model and its arguments to the network that the"
            " weights are of"
        )
    if own is None:
        return f"its {name!r} is in no place of it; set backbone.model to what the weights are of"
    if own.shape != given.shape:
        return (
            f"{name!r} has the shape {list(given.shape)} there and {list(own.shape)} here; where"
            ' only the number of classes differs, set train.start.head = "new"'
        )
    return ""

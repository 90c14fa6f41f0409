"""FLYP: the loss by hand, what it refuses, and one batch out of several processes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.interfaces import Split, Task
from discl.core.registry import bind
from discl.engine.evaluation.predict import Normaliser
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.loop import Fit
from discl.engine.training.sampler import SamplerView, Targets
from discl.engine.training.state import flatten, unflatten
from discl.testing.untrained import write_clip
from tests.metrics import DEFAULT

COUNTS = torch.tensor([2.0, 2.0, 2.0])
IMAGES = torch.zeros(3, 1)
COLOURS = ("red", "green", "blue")


class Pairs(nn.Module):
    """Pairs in two dimensions whose cosines can be computed by hand: images at 0, 90 and 0 degrees,
    texts at 0, 90 and 90.
    """

    gives_pairs = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Any:
        east, north = (1.0, 0.0), (0.0, 1.0)
        return torch.tensor([east, north, east]), torch.tensor([east, north, north]), self.scale


def _flyp(**parameters: Any) -> Any:
    return bind("losses", "flyp", parameters).build()


def _entropy(logits: list[float], right: int) -> float:
    return math.log(sum(map(math.exp, logits))) - logits[right]


def test_it_is_the_mean_of_both_directions() -> None:
    # line = image, column = text, cosines times 2
    logits = [[2.0, 0.0, 0.0], [0.0, 2.0, 2.0], [2.0, 0.0, 0.0]]
    to_text = sum(_entropy(line, i) for i, line in enumerate(logits)) / 3
    to_image = sum(_entropy([line[i] for line in logits], i) for i in range(3)) / 3
    value = _flyp()(Pairs(), IMAGES, torch.tensor([0, 1, 1]), COUNTS, 0.0)
    assert value.item() == pytest.approx((to_text + to_image) / 2)


def test_pairs_of_one_class_can_be_left_out_of_the_negatives() -> None:
    # images 1 and 2 are of one class: neither sees the other's text, in either direction
    to_text = (_entropy([2, 0, 0], 0) + _entropy([0, 2], 1) + _entropy([2, 0], 1)) / 3
    to_image = (_entropy([2, 0, 2], 0) + _entropy([0, 2], 1) + _entropy([0, 0], 1)) / 3
    value = _flyp(mask_same=True)(Pairs(), IMAGES, torch.tensor([0, 1, 1]), COUNTS, 0.0)
    assert value.item() == pytest.approx((to_text + to_image) / 2)


def test_the_temperature_learns() -> None:
    network = Pairs()
    _flyp()(network, IMAGES, torch.tensor([0, 1, 1]), COUNTS, 0.0).backward()
    assert network.scale.grad.abs() > 0


def test_a_backbone_without_pairs_is_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"gives none; take backbone.name = 'open_clip' with head = 'text', or another loss",
    ):
        _flyp()(nn.Linear(1, 3), IMAGES, torch.tensor([0, 1, 1]), COUNTS, 0.0)


def test_mixed_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"cannot be mixed; turn mixing off in \[train\]"):
        _flyp()(Pairs(), IMAGES, torch.eye(3), COUNTS, 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"), COLOURS, side=8)


def _network(folder: Path, **parameters: Any) -> nn.Module:
    built: nn.Module = (
        bind("backbones", "open_clip", {"model": str(folder), **parameters})
        .build()
        .build(Task(COLOURS, ((), (), ()), 8), 0)
    )
    return built


def _gradients(
    network: nn.Module, called: Any, loss: Any, images: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    network.zero_grad()
    loss(called, images, labels, COUNTS, 0.0).backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def _batch() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor(
        [0, 1, 2, 0, 0, 1]
    )


def _rank(rank: int, folder: str, network: nn.Module) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    images, labels = (each.chunk(2)[rank] for each in _batch())
    parallel = nn.parallel.DistributedDataParallel(network)
    gradients = {
        mask: _gradients(network, parallel, _flyp(mask_same=mask), images, labels)
        for mask in (False, True)
    }
    torch.save(gradients, f"{folder}/gradients-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # Python 3.12 and later warn of it; the children start no thread before
def test_two_processes_with_half_a_batch_each_learn_what_one_learns_from_all_of_it(
    folder: Path, tmp_path: Path
) -> None:
    network = _network(folder)
    mp.start_processes(_rank, (str(tmp_path), network), nprocs=2, start_method="fork")
    for rank in range(2):
        found = torch.load(tmp_path / f"gradients-{rank}.pt", weights_only=True)
        for mask, gradients in found.items():
            alone = _gradients(network, network, _flyp(mask_same=mask), *_batch())
            assert gradients.keys() == alone.keys()
            for name, gradient in alone.items():
                assert torch.allclose(gradients[name], gradient, rtol=1e-3, atol=1e-5), name


def _split(count: int) -> Split:
    labels = np.repeat([0, 1, 2], count)
    noise = np.random.default_rng(count).normal(0, 20, (len(labels), 8, 8, 3))
    photos = (np.eye(3)[labels][:, None, None, :] * 150 + 50 + noise).clip(0, 255).astype(np.uint8)
    return Split(
        np.arange(len(labels)).astype(str), labels, np.zeros(len(labels), np.int64), photos
    )


CONFIG = TrainConfig(
    epochs=6,
    curriculum_epochs=0,
    batch=12,
    lr=3e-3,
    weight_decay=0.0,
    optimiser="adamw",
    warmup_epochs=0,
    random_translate=0,
    hflip=False,
    evaluate_every=6,
)
INTAKE = Normaliser((0.5,) * 3, (0.25,) * 3)


def _fit(network: nn.Module, config: TrainConfig = CONFIG, keep: Any = None) -> Fit:
    train = _split(20)
    training_data = TrainingData(
        train,
        SamplerView(train.labels, np.bincount(train.labels)[train.labels] < 10),
        3,
        (100,),
        {},
        {},
        _split(10),
        metrics=DEFAULT,
    )
    strategy = bind("strategies", "real_only", {}).build()
    return Fit(
        network,
        strategy,
        _flyp(),
        training_data,
        config,
        Targets(60, 0.0, 1),
        INTAKE,
        0,
        torch.device("cpu"),
        keep,
    )


def test_training_with_it_tells_colours_apart_by_their_names(folder: Path) -> None:
    network, val = _network(folder), _split(10)
    seen, labels = INTAKE(torch.from_numpy(val.pixels)), torch.from_numpy(val.labels)

    def value() -> float:
        with torch.no_grad():
            return float(_flyp()(network.eval(), seen, labels, COUNTS, 0.0))

    before = value()
    reports = list(_fit(network))
    assert value() < before - 0.5
    assert reports[-1].values["val/macro_acc"] > 0.9
    (report,) = _fit(network, replace(CONFIG, epochs=1, lr=1e-5, precision="bfloat16"))
    assert report.values["val/macro_acc"] > 0.9


def test_a_stopped_run_draws_the_same_captions_when_it_goes_on(folder: Path) -> None:
    config, stops = replace(CONFIG, epochs=2), list[Any]()
    templates = ["a photo of a {name}", "a picture of a {name}", "{name}"]
    whole = _fit(
        _network(folder, templates=templates), config, lambda state: stops.append(flatten(state()))
    )
    list(whole)
    again = _fit(_network(folder, templates=templates), config)
    again.restore(unflatten(*stops[2]))
    list(again)
    weights, found = whole.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(weights[key], found[key]) for key in weights)

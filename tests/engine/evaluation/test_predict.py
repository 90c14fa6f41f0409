from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from discl.core.errors import UserError
from discl.core.interfaces import Split
from discl.engine.evaluation.predict import Normaliser, logits_of, predict


def test_predictions_say_the_groups_of_a_split_that_has_several() -> None:
    one = Split(
        np.array(["a", "b", "c"]),
        np.array([0, 1, 0]),
        np.array([7, 7, 7]),
        np.zeros((3, 4, 4, 3), np.uint8),
    )
    several = replace(one, groups=np.array([3, 9, 3]))
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    saved = predict(
        network,
        {"val": one, "ood/cameras": several},
        Normaliser((0.5,) * 3, (0.25,) * 3),
        torch.device("cpu"),
    )
    assert saved["ood/cameras/groups"].tolist() == [3, 9, 3]
    assert "val/groups" not in saved


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 8), (6, 7), (48, 64)])
def test_photos_are_averaged_to_the_side(height: int, width: int) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    seen: list[torch.Tensor] = []

    class Looking(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images.mean((2, 3))

    intake = Normaliser((0.5, 0.4, 0.3), (0.25, 0.2, 0.1), side=4)
    logits_of(Looking(), photos, intake, torch.device("cpu"))
    pixels = torch.from_numpy(photos).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (intake.mean, intake.std))
    expected = nn.functional.interpolate((pixels - mean) / std, (4, 4), mode="area")
    assert torch.allclose(seen[0], expected, atol=1e-5)
    with pytest.raises(UserError, match=r"train.side = 99 is larger than the photos .* dataset.s"):
        replace(intake, side=99)(torch.from_numpy(photos))


def test_predictions_are_made_in_the_precision_that_is_named() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    intake = Normaliser((0.5,) * 3, (0.25,) * 3)
    exact, rounded = (
        logits_of(network, photos, intake, torch.device("cpu"), dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert exact.dtype == rounded.dtype == np.float32
    assert 0 < np.abs(exact - rounded).max() < 0.02


def test_predictions_that_do_not_fit_into_memory_are_made_in_parts() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (700, 4, 4, 3), dtype=np.uint8)
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    sizes: list[int] = []

    class Small(nn.Module):
        room = 150

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            if len(images) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            logits: torch.Tensor = linear(images)
            return logits

    intake = Normaliser((0.5,) * 3, (0.25,) * 3)
    whole, parts = (
        logits_of(network, photos, intake, torch.device("cpu")) for network in (linear, Small())
    )
    assert sizes == [500, 250, 125, 125, 125, 125, 125, 75]
    assert np.allclose(whole, parts, atol=1e-6)
    network = Small().train()
    network.room = 0
    with pytest.raises(UserError, match="not even one photo .* backbone.model"):
        logits_of(network, photos, intake, torch.device("cpu"))
    assert network.training

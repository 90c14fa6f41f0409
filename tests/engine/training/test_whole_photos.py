"""Random crops are taken from the whole photo, as the recipes that they come from have it."""

from dataclasses import replace

import numpy as np
import pytest

from discl.core.interfaces import Ints, Photos
from discl.engine.training.batches import batches
from discl.engine.training.config import TrainConfig
from discl.engine.training.distributed import Share
from discl.engine.training.sampler import Plan
from tests.engine.training.test_loop import CONFIG, TRAIN, TRAINING_DATA

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)
CUT = replace(CONFIG, hflip=False, transform={"scale": [0.08, 1.0], "color_jitter": 0.0})


def _wide(row: int) -> Photos:
    """Three squares side by side, [8, 24, 3]: only the middle one is in the middle square."""
    return np.concatenate(
        [np.full((8, 8, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE)], 1
    )


MIDDLE = replace(TRAIN, pixels=np.full((len(TRAIN), 8, 8, 3), GREEN, np.uint8), whole=_wide)
DATA = replace(
    TRAINING_DATA,
    train=MIDDLE,
    pixels={0: np.full((12, 8, 8, 3), GREEN, np.uint8)},
    whole={0: _wide},
)


def _seen(level: int, config: TrainConfig) -> Ints:
    """[3], how many of 64 crops show something of each square."""
    zeros = np.zeros(64, np.int64)
    plan = Plan(*(zeros if name != "level" else zeros + level for name in Plan._fields))
    share = Share(0, 1)
    made = batches(plan, 0, DATA, config, (0,), share, ahead=False)
    crops = np.concatenate([batch.images.numpy() for batch in made])
    assert crops.shape == (64, 8, 8, 3)
    return (crops > 100).any(axis=(1, 2)).sum(0)


@pytest.mark.parametrize("level", [0, 100])
def test_a_crop_may_lie_anywhere_in_a_wide_photo_and_in_an_image_of_it(level: int) -> None:
    # Independent count: torchvision's crop of a share 0.08..1 of 8 x 24 pixels is 3 to 8 high and
    # lies anywhere, so each outer square is in about half of the crops.
    red, _, blue = _seen(level, CUT)
    assert red > 16
    assert blue > 16


@pytest.mark.parametrize("level", [0, 100])
def test_the_middle_square_can_be_asked_for(level: int) -> None:
    assert _seen(level, replace(CUT, whole_photos=False)).tolist() == [0, 64, 0]

"""Random crops and colours of a batch: what they do, and that a part of a batch gets the same."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from discl.config.load import load
from discl.core.errors import UserError
from discl.engine.training.augmentation import Parameters, augmented, parameters
from discl.engine.training.batches import batches
from discl.engine.training.config import TrainConfig
from discl.engine.training.distributed import Share
from discl.engine.training.sampler import plan_epoch
from tests.engine.training.test_loop import CONFIG, TARGETS, TRAINING_DATA, VIEW

STRONG = replace(CONFIG, random_resized_crop=(0.35, 1.0), color_jitter=(0.4, 0.3, 0.2))
NOTHING = Parameters(None, None, None, None)


def _drawn(config: TrainConfig, count: int = 20_000, seed: int = 0) -> Parameters:
    return parameters(count, config, torch.Generator().manual_seed(seed))


def _photos(count: int, side: int = 32) -> Tensor:
    pixels = np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


def _crop(height: float, width: float, top: float, left: float) -> Parameters:
    box = torch.tensor([[height], [width], [top], [left]], dtype=torch.float32)
    return NOTHING._replace(crop=box)


def _colour(*factors: float) -> Parameters:
    return NOTHING._replace(colour=torch.tensor(factors, dtype=torch.float32)[:, None])


def test_crops_lie_in_their_ranges_and_average_as_their_distribution() -> None:
    crop = _drawn(STRONG).crop
    assert crop is not None
    height, width, top, left = crop
    area, ratio = height * width, width / height
    assert float(area.min()) >= 0.35 - 1e-6
    assert float(ratio.min()) >= 3 / 4 - 1e-6
    assert float(ratio.max()) <= 4 / 3 + 1e-6
    assert float((top + height).max()) <= 1 + 1e-6
    assert float((left + width).max()) <= 1 + 1e-6
    assert min(float(top.min()), float(left.min())) >= 0
    assert abs(float(ratio.log().mean())) < 0.005  # as often upright as lying
    # uniform from 0.35, where every ratio fits: up to 3/4 all do
    small = area[area < 0.75]
    assert abs(float(small.mean()) - 0.55) < 0.005
    assert abs(float((top / (1 - height).clamp(min=1e-6)).mean()) - 0.5) < 0.01


def test_colours_lie_in_their_ranges_and_average_one() -> None:
    colour = _drawn(STRONG).colour
    assert colour is not None
    for factors, strength in zip(colour, (0.4, 0.3, 0.2), strict=True):
        assert float((factors - 1).abs().max()) <= strength + 1e-6
        assert abs(float(factors.mean()) - 1) < 0.01
        assert float(factors.std()) == pytest.approx(strength / 3**0.5, rel=0.02)
    one = _drawn(replace(STRONG, color_jitter=0.3)).colour
    assert one is not None
    assert torch.allclose((one - 1).abs().amax(1), torch.tensor(0.3), atol=1e-3)


def test_what_is_not_asked_for_draws_nothing() -> None:
    weak, strong = _drawn(CONFIG, 16), _drawn(STRONG, 16)
    assert weak.crop is None
    assert weak.colour is None
    assert weak.shift is not None
    assert strong.shift is not None
    assert torch.equal(weak.shift, strong.shift)  # so old runs stay what they were


def test_a_crop_of_all_leaves_a_photo_as_it_is() -> None:
    photos = _photos(1)
    assert torch.equal(augmented(photos, _crop(1, 1, 0, 0)), photos)


def test_a_crop_shows_its_part_enlarged() -> None:
    photos = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    photos[:, 16:, :16] = 200  # the lower left quarter
    assert bool((augmented(photos, _crop(0.5, 0.5, 0.5, 0.0))[:, 1:, :-1] == 200).all())
    assert bool((augmented(photos, _crop(0.5, 0.5, 0.0, 0.5))[:, :-1, 1:] == 0).all())
    ramp = torch.arange(32).mul(8).byte()[None, None, :, None].expand(1, 32, 32, 3)
    seen = augmented(ramp, _crop(1.0, 0.5, 0.0, 0.25))[0, 0, :, 0].float()
    expected = 8 * ((torch.arange(32) + 0.5) / 2 + 8 - 0.5)  # read between two pixels
    assert float((seen - expected).abs().max()) <= 0.5


def test_a_crop_is_moved_and_mirrored_with_its_photo() -> None:
    photos = _photos(4)
    moves = NOTHING._replace(
        shift=torch.tensor([[0, 3, -2, 4], [1, -4, 0, 2]]),
        mirrored=torch.tensor([False, True, True, False]),
    )
    whole = torch.tensor([1.0, 1, 0, 0])[:, None].expand(4, 4)
    assert torch.equal(augmented(photos, moves._replace(crop=whole)), augmented(photos, moves))


def test_colours_do_what_they_say() -> None:
    photos = _photos(1)
    grey = (photos.float() @ torch.tensor([0.299, 0.587, 0.114]))[..., None]
    assert torch.equal(augmented(photos, _colour(1, 1, 1)), photos)
    brighter = augmented(photos, _colour(1.3, 1, 1))
    assert float((brighter - (photos * 1.3).clamp(max=255)).abs().max()) <= 0.51
    assert len(augmented(photos, _colour(1, 0, 1)).unique()) == 1  # the mean grey
    unsaturated = augmented(photos, _colour(1, 1, 0)).float()
    assert float((unsaturated - grey).abs().max()) <= 0.51


@pytest.mark.parametrize("world", [2, 4])
def test_a_share_of_a_batch_gets_the_bits_it_has_in_the_whole(world: int) -> None:
    plan = plan_epoch(
        VIEW, {100: 1.0}, TRAINING_DATA.images, TARGETS, True, np.random.default_rng(0)
    )

    def made(share: Share, skip: int = 0) -> list[Tensor]:
        return [
            batch.images
            for batch in batches(plan, skip, TRAINING_DATA, STRONG, (0, 1), share, ahead=False)
        ]

    whole = made(Share())
    for number, parts in enumerate(
        zip(*(made(Share(rank, world)) for rank in range(world)), strict=True)
    ):
        assert torch.equal(torch.cat(parts), whole[number])
    later = made(Share(), skip=2)
    assert all(map(torch.equal, later, islice(whole, 2, None)))
    assert len(later) == len(whole) - 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.random_resized_crop=[1.0, 0.5]", "the smaller one first"),
        ("train.random_resized_crop=[0.5]", "give two numbers"),
        ("train.random_resized_crop=[0.0, 1.0]", "greater than 0"),
        ("train.crop_ratio=[1.5, 0.5]", r"train.crop_ratio = \[1.5, 0.5\]"),
        ("train.color_jitter=1.5", r"train.color_jitter = 1.5: give a number from 0.0 to 1.0"),
        ("train.color_jitter=[0.1, 0.2]", "or three of them"),
        ("train.color_jitter='strong'", r"train.color_jitter = 'strong'"),
        ("train.side=-1", "train.side = -1"),
        ("train.eval_precision='int8'", "train.eval_precision = 'int8'"),
        ("train.warmup_epochs=1.5", "train.warmup_epochs = 1.5: with a point it is a share"),
    ],
)
def test_a_setting_out_of_range_is_a_sentence(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load("cifar10_lt", settings=[setting])

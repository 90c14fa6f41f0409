import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from discl.parts.scorers.base.photo_batch import PhotoBatch


@pytest.mark.parametrize("size", [(9, 9), (20, 31), (31, 20), (8, 16), (8, 8), (30, 17), (5, 40)])
@pytest.mark.parametrize(
    "settings",
    [
        PreprocessCfg(size=8),
        PreprocessCfg(size=(8, 8), interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3),
        PreprocessCfg(size=8, resize_mode="squash"),
        PreprocessCfg(size=(8, 12), resize_mode="squash", interpolation="random"),
        PreprocessCfg(size=(8, 10)),
        PreprocessCfg(size=8, resize_mode="longest"),
    ],
)
def test_a_batch_is_what_open_clips_transform_gives_to_the_last_bit(
    size: tuple[int, int], settings: PreprocessCfg, rng: np.random.Generator
) -> None:
    photos = rng.integers(0, 256, (3, *size, 3), dtype=np.uint8)
    theirs = image_transform_v2(settings, is_train=False)
    expected = torch.stack([theirs(Image.fromarray(photo)) for photo in photos])
    batch = PhotoBatch(settings, "cpu")(photos)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous()
    assert torch.equal(batch, expected)

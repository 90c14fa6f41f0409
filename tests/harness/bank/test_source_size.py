import numpy as np
import pytest

from discl.config.load import load
from discl.core.interfaces import Photos, Split
from discl.harness.bank.source_size import SourceSizes, sentences, source_sizes
from discl.harness.run.assembly import Bench


class Bursts:
    """Training photos of 8 px, whose originals grow from 20 x 10 by a pixel a row."""

    version, classes, splits, ready, has_originals = 1, ("a", "b"), ("train", "val"), True, True

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def split(self, name: str) -> Split:
        rows = np.arange(40)
        labels = (rows >= 30).astype(np.int64)  # ten hard photos

        def decoded(row: int) -> Photos:
            raise AssertionError("a photo was decoded")

        return Split(
            rows.astype(str),
            labels,
            np.zeros_like(rows),
            np.zeros((40, 8, 8, 3), np.uint8),
            original=decoded,
            original_size=lambda row: (10 + row, 20 + row),
        )


def _bench(*settings: str) -> Bench:
    words = ["generator.name=blend", "hard_rule.max_class_images=20", *settings]
    bench = Bench(load("cifar10_lt", settings=words))
    bench.dataset = Bursts()
    return bench


def test_sizes_are_those_of_the_hard_photos_and_nothing_is_decoded() -> None:
    sizes = source_sizes(_bench("bank.size=[46, 32]"))
    assert sizes == SourceSizes(
        used=(46, 32),
        originals=True,
        own=None,
        photos=10,
        looked_at=10,
        median=(45, 55),
        smaller=6,  # lower than 46
        smallest=(40, 50),
    )
    assert sentences(sizes) == (
        "Images are made from the photos at 32x46 (originals 55x45 in the median).",
        "6 of 10 photos are smaller than 32x46 and are enlarged; the smallest has 50x40.",
    )


def test_of_many_photos_a_sample_is_looked_at() -> None:
    sizes = source_sizes(_bench("bank.size=[41, 32]"), most=4)
    assert (sizes.photos, sizes.looked_at, sizes.smaller) == (10, 4, 1)
    assert sentences(sizes)[1].startswith("1 of 4 photos looked at (10 in all) is smaller")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # a generator without a size of its own
        ((), ["Images are made from the photos as training has them, at 8x8."]),
        (("generator.name=img2img",), ["Images are made from the photos at 32x32 (originals"]),
        (
            ("generator.name=img2img", "generator.size=[96, 40]"),
            [
                "Images are made from the photos at 96x40 (originals 55x45",
                "10 of 10 photos are smaller than 96x40",
            ],
        ),
    ],
)
def test_the_generator_has_a_say(settings: tuple[str, ...], expected: list[str]) -> None:
    told = sentences(source_sizes(_bench(*settings)))
    assert len(told) == len(expected)
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True))


def test_a_dataset_without_originals_says_so() -> None:
    sizes = SourceSizes((32, 32), False, (512, 512), 325, 325, None, 0, (32, 32))
    assert sentences(sizes) == (
        "Images are made from the photos as training has them, at 32x32; the generator's own size"
        " is 512x512.",
    )

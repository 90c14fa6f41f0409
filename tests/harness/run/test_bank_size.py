"""A bank whose images have a size of their own, made from the photos as they were taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Photos, Split
from discl.engine.bank.exchange import export_bank
from discl.engine.training.batches import gather_pixels
from discl.engine.training.data import TrainingData
from discl.engine.training.sampler import Plan
from discl.files.photos import decode, fitted
from discl.harness.bank.quality.measure import QualityLimits, measure_quality
from discl.harness.bank.quality.page import page
from discl.harness.bank.spectrum import spectrum
from discl.harness.run.assembly import Bench
from tests.banks import InlineExecutor
from tests.metrics import DEFAULT

SIZE = "bank.size=[24, 40]"
LABELS = np.repeat([0, 1], [8, 3])


def _original(row: int) -> Photos:
    """40 x 60: the row's shade, which grows to the right."""
    photo = np.full((40, 60, 3), 10 * row, np.uint8)
    photo[..., 0] = np.arange(60) * 4
    return photo


class Wide:
    """Photos of 40 x 60, trained on at 32 x 32."""

    version, classes, ready = 1, ("wide", "rare"), True
    splits: tuple[str, ...] = ("train", "val")

    def __init__(self, original: bool = True) -> None:
        self.original = original
        self.read = list[int]()

    def identity(self) -> dict[str, Any]:
        return {}

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a {self.classes[label]} photo",)

    def split(self, name: str) -> Split:
        ids = np.array([f"{name}{i}" for i in range(len(LABELS))])
        pixels = np.stack([fitted(_original(row), (32, 32)) for row in range(len(LABELS))])
        return Split(
            ids, LABELS, np.zeros_like(LABELS), pixels, self._read if self.original else None
        )

    def _read(self, row: int) -> Photos:
        self.read.append(row)
        return _original(row)


class WideWithTest(Wide):
    splits = ("train", "val", "test")


class Shades:
    """Vectors of three mean colours."""

    version = 1

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        mean = images.mean((1, 2)) + 1
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Any:
        return np.full((len(texts), 3), 3**-0.5, np.float32)


def _bench(*settings: str, fill: bool = True, original: bool = True) -> Bench:
    usual = [
        "generator.name=blend",
        "levels=[0,50,100]",
        "hard_rule.max_class_images=5",
        "bank.variants=2",
    ]
    bench = Bench(load("cifar10_lt", settings=[*usual, *settings]))
    bench.dataset = Wide(original)
    bench.scorer = Shades()
    if fill:
        bench.fill([0, 50], lambda *_: None, InlineExecutor())
    return bench


def test_a_photo_is_scaled_until_it_covers_and_cut_evenly() -> None:
    cut = fitted(
        _original(3), (20, 20)
    )  # covered at 20 x 30, so 5 columns go at each side: 10 of the 60
    assert cut.shape == (20, 20, 3)
    assert (cut[..., 1] == 30).all()
    assert (int(cut[0, 0, 0]), int(cut[0, -1, 0])) == (
        pytest.approx(10.5 * 4, abs=3),
        pytest.approx(48.5 * 4, abs=3),
    )
    assert fitted(cut, (20, 20)) is cut


def test_images_are_made_from_whole_photos_and_only_from_those_that_are_needed() -> None:
    bench = _bench(SIZE)
    assert set(bench.dataset.read) == {8, 9, 10}  # type: ignore[attr-defined]
    assert bench.sources.photos.shape == (3, 24, 40, 3)
    assert np.array_equal(bench.sources.photos[1], fitted(_original(9), (24, 40)))
    assert {decode(data).shape for _, data in bench.bank.encoded()} == {(24, 40, 3)}


@pytest.mark.parametrize("batch", [4, 256])
def test_a_photo_is_read_once_a_lease_for_images_and_filter_together(batch: int) -> None:
    bench = _bench(SIZE, f"bank.batch={batch}")  # 2 levels x 2 variants of each photo
    assert bench.bank.scores(50)[1].min() > 0  # the filter has seen the photos
    assert sorted(bench.dataset.read) == [8, 9, 10]  # type: ignore[attr-defined]


def test_a_generator_with_a_size_of_its_own_gets_originals_at_that() -> None:
    own = _bench("generator.name=img2img", "generator.size=[40, 24]", fill=False)
    assert own.process["size"] == [24, 40]
    assert own.process["source"] == "originals"
    assert np.array_equal(own.sources.photos[1], fitted(_original(9), (24, 40)))
    checkpoint = _bench("generator.name=img2img", "bank.seed=1", fill=False)
    assert checkpoint.sources.photos.shape == (3, 32, 32, 3)  # what its networks were made for
    assert checkpoint.process["source"] == "originals"
    embedded = _bench("generator.name=img2img", fill=False, original=False)
    assert "source" not in embedded.process


def test_without_whole_photos_those_of_training_are_enlarged() -> None:
    bench = _bench(SIZE, fill=False, original=False)
    assert np.array_equal(bench.sources.photos[0], fitted(bench.train.pixels[8], (24, 40)))


def test_training_gets_the_images_at_its_own_size() -> None:
    bench = _bench(SIZE)
    pixels = bench.bank.pixels(50)
    assert pixels.shape == (6, 32, 32, 3)
    assert np.array_equal(pixels[2], fitted(decode(list(bench.bank.encoded(50))[2][1]), (32, 32)))
    images = bench.level_images(50)
    training_data = TrainingData(
        bench.train,
        bench.sampler_view,
        2,
        (50, 100),
        {50: images},
        {50: pixels},
        bench.train,
        metrics=DEFAULT,
    )
    batch = gather_pixels(
        Plan(np.array([0, images.row[3]]), np.array([100, 50]), np.array([-1, images.position[3]])),
        training_data,
    )
    assert np.array_equal(batch[1].numpy(), pixels[3])


def test_the_size_names_another_bank_and_other_runs() -> None:
    plain, sized = _bench(fill=False), _bench(SIZE, fill=False)
    assert plain.bank_id != sized.bank_id
    assert plain.process["size"] == [32, 32]  # that of the photos as they were decoded
    assert "source" not in plain.process
    assert sized.process["source"] == "originals"
    assert Bench(load("cifar10_lt")).process.keys().isdisjoint({"size", "source"})  # but one size
    ids = [{run.strategy: run.id() for run in experiments(bench.spec)} for bench in (plain, sized)]
    assert {name for name in ids[0] if ids[0][name] == ids[1][name]} == {
        "real_only",
        "real_rebalanced",
    }


def test_a_bank_at_training_size_is_as_it_was() -> None:
    bench = _bench()
    assert bench.bank.pixels(0).shape == (6, 32, 32, 3)
    (path,) = (bench.bank.folder / "cache").glob("level-*.npy")
    assert len(path.stem) == len("level-000-") + 16


def test_report_figure_and_export_work_at_any_size(tmp_path: Path) -> None:
    bench = _bench(SIZE)
    quality = measure_quality(bench, lambda *_: None, QualityLimits())
    assert (quality.total.made, quality.total.missing) == (12, 0)
    assert "<html" in page(quality, bench)
    figure = spectrum(bench, 2)
    assert {tile.photo.shape for row in figure.rows for tile in row if tile.photo is not None} == {
        (24, 40, 3)
    }
    assert (
        export_bank(
            bench.bank, bench.dataset.classes, tmp_path / "shared", "parquet", lambda *_: None
        )
        == 12
    )


def test_a_level_of_which_no_image_passes_the_threshold_is_no_run() -> None:
    bench = _bench("bank.threshold=1", "train.batch=8")  # the cosine of a grey photo
    bench.dataset = WideWithTest()
    with pytest.raises(UserError, match=r"none of 6 images of level 50 reaches bank.threshold = 1"):
        bench.setup([50], lambda *_: None)


def test_a_batch_larger_than_an_epoch_is_refused_before_training() -> None:
    bench = _bench("train.batch=16")
    bench.dataset = WideWithTest()
    with pytest.raises(UserError, match=r"train\.batch = 16 .* an epoch of 11 images"):
        bench.setup([0, 50, 100], lambda *_: None)

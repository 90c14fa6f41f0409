"""The probe: levels are compared on the same photos."""

from typing import Any

import numpy as np
import pytest

from discl.core.interfaces import Split, Strategy
from discl.core.registry import bind
from discl.engine.level_images import LevelImages
from discl.engine.training.data import TrainingData
from discl.engine.training.probe import ProbeImages, photos_with_all, probe_images
from discl.engine.training.sampler import SamplerView
from tests.metrics import DEFAULT

LABELS = np.repeat([0, 1, 2, 3, 4], [50, 20, 10, 6, 1])
VIEW = SamplerView(LABELS, LABELS > 1)  # 17 hard photos; the last class has one, never set aside
HARD = np.flatnonzero(VIEW.hard)
LEVELS = (0, 50, 100)


def _pixels(rows: Any, level: int) -> Any:
    """A pixel that says which photo an image is of, and at which level."""
    return np.stack([rows, np.full(len(rows), level)], 1).astype(np.float32)


def _data(rows_with_image: dict[int, Any]) -> TrainingData:
    """Two images at each level of these photos."""
    images = {
        level: LevelImages(np.repeat(rows, 2), np.tile([0, 1], len(rows)), np.arange(2 * len(rows)))
        for level, rows in rows_with_image.items()
    }
    ids = np.array([f"p{row}" for row in range(len(LABELS))])
    none = np.zeros(len(LABELS), np.int64)
    split = Split(ids, LABELS, none, _pixels(np.arange(len(LABELS)), 100))
    pixels = {level: _pixels(images[level].row, level) for level in images}
    return TrainingData(split, VIEW, 5, LEVELS, images, pixels, split, DEFAULT)


def _adaptive(**parameters: float) -> Strategy:
    built: Strategy = bind("strategies", "adaptive", parameters).build()
    return built


def _probe(rows_with_image: dict[int, Any], seed: int = 0, holdout: float = 0.4) -> ProbeImages:
    probe = probe_images(_adaptive(holdout=holdout), _data(rows_with_image), seed)
    assert probe
    return probe


@pytest.mark.parametrize("seed", range(5))
def test_with_every_image_there_the_probe_is_that_of_version_1(seed: int) -> None:
    probe = _probe({0: HARD, 50: HARD}, seed)
    rng = np.random.default_rng([seed, 0x9E0BE])
    drawn: list[int] = []
    for label in (2, 3, 4):
        rows = np.flatnonzero(label == LABELS)
        drawn.extend(rng.permutation(rows)[: round(0.4 * len(rows)) if len(rows) > 1 else 0])
    assert probe.rows.tolist() == sorted(drawn)
    for level in LEVELS:
        assert np.array_equal(probe.pixels[level], _pixels(np.sort(drawn), level))
        assert np.array_equal(probe.labels[level], LABELS[np.sort(drawn)])


@pytest.mark.parametrize("seed", range(5))
def test_where_the_filter_left_gaps_levels_are_measured_on_photos_that_have_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = {level: np.sort(rng.permutation(HARD)[:11]) for level in (0, 50)}
    probe = _probe(kept, seed)
    both = set(kept[0].tolist()) & set(kept[50].tolist())
    assert set(probe.rows.tolist()) <= both
    for level in LEVELS:  # each level the same photos, in the same order
        assert probe.pixels[level].tolist() == [[row, level] for row in probe.rows.tolist()]
    for label, wanted in ((2, 4), (3, 2)):
        has_all = sum(LABELS[row] == label for row in both)
        assert (LABELS[probe.rows] == label).sum() == min(wanted, has_all)


def test_gains_of_equal_levels_are_equal_however_the_filter_chose() -> None:
    # version 1 measured level 0 on class 2 alone and level 50 on both: another class, another gain
    probe = _probe({0: HARD[:10], 50: HARD})
    assert set(LABELS[probe.rows]) == {2}
    assert len({tuple(labels.tolist()) for labels in probe.labels.values()}) == 1


def test_where_no_photo_has_all_levels_the_level_of_fewest_photos_is_left_out() -> None:
    probe = _probe({0: HARD[:4], 50: HARD[4:10]})
    assert sorted(probe.pixels) == [50, 100]
    assert set(probe.rows.tolist()) <= set(HARD[4:10].tolist())
    assert sorted(_probe({0: HARD[:4], 50: HARD[4:8]}).pixels) == [50, 100]  # of equals the lowest
    measured, complete = photos_with_all(VIEW, _data({0: HARD[:4], 50: HARD[4:10]}).images)
    assert measured == (50,)
    assert np.flatnonzero(complete).tolist() == HARD[4:10].tolist()


def test_a_level_without_an_image_is_left_out_and_photos_never_are() -> None:
    nothing = np.empty(0, np.int64)
    assert sorted(_probe({0: nothing, 50: HARD}).pixels) == [50, 100]
    assert sorted(_probe({0: nothing, 50: nothing}).pixels) == [100]


def test_an_image_of_a_photo_that_is_never_set_aside_makes_no_level_measurable() -> None:
    assert sorted(_probe({0: HARD[-1:], 50: HARD}).pixels) == [50, 100]

"""The sampler against the paper's own definitions, at the paper's own sizes."""

from functools import cache

import numpy as np
import pytest

from discl.config.benchmark import SamplingTable
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import Strategy
from discl.core.registry import bind, names
from discl.engine.level_images import LevelImages
from discl.engine.training.sampler import Plan, SamplerView, Targets, plan_epoch
from discl.harness.run.epoch_targets import epoch_targets

# iWildCam: 129,809 photos, 8,260 of them hard, and 90,093 kept images of three levels
PHOTOS, HARD, KEPT = 129_809, 8_260, 30_031
IS_HARD = np.arange(PHOTOS) < HARD
WILD = SamplerView(np.random.default_rng(0).integers(0, 182, PHOTOS), IS_HARD)
LEVELS = (50, 70, 90, 100)


@cache
def _kept(level: int) -> LevelImages:
    """As many images as the filter kept, most of them of some photos."""
    rows = np.sort(np.random.default_rng(level).integers(0, HARD, KEPT) ** 2 // HARD)
    return LevelImages(rows, np.arange(KEPT), np.arange(KEPT))


def _strategy(name: str) -> Strategy:
    built: Strategy = bind("strategies", name, {}).build()
    return built


def _wild(strategy: str, mix: dict[int, float], real_phase: bool = False) -> Plan:
    sampling = load("iwildcam", "paper").sampling
    levels = _strategy(strategy).uses(LEVELS) or (100,)
    targets = epoch_targets(sampling, WILD, 182, sampling.images).of(_strategy(strategy), levels)
    images = {level: _kept(level) for level in mix if level < 100}
    rng = np.random.default_rng(1)
    targets = targets.of_real_phase if real_phase else targets
    return plan_epoch(WILD, mix, images, targets, _strategy(strategy).rebalanced, rng)


def _shares(plan: Plan) -> tuple[float, float, float]:
    """Shares of synthetic images, hard photos and other photos among an epoch's images."""
    made = plan.level < 100
    hard = IS_HARD[plan.row] & ~made
    return made.mean(), hard.mean(), (~made & ~hard).mean()


def _alike(*sizes: int) -> tuple[float, ...]:
    """Shares of sets whose union is drawn from without regard to which set an image is of."""
    return tuple(size / sum(sizes) for size in sizes)


@pytest.mark.parametrize("strategy", ["adaptive", "random", "bandit"])
def test_a_stage_of_algorithm_2_is_the_levels_images_and_the_photos_that_are_not_hard(
    strategy: str,
) -> None:
    plan = _wild(strategy, {50: 1.0})
    assert _shares(plan) == pytest.approx(_alike(KEPT, 0, PHOTOS - HARD), abs=1e-4)
    drawn = np.bincount(plan.position[plan.level == 50], minlength=KEPT)
    easy = np.bincount(plan.row[plan.level == 100], minlength=PHOTOS)[HARD:]
    assert np.ptp(drawn) <= 1
    assert np.ptp(easy) <= 1
    assert drawn.mean() == pytest.approx(easy.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("strategy", "real_phase"),
    [
        ("adaptive", False),  # S_1, the originals of the hard photos, and D_nh
        ("adaptive", True),  # D_all
        ("static", False),
        ("static", True),
        ("real_rebalanced", True),
        ("real_only", False),
    ],
)
def test_an_epoch_of_photos_alone_has_the_hard_ones_as_often_as_all_others(
    strategy: str, real_phase: bool
) -> None:
    plan = _wild(strategy, {100: 1.0}, real_phase)
    assert _shares(plan)[1] == pytest.approx(0.0636, abs=5e-4)
    assert np.ptp(np.bincount(plan.row, minlength=PHOTOS)) <= 1


@pytest.mark.parametrize("strategy", ["static", "fixed", "reverse"])
def test_a_stage_of_algorithm_1_has_the_hard_photos_too(strategy: str) -> None:
    shares = _shares(_wild(strategy, {50: 1.0}))
    assert shares == pytest.approx(_alike(KEPT, HARD, PHOTOS - HARD), abs=1e-4)


def test_the_baseline_of_photos_has_the_shares_of_algorithm_1() -> None:
    made, hard, easy = _shares(_wild("real_rebalanced", {100: 1.0}))
    assert made == 0
    assert (hard, easy) == pytest.approx(_alike(KEPT + HARD, PHOTOS - HARD), abs=1e-4)


def test_only_strategies_of_algorithm_2_leave_hard_photos_to_the_mix() -> None:
    targets = Targets(10, 0.5, 1, keep_hard_real=None)
    leave = [
        name
        for name in names("strategies")
        if not targets.of(_strategy(name), LEVELS).keep_hard_real
    ]
    assert sorted(leave) == ["adaptive", "bandit", "random"]
    for given in (True, False):  # said outright, it holds for all
        told = Targets(10, 0.5, 1, keep_hard_real=given)
        assert {
            told.of(_strategy(name), LEVELS).keep_hard_real for name in names("strategies")
        } == {given}


def test_the_released_code_trains_on_hard_photos_and_their_images_alone() -> None:
    sampling = load("iwildcam_as_code", "paper").sampling
    targets = epoch_targets(sampling, WILD, 182, 10_000).of(_strategy("fixed"), (50,))
    for mix, level in (({50: 1.0}, 50), ({100: 1.0}, 100)):
        rng = np.random.default_rng(0)
        plan = plan_epoch(WILD, mix, {50: _kept(50)}, targets, True, rng)
        assert set(plan.level.tolist()) == {level}
        assert IS_HARD[plan.row].all()


# ---------------------------------------------------------------- long tails

# two easy classes, and two hard ones of 5 and 19 photos, with 8 images of each photo
LABELS = np.repeat([0, 1, 2, 3], [200, 100, 19, 5])
TAIL = SamplerView(LABELS, LABELS > 1)
TAIL_ROWS = np.flatnonzero(TAIL.hard)
EIGHT = LevelImages(np.repeat(TAIL_ROWS, 8), np.tile(np.arange(8), 24), np.arange(8 * 24))
PRESETS = [
    "imagenet_lt",
    "imagenet_lt_as_code",
    "places_lt",
    "inaturalist2018",
    "cifar100_lt",
    "cifar100_lt_ir50",
    "cifar10_lt",
]


def _tail_of(sampling: SamplingTable, images: LevelImages, seed: int) -> Plan:
    """An epoch of which half, 96 images, is the tail: "3X" and the 24 photos."""
    view = TAIL.with_images({50: images}) if sampling.hard_needs_image else TAIL
    targets = epoch_targets(sampling, view, 4, 192).of(_strategy("static"), (50,))
    return plan_epoch(view, {50: 1.0}, {50: images}, targets, True, np.random.default_rng(seed))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_paper_gives_classes_within_the_tail_no_shares(preset: str) -> None:
    sampling = load(preset, "paper").sampling.model_copy(update={"tail_share": 0.5})
    plans = [_tail_of(sampling, EIGHT, seed) for seed in range(100)]
    counts = np.mean([np.bincount(LABELS[plan.row])[2:] for plan in plans], axis=0)
    # "3X": every photo of the tail once, and three times as many images, drawn alike
    assert counts == pytest.approx([4 * 19, 4 * 5], abs=1)
    for plan in plans:
        photos = plan.row[(plan.level == 100) & TAIL.hard[plan.row]]
        assert np.array_equal(np.sort(photos), TAIL_ROWS)
        assert np.bincount(plan.position[plan.level == 50]).max() == 1  # there are enough


def test_equal_shares_are_a_setting_of_ours() -> None:
    sampling = load("cifar10_lt", "smoke").sampling.model_copy(update={"tail_share": 0.5})
    assert sampling.tail_weighting == "classes"
    assert np.bincount(LABELS[_tail_of(sampling, EIGHT, 0).row])[2:].tolist() == [48, 48]
    by_photos = sampling.model_copy(update={"tail_weighting": "photos"})
    assert np.bincount(LABELS[_tail_of(by_photos, EIGHT, 0).row])[2:].tolist() == [76, 20]


def test_a_hard_photo_without_an_image_counts_as_not_hard_where_the_setting_says_so() -> None:
    some = LevelImages(*(column[EIGHT.row != TAIL_ROWS[-1]] for column in EIGHT))
    as_code = load("imagenet_lt_as_code", "paper").sampling
    assert as_code.hard_needs_image
    assert load("iwildcam_as_code", "smoke").sampling.hard_needs_image
    assert not load("imagenet_lt", "paper").sampling.hard_needs_image
    assert np.flatnonzero(TAIL.with_images({50: some}).hard).tolist() == TAIL_ROWS[:-1].tolist()
    assert not TAIL.with_images({}).hard.any()
    half = {"tail_share": 0.5}
    times = [
        [int((_tail_of(sampling, some, seed).row == TAIL_ROWS[-1]).sum()) for seed in range(40)]
        for sampling in (
            as_code.model_copy(update=half),
            load("imagenet_lt", "paper").sampling.model_copy(update=half),
        )
    ]
    assert set(times[0]) == {0, 1}  # one of 301 easy photos, of which 96 are drawn
    assert set(times[1]) == {1}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("sampling.tail_share=union", 'set sampling.tail_weighting = "images"'),
        ("sampling.keep_hard_real=perhaps", "sampling.keep_hard_real"),
        ("sampling.tail_weighting=labels", "sampling.tail_weighting"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        load("cifar10_lt", "smoke", [setting])

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.engine.level_images import LevelImages
from discl.engine.training.probe import probe_rows
from discl.engine.training.sampler import Plan, SamplerView, Targets, plan_epoch
from discl.engine.training.tail_share import tail_shares

LABELS = np.repeat([0, 1, 2, 3], [60, 30, 6, 2])
VIEW = SamplerView(LABELS, np.bincount(LABELS)[LABELS] < 20)
ROWS = np.flatnonzero(VIEW.hard)


def _four_of_each(rows: np.ndarray) -> LevelImages:  # type: ignore[type-arg]
    """Four images of each photo."""
    return LevelImages(
        np.repeat(rows, 4), np.tile(np.arange(4), len(rows)), np.arange(4 * len(rows))
    )


IMAGES = {level: _four_of_each(ROWS) for level in (0, 50)}
TARGETS = Targets(images=96, tail_share=0.5, max_repeats=50)


def _plan(
    mix: dict[int, float],
    targets: Targets = TARGETS,
    view: SamplerView = VIEW,
    images: dict[int, LevelImages] = IMAGES,
    rebalanced: bool = True,
) -> Plan:
    return plan_epoch(view, mix, images, targets, rebalanced, np.random.default_rng(0))


@given(
    st.sampled_from(
        [{0: 1.0}, {50: 1.0}, {100: 1.0}, {0: 0.5, 50: 0.5}, {0: 0.25, 50: 0.25, 100: 0.5}]
    ),
    st.booleans(),
    st.integers(8, 300),
)
def test_an_epoch_has_exactly_its_images_whatever_the_strategy(
    mix: dict[int, float], rebalanced: bool, images: int
) -> None:
    assert len(_plan(mix, Targets(images, 0.5, 50), rebalanced=rebalanced)) == images


def test_the_tail_share_is_met_and_split_evenly_over_hard_classes() -> None:
    labels = LABELS[_plan({50: 1.0}).row]
    assert np.bincount(labels)[[2, 3]].tolist() == [24, 24]


def test_every_hard_photo_is_in_every_epoch() -> None:
    for mix in ({0: 1.0}, {100: 1.0}):
        plan = _plan(mix)
        assert set(ROWS) <= set(plan.row[plan.level == 100])


def test_a_mix_is_met_to_the_image() -> None:
    plan = _plan({0: 0.25, 50: 0.75})
    synthetic = {level: int((plan.level == level).sum()) for level in (0, 50)}
    # 18 of class 2 (24 less its 6 photos) and 22 of class 3; a quarter of each is 4.5 and 5.5, and
    # halves go to the lower level
    assert synthetic == {0: 5 + 6, 50: 13 + 16}


def test_synthetic_images_belong_to_the_class_they_fill() -> None:
    plan = _plan({50: 1.0})
    made = plan.level == 50
    assert np.array_equal(IMAGES[50].row[plan.position[made]], plan.row[made])
    assert (plan.position[~made] == -1).all()


def test_rebalanced_photos_have_the_same_class_shares_as_synthesis() -> None:
    synthetic, real = _plan({50: 1.0}), _plan({100: 1.0})
    assert np.array_equal(np.bincount(LABELS[synthetic.row])[2:], np.bincount(LABELS[real.row])[2:])
    assert (real.level == 100).all()


def test_without_rebalancing_the_photos_come_as_they_are() -> None:
    plan = _plan({100: 1.0}, Targets(98, 0.5, 50), rebalanced=False)
    assert np.array_equal(np.sort(plan.row), np.arange(98))


def test_no_image_is_used_more_often_than_allowed() -> None:
    plan = _plan({100: 1.0}, Targets(96, 0.5, 3))
    hard = np.isin(plan.row, ROWS)
    assert np.bincount(plan.row[hard]).max() <= 3
    assert len(plan) == 96


def test_a_level_without_an_image_of_a_class_falls_back_to_its_photos() -> None:
    only_class_two = _four_of_each(ROWS[LABELS[ROWS] == 2])
    plan = _plan({50: 1.0}, images={50: only_class_two})
    assert (plan.level[LABELS[plan.row] == 3] == 100).all()
    assert np.bincount(LABELS[plan.row])[3] == 24


def test_photos_set_aside_for_a_probe_are_never_trained_on() -> None:
    aside = probe_rows(VIEW, 0.3, np.random.default_rng(1))
    assert set(LABELS[aside]) == {2, 3}
    plan = _plan({50: 1.0}, view=SamplerView(LABELS, VIEW.hard, frozenset(aside.tolist())))
    assert not set(plan.row) & set(aside)


def test_the_same_chance_gives_the_same_epoch() -> None:
    first, again = _plan({0: 0.5, 50: 0.5}), _plan({0: 0.5, 50: 0.5})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_dataset_without_hard_classes_is_sampled_naturally() -> None:
    easy = SamplerView(LABELS, np.bincount(LABELS)[LABELS] < 1)
    assert len(_plan({100: 1.0}, view=easy)) == 96


@pytest.mark.parametrize("images", [1, 2, 3])
def test_a_tiny_epoch_still_works(images: int) -> None:
    assert len(_plan({0: 1.0}, Targets(images, 0.9, 1))) == images


def test_without_originals_the_mix_alone_says_which_hard_photos_are_seen() -> None:
    targets = Targets(images=96, tail_share=0.5, max_repeats=50, keep_hard_real=False)
    synthetic, photos = _plan({50: 1.0}, targets), _plan({100: 1.0}, targets)
    assert not set(ROWS) & set(synthetic.row[synthetic.level == 100])
    assert int((synthetic.level == 50).sum()) == 48  # the whole tail share
    assert set(ROWS) <= set(photos.row)


def test_without_easy_photos_an_epoch_holds_hard_ones_alone() -> None:
    for mix in ({50: 1.0}, {100: 1.0}):
        plan = _plan(mix, Targets(images=96, tail_share=0.5, max_repeats=50, include_easy=False))
        assert len(plan) == 96
        assert set(plan.row) <= set(ROWS)
        assert np.bincount(LABELS[plan.row]).tolist() == [0, 0, 48, 48]
    # 8 photos and 32 images, once each, are all that a cap of 1 allows; the photos make up the
    # number of steps
    capped = _plan({50: 1.0}, Targets(images=96, tail_share=0.5, max_repeats=1, include_easy=False))
    assert (len(capped), set(capped.row) <= set(ROWS)) == (96, True)


# ---------------------------------------------------------------- single hard photos

SCATTERED = SamplerView(
    LABELS, np.isin(np.arange(len(LABELS)), [0, 1, 2, 60, 61, 90, 91, 92, 96, 97])
)  # 3 of 60, 2 of 30, 3 of 6, 2 of 2


def test_counted_by_classes_the_tail_rule_gives_what_it_always_gave() -> None:
    assert tail_shares(VIEW, 4, "classes", "classes", 3.0) == 2 / 4
    assert tail_shares(VIEW, 4, 0.3, "classes", 3.0) == 0.3


def test_counted_by_classes_a_class_weighs_as_the_share_of_it_that_is_hard() -> None:
    shares = tail_shares(SCATTERED, 4, "classes", "classes", 3.0)
    assert shares == pytest.approx({0: 0.05 / 4, 1: (1 / 15) / 4, 2: 0.5 / 4, 3: 1 / 4})


def test_counted_by_photos_the_tail_is_the_hard_photos_and_so_many_images_of_each() -> None:
    shares = tail_shares(SCATTERED, 4, "photos", "photos", 3.0)
    assert shares == pytest.approx(
        {label: 4 * hard / (88 + 40) for label, hard in enumerate((3, 2, 3, 2))}
    )
    assert tail_shares(VIEW, 4, "photos", "classes", 0.0) == 8 / 98


@pytest.mark.parametrize(
    ("share", "by"),
    [("photos", "photos"), ("classes", "classes"), (0.4, "photos"), (0.4, "classes")],
)
def test_scattered_hard_photos_get_their_shares_and_real_photos_the_same(
    share: float | str, by: str
) -> None:
    rows = np.flatnonzero(SCATTERED.hard)
    images = {50: _four_of_each(rows)}
    shares = tail_shares(SCATTERED, 4, share, by, 3.0)
    assert not isinstance(shares, float)
    targets = Targets(1280, shares, 1000)
    synthetic, real = (_plan(mix, targets, SCATTERED, images) for mix in ({50: 1.0}, {100: 1.0}))
    for label, wanted in shares.items():
        mine = [
            int((LABELS[plan.row] == label)[SCATTERED.hard[plan.row]].sum())
            for plan in (synthetic, real)
        ]
        assert mine[0] == mine[1]
        assert abs(mine[0] - 1280 * wanted) < 1
    assert set(rows) <= set(synthetic.row[synthetic.level == 100])
    assert set(np.flatnonzero(~SCATTERED.hard)) <= set(
        synthetic.row
    )  # every other photo too: there is room


def test_a_probe_of_thousands_of_hard_photos_takes_its_share_of_every_class() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(182, 120_000, p=np.arange(1, 183) / np.arange(1, 183).sum())
    tail = SamplerView(labels, rng.random(120_000) < 0.07)
    aside = probe_rows(tail, 0.2, np.random.default_rng(0))
    hard, held = (
        np.bincount(labels[tail.hard], minlength=182),
        np.bincount(labels[aside], minlength=182),
    )
    assert 1500 < len(aside) < 2000
    assert tail.hard[aside].all()
    assert (np.abs(held - 0.2 * hard)[hard > 1] <= 0.9).all()

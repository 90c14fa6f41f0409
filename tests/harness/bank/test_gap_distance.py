from typing import Any

import numpy as np
import pytest

from discl.harness.bank.quality.distance import Distance, class_distance, mean_distance

EAST, NORTH = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


def test_the_distance_of_equal_pictures_is_zero_and_of_others_what_the_kernel_says() -> None:
    same = class_distance(np.stack([EAST] * 3), np.arange(3), np.stack([EAST] * 3))
    other = class_distance(np.stack([EAST] * 3), np.arange(3), np.stack([NORTH] * 3))
    assert same == pytest.approx((0, 0))
    assert other == pytest.approx((8 + 8 - 2, 0))  # (1 + 1)^3, (1 + 0)^3


def test_images_of_one_photo_are_no_pair() -> None:
    found = class_distance(
        np.stack([EAST, EAST, NORTH]), np.array([4, 4, 7]), np.stack([EAST, EAST])
    )
    # pairs of images: 1; of photos: 8; across: (8 + 8 + 1) / 3
    assert found is not None
    assert found.value == pytest.approx(1 + 8 - 2 * 17 / 3)
    assert found.error is None
    assert class_distance(np.stack([EAST, EAST]), np.array([4, 4]), np.stack([EAST] * 2)) is None


def test_the_standard_error_is_what_repetitions_show() -> None:
    rng = np.random.default_rng(0)

    def drawn(count: int, shift: float) -> Any:
        angles = rng.normal(shift, 0.5, count)
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    found = [class_distance(drawn(30, 0.4), np.arange(30), drawn(40, 0.0)) for _ in range(200)]
    values = [each.value for each in found if each]
    errors = [each.error for each in found if each and each.error]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


def test_the_mean_over_classes_has_an_error_only_where_all_have_one() -> None:
    assert mean_distance([Distance(1.0, 0.3), Distance(3.0, 0.4)]) == Distance(2.0, 0.25)
    assert mean_distance([Distance(1.0, 0.3), Distance(3.0, None)]) == Distance(2.0, None)
    assert mean_distance([]) is None

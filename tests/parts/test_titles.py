"""Titles of benchmarks say the imbalance of the photos that are there."""

import re

import numpy as np
import pytest

from discl.config.benchmark import Benchmark
from discl.config.load import available, load, scales
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.cifar10_lt import Cifar10LT


def _counts(bench: Benchmark) -> list[int]:
    """Training photos of each class."""
    parameters = {key: value for key, value in bench.dataset.items() if key != "name"}
    if bench.dataset["name"] == "cifar10_lt":
        train = Cifar10LT(**parameters).split("train")
        return np.bincount(train.labels).tolist()  # type: ignore[no-any-return]
    # CIFAR-100 has 500 training photos a class, and val takes its own before the tail is cut
    largest, smallest = parameters.get("largest", 500), parameters.get("smallest", 5)
    left = 500 - parameters.get("val", 20)
    return [min(left, count) for count in long_tail(largest, smallest, 100)]


STATED = [
    (name, scale, match.group(1))
    for name in available()
    for scale in scales(name)
    if (match := re.search(r"imbalance ([\d.]+)", load(name, scale).title))
]


def test_all_of_the_fields_imbalances_state_theirs() -> None:
    stated = {(name, value) for name, scale, value in STATED if scale == "paper"}
    assert stated == {
        ("cifar10_lt_ir100", "95"),
        ("cifar10_lt_ir50", "47.5"),
        ("cifar10_lt_ir10", "9.5"),
        ("cifar100_lt_ir50", "48"),
        ("cifar100_lt_ir10", "9.6"),
    }


@pytest.mark.parametrize(("name", "scale", "stated"), STATED)
def test_a_title_states_the_imbalance_as_counted(name: str, scale: str, stated: str) -> None:
    counts = _counts(load(name, scale))
    assert stated == f"{max(counts) / min(counts):g}"

"""Splits of corrupted photos that had names of CIFAR-10-C in 0.1, and their names in 0.2.

The ids in records (which photos a table was tested on, which predictions a result was computed
from) are still hashed under the words of 0.1: another word would be another id for the same photos.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CORRUPTIONS = {  # 0.1 -> 0.2; CIFAR-10-C has other corruptions and severities under the first
    "gaussian_noise": "sensor_noise",
    "shot_noise": "photon_noise",
    "motion_blur": "smear",
    "fog": "haze",
    "jpeg": "low_quality",
}
SPLITS = {
    f"ood/{old}-{severity}": f"ood/{new}-{severity}"
    for old, new in CORRUPTIONS.items()
    for severity in (1, 3)
}
_OLD = {new: old for old, new in SPLITS.items()}


def word_of_0_1(corruption: str) -> str:
    """The name a corruption had in 0.1."""
    return next((old for old, new in CORRUPTIONS.items() if new == corruption), corruption)


def are_old(splits: Iterable[str]) -> bool:
    """Whether splits are those of 0.1: a dataset with all ten names can be no other."""
    return SPLITS.keys() <= set(splits)


def renamed(records: Mapping[str, Any]) -> dict[str, Any]:
    """Values by `<split>` or `<split>/<what>`, under the names of 0.2."""
    return {_with(SPLITS, name): value for name, value in records.items()}


def as_hashed(records: Mapping[str, Any]) -> dict[str, Any]:
    """Values by `<split>` or `<split>/<what>`, under the names that ids are made from."""
    if not set(_OLD) <= {_split_of(name) for name in records}:
        return dict(records)
    return {_with(_OLD, name): value for name, value in records.items()}


def splits_of(records: Iterable[str]) -> set[str]:
    """The splits below ood/ of names `<split>` or `<split>/<what>`."""
    return {_split_of(name) for name in records}


def _split_of(name: str) -> str:
    return "/".join(name.split("/")[:2])


def _with(names: Mapping[str, str], name: str) -> str:
    split = _split_of(name)
    return names.get(split, split) + name[len(split) :]

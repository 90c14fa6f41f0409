"""Words of version 0.1 that were renamed in 0.2; each is refused with the new one named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from discl.core.errors import UserError
from discl.core.renamed_splits import SPLITS

KEYS = {  # dotted path in 0.1 -> in 0.2
    "train.shift": "train.random_translate",
    "train.mirror": "train.hflip",
    "train.clip": "train.grad_clip",
    "sampling.originals": "sampling.keep_hard_real",
    "sampling.easy": "sampling.include_easy",
    "sampling.amount": "sampling.synthetic_per_real",
    "sampling.shares": "sampling.tail_weighting",
    "metrics.also": "metrics.extra",
    "metrics.least_group": "metrics.min_group_size",
    "select.wise": "select.wise_ft_alphas",
    "hard.rule": "hard_rule.name",
    "hard.below": "hard_rule.max_class_images",
    "hard.fraction": "hard_rule.fraction",
    "hard.threshold": "hard_rule.threshold",
    "hard.folds": "hard_rule.folds",
    "hard.epochs": "hard_rule.epochs",
    "hard.seed": "hard_rule.seed",
    "hard.exclude": "hard_rule.exclude",
    "hard": "hard_rule",
}


def check_split(name: str) -> None:
    """Raises UserError where a split of corrupted photos, or a metric of one, is one of 0.1."""
    split = "/".join(name.split("/")[:2])
    if split in SPLITS:
        raise UserError(
            f"{name} was renamed in 0.2; write {SPLITS[split]}{name[len(split) :]} (it is not the"
            " corruption that CIFAR-10-C calls so)"
        )


def check_path(path: str) -> None:
    """Raises UserError where a dotted path is one of 0.1."""
    if path in KEYS:
        raise UserError(f"{path} was renamed in 0.2; write {KEYS[path]}")


def check_setting(path: str, value: Any) -> None:
    """Raises UserError where a path, or a key of the table it is set to, is one of 0.1."""
    check_path(path)
    if isinstance(value, Mapping):
        for key in value:
            check_path(f"{path}.{key}")


def check_tree(tree: Mapping[str, Any], where: str) -> None:
    """Raises UserError where the tables of a file, or those of its scales, have a key of 0.1.

    `where` is the file, as a message names it.
    """
    scales = tree.get("scale", {})
    tables = [tree, *(scales.values() if isinstance(scales, Mapping) else [])]
    for table in tables:
        if isinstance(table, Mapping):
            _check_table(table, where)


def _check_table(table: Mapping[str, Any], where: str) -> None:
    for path in _paths(table):
        if path not in KEYS:
            continue
        section, _, key = path.rpartition(".")
        new_section, _, new_key = KEYS[path].rpartition(".")
        old = f"[{section}] {key}" if section else f"[{key}]"
        new = new_key if section == new_section else f"[{new_section}] {new_key}"
        new = new if section else f"[{KEYS[path]}]"
        raise UserError(f"{where}: {old} was renamed in 0.2; write {new}")


def _paths(table: Mapping[str, Any]) -> Iterator[str]:
    """Dotted paths of a table, two levels deep; the inner ones first."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in value)
        yield key

"""Sweep files with anything in them: they expand, or are refused in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.config.sweep_expand import expand, space_of, strategies
from discl.config.sweep_load import load
from discl.core import search_path
from discl.core.errors import UserError
from tests.faults.hostile import VALUES, as_toml, damaged_texts, damaged_trees
from tests.properties import examples

GRID = """
title = "A grid"
benchmark = "cifar10_lt"
strategies = ["static", "real_only"]
seeds = [0, 1]
[set]
"train.epochs" = 4
"train.curriculum_epochs" = 3
[grid]
"train.lr" = [0.001, 0.002]
"loss.name" = ["ce", "logit_adjusted"]
[[include]]
"train.lr" = 0.003
[[exclude]]
"train.lr" = 0.001
"loss.name" = "ce"
"""
SPACE = """
benchmark = "cifar10_lt"
strategies = ["static"]
[space."train.lr"]
type = "float"
low = 1e-4
high = 3e-2
log = true
[space."strategy.static.start"]
type = "categorical"
choices = [0, 30, 50]
[tune]
trials = 5
objective = ["val/macro_acc"]
ladder = [{ trials = 3, set = { "train.epochs" = 4, "train.curriculum_epochs" = 3 } }]
"""
ORDER = """
benchmark = "cifar10_lt"
[order]
orders = 4
metrics = ["test/acc"]
"""
LONGEST = 4000  # characters of a sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("fuzz")
    (root / "sweeps").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


def _refusal(folder: Path, text: str) -> str:
    """Why a sweep file is refused; "" where it is not, with what it stands for."""
    (folder / "sweeps" / "fuzzed.toml").write_text(text, "utf-8")
    try:
        sweep = load("fuzzed")
        if sweep.space:
            for strategy in strategies(sweep):
                space_of(sweep, strategy)
        elif not sweep.order:
            for point in expand(sweep):
                point.experiment.id()
    except UserError as error:
        return str(error)
    return ""


@given(data=st.data(), file=st.sampled_from((GRID, SPACE, ORDER)))
@examples(100)
def test_sweep_files_expand_or_are_refused(folder: Path, file: str, data: st.DataObject) -> None:
    text = data.draw(damaged_trees(tomllib.loads(file), VALUES).map(as_toml) | damaged_texts(file))
    assert len(_refusal(folder, text)) < LONGEST


def test_the_files_that_are_damaged_here_are_sound(folder: Path) -> None:
    for file in (GRID, SPACE, ORDER):
        assert not _refusal(folder, file)
        assert not _refusal(folder, as_toml(tomllib.loads(file)))
    assert search_path.files("sweeps")["fuzzed"].parent == folder / "sweeps"

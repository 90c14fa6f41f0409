"""Corrections: how a result from before one is told, and which of its numbers are old."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discl.core.result import Result
from discl.harness.leaderboard import corrections
from discl.harness.leaderboard.corrections import (
    ABSENT,
    Correction,
    Mark,
    MetricBefore,
    PartBefore,
    SettingIs,
    SettingRecorded,
)

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "corrections.md"
STORED = sorted((ROOT / "leaderboards" / "results").glob("*/*/*.json"))
IDENTITY: dict[str, Any] = {
    "loss": {"name": "ldam", "version": 1, "parameters": {}},
    "images": {"generator": {"name": "img2img", "version": 2}},
    "train": {"schedule": "step", "epochs": 30},
}


def test_page_and_table_name_the_same_corrections() -> None:
    on_the_page = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    in_code = [correction.name for correction in corrections.CORRECTIONS]
    assert sorted(on_the_page) == sorted(in_code)
    assert len(set(in_code)) == len(in_code)


@pytest.mark.parametrize(
    ("mark", "touched"),
    [
        (PartBefore("loss", 2, "ldam"), True),
        (PartBefore("loss", 2, "ce"), False),
        (PartBefore("loss", 1, "ldam"), False),
        (PartBefore("images.generator", 3), True),
        (PartBefore("images.scorer", 3), False),
        (MetricBefore("few_acc", 2), True),
        (MetricBefore("few_acc", 1), False),
        (SettingIs("train.schedule", ("step", "multistep")), True),
        (SettingIs("train.schedule", ("poly",)), False),
        (SettingIs("train.ema", (ABSENT,)), True),
        (SettingRecorded("train.epochs"), True),
        (SettingRecorded("train.ema"), False),
    ],
)
def test_a_mark_tells_a_run_from_before(mark: Mark, touched: bool) -> None:
    correction = Correction("one", "it was wrong", (mark,))
    assert correction.touches(IDENTITY) == touched
    assert corrections.corrections_of(IDENTITY, [correction]) == [correction] * touched


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ({}, True),
        ({"images": {"threshold": -1.0}}, False),  # every image is there
        ({"probe": 2}, False),
        ({"strategy": {"name": "static", "version": 1}}, False),
    ],
)
def test_a_probe_is_old_only_where_a_threshold_may_have_left_gaps(
    changed: dict[str, Any], touched: bool
) -> None:
    plain = {"strategy": {"name": "adaptive", "version": 1}, "images": {"threshold": 0.25}}
    found = [correction.name for correction in corrections.corrections_of(plain | changed)]
    assert ("probe-photos" in found) == touched


def test_all_marks_must_be_there_and_without_any_nothing_is_touched() -> None:
    here = SettingIs("train.schedule", ("step",))
    elsewhere = SettingIs("train.schedule", ("poly",))
    assert not Correction("both", "it was wrong", (here, elsewhere)).touches(IDENTITY)
    assert not Correction("shown", "it was said wrongly").touches(IDENTITY)


def test_only_the_metrics_of_a_correction_are_old() -> None:
    result = Result.read(STORED[0])
    mark = PartBefore("loss", 2, "ce")
    some = Correction("some", "it was wrong", (mark,), ("*/adjusted_*",))
    every = Correction("every", "it was wrong", (mark,))
    old = corrections.old_metrics(result, [some])
    assert set(old) == {name for name in result.metrics if "/adjusted_" in name}
    old = corrections.old_metrics(result, [some, every])
    assert set(old) == set(result.metrics)
    adjusted = next(name for name in old if name.endswith("/adjusted_macro_acc"))
    assert old[adjusted] == ["some", "every"]
    newer = replace(result, identity={**result.identity, "loss": {"name": "ce", "version": 2}})
    assert corrections.old_metrics(newer, [some, every]) == {}


def test_a_run_and_its_repetition_are_equal_without_the_marks() -> None:
    repeated = {**IDENTITY, "loss": {**IDENTITY["loss"], "version": 2}}
    correction = Correction("one", "it was wrong", (PartBefore("loss", 2, "ldam"),))
    plain = corrections.without_marks(IDENTITY, [correction])
    assert plain == corrections.without_marks(repeated, [correction])
    assert plain["loss"] == {"name": "ldam", "parameters": {}}
    named = Correction("two", "it was wrong", (SettingIs("train.ema", (ABSENT,)),))
    with_ema = {**IDENTITY, "train": {**IDENTITY["train"], "ema": 0.9}}
    assert corrections.without_marks(with_ema, [named]) == IDENTITY

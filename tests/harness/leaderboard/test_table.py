"""The golden board: stored results and the table they must give.

A change of the table is a reviewed diff.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.cli.render.boards import print_board
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.registry import find
from discl.core.result import Result
from discl.engine.evaluation.confusion import count, pack
from discl.harness.leaderboard.formats import as_json, as_latex, as_markdown
from discl.harness.leaderboard.publish import stale
from discl.harness.leaderboard.stored import seeds_in_common, with_runs
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.wording import header, lines
from discl.harness.report.headline import headline

GOLDEN = Path(__file__).parents[2] / "golden"
SPEC = load(
    "cifar10_lt",
    settings=[
        "generator.name=blend",
        "seeds=[0,1,2]",
        "strategies=['static','real_only','real_rebalanced','reverse']",
    ],
)
VALUES = {
    "static": [(0.40, 0.20), (0.42, 0.24), (0.41, 0.22)],
    "real_only": [(0.35, 0.04), (0.36, 0.05), (0.34, 0.03)],
    "real_rebalanced": [(0.36, 0.10), (0.39, 0.13), (0.36, 0.10)],
    "reverse": [(0.50, 0.30), (0.52, 0.33)],
}


def _metrics(overall: float, few: float) -> dict[str, float]:
    return {
        "test/macro_acc": overall,
        "test/few_acc": few,
        "test/many_acc": 0.7,
        "test/medium_acc": 0.25,
        "test/worst_class_acc": 0.0,
        "ood/fog-1/macro_acc": overall - 0.1,
        "ood/macro_acc": overall - 0.1,
        "test/adjusted_macro_acc": overall,
    }


def _result(strategy: str, seed: int, overall: float, few: float) -> Result:
    """A run with these numbers at its last epoch; val chose one at which the few are the better,
    the worse they end.
    """
    return Result(
        id=f"{strategy}{seed}",
        attempt=0,
        name=f"golden-{strategy}-s{seed}",
        benchmark="cifar10_lt",
        scale="smoke",
        strategy=strategy,
        seed=seed,
        identity={"select": {"metric": "val/macro_acc"}},
        comparability={
            "definitions": "d1",
            "comparison": "c1",
            "bank": None if strategy.startswith("real") else "b1",
        },
        metrics=_metrics(overall - 0.02, 0.36 - few),
        class_recalls=[],
        classes=[],
        counts=[],
        chosen_epoch=3,
        seen={100: 10},
        cost={"steps": 10, "seconds": 30.0, "images_generated": 0},
        provenance={"processor": "golden", "device": "cpu", "threads": 1},
        last={"epoch": 29, "metrics": _metrics(overall, few)},
    )


RESULTS = [
    _result(name, seed, *pair) for name, pairs in VALUES.items() for seed, pair in enumerate(pairs)
]


def test_the_golden_board() -> None:
    made = board(SPEC, RESULTS)
    assert as_markdown(made) == (GOLDEN / "board.md").read_text("utf-8")
    golden = _leaves(json.loads((GOLDEN / "board.json").read_text("utf-8")))
    shown = _leaves(json.loads(as_json(made)))
    assert shown.keys() == golden.keys()
    for path, value in golden.items():
        # last digits depend on the processor: on its matrix products in a bootstrap's error, on its
        # exponentials in the quantile of an interval of differences
        close = pytest.approx(value, rel=1e-9, abs=0) if isinstance(value, float) else value
        assert shown[path] == close, path


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """The plain values of a nested one, by path."""
    if not isinstance(value, dict | list):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    leaves = {path: type(value).__name__}  # an empty list is not an absent one
    for key, below in items:
        leaves |= _leaves(below, f"{path}/{key}")
    return leaves


def test_fewer_seeds_than_declared_are_shown_but_not_ranked() -> None:
    assert [row.strategy for row in board(SPEC, RESULTS).rows] == [
        "static",
        "real_rebalanced",
        "real_only",
        "reverse",
    ]
    assert not board(SPEC, RESULTS).rows[-1].complete


@pytest.mark.parametrize("key", ["definitions", "comparison", "bank"])
def test_results_that_do_not_compare_are_refused(key: str) -> None:
    stranger = replace(RESULTS[0], comparability={**RESULTS[0].comparability, key: "other"})
    with pytest.raises(UserError, match=f"{key} is .* for golden-static"):
        board(SPEC, [*RESULTS[1:], stranger])


def test_an_empty_board_says_how_to_fill_it() -> None:
    with pytest.raises(UserError, match="discl bench cifar10_lt"):
        board(SPEC, [])


def _with_groups(
    strategy: str, metrics: dict[str, float], identity: dict[str, Any] | None = None
) -> Result:
    """A result of a benchmark that chooses by F1, with cameras, photos from other cameras and
    photos from nowhere near.
    """
    base = {
        "val/macro_f1": 0.5,
        "id_test/macro_f1": 0.4,
        "id_test/worst_class_acc": 0.0,
        "id_test/worst_group_acc": 0.25,
        "id_test/worst_group_macro_f1": 0.2,
        "id_test/groups_scored": 17.0,
        "id_test/smallest_group": 21.0,
        "ood/cameras/macro_f1": 0.3,
        "ood/macro_f1": 0.3,
        "ood/cameras/worst_group_macro_f1": 0.1,
        "ood/worst_group_macro_f1": 0.1,
        "ood/cameras/groups_scored": 5.0,
        "ood/cameras/smallest_group": 30.0,
        "id_test/adjusted_macro_f1": 0.45,
    }
    settings = {
        "select": {"metric": "val/macro_f1"},
        "backbone": {"parameters": {}},
        **(identity or {}),
    }
    run = replace(_result(strategy, 0, 0.4, 0.1), identity=settings, last={})
    return replace(run, metrics={**base, **metrics})


ONE_SEED = SPEC.model_copy(update={"seeds": [0]})


def test_columns_follow_what_chose_the_epoch_and_what_there_is() -> None:
    few = {"id_test/medium_acc": 0.4, "id_test/few_acc": 0.1}
    made = board(
        ONE_SEED,
        [
            _with_groups("static", few),
            _with_groups("real_only", {**few, "id_test/macro_f1": 0.3, "ood/macro_f1": 0.25}),
        ],
    )
    deltas = ["Δ all to real_only", "Δ few to real_only", "Δ ood to real_only"]
    titles = ["all", "medium", "few", "worst group", "ood", "worst group, ood", "all, adjusted"]
    assert header(made) == ["place", "strategy", "n", *titles, *deltas]
    assert lines(made) == [
        [
            "1-2",
            "static",
            "1",
            "40.0",
            "40.0",
            "10.0",
            "20.0",
            "30.0",
            "10.0",
            "45.0",
            "+10.0",
            "+0.0",
            "+5.0",
        ],
        [
            "1-2",
            "real_only",
            "1",
            "30.0",
            "40.0",
            "10.0",
            "20.0",
            "25.0",
            "10.0",
            "45.0",
            "-",
            "-",
            "-",
        ],
    ]
    assert (
        made.caption
        == "`all` is macro-F1 on id_test; medium and few are classes with 20 to 100 and fewer than"
        " 20 real training photos; `worst group` is the lowest macro-F1 of a group of at least"
        " 20 photos: 17 of them, the smallest of 21; `ood` is macro-F1 on ood/cameras; `worst"
        " group, ood` is the same on ood/cameras: 5 of them, the smallest of 30; `adjusted` adds"
        " post-hoc logit adjustment to the same predictions."
    )
    assert made.caption in as_markdown(made)
    assert (
        json.loads(as_json(made))["rows"][0]["metrics"]["ood/worst_group_macro_f1"]["mean"] == 0.1
    )


def test_the_caption_says_which_photos_are_in_no_worst_group() -> None:
    run = _with_groups("static", {"id_test/groups_scored": 1.0, "id_test/smallest_group": 45.0})
    metrics = {key: run.metrics[key] for key in run.metrics if not key.startswith("ood/cameras/")}
    night = {**metrics, "ood/unseen/macro_f1": 0.2}
    caption = board(ONE_SEED, [replace(run, metrics=night)]).caption
    assert (
        "of a group of at least 20 photos: there is 1, of 45 photos, and so no choice; ood/unseen"
        " is in no worst group: photos are of one group, or of none;" in caption
    )


def test_a_benchmark_without_a_tail_shows_the_difference_elsewhere() -> None:
    plain = {"select": {"metric": "val/acc"}}
    metrics = {"test/acc": 0.5, "ood/sketch/acc": 0.25, "ood/night/acc": 0.35, "ood/acc": 0.3}
    results = [
        replace(_with_groups(name, {}, plain), metrics=metrics) for name in ("static", "real_only")
    ]
    made = board(ONE_SEED, results)
    assert header(made) == [
        "place",
        "strategy",
        "n",
        "all",
        "ood",
        "Δ all to real_only",
        "Δ ood to real_only",
    ]
    assert (
        made.caption
        == "`all` is accuracy on test; `ood` is the plain mean of accuracy over ood/night and"
        " ood/sketch."
    )


def test_a_tail_metric_that_chooses_comes_first_and_ranks() -> None:
    identity = {"select": {"metric": "val/few_acc"}, "metrics": {"shots": "ldmlr"}}
    values = {"test/few_acc": 0.1, "test/macro_acc": 0.5, "test/many_acc": 0.7}
    results = [replace(_with_groups("static", {}, identity), metrics=values)]
    results += [
        replace(
            _with_groups("reverse", {}, identity),
            metrics={**values, "test/few_acc": 0.2, "test/macro_acc": 0.4},
        )
    ]
    made = board(ONE_SEED, results)
    assert header(made) == ["place", "strategy", "n", "few", "all", "many"]
    assert [row.strategy for row in made.rows] == ["reverse", "static"]
    assert (
        "many and few are classes with more than 99 and fewer than 20 real training photos, pooled"
        " over their photos" in made.caption
    )


def test_the_caption_says_that_features_are_frozen_and_what_wise_is() -> None:
    frozen = {"backbone": {"parameters": {"frozen": True}}}
    made = board(
        ONE_SEED,
        [_with_groups("static", {"id_test/wise_macro_f1": 0.5, "ood/wise_macro_f1": 0.4}, frozen)],
    )
    assert header(made)[-2:] == ["all, wise", "ood, wise"]
    assert "`wise` mixes the trained weights" in made.caption
    assert made.caption.endswith(" Frozen features: heads only.")
    usual = board(ONE_SEED, [_with_groups("static", {})]).caption
    assert "wise" not in usual
    assert "Frozen" not in usual


def test_the_terminal_shows_the_whole_table_and_what_it_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    extra = [
        f"id_test/{name}" for name in ("many_acc", "medium_acc", "few_acc", "wise_macro_f1")
    ] + ["ood/wise_macro_f1"]
    names = ("static", "real_only", "real_rebalanced")
    every = [
        replace(_with_groups(name, dict.fromkeys(extra, 0.2 * seed + 0.1)), seed=seed)
        for name in names
        for seed in range(3)
    ]
    print_board(board(SPEC, every))
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count("30.0 ± 49.7") == 15
    assert "`all` is macro-F1 on id_test" in shown


def test_a_result_without_a_test_split_cannot_be_shown() -> None:
    stranger = replace(_with_groups("static", {}), metrics={"val/macro_f1": 0.5})
    with pytest.raises(UserError, match="neither a test nor an id_test split among val"):
        board(ONE_SEED, [stranger])


def test_the_committed_pages_are_current() -> None:
    assert stale(Path(__file__).parents[3] / "leaderboards") == []


def test_where_lower_is_better_the_lowest_mean_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find("metrics", "macro_acc"), "better", "lower")
    made = board(SPEC, RESULTS)
    assert made.lower_is_better == {"test/macro_acc", "ood/macro_acc", "test/adjusted_macro_acc"}
    ranked = [row.strategy for row in made.rows if row.complete]
    assert ranked == ["real_only", "real_rebalanced", "static"]
    assert [row.places for row in made.rows if row.strategy == "static"] == [(2, 3)]
    (static,) = (row for row in made.rows if row.strategy == "static")
    difference = static.differences["real_only"][made.first]
    assert difference.mean.mean == pytest.approx(0.06)  # as the values are
    assert difference.improvement == 0  # and no run is better
    assert static.differences["real_only"]["test/few_acc"].improvement == 1
    (best,) = [line for line in as_latex(made).splitlines() if r"& real\_only &" in line]
    assert r"\textbf{35.0" in best


# python -m tests.harness.leaderboard.test_table: write the golden files anew, then review the diff
if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "board.md").write_text(as_markdown(board(SPEC, RESULTS)), "utf-8")
    (GOLDEN / "board.json").write_text(as_json(board(SPEC, RESULTS)), "utf-8")


def _runs_of(**seeds: range | list[int]) -> list[Result]:
    """Runs of some strategies at some seeds, whose numbers vary with the seed."""
    return [
        _result(name, seed, 0.4 + place / 10 + seed % 3 / 100, 0.2 + seed % 2 / 100)
        for place, (name, of_row) in enumerate(seeds.items())
        for seed in of_row
    ]


@pytest.mark.parametrize(
    ("of_rows", "seeds"),
    [
        ({"static": [*range(16), 41], "real_only": range(16), "reverse": range(16)}, range(16)),
        ({"static": range(10), "real_only": range(10), "reverse": range(3)}, range(10)),
        ({"static": range(10), "real_only": range(3)}, range(3)),
        ({"static": [0, 1], "real_only": [0]}, [0]),
        ({"static": [0, 1, 41], "real_only": [0, 1, 42]}, [0, 1]),
        ({"static": [0, 1], "real_only": [2, 3]}, range(4)),
        ({"static": [3, 5]}, [3, 5]),
    ],
)
def test_the_seeds_that_most_rows_share_are_compared(
    of_rows: dict[str, Any], seeds: range | list[int]
) -> None:
    assert seeds_in_common(_runs_of(**of_rows)) == [*seeds]


def test_a_stray_seed_is_left_out_and_named_and_changes_no_number() -> None:
    of_rows: dict[str, Any] = {name: range(4) for name in VALUES}
    plain = _runs_of(**of_rows)
    strays = _runs_of(**of_rows | {"static": [*range(4), 41]})
    spec = with_runs(SPEC, strays, every_strategy=True, every_seed=True)
    made = board(spec, strays)
    assert lines(made) == lines(board(SPEC.model_copy(update={"seeds": [*range(4)]}), plain))
    assert all(row.complete for row in made.rows)
    assert made.about[0].startswith("Left out: seed 41 has static only. ")
    assert headline(made, made.first, made.values(made.first)).base == "real_rebalanced"


def test_left_out_seeds_are_told_in_few_words() -> None:
    results = _runs_of(static=[*range(12), 20, 21, 30], real_only=range(3), reverse=[0, 1, 2, 30])
    made = board(with_runs(SPEC, results, every_strategy=True, every_seed=True), results)
    assert (
        "seeds 3 to 11, 20 and 21 have static only; seed 30 has reverse and static"
        in (made.about[0])
    )


def test_groups_with_few_test_photos_are_told_with_their_numbers() -> None:
    truth = np.repeat([0, 1, 2], [40, 20, 5])
    packed = {"test": {"": pack(count("test", "", None, truth, truth))}}
    results = [
        replace(result, counts=[300, 200, 4], confusion_counts=packed)
        for result in _runs_of(static=[0], real_only=[0])
    ]
    (told,) = (one for one in board(SPEC, results).about if "Small groups" in one)
    assert "many is 2 classes with 60 test photos; few is 1 class with 5 test photos (one" in told
    assert "moves it by about 20 points)" in told
    assert "medium" not in told

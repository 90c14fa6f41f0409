"""The golden board: stored results and the table they must give. A change of the table is a reviewed diff."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from discl.harness.board import as_json, as_markdown, board, stale
from discl.spec.benchmark import load
from discl.spec.errors import UserError
from discl.spec.result import Result

GOLDEN = Path(__file__).parents[1] / "golden"
SPEC = load("cifar10_lt", settings=["generator.name=blend", "seeds=[0,1,2]", "strategies=['static','real_only','real_rebalanced','reverse']"])
VALUES = {
    "static": [(0.40, 0.20), (0.42, 0.24), (0.41, 0.22)],
    "real_only": [(0.35, 0.04), (0.36, 0.05), (0.34, 0.03)],
    "real_rebalanced": [(0.36, 0.10), (0.39, 0.13), (0.36, 0.10)],
    "reverse": [(0.50, 0.30), (0.52, 0.33)],
}


def _result(strategy: str, seed: int, overall: float, few: float) -> Result:
    metrics = {
        "test/macro_acc": overall,
        "test/few_acc": few,
        "test/many_acc": 0.7,
        "ood/macro_acc": overall - 0.1,
        "test/adjusted_macro_acc": overall,
    }
    return Result(
        id=f"{strategy}{seed}",
        attempt=0,
        name=f"golden-{strategy}-s{seed}",
        benchmark="cifar10_lt",
        scale="smoke",
        strategy=strategy,
        seed=seed,
        identity={},
        passport={"definitions": "d1", "comparison": "c1", "bank": None if strategy.startswith("real") else "b1"},
        metrics=metrics,
        class_recalls=[],
        classes=[],
        counts=[],
        chosen_epoch=3,
        seen={100: 10},
        cost={"steps": 10, "seconds": 30.0, "images_generated": 0},
        provenance={"processor": "golden", "device": "cpu", "threads": 1},
    )


RESULTS = [_result(name, seed, *pair) for name, pairs in VALUES.items() for seed, pair in enumerate(pairs)]


def test_the_golden_board() -> None:
    made = board(SPEC, RESULTS)
    assert as_markdown(made) == (GOLDEN / "board.md").read_text("utf-8")
    assert json.loads(as_json(made)) == json.loads((GOLDEN / "board.json").read_text("utf-8"))


def test_fewer_seeds_than_declared_are_shown_but_not_ranked() -> None:
    assert [row.strategy for row in board(SPEC, RESULTS).rows] == ["static", "real_rebalanced", "real_only", "reverse"]
    assert not board(SPEC, RESULTS).rows[-1].complete


@pytest.mark.parametrize("key", ["definitions", "comparison", "bank"])
def test_results_that_do_not_compare_are_refused(key: str) -> None:
    stranger = replace(RESULTS[0], passport={**RESULTS[0].passport, key: "other"})
    with pytest.raises(UserError, match=f"{key} is .* for golden-static"):
        board(SPEC, [*RESULTS[1:], stranger])


def test_an_empty_board_says_how_to_fill_it() -> None:
    with pytest.raises(UserError, match="discl bench cifar10_lt"):
        board(SPEC, [])


def test_the_committed_pages_are_current() -> None:
    assert stale(Path(__file__).parents[2] / "leaderboards") == []


if __name__ == "__main__":  # python -m tests.harness.test_board: write the golden files anew, then review the diff
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "board.md").write_text(as_markdown(board(SPEC, RESULTS)), "utf-8")
    (GOLDEN / "board.json").write_text(as_json(board(SPEC, RESULTS)), "utf-8")

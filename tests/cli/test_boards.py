"""What is said below a board of few seeds."""

import numpy as np
import pytest

from discl.cli.render import bench
from discl.cli.render.boards import TOO_FEW, print_board
from discl.engine.evaluation.confusion import count, pack
from tests import results
from tests.reports import comparison_of

SEEDS = {"static": [30, 34, 33], "real_rebalanced": [20, 22, 25]}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_board_of_one_or_two_seeds_says_what_they_cannot(
    seeds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_board(comparison_of({name: rates[:seeds] for name, rates in SEEDS.items()}).board)
    told = " ".join(capsys.readouterr().out.split())
    assert [number for number, sentence in TOO_FEW.items() if sentence in told] == (
        [seeds] if seeds in TOO_FEW else []
    )
    assert "32.0 ± 25.4" in told or seeds != 2  # Student's t of one degree of freedom is 12.7


def test_what_so_few_seeds_leave_unsaid_stands_below_the_board(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates = {**SEEDS, "real_only": [1, 1, 1], "adaptive": [29, 33, 36]}
    print_board(comparison_of(rates).board)
    told = " ".join(capsys.readouterr().out.split())
    assert "No ± stands where a row's seeds are alike, or vary less than half as much" in told
    assert (
        "A * says that the interval excludes zero; no sign-flip p of 3 seeds can be below 0.25."
        in told
    )
    assert "one class" not in told


def test_runs_that_call_all_photos_one_class_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = np.repeat(np.arange(4), 5)
    counts = {"test": {"": pack(count("", "", None, truth, np.zeros_like(truth)))}}
    of_a_guess = {name: [25] * 3 for name in SEEDS}
    made = comparison_of(SEEDS, others=of_a_guess, confusion_counts=counts).board
    print_board(made)
    assert "one class: 6 of 6 runs on test." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("installed", [True, False])
def test_the_next_command_names_the_extra_that_it_lacks(
    installed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: name if installed else None)
    chosen = {"scale": "smoke", "strategies": None, "seeds": None, "settings": ()}
    bench.tell_end(results.spec(), [], 0, chosen)
    wanted = "" if installed else "pip install 'discl[report]', then "
    assert f"next: {wanted}discl report cifar10_lt" in capsys.readouterr().out

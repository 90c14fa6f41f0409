"""What is said below a board of few seeds."""

import pytest

from discl.cli.render.boards import TOO_FEW, print_board
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

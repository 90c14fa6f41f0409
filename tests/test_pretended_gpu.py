"""Generators, losses and recipes on a pretended GPU: what does not fit together, and the waits.

`python -m tests.pretended_gpu.table` counts the table of waits anew.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pretended_gpu import build, table
from tests.pretended_gpu.cases import CASES
from tests.shared import made_once

# one of each kind, and what is apart from the others
QUICK = (
    "pretend",
    "score",
    "generate sdxl, filled up",
    "train flyp",
    "train mixed",
    "train ce in float16",
)
SLOW = pytest.mark.slow(
    reason="each case computes operator by operator in Python; one of a kind is quick"
)
FURTHER = [name for name in CASES if name not in QUICK]
HALVES = ("float16", "bfloat16")


def _answers(factory: pytest.TempPathFactory, kind: str, names: list[str]) -> dict[str, Any]:
    """What the cases answer in a process of their own, which all workers share."""
    try:
        build.library()
    except build.CannotBuildError as error:
        pytest.skip(f"no GPU can be pretended here: {error}")
    folder = made_once(factory, kind, lambda folder: table.answers(folder, names))
    answers: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return answers


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _answers(tmp_path_factory, "a pretended GPU", list(QUICK))


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _answers(tmp_path_factory, "a pretended GPU at length", FURTHER)


def test_what_a_gpu_refuses_is_refused_and_what_it_waits_for_is_counted(
    quick: dict[str, Any],
) -> None:
    answer = quick["pretend"]
    assert not answer["error"], answer["error"]
    assert all(answer["refused"].values()), answer["refused"]
    assert all(answer["counted"].values()), answer["counted"]
    assert not any(answer["free"].values()), answer["free"]
    assert answer["before a wait"] == [False, True]


@pytest.mark.parametrize("name", QUICK)
def test_it_waits_as_the_table_says_and_computes_what_a_cpu_does(
    name: str, quick: dict[str, Any]
) -> None:
    _check(name, quick[name])


@SLOW
@pytest.mark.timeout(3_000)  # the first one waits for all of them
@pytest.mark.parametrize("name", FURTHER)
def test_so_does_every_other_case(name: str, further: dict[str, Any]) -> None:
    _check(name, further[name])


def _check(name: str, answer: dict[str, Any]) -> None:
    assert not answer["error"], answer["error"]
    if name in table.COUNTED:
        assert table.line(answer) == table.committed()[name]
    if "apart" in answer:  # of 255; in half precision another order of the same sums shows
        assert not answer["failed"]
        assert answer["apart"]["most"] <= 2 or name.endswith(HALVES)
        assert answer["apart"]["mean"] < 3
    if "losses" in answer:
        close = 2e-2 if name.endswith("float16") else 5e-2
        exact = name.endswith("float32")
        expected = pytest.approx(answer["on_cpu"], rel=1e-4 if exact else close)
        assert answer["losses"] == expected


def test_a_denoiser_is_called_without_a_wait_of_ours_and_a_step_is_made_without_one() -> None:
    committed = table.committed()
    assert set(committed) == set(table.COUNTED)
    for name, line in committed.items():
        waits = sum(line["ours"].values())
        if name.startswith("generate"):  # one for all pictures of a call
            assert waits == 1 <= line["denoiser_calls"], name
        if name.startswith("train"):
            assert waits == 0, name

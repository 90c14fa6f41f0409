import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from discl.config.experiment import experiments
from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.text import printable, visible
from discl.harness.leaderboard.formats import (
    FORMATS,
    as_csv,
    as_html,
    as_json,
    as_latex,
    as_markdown,
)
from discl.harness.leaderboard.paper_results import paper_results
from discl.harness.leaderboard.table import Board, board
from discl.harness.leaderboard.wording import percent, source_of_error
from tests import results

NASTY = '<script>alert("x")</script>|$_^~ \\ 🙂 \u202eשלום ' + "n" * 300
SPEC = results.spec('strategies=["static", "real_rebalanced", "real_only"]', "seeds=[0, 1, 2]")


@pytest.fixture(scope="module")
def made() -> Board:
    skills = {"static": 2.4, "real_rebalanced": 2.0, "real_only": 1.6}
    return board(SPEC, [results.result(each, skills[each.strategy]) for each in experiments(SPEC)])


def _called(name: str) -> Board:
    """A board with one strategy of a name nobody should choose."""
    spec = SPEC.model_copy(update={"strategies": [name], "seeds": [0]})
    result = results.result(experiments(SPEC)[0], strategy=name)
    return board(spec, [result])


def test_csv_holds_every_number_of_the_board(made: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    static = next(
        row
        for row in rows
        if row["strategy"] == "static"
        and row["metric"] == made.first
        and row["baseline"] == "real_only"
    )
    assert float(static["mean"]) == made.rows[0].metrics[made.first].mean.mean
    assert (
        float(static["difference"]) == made.rows[0].differences["real_only"][made.first].mean.mean
    )
    assert static["p"] == "0.25"
    assert {row["metric"] for row in rows} == set(made.columns)


def test_json_gives_each_run_its_comparability_key(made: Board) -> None:
    stored = json.loads(as_json(made))
    run = stored["rows"][0]["runs"][0]
    assert run["command"].startswith(
        "discl bench cifar10_lt --scale smoke --strategies static --seeds 0"
    )
    assert re.fullmatch(r"[0-9a-f]{64}", run["predictions"])
    assert stored["comparability"] == made.comparability
    assert stored["rows"][0]["metrics"][made.first]["test_se"] > 0
    assert stored["smallest_p"] == 0.25


def test_the_best_of_a_column_is_bold_in_latex(made: Board) -> None:
    text = as_latex(made)
    assert text.count(r"\\") == 2 + len(made.rows) - 1
    assert (
        rf"\textbf{{{percent(made.rows[0].metrics[made.first].mean)}}}".replace("±", r"$\pm$")
        in text
    )


def test_both_sources_of_error_are_named(made: Board) -> None:
    assert re.search(
        r"another seed moves a run by .* points .* another draw of as many test photos by",
        source_of_error(made),
    )
    assert source_of_error(made) in as_markdown(made)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def test_names_are_only_ever_words() -> None:
    shown = _called(NASTY)
    page = _Text()
    page.feed(as_html(shown))
    assert "script" not in page.tags
    assert any(visible(NASTY) in text for text in page.seen)
    assert "<script>" not in as_markdown(shown)
    line = next(line for line in as_markdown(shown).splitlines() if "🙂" in line)
    assert len(re.findall(r"(?<!\\)\|", line)) == 1 + len(shown.columns) + 3 + len(shown.other)
    assert r"\textbackslash{}" in as_latex(shown)
    assert json.loads(as_json(shown))["rows"][0]["strategy"] == NASTY
    assert next(csv.DictReader(io.StringIO(as_csv(shown))))["strategy"] == printable(NASTY)


def test_a_spreadsheet_computes_nothing() -> None:
    assert next(csv.DictReader(io.StringIO(as_csv(_called("=cmd|' /C calc'!A0")))))[
        "strategy"
    ].startswith("'=")


@pytest.mark.parametrize("form", FORMATS)
def test_one_seed_and_numbers_that_are_none_are_shown_as_missing(form: str) -> None:
    result = results.result(experiments(SPEC)[0])
    broken = replace(result, metrics={**result.metrics, "test/few_acc": float("nan")})
    shown = board(SPEC.model_copy(update={"strategies": ["static"], "seeds": [0]}), [broken])
    assert shown.rows[0].metrics["test/few_acc"].mean.n == 0
    text = FORMATS[form](shown)
    assert "nan" not in text.lower().replace("finance", "")
    assert "One seed tells nothing apart" in text or form in ("csv", "latex")


def test_partial_rows_are_shown_and_hold_no_place() -> None:
    all_of_them = [results.result(each) for each in experiments(SPEC)]
    partial: list[Result] = [
        one for one in all_of_them if (one.strategy, one.seed) != ("static", 2)
    ]
    shown = board(SPEC, partial)
    assert [(row.strategy, row.complete, row.places is None) for row in shown.rows][-1] == (
        "static",
        False,
        True,
    )


def test_a_baseline_of_ones_own_is_compared_with() -> None:
    shown = board(SPEC, [results.result(each) for each in experiments(SPEC)], ["static"])
    assert {base for row in shown.rows for base in row.differences} == {"static"}
    with pytest.raises(
        UserError, match="no baseline with a run called 'statik'; did you mean 'static'"
    ):
        board(SPEC, [results.result(experiments(SPEC)[0])], ["statik"])


def test_rows_of_papers_say_so() -> None:
    assert paper_results("cifar10_lt") == []  # nothing on its own data; other data on request
    (beside,) = paper_results("cifar10_lt", other_data=True)
    assert "on other data" in beside.warning
    (own,) = paper_results("imagenet_lt")
    assert own.warning == "published, not re-run"
    assert (
        "CE + DisCL, diverse to specific (static)",
        ["39.82", "56.78", "30.73", "23.64"],
    ) in own.rows
    assert paper_results("folder") == []

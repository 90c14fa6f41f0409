"""A leaderboard in words: numbers as text, the table's cells, and how to read them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from discl.core.conventions import other_rule
from discl.core.result import Result
from discl.core.text import counted, listed
from discl.engine.evaluation.confusion import unpack
from discl.harness.leaderboard.corrections import BEFORE
from discl.harness.leaderboard.statistics import SIGNIFICANT, Estimate, paired
from discl.harness.leaderboard.table import Board, BoardRow

MOST_TOLD = 4  # disagreements of a table that are written out, the largest first


def percent(value: Estimate, signed: bool = False) -> str:
    """'37.3 ± 0.8', in percent; '-' where there is nothing."""
    if value.n == 0 or math.isnan(value.mean):
        return "-"
    text = f"{100 * value.mean:+.1f}" if signed else f"{100 * value.mean:.1f}"
    return text if value.half_width is None else f"{text} ± {100 * value.half_width:.1f}"


def placed(row: BoardRow) -> str:
    """'1', '2-5' where the intervals cannot tell, '-' where a row is not ranked.

    A row from before a correction says so.
    """
    if row.before:
        return BEFORE
    if row.places is None:
        return "-"
    best, worst = row.places
    return str(best) if best == worst else f"{best}-{worst}"


def cell(row: BoardRow, metric: str) -> str:
    """A number in percent; one from before a correction says so where the row does not."""
    if metric not in row.old:
        return percent(row.metrics[metric].mean)
    number = percent(row.old[metric].mean)
    return number if row.before else f"{number} ({BEFORE})"


def columns_of_differences(made: Board) -> list[tuple[str, str]]:
    """(baseline, metric) of every column with differences."""
    return [
        (base, metric)
        for base in made.baselines
        for metric in made.differences
        if any(base in row.differences for row in made.rows)
    ]


def header(made: Board) -> list[str]:
    """Column titles of the table."""
    differences = [
        f"Δ {made.columns[metric]} to {base}" for base, metric in columns_of_differences(made)
    ]
    beside = [f"{made.columns[metric]}, {other_rule(made.rule).short}" for metric in made.other]
    return ["place", "strategy", "n", *made.columns.values(), *differences, *beside]


def lines(made: Board) -> list[list[str]]:
    """The table's cells as text. A difference whose interval excludes zero carries a star."""
    return [_line(row, made) for row in made.rows]


def _line(row: BoardRow, made: Board) -> list[str]:
    cells = [
        placed(row),
        row.strategy + ("" if row.complete or row.before else " (incomplete)"),
        f"{len(row.seeds)}",
    ]
    cells += [cell(row, metric) for metric in made.columns]
    for base, metric in columns_of_differences(made):
        difference = row.differences.get(base, {}).get(metric)
        if difference is None:
            cells.append("-")
        else:
            star = "*" if difference.mean.excludes_zero() else ""
            cells.append(percent(difference.mean, signed=True) + star)
    cells += [percent(row.beside[metric]) if metric in row.beside else "-" for metric in made.other]
    return cells


def reading(made: Board) -> str:
    """Sentences that say how to read the numbers of the table."""
    n = len(made.declared_seeds)
    limit = "One seed tells nothing apart: there is no claim. "
    if n > 1:
        limit = f"No sign-flip p of {n} seeds can be below {made.smallest_p:.3g}. "
    return (
        f"Percent; mean ± half the 95 % Student-t interval over seeds (none where"
        f" they vary less than half as much as those of the median row). {made.caption} Δ is the"
        " difference, ± half an interval that holds together with those of all pairs of rows in"
        " 95 %; * marks one that excludes zero, and a place is a range where they cannot tell rows"
        f" apart. {limit}{epochs_sentence(made)}"
    )


def epochs_sentence(made: Board) -> str:
    """Which epoch the numbers are of, why, and what the last columns show."""
    beside = ""
    if made.other:
        beside = f"The last columns are of the same runs at {other_rule(made.rule).words}."
    return " ".join(filter(None, (made.rule.meaning, made.epoch_note, beside)))


def few_seeds(made: Board) -> list[str]:
    """What few seeds leave unsaid, and runs that learned nothing, a sentence each."""
    return [*filter(None, (_without_interval(made), _star_without_p(made), one_class(made)))]


def _without_interval(made: Board) -> str:
    """Why numbers of several seeds stand without ±; "" where none does."""
    bare = any(
        summary.mean.n > 1 and summary.mean.half_width is None
        for row in made.rows
        for summary in row.metrics.values()
    )
    if not bare:
        return ""
    return (
        "No ± stands where a row's seeds are alike, or vary less than half as much as those of the"
        " median row: it would be too narrow."
    )


def _star_without_p(made: Board) -> str:
    """What a star of few seeds cannot say; "" where there is none, or a p can be small."""
    stars = any(
        difference.mean.excludes_zero()
        for row in made.rows
        for by_metric in row.differences.values()
        for difference in by_metric.values()
    )
    if not stars or made.smallest_p <= SIGNIFICANT:
        return ""
    n = len(made.declared_seeds)
    return (
        f"A * says that the interval excludes zero; no sign-flip p of {n} seeds can be below"
        f" {made.smallest_p:.3g}."
    )


def one_class(made: Board) -> str:
    """Runs that call all photos of a test split one class, as a sentence; "" without any."""
    found = Counter(
        split
        for row in made.rows
        for result in row.results
        for split in result.confusion_counts
        if split != "val" and _calls_one_class(result, split)
    )
    runs = counted(sum(len(row.results) for row in made.rows), "run")
    cases = [f"{count} of {runs} on {split}" for split, count in found.items()]
    if len(cases) > MOST_TOLD:
        cases[MOST_TOLD:] = [f"{len(cases) - MOST_TOLD} more splits"]
    return f"Runs that call all photos one class: {listed(cases)}." if cases else ""


def _calls_one_class(result: Result, split: str) -> bool:
    score = result.metrics.get(f"{split}/macro_acc", 0.0)
    # of k classes one is right: only a score of 1 / k is worth unpacking
    if not score > 1e-6 or abs(1 / score - round(1 / score)) > 1e-6:
        return False
    packed = result.confusion_counts[split].get("")
    if packed is None:
        return False
    counts = unpack(split, "", packed)
    return len({*counts.guess.tolist()}) == 1 < len({*counts.truth.tolist()})


def old_rows(made: Board) -> str:
    """A sentence on rows and numbers from before a correction; "" where there are none."""
    names = dict.fromkeys(name for row in made.rows if row.old for name in row.corrections)
    if not names:
        return ""
    return (
        f"Numbers marked {BEFORE} are from before a correction ({', '.join(names)}): they have no"
        " place, and no other number is compared with them."
    )


def source_of_error(made: Board) -> str:
    """Both sources of error of the first column, over the complete rows, as a sentence."""
    summaries = [row.metrics[made.first] for row in made.rows if row.complete]
    seeds = [summary.seed_sd for summary in summaries if summary.seed_sd is not None]
    photos = [summary.test_se for summary in summaries if summary.test_se is not None]
    if not seeds or not photos:
        return ""
    return (
        f"Of `{made.columns[made.first]}`, another seed moves a run by {_points(seeds)} points"
        " (standard deviation over seeds), another draw of as many test photos by"
        f" {_points(photos)} (standard error, in no interval above)."
    )


def _points(values: Sequence[float]) -> str:
    low = 100 * min(values)
    high = 100 * max(values)
    return f"{low:.1f} to {high:.1f}" if f"{low:.1f}" != f"{high:.1f}" else f"{low:.1f}"


def comparability_line(made: Board) -> str:
    """'bank `..`, comparison `..`'."""
    return ", ".join(f"{key} `{value}`" for key, value in sorted(made.comparability.items()))


# ---------------------------------------------------------------- where the rules disagree


class Disagreement(NamedTuple):
    """A difference of two rows whose sign hangs on the rule."""

    metric: str
    strategy: str
    base: str
    here: Estimate  # strategy minus base under the board's rule
    there: Estimate  # under the other rule, paired by seed; its interval stands alone

    @property
    def told(self) -> bool:
        """Whether a rule tells the difference from zero."""
        return self.here.excludes_zero() or self.there.excludes_zero()


def disagreements(made: Board) -> list[Disagreement]:
    """Differences to the baselines, and of the first two rows, with another sign by the other rule.

    The largest first.
    """
    found = {}
    for metric, strategy, base, here in _compared(made):
        other: Mapping[str, Mapping[int, float]] = made.other.get(metric, {})
        there = paired(other.get(strategy, {}), other.get(base, {}))
        if here.n and there.n and here.mean * there.mean < 0:
            found[metric, strategy, base] = Disagreement(metric, strategy, base, here, there)
    return sorted(found.values(), key=lambda one: -abs(one.here.mean - one.there.mean))


def _compared(made: Board) -> Iterator[tuple[str, str, str, Estimate]]:
    for row in made.rows:
        for base, by_metric in row.differences.items():
            for metric, difference in by_metric.items():
                if base not in made.baselines or row.strategy not in made.baselines:
                    yield metric, row.strategy, base, difference.mean
    ranked = [row.strategy for row in made.rows if row.complete]
    if len(ranked) > 1:
        first, second = ranked[:2]
        yield made.first, first, second, made.pairs(made.first).between(first, second)


def warning(made: Board) -> str:
    """A sentence on the differences whose sign hangs on the rule; "" where there are none."""
    found = disagreements(made)
    told = [one for one in found if one.told]
    if not found:
        return ""
    if not told:
        count = counted(len(found), "difference")
        return (
            f"The sign of {count} is another at {other_rule(made.rule).words}; neither rule tells"
            " one of them from zero."
        )
    cases = [
        f"{one.strategy} to {one.base} in {made.columns[one.metric]}: {100 * one.here.mean:+.1f}"
        f" here, {100 * one.there.mean:+.1f} there"
        for one in told[:MOST_TOLD]
    ]
    more = f"; and {len(found) - len(cases)} more" if len(found) > len(cases) else ""
    return (
        f"The sign hangs on the epoch that is read, {made.rule.words} here or"
        f" {other_rule(made.rule).words}: {'; '.join(cases)}{more}."
    )

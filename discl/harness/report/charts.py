"""Which charts the page has, and what is said beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discl.harness.report.tables import MOST_CLASSES, Facts, Rows
from discl.harness.report.vega import ROW, Specs


@dataclass(frozen=True)
class Chart:
    """One chart and what stands beside it."""

    id: str
    title: str
    about: str  # what it shows, for those who see it and those who do not
    data: str  # name of the table it draws
    spec: dict[str, Any]
    columns: dict[str, str]  # field -> title, of the table a reader can open
    by: tuple[str, ...] = ()  # choices of the page it follows: metric, baseline, cost
    each: list[str] = field(default_factory=list)  # strategies that get one drawing each
    row: int = 0  # pixels of a row, where the chart has rows; they come and go with what is shown
    wide: bool = False


ENDS = {"mean": "mean", "low": "95 % from", "high": "to", "n": "seeds"}
STRATEGY = {"strategy": "strategy"}


def charts(facts: Facts, tables: Mapping[str, Rows], checked: bool = False) -> list[Chart]:
    """Every chart there are data for.

    Vega-Lite's schema is `checked` by tests: it takes seconds, and no data can break it.
    """
    specs = Specs(facts, tables, checked)
    from altair.utils.schemapi import debug_mode

    with debug_mode(checked):
        makers = (
            _chain,
            _forest,
            _groups,
            _places,
            _classes,
            _levels,
            _gains,
            _val,
            _loss,
            _costs,
            _trials,
            _importance,
        )
        return [chart for make in makers if (chart := make(specs))]


def _chain(specs: Specs) -> Chart | None:
    if "chain" not in specs.tables:
        return None
    about = (
        "Each line adds one thing: rebalancing the classes, then synthetic images of all levels at"
        " once, then an order of the levels. Dots are mean gains in points, lines 95 % intervals,"
        " paired by seed. A line across zero tells nothing apart."
    )
    columns = {"label": "step", **STRATEGY, "over": "over", **ENDS}
    return Chart(
        "chain",
        "Where the gain comes from",
        about,
        "chain",
        specs.forest("chain", "label", ("metric",)),
        columns,
        ("metric",),
        row=ROW,
    )


def _forest(specs: Specs) -> Chart | None:
    if "differences" not in specs.tables:
        return None
    about = (
        "Difference of each strategy to the baseline in points, paired by seed, with its 95 %"
        " interval. No correction for the number of strategies; Holm's p is in the table."
    )
    by = ("metric", "baseline")
    columns = {**STRATEGY, **ENDS, "p": "p", "p_holm": "p, Holm", "improvement": "P(better)"}
    spec = specs.forest("differences", "strategy", by)
    return Chart("forest", "Against the baseline", about, "differences", spec, columns, by, row=ROW)


def _groups(specs: Specs) -> Chart | None:
    if "groups" not in specs.tables:
        return None
    about = (
        "Mean recall of classes by how many real training photos they have, with 95 % intervals"
        " over seeds."
    )
    return Chart(
        "groups",
        "Many, medium and few shots",
        about,
        "groups",
        specs.groups(),
        {**STRATEGY, "group": "classes", **ENDS},
    )


def _places(specs: Specs) -> Chart | None:
    if "places" not in specs.tables:
        return None
    about = (
        "Accuracy on test photos from where the training photos come from, against photos from"
        " elsewhere; crosses are 95 % intervals."
    )
    home = {"id_mean": "at home", "id_low": "from", "id_high": "to"}
    away = {"ood_mean": "elsewhere", "ood_low": "from", "ood_high": "to"}
    return Chart(
        "scatter",
        "At home and elsewhere",
        about,
        "places",
        specs.scatter(),
        {**STRATEGY, **home, **away},
    )


def _classes(specs: Specs) -> Chart | None:
    if "classes" not in specs.tables:
        return None
    many = len(specs.facts.board.rows[0].results[0].classes) > MOST_CLASSES
    about = (
        "Recall of each class on the test photos, from the class with most real training photos to"
        " the one with fewest; mean over seeds. Classes without a test photo are left out."
        + (
            " There are many classes, so those with about as many photos are drawn together."
            if many
            else ""
        )
    )
    columns = {**STRATEGY, "class": "class", "photos": "training photos", **ENDS}
    return Chart("classes", "Class by class", about, "classes", specs.classes(), columns, wide=True)


def _levels(specs: Specs) -> Chart | None:
    if "levels" not in specs.tables:
        return None
    about = (
        "Share of each guidance level in every epoch, mean over seeds: 100 is the photo itself, 0"
        " is text alone."
    )
    columns = {**STRATEGY, "epoch": "epoch", "level": "level", "share": "share (%)"}
    each = _strategies(specs, "levels")
    return Chart(
        "levels",
        "What each strategy trained on",
        about,
        "levels",
        specs.levels(),
        columns,
        each=each,
        wide=len(each) > 2,
    )


def _gains(specs: Specs) -> Chart | None:
    if "gains" not in specs.tables:
        return None
    about = (
        "How much probability of the true class the probe images of each level gained in an epoch;"
        " adaptive strategies go where it is largest."
    )
    columns = {**STRATEGY, "epoch": "epoch", "level": "level", "gain": "gain (points)"}
    each = _strategies(specs, "gains")
    return Chart(
        "gains",
        "What the probe saw",
        about,
        "gains",
        specs.gains(),
        columns,
        each=each,
        wide=len(each) > 2,
    )


def _strategies(specs: Specs, table: str) -> list[str]:
    return list(dict.fromkeys(row["strategy"] for row in specs.tables[table]))


OVER_EPOCHS = {
    **STRATEGY,
    "epoch": "epoch",
    "mean": "mean",
    "low": "95 % from",
    "high": "to",
    "n": "runs",
}


def _val(specs: Specs) -> Chart | None:
    if "val" not in specs.tables:
        return None
    chosen = specs.facts.histories.chosen
    about = (
        f"{chosen} over epochs, mean and 95 % band over seeds; it chooses the epoch that is tested."
        " Test photos choose nothing."
    )
    return Chart(
        "val", "Validation", about, "val", specs.curve("val", f"{chosen} (%)"), OVER_EPOCHS
    )


def _loss(specs: Specs) -> Chart | None:
    if "loss" not in specs.tables:
        return None
    about = (
        "Mean training loss of an epoch, mean and 95 % band over seeds. Strategies train on"
        " different images, so a lower loss is no better model."
    )
    return Chart("loss", "Training loss", about, "loss", specs.curve("loss", "loss"), OVER_EPOCHS)


def _costs(specs: Specs) -> Chart | None:
    if "costs" not in specs.tables:
        return None
    about = (
        "What a run costs against what it reaches. Every strategy trains for the same number of"
        " optimiser steps; denoising steps are those of the images its bank holds, whoever made"
        " them."
    )
    columns = {**STRATEGY, "spent": "spent", **ENDS}
    return Chart(
        "costs", "Cost against accuracy", about, "costs", specs.costs(), columns, ("metric", "cost")
    )


def _trials(specs: Specs) -> Chart | None:
    if "trials" not in specs.tables:
        return None
    about = (
        "What each trial of a study scored on val, and the best so far; pale ones were given up,"
        " and their value is an estimate."
    )
    columns = {
        "study": "study",
        **STRATEGY,
        "trial": "trial",
        "state": "state",
        "value": "objective",
        "best": "best so far",
    }
    return Chart("trials", "Tuning, trial by trial", about, "trials", specs.trials(), columns)


def _importance(specs: Specs) -> Chart | None:
    if "importance" not in specs.tables:
        return None
    about = (
        "Which settings told the best trials from the rest (PED-ANOVA): a hint about the space as"
        " it was searched, no more."
    )
    columns = {"study": "study", **STRATEGY, "path": "setting", "share": "share (%)"}
    return Chart(
        "importance", "What tuning turned on", about, "importance", specs.importance(), columns
    )

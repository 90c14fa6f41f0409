"""The charts of the page, as Vega-Lite specifications that Altair builds; the data stay apart, and the page's filters are their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discl.harness.report.facts import Facts, Rows
from discl.harness.report.looks import level_colours, looks
from discl.spec.errors import UserError


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


def altair() -> Any:
    """The library, or the way to it."""
    try:
        import altair as library
    except ImportError as error:
        raise UserError(f"the report needs altair ({error}); pip install 'discl[report]'") from error
    return library


ROW = 46
WITH_INTERVAL = {"mean": "mean", "low": "95 % from", "high": "to", "n": "seeds"}


class _Maker:
    """Builds the charts of one benchmark."""

    def __init__(self, facts: Facts, tables: Mapping[str, Rows]) -> None:
        self.alt, self.facts, self.tables = altair(), facts, tables
        self.looks = looks([*facts.strategies, *dict.fromkeys(row["strategy"] for row in tables.get("trials", []))])
        names, each = list(self.looks), self.looks.values()
        alt = self.alt
        self.scale = alt.Scale(domain=names, range=[colour(name) for name in names])
        self.shapes = alt.Scale(domain=names, range=[look.shape for look in each])
        self.dashes = alt.Scale(domain=names, range=[list(look.dash) or [1, 0] for look in each])

    # ------------------------------------------------------------ words of the charts

    def base(self, data: str, *choices: str) -> Any:
        """A chart of a table, of what the page's choices leave of it."""
        made = self.alt.Chart(self.alt.NamedData(name=data))
        for name in choices:
            made = made.transform_filter(f"datum.{name} === {name}")
        return self.ends(made, "")

    def ends(self, made: Any, prefix: str) -> Any:
        """Both ends of the interval; without one, the mean: a line of no length, and no scale without an extent."""
        either = "isValid(datum.{0}) ? datum.{0} : datum.{1}mean"
        return made.transform_calculate(**{f"{prefix}{end}": either.format(f"{prefix}{end}", prefix) for end in ("low", "high")})

    def whole(self, made: Any, choices: Sequence[str], height: Any, hides: bool = True) -> dict[str, Any]:
        """The specification, with the page's choices as parameters."""
        alt = self.alt
        params = [alt.param(name=name, value="") for name in choices]
        if hides:
            made, params = made.transform_filter("indexof(hidden, datum.strategy) < 0"), [*params, alt.param(name="hidden", value=[])]
        made = made.add_params(*params) if params else made
        found: dict[str, Any] = made.properties(width="container", height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding")).to_dict()
        found.pop("$schema", None)
        found.pop("config", None)  # the page has one of its own
        return found

    def x(self, name: str, title: str | None, **more: Any) -> Any:
        return self.alt.X(field=name, type="quantitative", title=title, **more)

    def y(self, name: str, title: str | None, **more: Any) -> Any:
        return self.alt.Y(field=name, type="quantitative", title=title, **more)

    @property
    def colour(self) -> Any:
        return self.alt.Color(field="strategy", type="nominal", scale=self.scale, legend=None)

    @property
    def fill(self) -> Any:
        return self.alt.Fill(field="strategy", type="nominal", scale=self.scale, legend=None)

    @property
    def shape(self) -> Any:
        return self.alt.Shape(field="strategy", type="nominal", scale=self.shapes, legend=None)

    @property
    def dash(self) -> Any:
        return self.alt.StrokeDash(field="strategy", type="nominal", scale=self.dashes, legend=None)

    def tooltip(self, **fields: str) -> list[Any]:
        """Field -> title; numbers with one decimal."""
        strings = {"strategy", "class", "group", "label", "state", "path", "study"}
        return [
            self.alt.Tooltip(field=name, type="nominal", title=title)
            if name in strings
            else self.alt.Tooltip(field=name, type="quantitative", title=title, format=".4~r")
            for name, title in fields.items()
        ]

    # ------------------------------------------------------------ charts

    def forest(self, data: str, label: str, choices: Sequence[str], hides: bool) -> dict[str, Any]:
        """Rows with a word above, a dot, an interval, and the number at the right; zero is a line."""
        alt = self.alt
        base = self.base(data, *choices)
        row = alt.Y(field=label, type="nominal", sort=None, axis=None, scale=alt.Scale(padding=0.3))
        zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(stroke="var(--quiet)").encode(x=alt.X(field="zero", type="quantitative"))
        tips = self.tooltip(**{label: label, "mean": "points", "low": "from", "high": "to", "n": "seeds"})
        said = "format(datum.mean, '+.1f') + (datum.high === datum.low ? '' : ' ± ' + format((datum.high - datum.low) / 2, '.1f'))"
        words = base.mark_text(align="left", baseline="bottom", dy=-9, fill="var(--ink)", fontSize=12, limit=230)
        number = base.transform_calculate(said=said).mark_text(align="right", baseline="bottom", dy=-9, fill="var(--quiet)", fontSize=12)
        lines = base.mark_rule(strokeWidth=2.5, strokeCap="round").encode(y=row, x=self.x("low", "points"), x2="high:Q", stroke=self._stroke)
        dots = base.mark_point(size=90, filled=True, opacity=1).encode(y=row, x=self.x("mean", "points"), shape=self.shape, fill=self.fill, tooltip=tips)
        layers = [
            zero,
            words.encode(y=row, x=alt.value(0), text=alt.Text(field=label, type="nominal")),
            number.encode(y=row, x=alt.value("width"), text=alt.Text(field="said", type="nominal")),
            lines,
            dots,
        ]
        hidden = [each if each is zero or not hides else each.transform_filter("indexof(hidden, datum.strategy) < 0") for each in layers]
        made = self.whole(alt.layer(*hidden), [*choices], ROW, hides=False)
        return made | {"params": [*made.get("params", []), {"name": "hidden", "value": []}]}

    @property
    def _stroke(self) -> Any:
        return self.alt.Stroke(field="strategy", type="nominal", scale=self.scale, legend=None)

    def groups(self) -> dict[str, Any]:
        alt = self.alt
        base = self.base("groups")
        x = alt.X(field="group", type="nominal", sort=["many", "medium", "few"], title=None, axis=alt.Axis(labelAngle=0, labelFontSize=13))
        offset = alt.XOffset(field="strategy", type="nominal", sort=list(self.looks))
        tips = self.tooltip(strategy="strategy", group="classes", mean="percent", low="from", high="to")
        bars = base.mark_bar(cornerRadiusEnd=2).encode(x=x, xOffset=offset, y=self.y("mean", "recall (%)"), fill=self.fill, tooltip=tips)
        ends = base.mark_rule(stroke="var(--ink)", opacity=0.75).encode(x=x, xOffset=offset, y=self.y("low", "recall (%)"), y2="high:Q")
        return self.whole(bars + ends, (), 260)

    def classes(self) -> dict[str, Any]:
        alt, base = self.alt, self.base("classes")
        x = alt.X(field="class", type="nominal", sort=alt.EncodingSortField(field="order"), title=None, axis=alt.Axis(labelAngle=-38, labelLimit=120))
        tips = self.tooltip(**{"class": "class", "photos": "training photos", "strategy": "strategy", "mean": "recall", "low": "from", "high": "to"})
        lines = base.mark_line(strokeWidth=1.2, opacity=0.55).encode(x=x, y=self.y("mean", "recall (%)"), stroke=self._stroke)
        dots = base.mark_point(size=55, filled=True, opacity=1).encode(x=x, y=self.y("mean", "recall (%)"), fill=self.fill, shape=self.shape, tooltip=tips)
        return self.whole(lines + dots, (), 280)

    def scatter(self) -> dict[str, Any]:
        """Home against elsewhere, with both intervals."""
        alt, base = self.alt, self.ends(self.ends(self.alt.Chart(self.alt.NamedData(name="places")), "id_"), "ood_")
        free = alt.Scale(zero=False, padding=18)
        across, up = f"{self.facts.board.columns[self.facts.board.first]}, at home (%)", "out of distribution (%)"
        tips = self.tooltip(strategy="strategy", id_mean="at home", ood_mean="out of distribution", id_n="seeds")
        level = base.mark_rule(opacity=0.5).encode(x=self.x("id_low", across, scale=free), x2="id_high:Q", y=self.y("ood_mean", up, scale=free), stroke=self._stroke)
        upright = base.mark_rule(opacity=0.5).encode(x=self.x("id_mean", across), y=self.y("ood_low", up), y2="ood_high:Q", stroke=self._stroke)
        dots = base.mark_point(size=110, filled=True, opacity=1).encode(
            x=self.x("id_mean", across, scale=free), y=self.y("ood_mean", up, scale=free), fill=self.fill, shape=self.shape, tooltip=tips
        )
        return self.whole(level + upright + dots, (), 300)

    def costs(self) -> dict[str, Any]:
        alt, choices = self.alt, ("metric", "cost")
        base = self.base("costs", *choices)
        tips = self.tooltip(strategy="strategy", spent="spent", mean="percent", low="from", high="to")
        x = self.x("spent", None, scale=alt.Scale(nice=True, padding=12))
        free = alt.Scale(zero=False, padding=14)
        ends = base.mark_rule(opacity=0.6).encode(x=x, y=self.y("low", "percent", scale=free), y2="high:Q", stroke=self._stroke)
        dots = base.mark_point(size=110, filled=True, opacity=1).encode(x=x, y=self.y("mean", "percent", scale=free), fill=self.fill, shape=self.shape, tooltip=tips)
        return self.whole(ends + dots, choices, 280)

    def curve(self, data: str, title: str) -> dict[str, Any]:
        """Means over epochs, with the seeds' interval as a band."""
        alt, base = self.alt, self.base(data)
        x = self.x("epoch", "epoch", axis=alt.Axis(tickMinStep=1, grid=False))
        free = alt.Scale(zero=False)
        tips = self.tooltip(strategy="strategy", epoch="epoch", mean=title, low="from", high="to", n="runs")
        band = base.mark_area(opacity=0.14).encode(x=x, y=self.y("low", title, scale=free), y2="high:Q", fill=self.fill)
        line = base.mark_line(strokeWidth=2).encode(x=x, y=self.y("mean", title, scale=free), stroke=self._stroke, strokeDash=self.dash)
        dots = base.mark_point(size=30, filled=True, opacity=1).encode(x=x, y=self.y("mean", title, scale=free), fill=self.fill, shape=self.shape, tooltip=tips)
        return self.whole(band + line + dots, (), 260)

    def levels(self) -> dict[str, Any]:
        """The mix of one strategy, an epoch a column."""
        alt = self.alt
        colours = level_colours(sorted({row["level"] for row in self.tables["levels"]}))
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        base = self.alt.Chart(self.alt.NamedData(name="levels")).transform_filter("datum.strategy === which")
        last = max(row["epoch"] for row in self.tables["levels"])
        x = alt.X(
            field="start", type="quantitative", title=None, scale=alt.Scale(domain=[0.5, last + 0.5], nice=False),
            axis=alt.Axis(grid=False, tickCount=4),
        )  # fmt: skip
        y = alt.Y(field="from", type="quantitative", title=None, scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(values=[0, 50, 100], grid=False))
        cells = base.transform_calculate(start="datum.epoch - 0.5", end="datum.epoch + 0.5").mark_rect(stroke="var(--card)", strokeWidth=0.5)
        bars = cells.encode(
            x=x, x2="end:Q", y=y, y2="to:Q", fill=alt.Fill(field="level", type="ordinal", scale=scale, legend=None),
            tooltip=self.tooltip(epoch="epoch", level="level", share="share (%)"),
        )  # fmt: skip
        return self.whole(bars, ("which",), 96, hides=False)

    def trials(self) -> dict[str, Any]:
        """What each trial scored, and the best so far as steps."""
        alt, base = self.alt, self.alt.Chart(self.alt.NamedData(name="trials"))
        free, tips = alt.Scale(zero=False), self.tooltip(strategy="strategy", trial="trial", state="state", value="value", study="study")
        x, y = self.x("trial", "trial", axis=alt.Axis(tickMinStep=1, grid=False)), self.y("value", "objective", scale=free)
        detail = alt.Detail(field="study", type="nominal")
        best = base.transform_filter("isValid(datum.best)").mark_line(interpolate="step-after", strokeWidth=2)
        line = best.encode(x=x, y=self.y("best", "objective", scale=free), stroke=self._stroke, strokeDash=self.dash, detail=detail)
        dots = base.mark_point(size=40, filled=True).encode(
            x=x, y=y, fill=self.fill, shape=self.shape, tooltip=tips,
            opacity=alt.Opacity(field="state", type="nominal", scale=alt.Scale(domain=["complete", "given up"], range=[0.9, 0.3]), legend=None),
        )  # fmt: skip
        return self.whole(line + dots, (), 260)

    def importance(self) -> dict[str, Any]:
        alt, base = self.alt, self.alt.Chart(self.alt.NamedData(name="importance"))
        y = alt.Y(field="path", type="nominal", sort="-x", title=None, axis=alt.Axis(labelLimit=150))
        offset = alt.YOffset(field="study", type="nominal")
        tips = self.tooltip(path="setting", strategy="strategy", share="share (%)", study="study")
        bars = base.mark_bar(cornerRadiusEnd=2).encode(y=y, yOffset=offset, x=self.x("share", "share (%)"), fill=self.fill, tooltip=tips)
        return self.whole(bars, (), 240)

    def gains(self) -> dict[str, Any]:
        alt = self.alt
        colours = level_colours(sorted({row["level"] for row in self.tables["gains"]}))
        scale = alt.Scale(domain=list(colours), range=list(colours.values()))
        base = alt.Chart(alt.NamedData(name="gains")).transform_filter("datum.strategy === which")
        y = self.y("gain", "gain (points)")
        shown = {"x": self.x("epoch", None, axis=alt.Axis(grid=False, tickMinStep=1)), "y": y}
        stroke = alt.Stroke(field="level", type="ordinal", scale=scale, legend=None)
        tips = self.tooltip(epoch="epoch", level="level", gain="gain")
        line = base.mark_line(strokeWidth=1.8).encode(**shown, stroke=stroke)
        dots = base.mark_point(size=26, filled=True, opacity=1).encode(**shown, fill=alt.Fill(field="level", type="ordinal", scale=scale, legend=None), tooltip=tips)
        return self.whole(line + dots, ("which",), 150, hides=False)


def colour(strategy: str) -> str:
    """The page's variable for a strategy; its value follows light and dark."""
    return f"var(--s-{variable(strategy)})"


def variable(name: str) -> str:
    """A strategy's name as a part of a CSS variable: whatever the name holds, only letters, digits and lines are left."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}" for letter in name)


def charts(facts: Facts, tables: Mapping[str, Rows]) -> list[Chart]:
    """Every chart there are data for."""
    maker = _Maker(facts, tables)
    return [chart for make in (_compared, _levels_and_gains, _curves, _costs, _tuning) for chart in make(maker)]


def _compared(maker: _Maker) -> list[Chart]:
    has, found, facts = maker.tables, [], maker.facts
    if "chain" in has:
        found.append(Chart(
            "chain", "Where the gain comes from",
            "Each line adds one thing: rebalancing the classes, then synthetic images of all levels at once, then an order of the levels. "
            "Dots are mean gains in points, lines 95 % intervals, paired by seed. A line across zero tells nothing apart.",
            "chain", maker.forest("chain", "label", ("metric",), True), {"label": "step", **WITH_INTERVAL}, ("metric",), row=ROW,
        ))  # fmt: skip
    if "differences" in has:
        found.append(Chart(
            "forest", "Against the baseline",
            "Difference of each strategy to the baseline in points, paired by seed, with its 95 % interval. No correction for the number of "
            "strategies; Holm's p is in the table.",
            "differences", maker.forest("differences", "strategy", ("metric", "baseline"), True),
            {"strategy": "strategy", **WITH_INTERVAL, "p": "p", "p_holm": "p, Holm", "improvement": "P(better)"}, ("metric", "baseline"), row=ROW,
        ))  # fmt: skip
    if "groups" in has:
        found.append(Chart(
            "groups", "Many, medium and few shots",
            "Mean recall of classes by how many real training photos they have, with 95 % intervals over seeds.",
            "groups", maker.groups(), {"strategy": "strategy", "group": "classes", **WITH_INTERVAL},
        ))  # fmt: skip
    if "places" in has:
        found.append(Chart(
            "scatter", "At home and elsewhere",
            "Accuracy on test photos from where the training photos come from, against photos from elsewhere; crosses are 95 % intervals.",
            "places", maker.scatter(),
            {"strategy": "strategy", "id_mean": "at home", "id_low": "from", "id_high": "to", "ood_mean": "elsewhere", "ood_low": "from ", "ood_high": "to "},
        ))  # fmt: skip
    if "classes" in has:
        found.append(Chart(
            "classes", "Class by class",
            f"Recall of each class on the test photos, from the class with most real training photos to the one with fewest; "
            f"mean over seeds. Classes without a test photo are left out.{_pooled(facts)}",
            "classes", maker.classes(), {"strategy": "strategy", "class": "class", "photos": "training photos", **WITH_INTERVAL}, wide=True,
        ))  # fmt: skip
    return found


def _pooled(facts: Facts) -> str:
    from discl.harness.report.facts import MOST_CLASSES

    many = len(facts.board.rows[0].results[0].classes) > MOST_CLASSES
    return " There are many classes, so those with about as many photos are drawn together." if many else ""


def _levels_and_gains(maker: _Maker) -> list[Chart]:
    found = []
    for data, title, about, spec, value in (
        ("levels", "What each strategy trained on", "Share of each guidance level in every epoch, mean over seeds: 100 is the photo itself, 0 is text alone.",
         maker.levels, {"level": "level", "share": "share (%)"}),
        ("gains", "What the probe saw", "How much probability of the true class the probe images of each level gained in an epoch; the adaptive strategies go where it is largest.",
         maker.gains, {"level": "level", "gain": "gain (points)"}),
    ):  # fmt: skip
        if data in maker.tables:
            each = list(dict.fromkeys(row["strategy"] for row in maker.tables[data]))
            columns = {"strategy": "strategy", "epoch": "epoch", **value}
            found.append(Chart(data, title, about, data, spec(), columns, each=each, wide=len(each) > 2))
    return found


def _curves(maker: _Maker) -> list[Chart]:
    found, chosen = [], maker.facts.histories.chosen
    columns = {"strategy": "strategy", "epoch": "epoch", "mean": "mean", "low": "95 % from", "high": "to", "n": "runs"}
    if "val" in maker.tables:
        about = f"{chosen} over epochs, mean and 95 % band over seeds; it chooses the epoch that is tested. Test photos choose nothing."
        found.append(Chart("val", "Validation", about, "val", maker.curve("val", f"{chosen} (%)"), columns))
    if "loss" in maker.tables:
        about = "Mean training loss of an epoch, mean and 95 % band over seeds. Strategies train on different images, so a lower loss is no better model."
        found.append(Chart("loss", "Training loss", about, "loss", maker.curve("loss", "loss"), columns))
    return found


def _costs(maker: _Maker) -> list[Chart]:
    if "costs" not in maker.tables:
        return []
    about = (
        "What a run costs against what it reaches. Every strategy trains for the same number of optimiser steps; denoising steps are those of "
        "the images its bank holds, whoever made them."
    )
    columns = {"strategy": "strategy", "spent": "spent", **WITH_INTERVAL}
    return [Chart("costs", "Cost against accuracy", about, "costs", maker.costs(), columns, ("metric", "cost"))]


def _tuning(maker: _Maker) -> list[Chart]:
    found = []
    if "trials" in maker.tables:
        about = "What each trial of a study scored on val, and the best so far; pale ones were given up, and their value is an estimate."
        columns = {"study": "study", "strategy": "strategy", "trial": "trial", "state": "state", "value": "objective", "best": "best so far"}
        found.append(Chart("trials", "Tuning, trial by trial", about, "trials", maker.trials(), columns))
    if "importance" in maker.tables:
        about = "Which settings told the best trials from the rest (PED-ANOVA): a hint about the space as it was searched, no more."
        columns = {"study": "study", "strategy": "strategy", "path": "setting", "share": "share (%)"}
        found.append(Chart("importance", "What tuning turned on", about, "importance", maker.importance(), columns))
    return found

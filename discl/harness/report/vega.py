"""How each chart is drawn: Vega-Lite specifications that Altair builds.

The data stay apart, and the page's choices are parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from discl.core.errors import UserError
from discl.harness.report.style import level_colours, looks
from discl.harness.report.tables import Facts, Rows

ROW = 46  # pixels of a row with a word, a dot and an interval
WORDS = {
    "strategy",
    "class",
    "group",
    "label",
    "state",
    "path",
    "study",
}  # fields that are no numbers


def altair() -> Any:
    """The library, or the way to it."""
    try:
        import altair as library
    except ImportError as error:
        raise UserError(
            f"the report needs altair ({error}); pip install 'discl[report]'"
        ) from error
    return library


def colour(strategy: str) -> str:
    """The page's variable for a strategy; its value follows light and dark."""
    return f"var(--s-{variable(strategy)})"


def variable(name: str) -> str:
    """A name as a part of a CSS variable: whatever it holds, only letters, digits and lines are
    left.
    """
    return "".join(
        letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}" for letter in name
    )


class Specs:
    """The specifications of one benchmark's charts."""

    def __init__(self, facts: Facts, tables: Mapping[str, Rows], checked: bool) -> None:
        self.alt = altair()
        self.facts = facts
        self.tables = tables
        self.checked = checked
        self.looks = looks(
            [*facts.strategies, *dict.fromkeys(row["strategy"] for row in tables.get("trials", []))]
        )
        names = list(self.looks)
        each = self.looks.values()
        alt = self.alt
        self.scale = alt.Scale(domain=names, range=[colour(name) for name in names])
        self.shapes = alt.Scale(domain=names, range=[look.shape for look in each])
        self.dashes = alt.Scale(domain=names, range=[list(look.dash) or [1, 0] for look in each])

    # ------------------------------------------------------------ what charts are made of

    def table(self, data: str, *choices: str) -> Any:
        """What the page's choices leave of a table."""
        made = self.alt.Chart(self.alt.NamedData(name=data))
        for name in choices:
            made = made.transform_filter(f"datum.{name} === {name}")
        return made

    def ended(self, made: Any, *prefixes: str) -> Any:
        """Both ends of the interval; without one, the mean: a line of no length, and no scale
        without an extent.
        """
        for prefix in prefixes or ("",):
            for end in ("low", "high"):
                field = f"{prefix}{end}"
                made = made.transform_calculate(
                    **{field: f"isValid(datum.{field}) ? datum.{field} : datum.{prefix}mean"}
                )
        return made

    def whole(self, made: Any, choices: Sequence[str], height: int) -> dict[str, Any]:
        """The specification, with the page's choices as parameters."""
        alt = self.alt
        params = [alt.param(name=name, value=[] if name == "hidden" else "") for name in choices]
        size = alt.AutoSizeParams(type="fit-x", contains="padding")
        made = made.add_params(*params).properties(width="container", height=height, autosize=size)
        found: dict[str, Any] = made.to_dict(validate=self.checked)
        for key in ("$schema", "config"):  # the page has one of its own
            found.pop(key, None)
        return found

    def x(self, name: str, title: str | None, **more: Any) -> Any:
        return self.alt.X(field=name, type="quantitative", title=title, **more)

    def y(self, name: str, title: str | None, **more: Any) -> Any:
        return self.alt.Y(field=name, type="quantitative", title=title, **more)

    def of_strategy(self, *channels: str) -> dict[str, Any]:
        """Channels that tell strategies apart; the legend of all charts is the page's filter."""
        kinds = {"fill": "Fill", "stroke": "Stroke", "shape": "Shape", "strokeDash": "StrokeDash"}
        scales = {"shape": self.shapes, "strokeDash": self.dashes}
        return {
            name: getattr(self.alt, kinds[name])(
                field="strategy", type="nominal", scale=scales.get(name, self.scale), legend=None
            )
            for name in channels
        }

    def of_level(self, data: str, *channels: str) -> dict[str, Any]:
        """Channels that tell levels apart."""
        colours = level_colours(sorted({row["level"] for row in self.tables[data]}))
        scale = self.alt.Scale(domain=list(colours), range=list(colours.values()))
        return {
            name: getattr(self.alt, name.title())(
                field="level", type="ordinal", scale=scale, legend=None
            )
            for name in channels
        }

    def tooltip(self, fields: Mapping[str, str]) -> list[Any]:
        """Field -> title."""
        return [
            (
                self.alt.Tooltip(field=name, type="nominal", title=title)
                if name in WORDS
                else self.alt.Tooltip(field=name, type="quantitative", title=title, format=".4~r")
            )
            for name, title in fields.items()
        ]

    def dots(self, base: Any, place: Mapping[str, Any], tips: Mapping[str, str], size: int) -> Any:
        """A mark of its own shape a strategy, which tells its numbers."""
        return base.mark_point(size=size, filled=True, opacity=1).encode(
            **place, **self.of_strategy("fill", "shape"), tooltip=self.tooltip(tips)
        )

    # ------------------------------------------------------------ charts

    def forest(self, data: str, label: str, choices: Sequence[str]) -> dict[str, Any]:
        """Rows with a word above, a dot, an interval, and the number at the right; zero is a line."""
        alt = self.alt
        base = self.ended(
            self.table(data, *choices).transform_filter("indexof(hidden, datum.strategy) < 0")
        )
        row = alt.Y(field=label, type="nominal", sort=None, axis=None, scale=alt.Scale(padding=0.3))
        zero = (
            alt.Chart(alt.Data(values=[{"zero": 0}]))
            .mark_rule(stroke="var(--quiet)")
            .encode(x=alt.X(field="zero", type="quantitative"))
        )
        said = (
            "format(datum.mean, '+.1f') + (datum.high === datum.low ? '' : ' ± ' +"
            " format((datum.high - datum.low) / 2, '.1f'))"
        )
        text: dict[str, Any] = {"baseline": "bottom", "dy": -9, "fontSize": 12}
        name = base.mark_text(align="left", fill="var(--ink)", limit=230, **text)
        number = base.transform_calculate(said=said).mark_text(
            align="right", fill="var(--quiet)", **text
        )
        line = base.mark_rule(strokeWidth=2.5, strokeCap="round")
        tips = {label: label, "mean": "points", "low": "from", "high": "to", "n": "seeds"}
        layers = [
            zero,
            name.encode(y=row, x=alt.value(0), text=alt.Text(field=label, type="nominal")),
            number.encode(y=row, x=alt.value("width"), text=alt.Text(field="said", type="nominal")),
            line.encode(
                y=row, x=self.x("low", "points"), x2="high:Q", **self.of_strategy("stroke")
            ),
            self.dots(base, {"x": self.x("mean", "points"), "y": row}, tips, 90),
        ]
        return self.whole(alt.layer(*layers), (*choices, "hidden"), ROW)

    def _shown(self, data: str, *choices: str) -> Any:
        return self.ended(self.table(data, *choices)).transform_filter(
            "indexof(hidden, datum.strategy) < 0"
        )

    def groups(self) -> dict[str, Any]:
        """Bars of classes with many, medium and few photos."""
        alt = self.alt
        base = self._shown("groups")
        place = {
            "x": alt.X(
                field="group",
                type="nominal",
                sort=["many", "medium", "few"],
                title=None,
                axis=alt.Axis(labelAngle=0, labelFontSize=13),
            ),
            # by a number: else Vega-Lite sorts by the colours' names, which it writes into an
            # expression, and names may hold anything
            "xOffset": alt.XOffset(
                field="strategy",
                type="nominal",
                sort=alt.EncodingSortField(field="order", op="min"),
            ),
        }
        tips = self.tooltip(
            {
                "strategy": "strategy",
                "group": "classes",
                "mean": "percent",
                "low": "from",
                "high": "to",
            }
        )
        bars = base.mark_bar(cornerRadiusEnd=2).encode(
            **place, y=self.y("mean", "recall (%)"), **self.of_strategy("fill"), tooltip=tips
        )
        ends = base.mark_rule(stroke="var(--ink)", opacity=0.75).encode(
            **place, y=self.y("low", "recall (%)"), y2="high:Q"
        )
        return self.whole(bars + ends, ("hidden",), 260)

    def classes(self) -> dict[str, Any]:
        """Recall class by class."""
        alt = self.alt
        base = self._shown("classes")
        x = alt.X(
            field="class",
            type="nominal",
            sort=alt.EncodingSortField(field="order"),
            title=None,
            axis=alt.Axis(labelAngle=-38, labelLimit=120),
        )
        place = {"x": x, "y": self.y("mean", "recall (%)")}
        tips = {
            "class": "class",
            "photos": "training photos",
            "strategy": "strategy",
            "mean": "recall",
            "low": "from",
            "high": "to",
        }
        lines = base.mark_line(strokeWidth=1.2, opacity=0.55).encode(
            **place, **self.of_strategy("stroke")
        )
        return self.whole(lines + self.dots(base, place, tips, 55), ("hidden",), 280)

    def scatter(self) -> dict[str, Any]:
        """Home against elsewhere, with both intervals."""
        base = self.ended(self.table("places"), "id_", "ood_").transform_filter(
            "indexof(hidden, datum.strategy) < 0"
        )
        free = {"scale": self.alt.Scale(zero=False, padding=18)}
        across = f"{self.facts.board.columns[self.facts.board.first]}, at home (%)"
        up = "out of distribution (%)"
        rule = base.mark_rule(opacity=0.5)
        level = rule.encode(
            x=self.x("id_low", across, **free),
            x2="id_high:Q",
            y=self.y("ood_mean", up),
            **self.of_strategy("stroke"),
        )
        upright = rule.encode(
            x=self.x("id_mean", across),
            y=self.y("ood_low", up, **free),
            y2="ood_high:Q",
            **self.of_strategy("stroke"),
        )
        place = {"x": self.x("id_mean", across, **free), "y": self.y("ood_mean", up, **free)}
        tips = {
            "strategy": "strategy",
            "id_mean": "at home",
            "ood_mean": "out of distribution",
            "id_n": "seeds",
        }
        return self.whole(level + upright + self.dots(base, place, tips, 110), ("hidden",), 300)

    def costs(self) -> dict[str, Any]:
        """What a run costs against what it reaches."""
        alt = self.alt
        choices = ("metric", "cost")
        base = self._shown("costs", *choices)
        free = {"scale": alt.Scale(zero=False, padding=14)}
        x = self.x("spent", None, scale=alt.Scale(zero=True, nice=True))
        ends = base.mark_rule(opacity=0.6).encode(
            x=x, y=self.y("low", "percent", **free), y2="high:Q", **self.of_strategy("stroke")
        )
        tips = {
            "strategy": "strategy",
            "spent": "spent",
            "mean": "percent",
            "low": "from",
            "high": "to",
        }
        return self.whole(
            ends + self.dots(base, {"x": x, "y": self.y("mean", "percent", **free)}, tips, 110),
            (*choices, "hidden"),
            280,
        )

    def curve(self, data: str, title: str) -> dict[str, Any]:
        """Means over epochs, with the seeds' interval as a band."""
        alt = self.alt
        base = self._shown(data)
        x = self.x("epoch", "epoch", axis=alt.Axis(tickMinStep=1, grid=False))
        free = {"scale": alt.Scale(zero=False)}
        place = {"x": x, "y": self.y("mean", title, **free)}
        band = base.mark_area(opacity=0.14).encode(
            x=x, y=self.y("low", title, **free), y2="high:Q", **self.of_strategy("fill")
        )
        line = base.mark_line(strokeWidth=2).encode(
            **place, **self.of_strategy("stroke", "strokeDash")
        )
        tips = {
            "strategy": "strategy",
            "epoch": "epoch",
            "mean": title,
            "low": "from",
            "high": "to",
            "n": "runs",
        }
        return self.whole(band + line + self.dots(base, place, tips, 30), ("hidden",), 260)

    def levels(self) -> dict[str, Any]:
        """The mix of one strategy, an epoch a column."""
        alt = self.alt
        last = max(row["epoch"] for row in self.tables["levels"])
        base = self.table("levels").transform_filter("datum.strategy === which")
        across = alt.Scale(domain=[0.5, last + 0.5], nice=False)
        cells = base.transform_calculate(
            start="datum.epoch - 0.5", end="datum.epoch + 0.5"
        ).mark_rect(stroke="var(--card)", strokeWidth=0.5)
        bars = cells.encode(
            x=self.x("start", None, scale=across, axis=alt.Axis(grid=False, tickCount=4)),
            x2="end:Q",
            y=self.y(
                "from",
                None,
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(values=[0, 50, 100], grid=False),
            ),
            y2="to:Q",
            **self.of_level("levels", "fill"),
            tooltip=self.tooltip({"epoch": "epoch", "level": "level", "share": "share (%)"}),
        )
        return self.whole(bars, ("which",), 96)

    def gains(self) -> dict[str, Any]:
        """What the probe of one strategy saw."""
        alt = self.alt
        base = self.table("gains").transform_filter("datum.strategy === which")
        place = {
            "x": self.x("epoch", None, axis=alt.Axis(grid=False, tickMinStep=1)),
            "y": self.y("gain", "gain (points)"),
        }
        tips = self.tooltip({"epoch": "epoch", "level": "level", "gain": "gain"})
        line = base.mark_line(strokeWidth=1.8).encode(**place, **self.of_level("gains", "stroke"))
        dots = base.mark_point(size=26, filled=True, opacity=1).encode(
            **place, **self.of_level("gains", "fill"), tooltip=tips
        )
        return self.whole(line + dots, ("which",), 150)

    # ------------------------------------------------------------ tuning

    def trials(self) -> dict[str, Any]:
        """What each trial scored, and the best so far as steps."""
        alt = self.alt
        base = self.table("trials").transform_filter("indexof(hidden, datum.strategy) < 0")
        free = {"scale": alt.Scale(zero=False)}
        x = self.x("trial", "trial", axis=alt.Axis(tickMinStep=1, grid=False))
        best = base.transform_filter("isValid(datum.best)").mark_line(
            interpolate="step-after", strokeWidth=2
        )
        each = alt.Detail(field="study", type="nominal")
        line = best.encode(
            x=x,
            y=self.y("best", "objective", **free),
            detail=each,
            **self.of_strategy("stroke", "strokeDash"),
        )
        tips = self.tooltip(
            {
                "strategy": "strategy",
                "trial": "trial",
                "state": "state",
                "value": "value",
                "study": "study",
            }
        )
        pale = alt.condition("datum.state === 'complete'", alt.value(0.9), alt.value(0.3))
        place = {"x": x, "y": self.y("value", "objective", **free), "opacity": pale}
        dots = base.mark_point(size=40, filled=True).encode(
            **place, **self.of_strategy("fill", "shape"), tooltip=tips
        )
        return self.whole(line + dots, ("hidden",), 260)

    def importance(self) -> dict[str, Any]:
        """Bars of settings, one a study."""
        alt = self.alt
        base = self.table("importance").transform_filter("indexof(hidden, datum.strategy) < 0")
        y = alt.Y(
            field="path", type="nominal", sort="-x", title=None, axis=alt.Axis(labelLimit=150)
        )
        offset = alt.YOffset(
            field="study", type="nominal", sort=alt.EncodingSortField(field="share", op="max")
        )  # see `groups`
        tips = self.tooltip(
            {"path": "setting", "strategy": "strategy", "share": "share (%)", "study": "study"}
        )
        bars = base.mark_bar(cornerRadiusEnd=2).encode(
            y=y,
            yOffset=offset,
            x=self.x("share", "share (%)"),
            **self.of_strategy("fill"),
            tooltip=tips,
        )
        return self.whole(bars, ("hidden",), max(160, 22 * _bars(self.tables["importance"])))


def _bars(rows: Iterable[Mapping[str, Any]]) -> int:
    return len({(row["path"], row["study"]) for row in rows})

"""The pieces of Vega-Lite specifications that charts are made of, built by Altair.

The data stay apart, and the choices of a reader are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discl.core.errors import UserError
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.labels import SIDES, LabelSide
from discl.harness.report.drawing.style import level_colours, plot_styles

PAPER_WIDTH = 326  # CSS pixels, 96 an inch: 3.4 inches, a column of most conferences
PAPER_INK = "#1b1f24"
PAPER_QUIET = "#57616c"
LEGEND_COLUMNS = 3  # in print
LEGEND_LABEL = 105  # most pixels of a name
PANEL_MARGIN = 46  # pixels beside a panel in print, for its axis
NOMINAL = {"strategy", "class", "group", "label", "state", "path", "study"}  # no numbers


def altair() -> Any:
    """The module `altair`, imported late because it takes time.

    Raises UserError where it is not installed.
    """
    try:
        import altair as library
    except ImportError as error:
        raise UserError(
            f"the report needs altair ({error}); pip install 'discl[report]'"
        ) from error
    return library


def css_variable(name: str) -> str:
    """A name as a part of a CSS variable, of ASCII letters, digits and underscores only."""
    return "".join(
        letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}" for letter in name
    )


def css_colour(strategy: str) -> str:
    """The page's CSS variable for a strategy's colour; its value follows light and dark."""
    return f"var(--s-{css_variable(strategy)})"


class Canvas:
    """Builds the specification of one chart, for the page or for print."""

    def __init__(
        self, comparison: Comparison, rows: Rows, *, paper: bool = False, checked: bool = False
    ) -> None:
        self.alt = altair()
        self.comparison = comparison
        self.rows = rows
        self.paper = paper
        self.checked = checked
        styles = plot_styles(comparison.strategies_and_tuned)
        names = list(styles)
        colours = [styles[name].light if paper else css_colour(name) for name in names]
        alt = self.alt
        self.colours = alt.Scale(domain=names, range=colours)
        self.shapes = alt.Scale(domain=names, range=[style.shape for style in styles.values()])
        self.dashes = alt.Scale(
            domain=names, range=[list(style.dash) or [1, 0] for style in styles.values()]
        )
        self.ink = PAPER_INK if paper else "var(--ink)"
        self.quiet = PAPER_QUIET if paper else "var(--quiet)"
        self.background = "white" if paper else "var(--card)"

    # ------------------------------------------------------------ data

    def table(self, name: str, *choices: str) -> Any:
        """The rows called `name`, as far as they belong to the choices of the reader."""
        chart = self.alt.Chart(self.alt.NamedData(name=name))
        for choice in choices:
            chart = chart.transform_filter(f"datum.{choice} === {choice}")
        return chart

    def shown(self, name: str, *choices: str, intervals: Sequence[str] = ("",)) -> Any:
        """`table` without the strategies that are hidden, with both ends of each interval.

        `intervals` are prefixes of fields low, high and mean, and of begin and end where rows are
        `within_reach`. Without an interval both ends are the mean: a line of no length, so that no
        scale is left without an extent.
        """
        chart = self.table(name, *choices)
        reach = ("begin", "end") if self.rows and f"{intervals[0]}begin" in self.rows[0] else ()
        for prefix in intervals:
            for end in ("low", "high", *reach):
                field = f"{prefix}{end}"
                chart = chart.transform_calculate(
                    **{field: f"isValid(datum.{field}) ? datum.{field} : datum.{prefix}mean"}
                )
        return chart.transform_filter("indexof(hidden, datum.strategy) < 0")

    def panel(self, name: str) -> Any:
        """The rows of one strategy; in print, `finish` makes a panel for each."""
        chart = self.table(name)
        return chart if self.paper else chart.transform_filter("datum.strategy === which")

    # ------------------------------------------------------------ channels

    def x(self, field: str, title: str | None, **more: Any) -> Any:
        return self.alt.X(field=field, type="quantitative", title=title, **more)

    def y(self, field: str, title: str | None, **more: Any) -> Any:
        return self.alt.Y(field=field, type="quantitative", title=title, **more)

    def recall(self, field: str) -> Any:
        """An axis of recall: always 0 to 100, so that two pages are read alike."""
        whole = self.alt.Scale(domain=[0, 100], clamp=True)  # an interval may go beyond
        return self.y(field, "recall (%)", scale=whole)

    def recall_across(self, field: str) -> Any:
        """The same along x."""
        whole = self.alt.Scale(domain=[0, 100], clamp=True)
        return self.x(field, "recall (%)", scale=whole)

    def by_strategy(self, *channels: str, legend: bool = True) -> dict[str, Any]:
        """Channels that tell strategies apart.

        The legend of all charts on the page is the page's filter; in print each has its own, unless
        its rows carry the names.
        """
        kinds = {"fill": "Fill", "stroke": "Stroke", "shape": "Shape", "strokeDash": "StrokeDash"}
        scales = {"shape": self.shapes, "strokeDash": self.dashes}
        return {
            name: getattr(self.alt, kinds[name])(
                field="strategy",
                type="nominal",
                scale=scales.get(name, self.colours),
                legend=self._legend(LEGEND_COLUMNS) if self.paper and legend else None,
            )
            for name in channels
        }

    def by_level(self, *channels: str) -> dict[str, Any]:
        """Channels that tell guidance levels apart."""
        colours = level_colours(sorted({row["level"] for row in self.rows}))
        scale = self.alt.Scale(domain=list(colours), range=list(colours.values()))
        return {
            name: getattr(self.alt, name.title())(
                field="level",
                type="ordinal",
                scale=scale,
                legend=self._legend(len(colours), title="level (%)") if self.paper else None,
            )
            for name in channels
        }

    def _legend(self, columns: int, title: str | None = None) -> Any:
        return self.alt.Legend(
            orient="top", columns=columns, title=title, labelLimit=LEGEND_LABEL, symbolOpacity=1
        )

    def tooltip(self, fields: Mapping[str, str]) -> list[Any]:
        """Field -> title."""
        return [
            (
                self.alt.Tooltip(field=name, type="nominal", title=title)
                if name in NOMINAL
                else self.alt.Tooltip(field=name, type="quantitative", title=title, format=".4~r")
            )
            for name, title in fields.items()
        ]

    # ------------------------------------------------------------ marks

    def dots(
        self,
        base: Any,
        position: Mapping[str, Any],
        tips: Mapping[str, str],
        size: int,
        legend: bool = True,
    ) -> Any:
        """A mark for each row, in the shape and colour of its strategy, with its numbers."""
        return base.mark_point(size=size, filled=True, opacity=1).encode(
            **position,
            **self.by_strategy("fill", "shape", legend=legend),
            tooltip=self.tooltip(tips),
        )

    def seed_dots(
        self, base: Any, position: Mapping[str, Any], *, legend: bool = True, **shift: float
    ) -> Any:
        """A pale dot for each seed of a row; a channel of `position` has the field `seed`.

        `shift` are pixels as Vega names them: yOffset = 8 is below the mean.
        """
        flat = base.transform_flatten(["seeds"], ["seed"])
        return flat.mark_point(size=14, filled=True, opacity=0.45, shape="circle", **shift).encode(
            **position, **self.by_strategy("fill", legend=legend)
        )

    def names(self, base: Any, position: Mapping[str, Any]) -> list[Any]:
        """The strategies' names beside their marks, at the row's `side`; none in print."""
        if self.paper:
            return []
        alt = self.alt
        # one layer: a layer for each side may be without rows, and an axis without an extent
        anchors = {
            key: alt.ExprRef(
                " : ".join(
                    [
                        *(
                            f"datum.side === '{side}' ? {getattr(place, key)!r}"
                            for side, place in SIDES.items()
                        ),
                        repr(getattr(SIDES["right"], key)),
                    ]
                )
            )
            for key in LabelSide._fields
        }
        text = base.transform_calculate(name="datum.side ? datum.strategy : ''").mark_text(
            fill=self.ink, fontSize=11, **anchors
        )
        return [text.encode(**position, text=alt.Text(field="name", type="nominal"))]

    def arrows(self, base: Any, position: Mapping[str, Any], prefix: str = "") -> list[Any]:
        """Heads of arrows at the ends of intervals that run on beyond the axis along x.

        `position` is without x. A head is in every row, of no letter where the interval ends there.
        """
        heads = []
        for drawn, true, align, head in (
            ("begin", "low", "left", "\N{BLACK LEFT-POINTING POINTER}"),
            ("end", "high", "right", "\N{BLACK RIGHT-POINTING POINTER}"),
        ):
            shown = f"datum.{prefix}{drawn} === datum.{prefix}{true} ? '' : '{head}'"
            text = base.transform_calculate(head=shown).mark_text(
                align=align, baseline="middle", fontSize=11
            )
            heads.append(
                text.encode(
                    **position,
                    x=self.alt.X(field=f"{prefix}{drawn}", type="quantitative"),
                    text=self.alt.Text(field="head", type="nominal"),
                    **self.by_strategy("fill", legend=False),
                )
            )
        return heads

    # ------------------------------------------------------------ the whole specification

    def finish(self, chart: Any, choices: Sequence[str], height: int) -> dict[str, Any]:
        """The specification as JSON types, with the choices of the reader as parameters."""
        if self.paper and "which" in choices:
            return self._panels(chart, height)
        whole = {
            "width": PAPER_WIDTH if self.paper else "container",
            "height": height,
            "autosize": {"contains": "padding", "type": "fit-x"},
            # by hand: Altair copies the whole chart, layer by layer, for each of these
            "params": [{"name": name, "value": [] if name == "hidden" else ""} for name in choices],
        }
        return {**self._plain(chart), **whole}

    def _panels(self, chart: Any, height: int) -> dict[str, Any]:
        """One panel for each strategy, two beside each other."""
        panel = self._plain(chart.properties(width=PAPER_WIDTH // 2 - PANEL_MARGIN, height=height))
        data = panel.pop("data", None) or panel["layer"][0]["data"]
        header = {"title": None, "labelLimit": PAPER_WIDTH // 2 - PANEL_MARGIN, "labelFontSize": 12}
        facet = {"field": "strategy", "type": "nominal", "header": header}
        facet["sort"] = {"field": "order", "op": "min"}  # of a strategy, added with the data
        return {"data": data, "facet": facet, "columns": 2, "spacing": 14, "spec": panel}

    def _plain(self, chart: Any) -> dict[str, Any]:
        from altair.utils.schemapi import debug_mode

        with debug_mode(self.checked):
            spec: dict[str, Any] = chart.to_dict(validate=self.checked)
        for key in ("$schema", "config"):  # set where the chart is shown
            spec.pop(key, None)
        return spec

"""Builds a W&B workspace and a report that compare the strategies of one benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.conventions import epoch_rule, id_test_split
from discl.core.errors import UserError
from discl.core.levels import PHOTO
from discl.core.metric_names import higher_is_better
from discl.core.result import Result
from discl.core.text import printable, typed
from discl.harness.wandb.client import read_settings
from discl.harness.wandb.session import Destination

GRID_WIDTH = 24  # columns of the report's grid
PANEL_ROWS = 8


@dataclass(frozen=True)
class PanelMetrics:
    """Keys of the metrics that the panels show."""

    val: str  # chooses the epoch
    main: str  # the same on the in-distribution test split
    tail: tuple[str, ...]  # few, medium, many
    val_tail: tuple[str, ...]  # the curve of few-shot classes, where val has any
    ood: tuple[str, ...]
    extra: tuple[str, ...]  # further metrics that the benchmark names

    @staticmethod
    def of(spec: Benchmark, results: Iterable[Result]) -> PanelMetrics:
        """Metrics of complete runs; raises UserError where there is none."""
        keys = {key for result in results for key in result.metrics}
        if not keys:
            raise UserError(
                f"no complete run of {spec.name} at scale {spec.scale} says what is measured; run"
                f" `{typed('discl', 'bench', spec.name)}` first"
            )
        test = id_test_split({key.rsplit("/", 1)[0] for key in keys})
        metric = spec.select.metric.removeprefix("val/")
        tail = [f"{test}/{group}_acc" for group in ("few", "medium", "many")]
        ood = [f"ood/{metric}"]  # the mean over the OOD splits, where it was measured
        if ood[0] not in keys:
            ood = [key for key in sorted(keys) if key.startswith("ood/")]
            ood = [key for key in ood if key.endswith(f"/{metric}")]
        return PanelMetrics(
            spec.select.metric,
            f"{test}/{metric}",
            tuple(key for key in tail if key in keys),
            tuple(key for key in ("val/few_acc",) if key in keys),
            tuple(ood),
            tuple(f"{test}/{name}" for name in spec.metrics.extra if f"{test}/{name}" in keys),
        )


@dataclass(frozen=True)
class Dashboard:
    """A workspace and a report that are not saved yet."""

    workspace: Any
    report: Any

    def specs(self) -> dict[str, Any]:
        """The JSON that W&B is sent."""
        models = {"workspace": self.workspace._to_model(), "report": self.report._to_model()}
        return {
            name: json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))
            for name, model in models.items()
        }

    def save(self) -> tuple[str, str]:
        """Save both; returns their addresses at W&B. Another save makes another view.

        Raises UserError where W&B does not take them.
        """
        try:
            return str(self.workspace.save().url), str(self.report.save().url)
        except Exception as error:  # whatever its client and W&B find wrong
            raise UserError(
                f"W&B did not take the dashboard ({error}); runs must be there first: discl wandb"
                " sync"
            ) from error


def build_dashboard(
    spec: Benchmark,
    metrics: PanelMetrics,
    destination: Destination,
    study_groups: Sequence[str] = (),
) -> Dashboard:
    """Compare strategies over seeds: curves, tail, OOD, levels, cost against accuracy, tuning."""
    ws, wr = _libraries()
    entity = destination.entity or ""
    project = destination.project(f"discl-{spec.name}")
    # a run set that names a project asks W&B for its numbers at once
    runs_of = {"entity": entity, "project": project} if entity else {}
    group = f"{spec.name}-{spec.scale}"
    panels = _panels(wr, metrics, sorted(spec.levels))
    workspace = ws.Workspace(
        entity=entity or "entity",
        project=project,
        name=f"{printable(spec.title)}, {spec.scale}: strategies",
        sections=[
            ws.Section(name=name, panels=section, is_open=True) for name, section in panels.items()
        ],
        runset_settings=ws.RunsetSettings(
            filters=ws.And(
                ws.Metric("Group").isin([group, *study_groups]),
                ws.Metric("JobType").isin(["train", "tune"]),
            ),
            groupby=[ws.Config("strategy")],
            order=[
                ws.Ordering(ws.Summary(metrics.main), ascending=not higher_is_better(metrics.main))
            ],
            pinned_columns=[
                "run:displayName",
                f"summary:{metrics.main}",
                *(f"summary:{key}" for key in metrics.tail[:1]),
            ],
        ),
    )
    report = wr.Report(
        entity=entity or "entity",
        project=project,
        title=f"{printable(spec.title)}, {spec.scale}: does the curriculum help?",
        description=f"Strategies of {spec.name} at scale {spec.scale}, by `discl wandb dashboard`",
        blocks=_blocks(ws, wr, panels, group, runs_of, spec.select.epoch),
        width="fluid",
    )
    return Dashboard(workspace, report)


def _blocks(
    ws: Any,
    wr: Any,
    panels: Mapping[str, Sequence[Any]],
    group: str,
    runs_of: Mapping[str, str],
    epoch: str,
) -> list[Any]:
    """The blocks of the report: a note on how to read it, then a grid for each section."""
    trained = wr.Runset(
        **runs_of,
        name="strategies",
        groupby=["config.strategy"],
        filters=ws.And(ws.Metric("Group") == group, ws.Metric("JobType") == "train"),
    )
    tuned = wr.Runset(
        **runs_of,
        name="trials",
        groupby=["config.strategy"],
        filters=ws.And(ws.Metric("JobType") == "tune"),
    )
    blocks: list[Any] = [
        wr.P(text=f"{epoch_rule(epoch).meaning} Bands and bars are over seeds."),
    ]
    for name, section in panels.items():
        blocks += [
            wr.H2(text=name),
            wr.PanelGrid(
                runsets=[tuned if name == "Tuning" else trained], panels=_in_grid(wr, section)
            ),
        ]
    return blocks


def _libraries() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise UserError(
            "dashboards need wandb-workspaces; install it with: pip install"
            " 'discl[wandb-dashboard]'"
        ) from error
    return ws, wr


class _PanelMaker:
    """Makes panels that group or colour runs by strategy."""

    def __init__(self, wr: Any) -> None:
        self.wr = wr
        self.by = wr.Config("strategy")

    def curve(self, title: str, keys: Sequence[str]) -> Any:
        """Values over epochs: the mean over seeds, with a band of one standard deviation."""
        return self.wr.LinePlot(
            title=title,
            x="epoch",
            y=list(keys),
            title_x="epoch",
            groupby=self.by,
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            aggregate=True,
        )

    def bars(self, title: str, key: str) -> Any:
        """A bar for each strategy: the mean over seeds."""
        return self.wr.BarPlot(
            title=title,
            metrics=[key],
            orientation="h",
            groupby=self.by,
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )

    def scatter(self, title: str, x: Any, key: str, **options: Any) -> Any:
        """A dot for each run: a value of its summary against `x`."""
        return self.wr.ScatterPlot(
            title=title,
            x=x,
            y=self.wr.SummaryMetric(key),
            legend_template="${config:strategy} ${run:displayName}",
            **options,
        )


def _panels(wr: Any, metrics: PanelMetrics, levels: Sequence[int]) -> dict[str, list[Any]]:
    """Section -> panels, grouped or coloured by strategy."""
    make = _PanelMaker(wr)
    main = metrics.main
    sections = {
        "Headline": [
            make.bars(f"{main}, mean over seeds", main),
            make.curve(f"{metrics.val} by epoch", [metrics.val]),
        ],
        "Tail": [
            *(make.bars(key, key) for key in metrics.tail),
            *(make.curve("few-shot classes on val", [key]) for key in metrics.val_tail),
        ],
    }
    if metrics.extra:
        sections["Further metrics"] = [make.bars(key, key) for key in metrics.extra]
    sections["Out of distribution"] = [make.bars(key, key) for key in metrics.ood]
    if metrics.ood:
        title = "in distribution against out of distribution"
        panel = make.scatter(title, wr.SummaryMetric(main), metrics.ood[0])
        sections["Out of distribution"].append(panel)
    sections["Curriculum"] = [
        make.curve("mean level (lambda, in percent) by epoch", ["mix/mean_level"]),
        make.curve(
            "gain of the adaptive probe, by level",
            [f"gain/level_{level:03d}" for level in levels if level != PHOTO],
        ),
    ]
    sections["Cost"] = _cost_panels(make, main)
    sections["Learning"] = [
        make.curve("training loss", ["train/loss"]),
        make.curve("learning rate", ["train/lr"]),
    ]
    sections["Mistakes"] = [
        wr.WeavePanelSummaryTable(table_name=name) for name in ("mistakes", "confusions", "classes")
    ]
    sections["Tuning"] = _tuning_panels(make, metrics.val)
    return sections


def _cost_panels(make: _PanelMaker, metric: str) -> list[Any]:
    summary = make.wr.SummaryMetric
    return [
        make.scatter(
            "accuracy against denoising steps of the bank", summary("cost/denoising_steps"), metric
        ),
        make.scatter(
            "accuracy against seconds of training", summary("cost/seconds"), metric, log_x=True
        ),
        make.curve("images trained on a second", ["train/images_per_second"]),
    ]


def _tuning_panels(make: _PanelMaker, val_metric: str) -> list[Any]:
    wr = make.wr
    best = f"best/{val_metric.removeprefix('val/')}"
    axes = [wr.Config(key) for key in ("strategy", "train.lr", "train.weight_decay")]
    axes.append(wr.SummaryMetric(best))
    return [
        make.scatter(
            "history: best val by trial",
            wr.Config("trial"),
            best,
            running_ymax=higher_is_better(val_metric),
            running_ymin=not higher_is_better(val_metric),
        ),
        wr.ParameterImportancePlot(with_respect_to=best),
        wr.ParallelCoordinatesPlot(
            title="settings and results",
            columns=[wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes],
        ),
    ]


def _in_grid(wr: Any, panels: Sequence[Any]) -> list[Any]:
    """Copies of panels in the report's grid, two a row."""
    width = GRID_WIDTH // 2
    copies = []
    for number, panel in enumerate(panels):
        copy = deepcopy(panel)
        x = number % 2 * width
        y = number // 2 * PANEL_ROWS
        copy.layout = wr.Layout(x=x, y=y, w=width, h=PANEL_ROWS)
        copies.append(copy)
    return copies


def offline_destination() -> Destination:
    """A destination for building a dashboard without asking a server."""
    return Destination(read_settings(), None)

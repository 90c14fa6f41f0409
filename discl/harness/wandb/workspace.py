"""Builds a W&B workspace and a report that compare the strategies of one benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.metric_names import higher_is_better
from discl.core.result import Result
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
    ood: tuple[str, ...]
    extra: tuple[str, ...]  # those that the benchmark names beside the usual ones

    @staticmethod
    def of(spec: Benchmark, results: Iterable[Result]) -> PanelMetrics:
        """Metrics of complete runs; raises UserError where there is none."""
        keys = {key for result in results for key in result.metrics}
        if not keys:
            raise UserError(
                f"no complete run of {spec.name} at scale {spec.scale} says what is measured; run"
                f" `discl bench {spec.name}` first"
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
        name=f"{spec.title}, {spec.scale}: strategies",
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
        wr.P(
            text=(
                "Epochs are chosen on val; test and ood are read once, at the chosen epoch. Bands"
                " and bars are over seeds."
            )
        ),
    ]
    for name, section in panels.items():
        blocks += [
            wr.H2(text=name),
            wr.PanelGrid(
                runsets=[tuned if name == "Tuning" else trained], panels=_in_grid(wr, section)
            ),
        ]
    report = wr.Report(
        entity=entity or "entity",
        project=project,
        title=f"{spec.title}, {spec.scale}: does the curriculum help?",
        description=f"Strategies of {spec.name} at scale {spec.scale}, by `discl wandb dashboard`",
        blocks=blocks,
        width="fluid",
    )
    return Dashboard(workspace, report)


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


def _panels(wr: Any, metrics: PanelMetrics, levels: Sequence[int]) -> dict[str, list[Any]]:
    """Section -> panels, grouped or coloured by strategy."""
    by = wr.Config("strategy")

    def curve(title: str, keys: Sequence[str], **more: Any) -> Any:
        bands = {
            "groupby": by,
            "groupby_aggfunc": "mean",
            "groupby_rangefunc": "stddev",
            "aggregate": True,
        }
        return wr.LinePlot(
            title=title, x="epoch", y=list(keys), title_x="epoch", **{**bands, **more}
        )

    def bars(title: str, key: str) -> Any:
        return wr.BarPlot(
            title=title,
            metrics=[key],
            orientation="h",
            groupby=by,
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )

    def against(title: str, left: Any, key: str, **more: Any) -> Any:
        return wr.ScatterPlot(
            title=title,
            x=left,
            y=wr.SummaryMetric(key),
            legend_template="${config:strategy} ${run:displayName}",
            **more,
        )

    main = metrics.main
    return {
        "Headline": [
            bars(f"{main}, mean over seeds", main),
            curve(f"{metrics.val} by epoch", [metrics.val]),
        ],
        "Tail": (
            [bars(key, key) for key in metrics.tail]
            + [curve("few-shot classes on val", ["val/few_acc"])]
        ),
        **({"Further metrics": [bars(key, key) for key in metrics.extra]} if metrics.extra else {}),
        "Out of distribution": (
            [bars(key, key) for key in metrics.ood]
            + [
                against("in distribution against out of distribution", wr.SummaryMetric(main), key)
                for key in metrics.ood[:1]
            ]
        ),
        "Curriculum": [
            curve("mean level (lambda, in percent) by epoch", ["mix/mean_level"]),
            curve(
                "gain of the adaptive probe, by level",
                [f"gain/level_{level:03d}" for level in levels],
            ),
        ],
        "Cost": [
            against(
                "accuracy against denoising steps of the bank",
                wr.SummaryMetric("cost/denoising_steps"),
                main,
            ),
            against(
                "accuracy against seconds of training",
                wr.SummaryMetric("cost/seconds"),
                main,
                log_x=True,
            ),
            curve("images trained on a second", ["train/images_per_second"]),
        ],
        "Learning": [curve("training loss", ["train/loss"]), curve("learning rate", ["train/lr"])],
        "Mistakes": [
            wr.WeavePanelSummaryTable(table_name=name)
            for name in ("mistakes", "confusions", "classes")
        ],
        "Tuning": [
            against(
                "history: best val by trial",
                wr.Config("trial"),
                f"best/{metrics.val.removeprefix('val/')}",
                running_ymax=higher_is_better(metrics.val),
                running_ymin=not higher_is_better(metrics.val),
            ),
            wr.ParameterImportancePlot(with_respect_to=f"best/{metrics.val.removeprefix('val/')}"),
            wr.ParallelCoordinatesPlot(
                title="settings and results",
                columns=[
                    wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key))
                    for key in ("strategy", "train.lr", "train.weight_decay")
                ]
                + [
                    wr.ParallelCoordinatesPlotColumn(
                        metric=wr.SummaryMetric(f"best/{metrics.val.removeprefix('val/')}")
                    )
                ],
            ),
        ],
    }


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
    """A destination for building alone; no server is asked."""
    return Destination(read_settings(), None)

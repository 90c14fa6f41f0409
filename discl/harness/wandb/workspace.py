"""A saved W&B workspace and a report that compare the strategies of one benchmark; built here, with
or without a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.result import Result
from discl.harness.wandb.client import access
from discl.harness.wandb.session import Place

WIDTH, ROWS = 24, 8  # of the report's grid


@dataclass(frozen=True)
class Metrics:
    """What the panels show, by the keys W&B has."""

    val: str  # what chooses epochs
    main: str  # the same on the home test split
    tail: tuple[str, ...]  # few, medium, many
    ood: tuple[str, ...]

    @staticmethod
    def of(spec: Benchmark, results: Iterable[Result]) -> Metrics:
        """From what complete runs measured."""
        keys = {key for result in results for key in result.metrics}
        if not keys:
            raise UserError(
                f"no complete run of {spec.name} at scale {spec.scale} says what is measured; run"
                f" `discl bench {spec.name}` first"
            )
        home = id_test_split({key.rsplit("/", 1)[0] for key in keys})
        rule = spec.select.metric.removeprefix("val/")
        tail = tuple(
            f"{home}/{group}_acc"
            for group in ("few", "medium", "many")
            if f"{home}/{group}_acc" in keys
        )
        ood = [key for key in sorted(keys) if key.startswith("ood/") and key.endswith(f"/{rule}")]
        mean = f"ood/{rule}" if f"ood/{rule}" in keys else ""
        return Metrics(spec.select.metric, f"{home}/{rule}", tail, tuple([mean] if mean else ood))


@dataclass(frozen=True)
class Dashboard:
    """A workspace and a report, not yet saved."""

    workspace: Any
    report: Any

    def specs(self) -> dict[str, Any]:
        """As W&B is sent them."""
        models = {"workspace": self.workspace._to_model(), "report": self.report._to_model()}
        return {
            name: json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))
            for name, model in models.items()
        }

    def save(self) -> tuple[str, str]:
        """Their addresses at W&B; another save makes another view."""
        try:
            return str(self.workspace.save().url), str(self.report.save().url)
        except Exception as error:  # whatever its client and W&B find wrong
            raise UserError(
                f"W&B did not take the dashboard ({error}); runs must be there first: discl wandb"
                " sync"
            ) from error


def dashboard(
    spec: Benchmark, metrics: Metrics, place: Place, studies: Sequence[str] = ()
) -> Dashboard:
    """Strategies side by side, their seeds as bands: curves, tail and OOD, level traces, cost
    against accuracy, and tuning.
    """
    ws, wr = _libraries()
    entity = place.entity or ""
    project = place.project(f"discl-{spec.name}")
    runs_of = (
        {"entity": entity, "project": project} if entity else {}
    )  # whose numbers a run set asks W&B for, at once
    group = f"{spec.name}-{spec.scale}"
    panels = _panels(wr, metrics, sorted(spec.levels))
    workspace = ws.Workspace(
        entity=entity or "entity",
        project=project,
        name=f"{spec.title}, {spec.scale}: strategies",
        sections=[
            ws.Section(name=name, panels=made, is_open=True) for name, made in panels.items()
        ],
        runset_settings=ws.RunsetSettings(
            filters=ws.And(
                ws.Metric("Group").isin([group, *studies]),
                ws.Metric("JobType").isin(["train", "tune"]),
            ),
            groupby=[ws.Config("strategy")],
            order=[ws.Ordering(ws.Summary(metrics.main), ascending=False)],
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
    for name, made in panels.items():
        blocks += [
            wr.H2(text=name),
            wr.PanelGrid(
                runsets=[tuned if name == "Tuning" else trained], panels=_placed(wr, made)
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
            "dashboards need wandb-workspaces; install it with: pip install 'discl[wandb-dashboard]'"
        ) from error
    return ws, wr


def _panels(wr: Any, metrics: Metrics, levels: Sequence[int]) -> dict[str, list[Any]]:
    """Section -> panels; every one of them grouped by strategy, or coloured by it."""
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
        "Out of distribution": (
            [bars(key, key) for key in metrics.ood]
            + [
                against("at home against out of distribution", wr.SummaryMetric(main), key)
                for key in metrics.ood[:1]
            ]
        ),
        "Curriculum": [
            curve("mean level (lambda, in percent) by epoch", ["mix/mean_level"]),
            curve(
                "what the adaptive probe gained, by level",
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
                running_ymax=True,
            ),
            wr.ParameterImportancePlot(with_respect_to=f"best/{metrics.val.removeprefix('val/')}"),
            wr.ParallelCoordinatesPlot(
                title="settings and what they came to",
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


def _placed(wr: Any, panels: Sequence[Any]) -> list[Any]:
    """Copies in the report's grid, two a line."""
    placed = []
    for at, panel in enumerate(panels):
        copy = deepcopy(panel)
        copy.layout = wr.Layout(x=at % 2 * WIDTH // 2, y=at // 2 * ROWS, w=WIDTH // 2, h=ROWS)
        placed.append(copy)
    return placed


def nowhere() -> Place:
    """For specs alone: no server is asked for anything."""
    return Place(access(), None)

"""Hand-made results for the table of every command, and what it prints on terminals of any width.

`python -m tests.table_samples` writes tests/golden/tables anew; then review the diff.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec, patch

from click.testing import CliRunner

from discl.cli import main

GOLDEN = Path(__file__).parent / "golden" / "tables"
WIDTHS = (60, 80, 100, 120, 160, 200)
NARROW = 20
Value = tuple[float, float | None]


def on_a_terminal(width: int | None, show: Callable[[], None]) -> str:
    """What is printed on a terminal of so many columns, without its styles; None is a pipe."""
    written = io.StringIO()
    with (
        patch("discl.cli.render.tables.terminal_width", lambda: width),
        contextlib.redirect_stdout(written),
    ):
        show()
    return written.getvalue()


def snapshot(name: str) -> str:
    """What a table prints at every width and in a pipe."""
    shown = {f"{width} columns": width for width in (*WIDTHS, NARROW)} | {"a pipe": None}
    return "".join(
        f"---------------- {title}\n{on_a_terminal(width, SAMPLES[name])}"
        for title, width in shown.items()
    )


def command(*words: str, **replaced: Any) -> None:
    """A command with what it reads replaced: `module:name` -> value."""
    targets = [
        (import_module(module), name, value)
        for (module, name), value in (
            (place.split(":"), value) for place, value in replaced.items()
        )
    ]
    originals = [(value, getattr(module, name)) for module, name, value in targets]
    known = set(sys.modules)
    with contextlib.ExitStack() as stack:
        for module, name, value in targets:
            stack.enter_context(patch.object(module, name, value))
        done = CliRunner().invoke(main, list(words))
    _put_back(set(sys.modules) - known, originals)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    import click

    click.echo(done.output, nl=False)


def _put_back(imported: set[str], originals: Sequence[tuple[Any, Any]]) -> None:
    """Modules that were first imported amid replacements may hold one by a name of their own."""
    for module in imported:
        for name, held in [*vars(sys.modules[module]).items()]:
            for value, original in originals:
                if held is value:
                    setattr(sys.modules[module], name, original)


def _estimate(value: Value, n: int = 16) -> Any:
    from discl.harness.leaderboard.statistics import Estimate

    return Estimate(*value, n)


# ---------------------------------------------------------------- boards

STRATEGIES = {
    "static": [(0.40, 0.20), (0.42, 0.24), (0.41, 0.22)],
    "real_only": [(0.35, 0.04), (0.36, 0.05), (0.34, 0.03)],
    "real_rebalanced": [(0.36, 0.10), (0.39, 0.13), (0.36, 0.10)],
    "competence": [(0.50, 0.30), (0.52, 0.33)],
}


@functools.cache
def _board(**settings: Any) -> Any:
    """A board of four strategies; the seeds of one are not complete."""
    from discl.config.load import load
    from discl.harness.leaderboard.table import board

    spec = load(
        "cifar10_lt",
        settings=["generator.name=blend", "seeds=[0,1,2]", f"strategies={[*STRATEGIES]}"],
    )
    runs = [
        _run(name, seed, overall, few, **settings)
        for name, pairs in STRATEGIES.items()
        for seed, (overall, few) in enumerate(pairs)
    ]
    return board(spec, runs)


def _run(strategy: str, seed: int, overall: float, few: float, groups: bool = False) -> Any:
    from discl.core.result import Result

    def metrics(overall: float, few: float) -> dict[str, float]:
        at = "id_test" if groups else "test"
        found = {
            f"{at}/macro_acc": overall,
            f"{at}/many_acc": 0.7,
            f"{at}/medium_acc": 0.25 + few / 9,
            f"{at}/few_acc": few,
            f"{at}/worst_class_acc": 0.01 * seed,
            "ood/fog-1/macro_acc": overall - 0.1,
            "ood/macro_acc": overall - 0.1,
            f"{at}/adjusted_macro_acc": overall + 0.01,
        }
        if groups:
            found |= {
                f"{at}/worst_group_acc": overall / 2,
                f"{at}/groups_scored": 200,
                f"{at}/smallest_group": 30,
                "ood/fog-1/worst_group_acc": overall / 3,
                "ood/fog-1/groups_scored": 200,
                "ood/fog-1/smallest_group": 30,
                "ood/worst_group_acc": overall / 3,
            }
        return found

    return Result(
        id=f"{strategy}{seed}",
        attempt=0,
        name=f"golden-{strategy}-s{seed}",
        benchmark="cifar10_lt",
        scale="smoke",
        strategy=strategy,
        seed=seed,
        identity={"select": {"metric": "val/macro_acc"}},
        comparability={"definitions": "d1", "comparison": "c1", "bank": None},
        metrics=metrics(overall - 0.02, few + 0.02),
        class_recalls=[],
        classes=[],
        counts=[],
        chosen_epoch=3,
        seen={100: 10},
        cost={"steps": 10, "seconds": 30.0, "images_generated": 0},
        provenance={"processor": "golden", "device": "cpu", "threads": 1},
        last={"epoch": 29, "metrics": metrics(overall, few)},
    )


def show_board() -> None:
    """The table of `discl leaderboard`, `discl bench` and `make bench`."""
    from discl.cli.render.boards import print_board

    print_board(_board())


def show_board_with_groups() -> None:
    """A board with the accuracy of the worst group."""
    from discl.cli.render.boards import print_board

    print_board(_board(groups=True))


def show_published() -> None:
    """What papers report."""
    from discl.cli.render.boards import print_published
    from discl.harness.leaderboard.paper_results import paper_results

    print_published(paper_results("imagenet_lt"))


# ---------------------------------------------------------------- photos and banks


def show_data() -> None:
    """`discl data info` of a folder with cameras."""
    classes = [
        ("antelope", "many", [420, 40, 40, 40, 40]),
        ("black bear", "few", [7, 40, 40, 40, 40]),
    ]
    splits = ["train", "val", "test", "ood/night", "ood/other_cameras"]
    groups = [
        (f"camera {number}", [60, 9, 9, 0, 80], "antelope 60, black bear 7") for number in (1, 2)
    ]
    dataset = SimpleNamespace(
        group_names=["camera 1", "camera 2"],
        decisions=[("classes", "folders of the first level", "each holds photos of one name")],
    )
    overview = "discl.harness.bank.dataset_overview"
    bound = SimpleNamespace(build=lambda: dataset)
    command(
        *("data", "info", "folder"),
        **{
            "discl.core.registry:bind": lambda *_: bound,
            f"{overview}:count_photos": lambda _: SimpleNamespace(
                splits=splits, rows=classes, note="ood splits: night, other_cameras; groups: 2"
            ),
            f"{overview}:count_groups": lambda *_: SimpleNamespace(
                splits=splits, rows=groups, note="2 groups of 150 photos"
            ),
        },
    )


def show_hard() -> None:
    """`discl hard` with out-of-fold models."""
    from discl.harness.bank.hard_examples import HardClass, HardSummary, OutOfFoldSummary

    summary = HardSummary(
        benchmark="cifar10_lt",
        scale="smoke",
        hard_rule={"name": "low_confidence", "fraction": 0.05},
        training_photos=1236,
        hard_photos=62,
        classes=[
            HardClass(0, "airplane", 500, 12, False, 0.912),
            HardClass(1, "a truck with a trailer and a very long name", 5, 5, False, 0.004),
            HardClass(2, "void", 0, 0, True, None),
        ],
        images=1240,
        denoising_steps=4960,
        out_of_fold=OutOfFoldSummary(
            folder="/home/me/.cache/discl/folds/0123456789abcdef",
            folds=[247] * 5,
            metric="val/macro_acc",
            validation=[0.31, 0.33, None, 0.3, 0.32],
            unseen_class=3,
            probabilities={"5 %": 0.02, "50 %": 0.71, "95 %": 0.99},
            hard_probabilities={"5 %": 0.001, "50 %": 0.01, "95 %": 0.02},
            below={"0.01": 40, "0.1": 200},
        ),
        photos=[],
    )
    bench = SimpleNamespace(find_hard=lambda _: None)
    command(
        *("hard", "cifar10_lt"),
        **{
            "discl.cli.hard:opened": lambda _: (bench, SimpleNamespace(progress=None)),
            "discl.harness.bank.hard_examples:summary": lambda _: summary,
        },
    )


def show_banks() -> None:
    """`discl bank ls`."""
    from discl.harness.bank.inventory import BankSummary, DiskUsage
    from discl.harness.bank.references import References

    def bank(id: str, images: dict[int, int], used: list[str], problem: str = "") -> BankSummary:
        shards = DiskUsage(10_400_000, 2_300_000, 90_000)
        # noon, whatever the time zone of this machine
        noon = datetime(2026, 11, 29, 12).timestamp()
        of = ("cifar10_lt", "gap", "ensemble")
        return BankSummary(
            id, Path(id), *of, images, len(used), shards, noon, used, 12 * len(used), problem
        )

    found = [
        bank("0123456789abcdef", {0: 260, 30: 260, 50: 260, 70: 260}, ["cifar10_lt/smoke"]),
        bank("fedcba9876543210", {}, [], "its catalogue is damaged: file is not a database"),
    ]
    command(
        *("bank", "ls"),
        **{
            "discl.harness.bank.references:find_references": References,
            "discl.harness.bank.inventory:bank_summaries": lambda _: iter(found),
        },
    )


def show_levels() -> None:
    """`discl bank levels`, of noise that keeps its variance and of flow matching."""
    from discl.core.levels import LevelGrid, Start
    from discl.harness.bank import level_table

    variance = [(981.0, 0.076, 0.997), (481.0, 0.55, 0.835), (81.0, 0.958, 0.288)]
    flow = [(1000.0, 0.0, 1.0), (502.4912, 0.4975, 0.5025), (251.2, 0.7488, 0.2512)]
    models = [
        ("stabilityai/stable-diffusion-xl-refiner-1.0", "EulerDiscreteScheduler", "steps"),
        ("black-forest-labs/FLUX.1-dev", "FlowMatchEulerDiscreteScheduler", "signal"),
    ]
    for (checkpoint, scheduler, counted), places in zip(models, (variance, flow), strict=True):
        is_flow = places is flow
        starts = tuple(Start(*place) for place in places)
        grid = LevelGrid(scheduler, starts, is_flow, (512, 768) if is_flow else None, is_flow)
        table = level_table.table_of(
            ("imagenet_lt", "paper", checkpoint, counted), grid, {0: 3, 50: 2, 90: 1, 100: 0}
        )
        command(
            *("bank", "levels", "imagenet_lt"),
            **{
                "discl.config.load:load": lambda *_: None,
                "discl.harness.bank.level_table:level_table": lambda *_, table=table: table,
            },
        )


def show_quality() -> None:
    """`discl bank report`."""
    from discl.cli.render.quality import print_gap, print_quality
    from discl.harness.bank.quality.gap_curve import GapCurve, GapRow, Interval
    from discl.harness.bank.quality.quality_report import NearDuplicate

    def stats(level: int | None, label: int | None, name: str | None) -> Any:
        return SimpleNamespace(
            **{"level": level, "label": label, "class_name": name, "made": 260, "kept": 251},
            **{"text_score": 0.271, "photo_score": 0.81, "probe_retention": 0.93},
            **{"caption_retention": 0.5, "diversity": 0.31, "near_duplicates": 2},
            **{"denoising_steps_per_kept": 4.2, "bytes_per_kept": 2345.0},
        )

    names = ["ship", "truck"]
    near = NearDuplicate(70, "train-00017", 3, "ship", True, "test", "test-00412", 0.981, 0.6, 0.04)
    report: Any = SimpleNamespace(
        **{"bank": "0123456789abcdef", "benchmark": "cifar10_lt", "scale": "smoke", "variants": 10},
        **{"best_of": 1, "threshold": 0.2, "total": stats(None, None, None)},
        warnings=("at level 70, 2 of 260 images look like photos of test; see near-duplicates",),
        levels=[stats(level, None, None) for level in (0, 50, 70)],
        by_class_and_level=[
            stats(level, label, name) for label, name in enumerate(names) for level in (0, 50, 70)
        ],
        real=[
            SimpleNamespace(
                **{"label": label, "class_name": name, "hard_photos": 13 - label},
                **{"probe_retention": 0.9, "caption_retention": None, "diversity": 0.5},
            )
            for label, name in enumerate(names)
        ],
        classifiers=SimpleNamespace(probe_val_accuracy=0.5512, caption_val_accuracy=0.31),
        near_duplicates=SimpleNamespace(
            **{"cosine_limit": 0.9712, "found": 2, "images": 780, "quantile": 0.999},
            **{"found_kept": 1, "listed": [near]},
        ),
    )
    print_quality(report)
    kinds = [
        ("level 0", 0, 0.31, 0.4),
        ("level 50", 50, 0.52, 0.2),
        ("other photos", None, 0.61, 0),
    ]
    rows = tuple(
        GapRow(
            *(kind, level, 780, Interval(recall, 0.021), (recall,)),
            *(Interval(gap, 0.03) if gap else None, 0.1234, 0.0021),
        )
        for kind, level, recall, gap in kinds
    )
    about = (1, "0123456789abcdef", ("ship", "truck"), (), 0.5, (13, 13), 100, (0, 1, 2), 100, 32)
    print_gap(GapCurve(*about, "clip", rows))


# ---------------------------------------------------------------- runs


def show_runs() -> None:
    """`discl runs ls`, `show` and `diff`."""
    from discl.cli.render.run_diff import print_diff
    from discl.cli.render.run_pages import print_run
    from discl.cli.render.runs import print_list
    from discl.core.conventions import VAL
    from discl.harness.inspect.diff import diff_runs
    from discl.harness.inspect.index import RunListing, StoredRun
    from tests.stores import result

    def stored(made: Any, state: str = "complete", why: str = "") -> StoredRun:
        return StoredRun(
            id=made.id,
            folder=Path("runs") / made.id,
            state=state,
            why=why,
            name=made.name,
            benchmark="cifar10_lt",
            scale="smoke",
            strategy=made.strategy,
            seed=made.seed,
            when="2026-11-29T12:00:00Z",
            result=None if why else made,
        )

    static, real = (
        result(seed=1),
        result(
            "real_rebalanced",
            2,
            metrics=result().metrics | {"test/macro_acc": 0.35, "test/few_acc": 0.1},
        ),
    )
    runs = [
        stored(static),
        stored(real),
        stored(
            result("competence", 3),
            "failed",
            "the photos of this benchmark are gone: look for"
            " them where they were, or fetch them again with discl data fetch cifar10_lt",
        ),
    ]
    listing = create_autospec(RunListing, instance=True, ids=[run.id for run in runs])
    listing.__len__.return_value = len(runs)
    print_list(runs, False, listing, note="one keeps no last epoch")
    print_run(runs[0])
    print_diff(diff_runs(*runs[:2]), "size", 20, VAL)


# ---------------------------------------------------------------- sweeps and studies


def show_sweeps() -> None:
    """`discl sweep` without a name."""

    def sweep(name: str) -> Any:
        if name == "broken":
            raise ValueError("line 3: expected a value")
        return SimpleNamespace(
            name=name,
            benchmark="cifar10_lt",
            grid=None,
            order=None,
            space=[1],
            title=f"{name.capitalize()}: what a setting is worth beside what seeds move",
        )

    load = "discl.config.sweep_load"
    names = ["amount", "broken", "tune_static"]
    command("sweep", **{f"{load}:available": lambda: names, f"{load}:load": sweep})


def show_grid() -> None:
    """The table of a grid, what tuning found, and what levels are worth."""
    from discl.cli.render.tables import show_grid
    from discl.cli.render.tuning import print_gains, print_searches
    from discl.cli.render.worth import print_worth
    from discl.harness.sweep.grid_table import GridRow, GridTable
    from discl.harness.tuning.comparison import Gain, Search
    from discl.harness.worth.levels import METRICS, LevelWorth, WorthCurve
    from discl.harness.worth.proposal import Proposal

    axes = ["strategy", "generator.name", "train.augmentation", "levels", "bank.variants"]
    titles = {"test/macro_acc": "all", "test/few_acc": "few", "ood/macro_acc": "ood"}
    values = [
        ("static", "gap", "randaugment", [0, 50, 100], 10),
        ("fixed", "blend", "none", [50], 4),
    ]
    metrics = {metric: _estimate((0.342, 0.004)) for metric in titles}
    rows = [
        GridRow(dict(zip(axes, at, strict=True)), 4, [None] * done, metrics, 1.5)  # type: ignore[list-item]
        for at, done in zip(values, (4, 2), strict=True)
    ]
    show_grid(
        "Regime, cifar10_lt, scale smoke, at the last epoch (percent)",
        GridTable(axes, titles, rows),
    )
    settings = {"train.lr": 0.00412, "strategy.static.start": 30, "train.curriculum_epochs": 12}
    print_searches(
        "All strategies, tuned alike",
        "val/macro_acc",
        [
            Search("static", 30, 4, 1, 120, 1.234, 0.41, 0.434, settings),
            Search("real_rebalanced", 30, 0, 0, 120, 0.5, None, None, {}),
        ],
    )
    print_gains(5, titles, [Gain("static", metrics, metrics, metrics)])
    measured = [*METRICS]
    print_worth(
        WorthCurve(
            "cifar10_lt",
            "smoke",
            15,
            measured[0],
            tuple(
                LevelWorth(level, dict.fromkeys(measured, _estimate((0.3, 0.01), 3)), {})
                for level in (0, 50, 100)
            ),
            Proposal(
                (0, 50, 100), True, "equal steps of worth between text and photo, as seeds tell"
            ),
        )
    )


def _studies() -> list[Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import FrozenTrial, TrialState, create_trial

    from discl.harness.tuning.history import StudySnapshot
    from discl.harness.tuning.storage.database import FAILURE

    space = {
        "space train.lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "space strategy.static.start": {"type": "categorical", "choices": [0, 30, 50]},
    }
    kinds = {
        "train.lr": FloatDistribution(1e-4, 1.0, log=True),
        "strategy.static.start": CategoricalDistribution((0, 30, 50)),
    }
    definition = {
        **{"benchmark": "cifar10_lt", "scale": "smoke", "objective": ["val/macro_acc"]},
        **{"sampler": "tpe", "tune.seed": 0, "tune.round": 4, "tune.startup": 8},
        **{"tune.seeds": [0, 1], "tune.also": [], "tune.pruner": "wilcoxon", "tune.prune_after": 1},
        **{"tune.p": 0.1, "tune.patience": 0, "set train.epochs": 30},
        **space,
    }
    began = datetime(2026, 11, 29, 12, tzinfo=UTC).replace(tzinfo=None)
    trials: list[FrozenTrial | None] = []
    for slot, (lr, start) in enumerate([(0.003, 0), (0.01234, 30), (0.5, 50)]):
        failed = slot == 2
        trial = create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            params={"train.lr": lr, "strategy.static.start": start},
            distributions=kinds,
            value=None if failed else 0.4 + slot / 100,
            intermediate_values={} if failed else {0: 0.4, 1: 0.42},
            user_attrs={FAILURE: "out of memory: lower train.batch_size"}
            if failed
            else {"runs": {"0": {"seconds": 36.0}}},
        )
        trial.datetime_start, trial.datetime_complete = began, began + timedelta(minutes=slot)
        trials.append(trial)
    return [
        StudySnapshot(f"tune_static/cifar10_lt/smoke/{strategy}", definition, trials)
        for strategy in ("static", "real_rebalanced")
    ]


def show_studies() -> None:
    """`discl study ls`, `show` and `importance`."""
    history = "discl.harness.tuning.history"
    studies = _studies()
    address = {"discl.harness.tuning.storage.address:default_url": lambda: "sqlite:///studies.db"}
    command("study", "ls", **{f"{history}:all_studies": lambda _: studies}, **address)
    chosen = {f"{history}:chosen_studies": lambda *_: studies[:1], **address}
    command("study", "show", "tune_static", **chosen)
    seen = SimpleNamespace(
        name=studies[0].name,
        objective=["val/macro_acc"],
        scored=[None] * 30,
        states=Counter({"given up": 4}),
        importances=lambda: {"train.lr": 0.83, "strategy.static.start": 0.17},
    )
    command(
        "study", "importance", "tune_static", **{f"{history}:chosen_studies": lambda *_: [seen]}
    )


def show_plan() -> None:
    """The figures of `discl plan` and of `discl sweep --dry-run`."""
    from discl.cli.render.cost import print_time, print_work
    from discl.cli.render.tables import tell_figure

    cost: Any = SimpleNamespace(
        **{"fold_models": 5, "starts": 3, "hard": 62, "images": 12_400, "denoising_steps": 49_600},
        **{"bytes": 31_000_000, "optimiser_steps": 34_200, "trained_images": 2_188_800},
        **{"experiments": 48, "cached": 3, "hard_classes": 0, "classes": 10},
    )
    tell_figure("runs", "48", "of which stored 3")
    print_work(cost, models_note="; `discl hard cifar10_lt` does only that")
    print_work(SimpleNamespace(**{**vars(cost), "hard": None, "starts": 0}))  # type: ignore[arg-type]
    print_time(12.3, "minutes", 1, "from a sample of each kind of work")
    print_time(float("nan"), "minutes", 1, "")


# ---------------------------------------------------------------- this machine


def show_wandb() -> None:
    """`discl wandb status` with runs that wait."""
    current = SimpleNamespace(
        **{"error": "", "url": "https://api.wandb.ai", "key_from": "WANDB_API_KEY"},
        **{"mode": "offline", "requested_mode": "online", "entity": "", "project": "discl"},
        **{"runs": 48, "sent": 36, "waiting": [f"{run:016x}" for run in range(12)], "offline": 12},
        offline_folder=Path("/home/me/.cache/discl/wandb/wandb"),
    )
    command(
        *("wandb", "status"),
        **{
            "discl.harness.wandb.sync:status": lambda _: current,
            "discl.harness.wandb.sync:run_title": lambda _, id: f"static, seed 1 ({id})",
        },
    )


def show_parts() -> None:
    """`discl list strategies`."""
    summaries = {
        "adaptive": "The level that is learned fastest, measured each epoch on a probe.",
        "real_rebalanced": "Baseline: the class shares of the curricula, without images.",
    }
    registry = "discl.core.registry"
    command(
        *("list", "strategies"),
        **{f"{registry}:names": lambda _: [*summaries]},
        **{f"{registry}:summary": lambda _, name: summaries[name]},
    )


def _doctor(*findings: tuple[str, str, str]) -> None:
    from discl.harness.doctor.finding import Finding

    examined = [SimpleNamespace(check="disk", findings=[Finding(*found) for found in findings])]
    command("doctor", **{"discl.harness.doctor.diagnosis:examine": lambda _: examined})


def show_doctor() -> None:
    """`discl doctor` with something to say, and with nothing."""
    _doctor(
        ("ok", "Python 3.11.7", ""),
        (
            "note",
            "Hugging Face Hub at https://huggingface.co cannot be reached: no route to host",
            "the embedded default needs none of it; for other checkpoints check the network",
        ),
        ("problem", "DISCL_HOME: /home/me/.cache/discl: 0.1 GB free on ext4", "free some space"),
    )
    _doctor(("ok", "Python 3.11.7", ""), ("ok", "torch 2.13.0 on the CPU", ""))


SAMPLES: dict[str, Callable[[], None]] = {
    "board": show_board,
    "board_with_groups": show_board_with_groups,
    "published": show_published,
    "data": show_data,
    "hard": show_hard,
    "banks": show_banks,
    "levels": show_levels,
    "quality": show_quality,
    "runs": show_runs,
    "sweeps": show_sweeps,
    "grid": show_grid,
    "studies": show_studies,
    "plan": show_plan,
    "wandb": show_wandb,
    "parts": show_parts,
    "doctor": show_doctor,
}


def at_each_width(text: str) -> Iterator[tuple[int | None, list[str]]]:
    """(width, lines) of a snapshot; None is a pipe."""
    for part in text.split("---------------- ")[1:]:
        title, *lines = part.splitlines()
        yield (None if title == "a pipe" else int(title.split()[0])), lines


def write(names: Iterable[str] = SAMPLES) -> None:
    """Write snapshots down."""
    GOLDEN.mkdir(exist_ok=True)
    for name in names:
        (GOLDEN / f"{name}.txt").write_text(snapshot(name), "utf-8")


if __name__ == "__main__":
    write()

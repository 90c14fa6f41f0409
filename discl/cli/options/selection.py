"""BENCH and the options that say which version of it: shared by the commands that take one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks, scales, strategies

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.harness.run.assembly import Bench
    from discl.harness.run.trackers import CompositeTracker


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
SCALES = "smoke (2 cores, minutes), small (one GPU hour or a CPU night) or paper."
scale_option = click.option(
    "--scale", default="smoke", show_default=True, shell_complete=scales, help=SCALES
)


def one_scale_option(help: str) -> Decorator:
    """--scale of a command that takes all scales without it."""
    return click.option("--scale", shell_complete=scales, help=help)


def settings_option(help: str) -> Decorator:
    """--set, which the command gets as `settings`."""
    return click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=help)


set_option = settings_option("Override a setting, e.g. --set train.epochs=20. Repeatable.")
dataset_set_option = settings_option(
    "A setting, as every command takes it, e.g. --set dataset.root=photos; those of the"
    " dataset may be written short: --set root=photos. Repeatable."
)
baseline_option = click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="A strategy to compare with. Repeatable; default: real_rebalanced, real_only.",
)
papers_option = click.option(
    "--papers",
    is_flag=True,
    help="Show results of papers on other data as well; they do not compare with the rows.",
)


def strategies_option(help: str) -> Decorator:
    """--strategies, with what it says of the others."""
    return click.option("--strategies", shell_complete=strategies, help=help)


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """BENCH and the options that say which version of it."""
    options: list[Decorator] = [
        click.argument("bench", metavar="BENCH", shell_complete=benchmarks),
        scale_option,
        strategies_option("Only these, separated by commas; see `discl list strategies`."),
        click.option("--seeds", help="Seeds, separated by commas, e.g. 0,1,2."),
        set_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def epoch_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--epoch, which names the rule that numbers are read by."""
    return click.option(
        "--epoch",
        metavar="[last|val]",
        help=(
            "Read every run at its last epoch, or at the one that val chose; default: the"
            " benchmark's select.epoch, or val where a run keeps no last epoch."
        ),
    )(command)


def load(
    bench: str, scale: str, strategies: str | None, seeds: str | None, settings: tuple[str, ...]
) -> Benchmark:
    from discl.config.load import load

    return load(bench, scale, [*settings, *choices(strategies, seeds)])


def choices(strategies: str | None, seeds: str | None) -> list[str]:
    """--strategies and --seeds as settings."""
    chosen = []
    if strategies is not None:
        chosen.append("strategies=[" + ",".join(f'"{name}"' for name in words(strategies)) + "]")
    if seeds is not None:
        chosen.append(f"seeds={numbers('--seeds', seeds)}")
    return chosen


def tell_how_to_keep(bench: str, scale: str, settings: tuple[str, ...]) -> None:
    """Say on standard error how the settings of --set are kept by a name; nothing without any."""
    from discl.core.text import echo, typed

    if settings:
        name = f"my_{bench}"
        given = [word for setting in settings for word in ("--set", setting)]
        size = [] if scale == "smoke" else ["--scale", scale]
        init = typed("discl", "init", "--from", bench, name, *given)
        again = typed("discl", "bench", name, *size)
        echo(f"to keep these settings by a name: {init}; then {again} needs no --set", err=True)


def opened(spec: Benchmark) -> tuple[Bench, CompositeTracker]:
    """The benchmark's parts and the terminal, with the data ready."""
    from discl.harness.run.assembly import Bench
    from discl.harness.run.trackers import CompositeTracker

    bench = Bench(spec)
    tracker = CompositeTracker.of(["console"])
    bench.dataset.prepare(tracker.progress)
    return bench, tracker


def words(text: str) -> list[str]:
    """'a, b' as ['a', 'b']."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(option: str, text: str) -> list[int]:
    """'0,1' as [0, 1]; raises UserError where a part is no whole number."""
    from discl.core.errors import UserError

    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(
            f"{option} {text!r}: give whole numbers separated by commas, e.g. 0,1,2"
        ) from error

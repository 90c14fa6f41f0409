"""The command line: parses, calls, prints.

Everything slow is imported by the command that needs it.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from typing import Any, NoReturn

import click

from discl import __version__
from discl.cli.options.group import CommandGroup, Commands, Elsewhere
from discl.cli.render.process import (
    check_process,
    close_output,
    fault_of_process,
    open_streams,
    shield_end,
)
from discl.core.progress import PatientProgress, counting, showing
from discl.core.text import echo

COMMANDS = {
    "init": Elsewhere(
        "discl.cli.init",
        "init",
        "Write benchmarks/NAME.toml for the photos in FOLDER, or for the settings of --from BENCH.",
    ),
    "list": Elsewhere(
        "discl.cli.listing", "list_parts", "List the names of a KIND with a sentence on each."
    ),
    "data": Elsewhere("discl.cli.data", "data", "Look at the photos, or fetch them."),
    "hard": Elsewhere("discl.cli.hard", "hard", "Show which training photos of BENCH are hard."),
    "embed": Elsewhere(
        "discl.cli.embed",
        "embed",
        "Teach BENCH's generator one word a class, from its hard photos.",
    ),
    "plan": Elsewhere(
        "discl.cli.plan",
        "plan",
        "Estimate the cost of `discl bench`: here, or on a GPU before it is rented.",
    ),
    "bench": Elsewhere(
        "discl.cli.running", "bench", "Run every strategy and seed of BENCH, and print the table."
    ),
    "run": Elsewhere(
        "discl.cli.running", "run", "Make one run of BENCH, and print its metrics as JSON."
    ),
    "sweep": Elsewhere(
        "discl.cli.sweep", "sweep", "Run sweeps/NAME.toml: a grid, or the tuning of a space."
    ),
    "order-test": Elsewhere(
        "discl.cli.of_levels.order_test",
        "order_test",
        "Test whether the order of a curriculum's levels matters.",
    ),
    "levels": Elsewhere(
        "discl.cli.of_levels.levels",
        "levels",
        "Measure what each level is worth to BENCH, and propose levels.",
    ),
    "study": Elsewhere(
        "discl.cli.study", "study", "Show, draw and remove the studies of `discl sweep`."
    ),
    "bank": Elsewhere("discl.cli.bank", "bank", "The images between text and photo."),
    "leaderboard": Elsewhere(
        "discl.cli.leaderboard",
        "leaderboard",
        "Compare strategies, or work on the published results.",
    ),
    "report": Elsewhere(
        "discl.cli.report", "report", "Write the results of BENCH as one HTML page."
    ),
    "figures": Elsewhere(
        "discl.cli.report", "figures", "Draw the results of BENCH as figures for a paper."
    ),
    "runs": Elsewhere("discl.cli.runs", "runs", "List runs, show one in full, or compare two."),
    "migrate": Elsewhere(
        "discl.cli.runs", "migrate", "Give runs of discl 0.1 the keys and ids of this version."
    ),
    "doctor": Elsewhere(
        "discl.cli.doctor", "doctor", "Check this machine, and say what to repair."
    ),
    "verify": Elsewhere(
        "discl.cli.doctor",
        "verify",
        "Compare everything that is stored with its seals and hashes, and repair it.",
    ),
    "completion": Elsewhere(
        "discl.cli.completion",
        "completion",
        "Print a script that lets SHELL complete commands and names.",
    ),
    "wandb": Elsewhere(
        "discl.cli.wandb", "wandb", "Send runs, banks and tuning to Weights & Biases."
    ),
}


class _Program(CommandGroup):
    """Prints a UserError and Ctrl-C as a sentence and ends with an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        check_process()
        try:
            return super().invoke(ctx)
        except EOFError as error:
            # an empty file that something read; click would take it for Ctrl-C
            raise RuntimeError(f"a file ends too early ({error})") from error

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        from discl.core.errors import UserError

        given = list(sys.argv[1:] if args is None else args)
        open_streams()
        debug = "--debug" in given  # anywhere: people add it to the end of a command that failed
        try:
            with showing(PatientProgress(_on_console)), counting(_OnConsole()), _cleared():
                code = super().main(
                    [word for word in given if word != "--debug"],
                    *rest,
                    **{**kwargs, "standalone_mode": False},
                )
            sys.stdout.flush()
            sys.exit(code if isinstance(code, int) else 0)  # click returns the code of an Exit
        except UserError as error:
            if debug:
                _echo_traceback(error)
            _tell(f"error: {fault_of_process(error) or error}")
            sys.exit(2)
        except click.exceptions.NoArgsIsHelpError as alone:
            echo(alone.ctx.get_help() if alone.ctx else "")
            sys.exit(0)
        except click.ClickException as error:
            _tell(_shown(error))
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort) as stop:
            with suppress(KeyboardInterrupt):
                if args is None:  # a process of its own
                    shield_end()
                _tell(_stopped(stop))
            sys.exit(130)
        except BrokenPipeError:
            _end_quietly()
        except SystemExit:
            if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):  # click, for a broken pipe
                _end_quietly()
            raise
        except Exception as error:
            if debug:
                _echo_traceback(error)
                sys.exit(1)
            from discl.files.disks.errors import sentence

            if refused := fault_of_process(error) or sentence(error):
                _tell(f"error: {refused}")
                sys.exit(2)
            _tell(
                f"error: {type(error).__name__}: {error}\n(this is a defect; run again with --debug"
                " for the details)"
            )
            sys.exit(1)


def _end_quietly() -> NoReturn:
    """As of `discl list | head`: who read has read enough."""
    close_output()
    sys.exit(0)


def _tell(sentence: str) -> None:
    with suppress(OSError):  # a full disk behind standard error: the exit code tells it
        echo(sentence, err=True)


def _stopped(stop: BaseException) -> str:
    """The sentence after Ctrl-C, with what is known of the work that was stopped."""
    notes = dict[str, None]()
    error: BaseException | None = stop
    for _ in range(20):  # what a second Ctrl-C interrupted is the context of the first
        if error is None:
            break
        notes |= dict.fromkeys(getattr(error, "__notes__", ()))
        error = error.__cause__ or error.__context__
    kept = "; ".join(notes) or "what was finished is kept"
    return f"stopped; {kept}, and the same command goes on from there"


def _shown(error: click.ClickException) -> str:
    """What click writes of an error: with the usage, where the command was called wrong."""
    written = StringIO()
    error.show(written)
    return written.getvalue().rstrip("\n")


def _echo_traceback(error: BaseException) -> None:
    """The traceback, in which names are as harmless as in any other output."""
    echo("".join(traceback.format_exception(error)), err=True, nl=False)


def _on_console(what: str, done: int, total: int) -> None:
    from discl.parts.trackers.console import Console

    Console().progress(what, done, total)


class _OnConsole:
    """Tells the terminal of work; what only looks never loads it."""

    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None:
        from discl.parts.trackers.base.display import display

        display().expect(kind, units, seconds)

    def done(self, kind: str, units: int, *, now: bool = True) -> None:
        from discl.parts.trackers.base.display import display

        display().done(kind, units, now=now)


@contextmanager
def _cleared() -> Iterator[None]:
    """However it ends, nothing is left on the terminal of what was under way."""
    try:
        yield
    finally:
        if shown := sys.modules.get("discl.parts.trackers.base.display"):
            try:
                shown.close_display()
            except KeyboardInterrupt:  # a second one, which would leave the cursor hidden
                shown.close_display()
                raise


@click.group(
    cls=_Program,
    commands=Commands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="discl")
@click.option(
    "--debug", is_flag=True, help="Show the traceback of an error; may also stand at the end."
)
def main(debug: bool) -> None:
    """Does a synthetic-to-real curriculum help on your data, where, and at what price?

    \b
    discl init photos                    a benchmark of your own photos
    discl list strategies                list what can be compared
    discl hard cifar10_lt                show the photos that images are made from
    discl plan cifar10_lt                what a comparison costs, before it runs
    discl bench cifar10_lt               run it, resume it, and print the table
    discl sweep tune_static --workers 2  tune strategies alike, or vary settings
    discl order-test cifar10_lt          does the order of the levels matter?
    discl levels cifar10_lt              what is each level worth?
    discl study show tune_static         results of tuning, trial by trial
    discl bank show cifar10_lt           look at the images between text and photo
    discl leaderboard cifar10_lt         the table again
    discl report cifar10_lt              answer, charts and pictures in one page
    discl runs ls                        list the runs; `show` one, `diff` two
    discl migrate                        convert runs of discl 0.1
    discl wandb sync                     send W&B what it lacks of finished runs
    discl doctor                         check this machine
    discl verify                         find and repair what is damaged
    discl completion bash                let the shell complete names
    """

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from discl.cli import COMMANDS, main
from discl.cli.bank import COMMANDS as OF_BANK
from discl.cli.bank import bank
from discl.cli.options.group import LONGEST, Elsewhere
from discl.files import shards
from tests import processes

RUN = [sys.executable, "-m", "discl.cli"]


def _process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *words], capture_output=True, text=True, check=False, timeout=120)


def _discl(*words: str) -> Result:
    """The same in this process, which has long imported what a new one would import for seconds."""
    return CliRunner().invoke(main, list(words))


def _processor_seconds(*words: str) -> float:
    """What a process takes; unlike the time on the wall, it says nothing about who else is busy
    here.
    """
    before = os.times()
    assert _process(*words).returncode == 0
    after = os.times()
    return (
        after.children_user - before.children_user + after.children_system - before.children_system
    )


def test_help_teaches_and_lists_every_verb() -> None:
    output = _process("--help").stdout
    for verb in ("bank", "bench", "data", "hard", "leaderboard", "list", "plan", "run"):
        assert verb in output


@pytest.mark.parametrize(("group", "listed"), [(main, COMMANDS), (bank, OF_BANK)])
def test_the_sentence_that_a_list_has_of_a_command_is_that_of_its_help(
    group: click.Group, listed: Mapping[str, Elsewhere]
) -> None:
    """Lists are shown, and names completed, without importing the commands."""
    assert listed.keys() == group.commands.keys()
    for name, command in group.commands.items():
        for most in (45, LONGEST):  # letters, as completion and --help show them
            own = command.get_short_help_str(most)
            assert click.Command(name, help=listed[name].sentence).get_short_help_str(most) == own


def test_help_ends_no_sentence_of_a_command_in_the_middle() -> None:
    for words in ([], ["bank"], ["leaderboard"], ["runs"], ["study"], ["wandb"], ["data"]):
        output = _discl(*words, "--help").output
        assert "..." not in output.partition("Commands:")[2], output


def test_every_help_fits_80_columns_but_for_commands_to_copy() -> None:
    for words in ([], *(words for words, _ in _commands())):
        output = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).output
        for line in output.splitlines():
            is_to_copy = line.startswith(("  discl ", "  python ")) and "   " not in line.strip()
            assert len(line) <= 80 or is_to_copy, line


def test_an_error_wraps_at_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _discl("init", "nowhere_at_all_on_this_disk").stderr
    assert whole.count("\n") == 1
    monkeypatch.setattr(
        "discl.core.text.terminal.terminal_width", lambda *, err=False: 40 if err else None
    )
    lines = _discl("init", "nowhere_at_all_on_this_disk").stderr.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == whole.rstrip("\n")


def test_alone_a_command_shows_its_help_and_ends_with_0() -> None:
    for words in ([], ["bank"], ["leaderboard"], ["runs"]):
        alone = _discl(*words)
        assert (alone.exit_code, alone.output) == (0, _discl(*words, "--help").output)


def test_help_of_the_leaderboard_has_the_options_that_people_use() -> None:
    output = _discl("leaderboard", "--help").output
    for option in ("--seeds", "--baseline", "--published", "--epoch", "--format", "-o"):
        assert f" {option}" in output


def _commands(command: click.Command = main, *above: str) -> Iterator[tuple[list[str], Any]]:
    """Every command with the words it is called by."""
    for name, below in getattr(command, "commands", {}).items():
        yield [*above, name], below
        yield from _commands(below, *above, name)


# what a command needs beside a benchmark
NEEDS = {"figures": ["-o", "x"], "bank export": ["x"], "bank import": ["x"]}
TAKE_SET = [
    words
    for words, command in _commands()
    if any("--set" in option.opts for option in command.params) and words != ["init"]
]


@pytest.mark.parametrize("words", TAKE_SET, ids=" ".join)
def test_a_misspelt_setting_is_told_alike_by_every_command(words: list[str]) -> None:
    name = "tune_static" if words == ["sweep"] else "cifar10_lt"
    needs = NEEDS.get(" ".join(words), [])
    for setting, says in (
        ("train.epoch=2", "no key called 'train.epoch'; did you mean 'train.epochs'?"),
        ("dataset.largst=2", "did you mean 'largest'?"),
        ("train.epochs", "is not of the form key=value, e.g. --set train.epochs=20"),
    ):
        done = _discl(*words, name, *needs, "--set", setting)
        assert done.exit_code == 2, done.output
        assert says in done.stderr


def test_json_is_asked_for_alike_everywhere() -> None:
    for words, command in _commands():
        for option in command.params:
            shown = isinstance(option, click.Option) and not option.hidden
            assert not (shown and "--json" in option.opts), words
            if shown and "--format" in option.opts and isinstance(option.type, click.Choice):
                assert {"json", "datasets"} & set(option.type.choices), words


def test_light_commands_import_nothing_heavy_and_no_other_command() -> None:
    others = ("discl.cli.bank", "discl.cli.plan", "discl.cli.running", "discl.cli.sweep")
    heavy = ("torch", "numpy", "pydantic", "timm", "wandb", *others)
    for words in (["--help"], ["list", "strategies"]):
        script = (
            "import sys\nfrom discl.cli import main\n"
            f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
            f"sys.stderr.write(','.join(name for name in {heavy!r} if name in sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bench", "cifar10_l"], "did you mean 'cifar10_lt'"),
        (["bench", "cifar10_lt", "--scale", "big"], "no scale called 'big'"),
        (["bench", "cifar10_lt", "--strategies", "sttic"], "did you mean 'static'"),
        (["bench", "cifar10_lt", "--seeds", "one"], "--seeds 'one'"),
        (["bench", "cifar10_lt", "--set", "train.epochs=many"], "train.epochs = 'many'"),
        (
            ["bench", "cifar10_lt", "--set", "backbone.model=resnt18", "--strategies", "real_only"],
            "did you mean 'resnet18'",
        ),
        (["bench", "cifar10_lt", "--trackers", "wandbb"], "did you mean 'wandb'"),
        (["bank", "build", "cifar10_lt", "--levels", "low"], "--levels 'low'"),
        (
            ["bank", "build", "cifar10_lt", "--set", "generator.checkpoint=nowhere"],
            "generator.checkpoint = 'nowhere'",
        ),
        (
            ["bank", "build", "cifar10_lt", "--set", "scorer.model=nowhere"],
            "scorer.model = 'nowhere'",
        ),
        (["bank", "show", "cifar10_lt", "-o", "spectrum.txt"], "use .png or .webp or .svg"),
        (
            ["bank", "report", "cifar10_lt", "--html", "pyproject.toml/report.html"],
            "name a file in a folder you may write",
        ),
        (
            ["bank", "report", "cifar10_lt", "--set", "generator.name=blend"],
            "run `discl bank build cifar10_lt` first",
        ),
        (["data", "info", "cifr"], "no dataset called 'cifr'"),
        (["data", "info", "cifar10_lt", "--set", "dataset.largst=3"], "did you mean 'largest'"),
        (
            ["data", "info", "folder", "--set", "root=a", "--set", "dataset.root=b"],
            "--set root=... and dataset.root=... are one setting; give it once",
        ),
        (["data", "info", "folder", "--set", "dataset.name=x"], "leave its name out of --set"),
        (["list", "strategy"], "did you mean 'strategies'"),
        (["leaderboard", "cifar10_lt"], "no complete run"),
        (["run", "cifar10_lt"], "one strategy and one seed"),
        (["bench"], "Missing argument"),
        (["bnech"], "bnech"),
    ],
)
def test_bad_input_is_one_or_two_lines_and_exit_code_2(words: list[str], says: str) -> None:
    done = _discl(*words)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_leaves_the_process_as_a_line_and_with_debug_as_a_traceback() -> None:
    done = _process("bench", "cifar10_l")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    for words in (["--debug", "bench", "cifar10_l"], ["bench", "cifar10_l", "--debug"]):
        assert "Traceback" in _process(*words).stderr


def test_a_home_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "file"))
    done = _discl("bank", "build", "cifar10_lt", "--set", "generator.name=blend")
    assert done.exit_code == 2
    assert "DISCL_HOME" in done.stderr


def test_data_info_counts_photos_and_writes_a_sheet(tmp_path: Path) -> None:
    done = _discl(
        "data",
        "info",
        "cifar10_lt",
        "--set",
        "dataset.ood_photos=10",
        "--sheet",
        str(tmp_path / "sheet.png"),
    )
    assert done.exit_code == 0, done.output
    assert "1236" in done.stdout
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_light_commands_answer_at_once() -> None:
    assert any(_processor_seconds("--help") < 0.3 for _ in range(5))
    assert any(_processor_seconds("list", "strategies") < 0.5 for _ in range(5))


def test_ctrl_c_stops_with_130_and_keeps_what_was_made_and_a_second_one_says_nothing(
    tmp_path: Path,
) -> None:
    words = [
        "bank",
        "build",
        "cifar10_lt",
        "--set",
        "generator.name=blend",
        "--set",
        "bank.batch=2",
        "--set",
        "bank.variants=40",
    ]
    log = tmp_path / "log"
    build = processes.begin(
        processes.discl, words, log=log, environment={"DISCL_HOME": str(tmp_path)}
    )
    while not (made := _shards(tmp_path)) and build.poll() is None:
        time.sleep(0.02)
    build.send_signal(signal.SIGINT)
    while "goes on from there" not in log.read_text() and build.poll() is None:
        time.sleep(0.001)
    build.send_signal(signal.SIGINT)  # which finds the interpreter at its end
    code = build.wait(60)
    output = log.read_text()
    assert code == 130, output
    assert "goes on from there" in output
    assert "Traceback" not in output
    assert made
    assert made <= _shards(tmp_path)


def _shards(home: Path) -> set[str]:
    """What a build has published; a half-written shard does not count, for a stop takes it away."""
    return {name for folder in home.glob("banks/*/shards") for name in shards.names(folder)}


def test_a_walk_through_every_verb(tmp_path: Path) -> None:
    def discl(*words: str) -> str:
        tiny = [
            "generator.name=blend",
            "dataset.largest=40",
            "dataset.smallest=4",
            "dataset.ood_photos=10",
            "levels=[0,50,100]",
            "bank.variants=1",
            "train.epochs=2",
            "train.warmup_epochs=1",
            "train.curriculum_epochs=1",
            "train.evaluate_every=2",
            "train.batch=32",
            "backbone.stem_stride=4",
            "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8],"
            " stem_type='deep', stem_width=4}",
        ]
        settings = [word for setting in tiny for word in ("--set", setting)]
        done = _discl(*words, "cifar10_lt", *settings, "--strategies", "static,real_only")
        assert done.exit_code == 0, done.output
        return done.stdout

    plan = discl("plan")
    assert "of which stored 0" in plan
    assert "Images are made for " in plan
    assert "The generator had seen: nothing, since it is no network" in plan
    assert "Images are made from the photos as training has them, at 32x32." in plan
    first = discl("bench", "--trackers", "console")
    assert "static" in first
    assert "one seed: no interval" in first
    again = discl("bench")
    assert "this time: 0 images made, 0 steps trained, 0 runs; stored before: 2" in again
    assert "of which stored 2" in discl("plan")
    assert "| static | 1 |" in discl("leaderboard", "show", "--format", "md")
    assert {
        row["strategy"]
        for row in json.loads(discl("leaderboard", "show", "--format", "json"))["rows"]
    } == {"static", "real_only"}
    discl("bank", "show", "-o", str(tmp_path / "spectrum.png"), "--photos", "3")
    assert (tmp_path / "spectrum.png").stat().st_size > 5000
    assert "images are whole" in discl("bank", "verify")
    assert len(discl("bank", "digest").strip()) == 64
    assert discl("bank", "build").startswith("0 images made")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--executor", "nowhere"],
        ["--executor-set", "no_such=1"],
        ["--workers", "2", "--address", "head:1"],
        ["--trackers", "nowhere"],
    ],
    ids=" ".join,
)
def test_bad_input_is_refused_before_the_device_is_named(wrong: list[str]) -> None:
    refused = _discl("bench", "cifar10_lt", *wrong)
    assert refused.exit_code == 2, refused.output
    assert "device:" not in refused.stderr
    assert refused.stderr.startswith("error: ")

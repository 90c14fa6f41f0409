import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from discl.cli import main
from discl.cli.options.selection import tell_how_to_keep
from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.harness.kept_settings import keep_settings

SETTINGS = (
    "train.epochs=6",
    "train.curriculum_epochs=4",
    "strategy.static.pacing=2",
    'strategies=["static","real_only"]',
    "bank.threshold=0.2",
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", ["cifar10_lt", "cifar10_lt_below_100"])
def test_a_kept_benchmark_has_the_runs_of_the_settings_it_keeps(source: str) -> None:
    keep_settings(source, "mine", SETTINGS)
    for scale in ("smoke", "paper"):
        kept = [run.id() for run in experiments(load("mine", scale))]
        assert kept == [run.id() for run in experiments(load(source, scale, SETTINGS))]


def test_what_is_kept_can_be_kept_again_with_more_under_another_name() -> None:
    keep_settings("cifar10_lt", "first", ["generator.name=blend", "generator.steps=20"])
    keep_settings("first", "second", ["generator.steps=30"])
    assert [load(name).title for name in ("first", "second")] == ["first", "second"]
    keep_settings("cifar100_lt_ir10", "titled", ['title="Mine"'])
    keep_settings("cifar100_lt_ir10", "third", [])
    assert {
        load(name, scale).title for name in ("titled", "third") for scale in ("smoke", "paper")
    } == {
        "Mine",
        "third",
    }
    assert load("second").generator == {"name": "blend", "steps": 30}
    assert load("first").generator == {"name": "blend", "steps": 20}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from", "cifar10_l", "mine"], "no benchmark called 'cifar10_l'"),
        (["--from", "cifar10_lt", "mine", "--set", "train.epoch=2"], "mean 'train.epochs'"),
        (["--from", "cifar10_lt", "mine", "--seeds", "one"], "give whole numbers"),
        (["--from", "cifar10_lt"], "--from takes one name"),
        (["--from", "cifar10_lt", "iwildcam"], "'iwildcam' is taken"),
        (["--from", "cifar10_lt", "a/b"], "takes lower-case letters"),
        (["--from", "cifar10_lt", "n" * 300], "has 300 letters; give one of at most 100"),
    ],
)
def test_what_cannot_be_kept_writes_nothing(words: list[str], says: str, here: Path) -> None:
    done = CliRunner().invoke(main, ["init", *words])
    assert done.exit_code == 2
    assert says in done.stderr
    assert not list(here.rglob("*.toml"))


def test_a_file_is_not_replaced() -> None:
    keep_settings("cifar10_lt", "mine", SETTINGS)
    with pytest.raises(UserError, match="is there already"):
        keep_settings("cifar10_lt", "mine", [])


def test_of_two_who_keep_at_once_the_second_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_was_first(name: str, into: Path) -> Path:
        path = into / f"{name}.toml"
        path.parent.mkdir()
        path.write_text("# of the other", "utf-8")
        return path

    monkeypatch.setattr("discl.harness.kept_settings.new_path", other_was_first)
    with pytest.raises(UserError, match="is there already"):
        keep_settings("cifar10_lt", "mine", SETTINGS)
    assert Path("benchmarks/mine.toml").read_text("utf-8") == "# of the other"


def test_a_bench_with_settings_says_the_command_that_keeps_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_how_to_keep("cifar10_lt", "small", ())
    assert capsys.readouterr() == ("", "")
    tell_how_to_keep("cifar10_lt", "small", ("train.epochs=40", 'strategies=["static"]'))
    said = capsys.readouterr().err
    command, _, again = said.partition("by a name: discl ")[2].partition("; then ")
    assert again.startswith("discl bench my_cifar10_lt --scale small needs no --set")
    assert CliRunner().invoke(main, shlex.split(command)).exit_code == 0
    kept = load("my_cifar10_lt", "small")
    assert (kept.train.epochs, kept.strategies) == (40, ["static"])

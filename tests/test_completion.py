"""What a shell is offered at Tab, asked as click's scripts ask: by environment variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from discl.cli import main
from discl.cli.completion import PROGRAM, SHELLS, VARIABLE
from discl.config.benchmark import SCALES
from discl.config.load import available
from discl.config.sweep_load import available as sweeps
from discl.core.registry import KINDS, names
from discl.harness.doctor.finding import CHECKS
from discl.harness.run.store import Store
from tests.stores import EVIL, begin, complete, result


def _offered(*words: str) -> list[str]:
    """For the last of the words, which may be empty."""
    *before, incomplete = words
    return [
        item.value
        for item in ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions(
            list(before), incomplete
        )
    ]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("bench", ""), available()),
        (("bench", "cifar10_l"), [name for name in available() if name.startswith("cifar10_l")]),
        (("leaderboard", "cifar10_ca"), ["cifar10_cams"]),
        (("bank", "build", "cifar10_ca"), ["cifar10_cams"]),
        (("runs", "ls", "cifar10_ca"), ["cifar10_cams"]),
        (("bench", "cifar10_lt", "--scale", ""), list(SCALES)),
        (("bench", "cifar10_lt", "--strategies", ""), sorted(names("strategies"))),
        (
            ("bench", "cifar10_lt", "--strategies", "static,re"),
            ["static,real_only", "static,real_rebalanced", "static,reverse"],
        ),
        (("bench", "cifar10_lt", "--strategies", "static,st"), []),  # it is there already
        (("bench", "cifar10_lt", "--trackers", "jsonl,w"), ["jsonl,wandb"]),
        (("sweep", ""), sorted(sweeps())),
        (("sweep", "losses", "--executor", "sl"), ["slurm"]),
        (("sweep", "losses", "--benchmark", "iwildcam_"), ["iwildcam_as_code", "iwildcam_inpaint"]),
        (("data", "info", "im"), ["imagenet_lt"]),
        (("data", "fetch", ""), sorted(names("datasets"))),
        (("list", ""), ["benchmarks", *KINDS]),
        (("doctor", ""), list(CHECKS)),
        (("completion", ""), list(SHELLS)),
        (("runs", "show", ""), []),
    ],
)
def test_values_are_offered(words: tuple[str, ...], offered: list[str]) -> None:
    assert _offered(*words) == offered


def test_benchmarks_and_sweeps_of_ones_own_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shelf in ("benchmarks", "sweeps"):
        (tmp_path / shelf).mkdir()
        (tmp_path / shelf / "mine.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    assert _offered("bench", "mi") == ["mine"]
    assert _offered("sweep", "mi") == ["mine"]


def test_the_newest_runs_are_offered_with_their_names() -> None:
    store = Store()
    for seed in range(60):
        complete(store, result(seed=seed))
        os.utime(store.root / result(seed=seed).id, (seed, seed))
    begin(store, result(seed=99, name=EVIL))
    items = ShellComplete(main, {}, PROGRAM, VARIABLE).get_completions(["runs", "show"], "")
    assert [item.value for item in items[:2]] == [result(seed=99).id, result(seed=59).id]
    assert len(items) == 50
    assert items[1].help == "toy-smoke-timm-static-s59"
    assert items[0].help is not None
    assert items[0].help.isprintable()
    assert _offered("runs", "diff", result(seed=59).id, result(seed=58).id[:8]) == [
        result(seed=58).id
    ]


def test_a_damaged_store_offers_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    (begin(store, result()) / "events.jsonl").write_bytes(b"\xff\x00 no JSON")
    assert _offered("runs", "show", "") == [result().id]
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "nowhere"))
    assert _offered("runs", "show", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in done.output
    assert ('string split --max 1 "," ' in done.output) == (
        shell == "fish"
    )  # a list of strategies has commas of its own
    assert f"discl completion {shell}" in CliRunner().invoke(main, ["completion", "--help"]).output


def test_bash_completes_by_the_script_and_imports_nothing_heavy(tmp_path: Path) -> None:
    script = CliRunner().invoke(main, ["completion", "bash"]).output
    program = tmp_path / "discl"  # says what it imported, besides
    program.write_text(
        f"#!{sys.executable}\nimport atexit, json, sys\nfrom pathlib import Path\nfrom discl.cli"
        " import main\n"
        "atexit.register(lambda:"
        f" Path({str(tmp_path / 'imported')!r}).write_text(json.dumps(sorted(sys.modules))))\n"
        "main(prog_name='discl')\n"
    )
    program.chmod(0o755)
    asked = (
        "COMP_WORDS=(discl bench cifar10_lt --strategies static,re); COMP_CWORD=4;"
        ' _discl_completion discl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, **path},
    )
    assert done.stdout.split() == ["static,real_only", "static,real_rebalanced", "static,reverse"]
    assert not {"torch", "pydantic", "numpy", "rich"} & set(
        json.loads((tmp_path / "imported").read_text())
    )

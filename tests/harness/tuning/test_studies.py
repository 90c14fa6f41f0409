"""`discl study` over a study that the tuner itself wrote, from outcomes made by hand: nothing is
trained.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from click.testing import Result as Said
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from discl.cli import main
from discl.config import sweep_expand
from discl.config.experiment import experiments
from discl.config.load import load
from discl.config.sweep import SweepFile
from discl.core.errors import UserError
from discl.harness.sweep.planned_run import PlannedRun
from discl.harness.tuning import description, history, slots
from discl.harness.tuning.plots import draw as plots
from discl.harness.tuning.plots import optuna_plots, trial_charts
from discl.harness.tuning.tuner import Tuner
from tests.shared import made_once
from tests.studies import REAL, SPACE, STATIC, opened, sweep_file, tune


def _made_once(
    factory: pytest.TempPathFactory, name: str, found: SweepFile, fails: str = ""
) -> str:
    folder = made_once(
        factory,
        name,
        lambda folder: tune(found, f"sqlite:///{folder}/studies.db", fails=fails),
    )
    return f"sqlite:///{folder}/studies.db"


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two strategies with six trials each: some given up, one failed. Tests only read it."""
    return _made_once(tmp_path_factory, "studies", sweep_file(6), fails="static trial 2,")


@pytest.fixture(scope="session")
def pareto(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = sweep_file(8, objective=["val/macro_acc", "cost/images"], seeds=[0])
    static = found.model_copy(update={"strategies": ["static"]})
    return _made_once(tmp_path_factory, "pareto studies", static)


@pytest.fixture(scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _made_once(tmp_path_factory, "small studies", sweep_file(1, seeds=[0]))


@pytest.fixture
def small(_small: str, tmp_path: Path) -> str:
    """One trial of each of two strategies, on one seed; a copy of the test's own."""
    address = f"sqlite:///{tmp_path}/small.db"
    shutil.copy(_small.removeprefix("sqlite:///"), tmp_path / "small.db")
    return address


def _study(*words: str) -> Said:
    return CliRunner().invoke(main, ["study", *words])


def _json(*words: str) -> Any:
    done = _study(*words, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _view(url: str, name: str) -> history.StudySnapshot:
    (view,) = history.chosen_studies(url, name)
    return view


# ---------------------------------------------------------------- ls


def test_ls_counts_the_trials_of_each_study(url: str) -> None:
    real, static = _json("ls", "--storage", url)
    assert (real["study"], real["strategy"], static["study"], static["strategy"]) == (
        REAL,
        "real_rebalanced",
        STATIC,
        "static",
    )
    assert static["trials"]["failed"] == 1
    assert sum(static["trials"].values()) == sum(real["trials"].values()) == 6
    assert min(static["trials"]["complete"], static["trials"]["given up"]) > 0
    runs = sum(len(trial["scores"]) for trial in _json("show", REAL, "--storage", url)[0]["trials"])
    assert real["hours"] == pytest.approx(runs * 36 / 3600)
    assert f"{100 * real['best']:.1f}" in _study("ls", "--storage", url).stdout


def test_ls_passes_over_the_studies_of_other_programs(small: str) -> None:
    with opened(small) as storage:
        optuna.create_study(study_name="theirs", storage=storage)
    assert [row["strategy"] for row in _json("ls", "--storage", small)] == [
        "real_rebalanced",
        "static",
    ]


def test_a_trial_that_was_left_is_interrupted_and_waits(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/left.db"
    tune(sweep_file(1).model_copy(update={"strategies": ["static"]}), address, runs=2)
    (row,) = _json("ls", "--storage", address)
    assert row["trials"] == {"interrupted": 1}
    assert row["best"] is None
    cells = _study("ls", "--storage", address).stdout.splitlines()[-1].split()
    assert cells[1:6] == ["0", "0", "0", "0", "1"]


def test_looking_makes_no_database(tmp_path: Path) -> None:
    done = _study("ls", "--storage", f"sqlite:///{tmp_path}/none.db")
    assert done.exit_code == 2
    assert "discl sweep tune_static" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_looking_imports_neither_torch_nor_a_drawing_library(small: str) -> None:
    script = (
        "import sys\nfrom discl.cli import main\ntry:\n    main(['study', 'ls', '--storage',"
        f" {small!r}])\nexcept SystemExit as ended:\n    assert not"
        " ended.code\nsys.stderr.write(','.join(name for name in ('torch', 'pandas', 'vl_convert')"
        " if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert STATIC in done.stdout
    assert done.stderr == ""


def test_reading_waits_for_no_writer_and_writes_nothing(small: str) -> None:
    with (
        history.reading(small) as opened,
        contextlib.closing(sqlite3.connect(small.removeprefix("sqlite:///"))) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")
        assert (
            history.snapshot(opened, STATIC).states["complete"] == 1
        )  # else it waits for a minute, and fails
        writer.rollback()
        with pytest.raises(optuna.exceptions.StorageInternalError):
            opened.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "mine")


# ---------------------------------------------------------------- which trial counts

# what a study says of itself, as far as these tests ask
SAID = {
    "benchmark": "cifar10_lt",
    "scale": "smoke",
    "objective": ["val/macro_acc"],
    "tune.seeds": [0, 1],
    "tune.also": [],
}


def _trial(slot: int, state: TrialState, value: float | None = None, **attrs: Any) -> FrozenTrial:
    return optuna.create_trial(
        state=state,
        value=value,
        user_attrs={slots.SLOT: slot, **attrs},
        params={},
        distributions={},
    )


def test_of_a_slot_the_first_trial_counts_that_did_not_fail() -> None:
    twin, dead, after = (
        _trial(0, TrialState.COMPLETE, 0.9, twin_of=7),
        _trial(0, TrialState.FAIL),
        _trial(0, TrialState.COMPLETE, 0.5),
    )
    early, late = _trial(2, TrialState.FAIL), _trial(2, TrialState.FAIL, failure="no memory")
    trials = [twin, dead, early, after, _trial(0, TrialState.COMPLETE, 0.9), late]
    assert slots.slots_of(trials) == [after, None, late]
    assert [slots.state_of(trial) for trial in (dead, after, late)] == [
        "interrupted",
        "complete",
        "failed",
    ]


def test_a_trial_that_was_given_up_does_not_win() -> None:
    whole, cut = (
        _trial(0, TrialState.COMPLETE, 0.5),
        _trial(1, TrialState.COMPLETE, 0.6, stopped_after=1),
    )
    whole.intermediate_values, cut.intermediate_values = {0: 0.4, 1: 0.6}, {0: 0.9}
    assert slots.winner_of([cut, whole]) is whole
    assert slots.state_of(cut) == "given up"


# ---------------------------------------------------------------- show


def test_the_best_settings_are_a_bench_of_the_very_same_runs(url: str) -> None:
    (described,) = _json("show", STATIC, "--storage", url)
    (best,) = described["best_settings"]
    program, verb, name, *options = shlex.split(best["command"])
    assert (program, verb) == ("discl", "bench")
    said = dict(zip(options[::2], options[1::2], strict=True))
    settings = [
        word for flag, word in zip(options[::2], options[1::2], strict=True) if flag == "--set"
    ]
    seeds = [f"strategies=['{said['--strategies']}']", f"seeds=[{said['--seeds']}]"]
    pasted = experiments(load(name, said["--scale"], [*settings, *seeds]))
    (winner,) = [trial for trial in described["trials"] if trial["slot"] == best["slot"]]
    at = [{"strategy": "static", "seed": seed, **winner["settings"]} for seed in range(5)]
    assert [each.id() for each in pasted] == [
        point.experiment.id() for point in sweep_expand.points(sweep_file(6), at)
    ]


def test_a_share_in_the_best_settings_keeps_its_point() -> None:
    params, known = (
        {"train.curriculum_epochs": 1.0},
        {"train.curriculum_epochs": FloatDistribution(0.3, 1.0)},
    )
    words = description.command(
        history.StudySnapshot(STATIC, SAID, []),
        optuna.create_trial(value=0.5, params=params, distributions=known),
    )
    assert words[-2:] == ["--set", "train.curriculum_epochs=1.0"]  # 1 would be one epoch


def test_show_says_what_is_searched_and_why_a_trial_failed(url: str) -> None:
    said = _study("show", STATIC, "--storage", url).stdout
    assert "0.0001 to 1, logarithmic" in said
    assert "5 to 18, whole" in said
    assert "0 | 30 | 50" in said
    assert "5 runs: cifar10_lt with seeds 0, 1, 2, 3, 4" in said
    assert "wilcoxon pruner after 4 runs, p < 0.3" in said
    assert "failed: slot 2: out of memory at [step 3]" in said


def test_sorted_by_value_the_best_complete_trial_comes_first(url: str) -> None:
    (described,) = _json("show", STATIC, "--storage", url, "--sort", "value")
    states = [trial["state"] for trial in described["trials"]]
    assert states == sorted(states, key=["complete", "given up", "failed"].index)
    whole = [trial["value"] for trial in described["trials"] if trial["state"] == "complete"]
    assert whole == sorted(whole, reverse=True)
    assert whole[0] == described["best"]


def test_two_objectives_have_a_front_of_best_settings(pareto: str) -> None:
    (described,) = _json("show", "tune_static", "--storage", pareto)
    points = {trial["slot"]: (trial["value"], -trial["cost"]) for trial in described["trials"]}
    front = {
        slot
        for slot, (a, b) in points.items()
        if not any((c >= a and d >= b) and (c, d) != (a, b) for c, d in points.values())
    }
    assert {best["slot"] for best in described["best_settings"]} == front


# ---------------------------------------------------------------- names


def test_a_word_of_a_name_counts_before_a_part_of_one() -> None:
    said = {"benchmark": "cifar10_lt", "scale": "smoke"}
    known = {STATIC: said, REAL: said, "levels/cifar10_lt/smoke/adaptive": said}
    assert history.choose(known, "static") == [STATIC]
    assert (
        history.choose(known, "tune_sta")
        == history.choose(known, "tune_static/cifar10_lt")
        == [REAL, STATIC]
    )


def test_the_strategy_of_a_rung_is_found_in_its_name() -> None:
    said = {"benchmark": "cifar10_lt", "scale": "small"}
    view = history.StudySnapshot("mine/cifar10_lt/small/static/rung 1", said, [])
    assert (view.sweep, view.strategy) == ("mine/cifar10_lt", "static")


# ---------------------------------------------------------------- importance


def test_what_decides_has_the_largest_share() -> None:
    known = {path: FloatDistribution(0, 19) for path in ("train.lr", "train.weight_decay")}
    trials = [
        optuna.create_trial(
            value=place / 100,
            params={"train.lr": place, "train.weight_decay": 7 * place % 20},
            distributions=known,
        )
        for place in range(20)
    ]
    shares = history.StudySnapshot(STATIC, SAID, list(trials)).importances()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["train.lr"] > 0.7


def test_importances_are_shown_with_the_trials_they_are_read_from(pareto: str) -> None:
    (read,) = _json("importance", "static", "--storage", pareto)
    assert read["trials"] == 8
    assert set(read["importances"]) == set(SPACE)
    said = _study("importance", "static", "--storage", pareto).stdout
    assert "from 8 trials, 0 of them given up" in said
    assert "█" in said


def test_importances_of_few_trials_are_refused(url: str) -> None:
    done = _study("importance", STATIC, "--storage", url)
    assert done.exit_code == 2
    assert f"{STATIC}: 5 trials are over" in done.stderr


# ---------------------------------------------------------------- plot


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_kind_is_drawn_as_svg_and_as_a_page(kind: str, pareto: str, tmp_path: Path) -> None:
    view = _view(pareto, "static")
    svg = plots.draw([view], kind, tmp_path / "picture.svg").read_text("utf-8")
    page = plots.draw([view], kind, tmp_path / "picture.html").read_text("utf-8")
    assert STATIC in svg
    assert "val/macro_acc" in svg
    assert "<svg" in page or "vegaEmbed" in page  # inside, not fetched
    assert not re.findall(r"""(?:src|href)=["']https?://""", page)
    assert "tune_static" in page


def test_slices_and_parallel_coordinates_are_optunas_own_with_choices_as_words(
    url: str, tmp_path: Path
) -> None:
    view = _view(url, STATIC)
    svg = plots.draw([view], "slice", tmp_path / "slice.svg").read_text("utf-8")
    assert plots.draw([view], "slice", tmp_path / "again.svg").read_text("utf-8") == svg
    assert len(re.findall(r"<use ", svg)) >= len(view.scored) * len(view.space)  # a dot a trial
    page = plots.draw([view], "parallel", tmp_path / "parallel.html").read_text("utf-8")
    for drawn in (svg, page):
        assert all(path in drawn for path in view.space)  # whole, where Optuna cuts them
        assert "json:" not in drawn  # as Optuna stores choices that are no words
        assert "mathdefault" not in drawn
        assert "val/macro_acc (%)" in drawn


def test_the_picture_of_importances_says_what_the_table_says(pareto: str, tmp_path: Path) -> None:
    view = _view(pareto, "static")
    svg = plots.draw([view], "importance", tmp_path / "picture.svg").read_text("utf-8")
    for share in view.importances().values():
        assert (f">{share:.2f}<" if share >= 0.01 else "&lt;0.01") in svg


def test_the_history_of_a_sweep_has_a_line_for_each_strategy(url: str, tmp_path: Path) -> None:
    picture = tmp_path / "history.svg"
    assert _study("plot", "tune_static", "-o", str(picture), "--storage", url).exit_code == 0
    assert all(
        f">smoke/{name}<" in picture.read_text("utf-8") for name in ("static", "real_rebalanced")
    )
    again = plots.draw(history.chosen_studies(url, "tune_static"), None, tmp_path / "again.svg")
    assert again.read_bytes() == picture.read_bytes()
    assert ">a trial<" in picture.read_text("utf-8")  # a dot each


def test_the_history_never_counts_a_trial_that_was_given_up() -> None:
    first, cut, last = (
        _trial(0, TrialState.COMPLETE, 0.5),
        _trial(1, TrialState.COMPLETE, 0.9, stopped_after=1),
        _trial(2, TrialState.COMPLETE, 0.6),
    )
    chart = trial_charts.CHARTS["history"](
        [history.StudySnapshot(STATIC, SAID, [first, cut, last])]
    )
    assert {series.look: series.y for series in chart.series} == {
        "steps": [50, 60, 60],
        "dot": [50, 60],
        "hollow": [90],
    }


def test_names_in_a_page_are_words_and_no_html(tmp_path: Path) -> None:
    address, page = f"sqlite:///{tmp_path}/hostile.db", tmp_path / "page.html"
    hostile = {"name": "<img src=x>", "strategies": ["static"]}
    tune(sweep_file(1, seeds=[0]).model_copy(update=hostile), address)
    assert _study("plot", "static", "-o", str(page), "--storage", address).exit_code == 0
    text = page.read_text("utf-8")
    assert "&lt;img src=x" in text  # the title
    assert r"\u003cimg src=x" in text  # in the chart
    assert "<img src=x" not in text


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=re.escape("matplotlib is not installed; pip install")):
        optuna_plots.check_installed()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=re.escape("pip install 'discl[plots]'")):
        plots.check_picture(tmp_path / "page.html")


# ---------------------------------------------------------------- dashboard


def _asked(port: int, path: str, method: str = "GET", host: str = "localhost") -> tuple[int, str]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    ) as connection:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_dashboard_shows_studies_changes_none_and_ends_by_ctrl_c(small: str) -> None:
    words = [
        sys.executable,
        "-m",
        "discl.cli",
        "study",
        "dashboard",
        "--port",
        "0",
        "--storage",
        small,
    ]
    # a background shell job ignores Ctrl-C, and hands that down
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    ) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().split()[0]
        try:
            port = int(address.removeprefix("http://127.0.0.1:").rstrip("/"))
            status, told = _asked(port, "/api/studies")
            assert status == 200
            assert STATIC in told
            assert _asked(port, "/dashboard")[0] == 200
            assert _asked(port, "/api/studies/1", "DELETE")[0] == 403
            assert _asked(port, "/api/studies", host=f"elsewhere.example:{port}")[0] == 403
            taken = _study("dashboard", "--port", str(port), "--storage", small)
            assert taken.exit_code == 2
            assert "cannot be had" in taken.stderr
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0
        assert serving.stderr is not None
        assert "starts on a free port of 127.0.0.1, which takes" in serving.stderr.read()
    assert len(history.all_studies(small)) == 2


# ---------------------------------------------------------------- rm


def test_rm_says_what_would_go_and_removes_it_only_when_told(small: str) -> None:
    assert "would remove" in _study("rm", STATIC, "--storage", small).stdout
    assert len(_json("ls", "--storage", small)) == 2
    assert _study("rm", STATIC, "--yes", "--storage", small).exit_code == 0
    assert [row["study"] for row in _json("ls", "--storage", small)] == [REAL]


def test_rm_is_refused_while_a_launcher_is_at_work_on_the_sweep(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/busy.db"
    with opened(address) as storage, Tuner(sweep_file(1), storage) as tuning:
        assert isinstance(job := tuning.next(), PlannedRun)  # static's
        assert job.group == STATIC
        for name in (STATIC, REAL):
            done = _study("rm", name, "--yes", "--storage", address)
            assert done.exit_code == 2
            assert f"{STATIC}: trial 0 is running" in done.stderr
    assert _study("rm", "tune_static", "--yes", "--storage", address).exit_code == 0
    assert _json("ls", "--storage", address) == []


def test_a_launcher_that_died_does_not_keep_its_study(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/dead.db"
    with opened(address) as storage:
        Tuner(sweep_file(1), storage).next()  # no heartbeat goes on
    with (
        contextlib.closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as database,
        database,
    ):
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 day')")
    assert _study("rm", STATIC, "--yes", "--storage", address).exit_code == 0


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "tune_static/cifar10_lt/smoke/statc"], f"did you mean '{STATIC}'"),
        (["importance", "nothing of the kind"], "no study called"),
        (["plot", "static", "-o", "picture.txt"], "a .png, .svg or .html file"),
        (["plot", "static", "-o", "pyproject.toml/picture.png"], "cannot be written"),
        (
            ["plot", "static", "--kind", "pareto", "-o", "{tmp}/a.png"],
            "one objective, val/macro_acc, so no Pareto front",
        ),
        (
            ["plot", "tune_static", "--kind", "slice", "-o", "{tmp}/a.png"],
            f"name one of {REAL}, {STATIC}",
        ),
        (
            ["plot", "real_rebalanced", "--kind", "contour", "-o", "{tmp}/a.png"],
            "tunes one setting",
        ),
        (["plot", "static", "--kind", "pie", "-o", "{tmp}/a.png"], "pie"),
        (["rm", "statc", "--yes"], "no study called 'statc'"),
        (["ls", "--storage", "mysql://me@host/studies"], "studies cannot be kept in 'mysql'"),
        (["show"], "Missing argument"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    words: list[str], says: str, url: str, tmp_path: Path
) -> None:
    where = [] if "--storage" in words else ["--storage", url]
    done = _study(*(word.replace("{tmp}", str(tmp_path)) for word in words), *where)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fits_several_sweeps_is_refused(small: str) -> None:
    tune(
        sweep_file(1, seeds=[0]).model_copy(update={"name": "other", "strategies": ["static"]}),
        small,
    )
    done = _study("show", "static", "--storage", small)
    assert done.exit_code == 2
    assert f"write more of the name: other/cifar10_lt/smoke/static, {STATIC}" in done.stderr


def test_every_verb_teaches_by_an_example() -> None:
    for verb in ("ls", "show", "importance", "plot", "dashboard", "rm"):
        assert (
            f"discl study {verb}"
            in _study(verb, "--help")
            .stdout.partition("Options:")[0]
            .partition("Usage:")[2]
            .partition("\n")[2]
        )


def test_the_kinds_of_the_command_are_those_that_are_drawn() -> None:
    offered = _study("plot", "--help").stdout
    assert set(
        re.search(r"--kind \[(.+?)\]", offered, re.S)
        .group(1)
        .replace("\n", "")
        .replace(" ", "")
        .split("|")
    ) == set(plots.KINDS)

"""Uploads to W&B by the real client, to a real server on loopback."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from discl.cli import main
from discl.config.load import load
from discl.core.interfaces import EpochReport
from discl.core.text import printable
from discl.engine.evaluation.confusion import count, pack
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from discl.harness.wandb.client import read_settings
from discl.harness.wandb.run import upload_run
from discl.harness.wandb.sent_log import SentRecord, locked_log
from discl.harness.wandb.session import Destination
from discl.harness.wandb.sync import local_runs, status
from discl.parts.trackers import wandb as wandb_tracker
from discl.parts.trackers.jsonl import JsonLines
from tests import stores, wandb_runs
from tests.wandb_server import KEY, Server, serving

SEEDS = wandb_runs.SEEDS[:1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cifar100_photos: Path) -> Path:
    """A home with 3 strategies and their bank, that nobody told W&B of."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCL_HOME", str(folder / "home"))
        patch.setenv("DISCL_DATA", str(folder / "data"))
        choice = [
            f"strategies={list(wandb_runs.STRATEGIES)}",
            f"seeds={list(SEEDS)}",
            "trackers=[]",
        ]
        settings = [*wandb_runs.settings(cifar100_photos), *choice]
        spec = load("cifar100_lt", settings=settings)
        assert len(list(sweep(spec, Store(), CompositeTracker.of([])))) == 3
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    monkeypatch.setenv("DISCL_DATA", str(made / "data"))
    for kept in ("runs", "banks"):
        shutil.copytree(made / "home" / kept, tmp_path / "home" / kept)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    """One server for all tests: in one process the client speaks to the first it met."""
    with serving() as server:
        yield server
        import wandb

        wandb.teardown()


@pytest.fixture
def server(listening: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that holds nothing yet, and the environment that points to it."""
    listening.reset()
    for name, value in listening.environment().items():
        monkeypatch.setenv(name, value)
    return listening


def _sync(*words: str, code: int = 0) -> Result:
    answer = CliRunner().invoke(main, ["wandb", "sync", *words])
    assert answer.exit_code == code, answer.output
    return answer


def _ids() -> list[str]:
    return [run.id for run in local_runs(Store())]


@pytest.mark.slow  # tests/parts/test_wandb.py follows a run that goes on, with one run
def test_a_bench_that_is_uploaded_while_it_runs_delivers_each_epoch_once(
    home: Path, server: Server, cifar100_photos: Path
) -> None:
    shutil.rmtree(home / "runs")
    server.share, server.where = 0.3, "/file_stream"
    choice = [f"strategies={list(wandb_runs.STRATEGIES)}", f"seeds={list(wandb_runs.SEEDS)}"]
    tracker = CompositeTracker.of(["wandb"])
    results = list(
        sweep(
            load("cifar100_lt", settings=[*wandb_runs.settings(cifar100_photos), *choice]),
            Store(),
            tracker,
        )
    )
    tracker.trackers[1].close()  # type: ignore[attr-defined] - as the end of the process does
    server.share = 0.0
    # what the child did not get done in time; it waits for half a minute after some failures
    _sync()
    wandb_runs.check_whole(server, Store(), [result.id for result in results])
    assert len(results) == 9
    assert [
        uploaded.exit_code
        for uploaded in server.runs.values()
        if uploaded.labels.get("jobType") == "bank"
    ] == [0]


def test_each_epoch_arrives_once_though_requests_fail_and_a_second_sync_sends_nothing(
    home: Path, server: Server
) -> None:
    server.share, server.where = 0.3, "/file_stream"
    first = _sync("cifar100_lt", "--scale", "smoke")
    server.share = 0.0
    wandb_runs.check_whole(server, Store(), _ids())
    assert first.stdout.startswith("3 runs sent, 0 were there;")
    assert server.failed
    before = {run.name: (run.rows, run.summary) for run in wandb_runs.trainings(server)}
    assert _sync().stdout.startswith("0 runs sent, 3 were there;")
    assert {run.name: (run.rows, run.summary) for run in wandb_runs.trainings(server)} == before
    assert status().waiting == ()


def test_another_machine_sends_only_what_the_server_lacks(home: Path, server: Server) -> None:
    some = _ids()[:2]
    _sync("--run", some[0])
    server.runs[some[0]].lines = dict(list(server.runs[some[0]].lines.items())[:2])
    server.runs[some[0]].summary, server.runs[some[0]].exit_code = (
        {},
        None,
    )  # an upload that was killed after two epochs
    for log in home.glob("*/*/.wandb-sent.json"):  # another machine has the store without logs
        log.unlink()
    kept = server.runs[some[0]].rows
    _sync("--run", some[0], "--run", some[1])
    wandb_runs.check_whole(server, Store(), some)
    assert server.runs[some[0]].rows[:2] == kept  # what was there was not sent again


def test_a_run_is_found_by_its_conventions_and_carries_all_that_is_known_of_it(
    home: Path, server: Server
) -> None:
    run = next(run for run in local_runs(Store()) if run.start["config"]["strategy"] == "adaptive")
    _sync("--run", run.id)
    uploaded, result = server.runs[run.id], Store().find(run.id)
    assert result
    assert uploaded.project == "discl-cifar100_lt"
    assert uploaded.labels == {
        "displayName": f"cifar100_lt-smoke-timm-adaptive-s{result.seed}",
        "groupName": "cifar100_lt-smoke",
        "jobType": "train",
        "tags": ["adaptive", "cifar100_lt", "smoke", "timm"],
    }
    config = {key: value["value"] for key, value in uploaded.config.items() if key != "_wandb"}
    assert (config["strategy"], config["seed"], config["scale"]) == (
        "adaptive",
        result.seed,
        "smoke",
    )
    assert config["train"]["epochs"] == 6
    assert config["comparability"] == result.comparability
    assert config["strategy_settings"]["name"] == "adaptive"
    row = uploaded.rows[0]
    assert row["gain/level_050"] != 0
    assert row["seen_so_far/level_100"] == row["seen/level_100"]
    assert (
        uploaded.rows[1]["seen_so_far/level_100"]
        == row["seen/level_100"] + uploaded.rows[1]["seen/level_100"]
    )
    assert uploaded.summary["best/macro_acc"] == max(
        row["val/macro_acc"] for row in uploaded.rows if "val/macro_acc" in row
    )
    metrics = {
        metric.get("1") or metric.get("2"): metric
        for metric in uploaded.config["_wandb"]["value"]["m"]
    }
    assert {"epoch", "train/*", "val/*", "mix/*", "gain/*", "seen/*", "cost/*"} <= metrics.keys()
    assert uploaded.summary["cost/images"] == result.cost["images"]


def test_classes_confusions_and_mistakes_are_tables_with_pictures(
    home: Path, server: Server
) -> None:
    _sync("--run", (id := _ids()[0]))
    result = Store().find(id)
    assert result
    result = result.under("last")
    classes = _table(server, id, "classes")
    assert classes["columns"] == ["class", "group", "training photos", "test photos", "recall"]
    assert [row[0] for row in classes["data"]] == result.classes
    assert [row[2] for row in classes["data"]] == result.counts
    assert [row[4] for row in classes["data"]] == result.class_recalls
    assert {row[1] for row in classes["data"]} <= {"many", "medium", "few"}
    predictions = Store().predictions(Store().folder(result), result.predictions_file)
    truth, guess = predictions["test/labels"], predictions["test/logits"].argmax(1)
    tested = np.bincount(truth, minlength=100)
    assert [row[3] for row in classes["data"]] == tested.tolist()
    confusions = _table(server, id, "confusions")["data"]
    for (
        called,
        taken_for,
        photos,
        share,
    ) in confusions:  # a hundred classes: mistakes alone, the most frequent first
        t, g = result.classes.index(called), result.classes.index(taken_for)
        assert t != g
        assert photos == int(((truth == t) & (guess == g)).sum())
        assert share == pytest.approx(photos / tested[t])
    assert [row[2] for row in confusions] == sorted((row[2] for row in confusions), reverse=True)
    assert "confusion_matrix" not in server.runs[id].summary
    mistakes = _table(server, id, "mistakes")["data"]
    assert mistakes
    for photo, called, taken_for, confidence, name in mistakes:
        assert photo["_type"] == "image-file"
        assert called != taken_for
        assert 0 < confidence <= 1
        assert photo["caption"] == f"{called}, taken for {taken_for} ({confidence:.0%})"
        assert result.classes[int(truth[predictions["test/ids"].tolist().index(name)])] == called


def test_a_bank_is_a_run_with_yield_scores_and_pictures_and_an_artifact_by_reference(
    home: Path, server: Server
) -> None:
    run = next(run for run in local_runs(Store()) if run.start["config"]["strategy"] == "static")
    _sync("--run", run.id)
    (bank,) = (
        uploaded for uploaded in server.runs.values() if uploaded.labels.get("jobType") == "bank"
    )
    folder = home / "banks" / bank.name
    assert folder.is_dir()
    yielded = _table(server, bank.name, "yield")
    assert yielded["columns"] == ["class", "level", "hard photos", "made", "kept", "kept share"]
    assert sum(row[3] for row in yielded["data"]) == bank.summary["bank/images"] > 0
    assert {row[1] for row in yielded["data"]} == {0, 50}
    assert bank.summary["scores/text/level_050"]["_type"] == "histogram"
    spectrum = _table(server, bank.name, "spectrum")
    assert spectrum["columns"] == ["class", "level 0", "level 50", "photo"]
    assert all(cell["_type"] == "image-file" for row in spectrum["data"] for cell in row[1:])
    (artifact,) = (one for one in server.artifacts.values() if one.type == "bank")
    assert artifact.state == "COMMITTED"
    assert server.runs[run.id].used == [artifact.id]
    references = json.loads(artifact.manifest)["contents"]
    assert set(references) == {
        "bank.json",
        *(f"shards/{path.name}" for path in (folder / "shards").glob("*")),
    }
    assert all(entry["ref"].startswith("file://") for entry in references.values())
    assert json.loads(artifact.metadata)["bank"] == bank.name


def _table(server: Server, id: str, key: str) -> dict[str, Any]:
    """A table as the dashboard reads it: the summary names its place in an artifact."""
    assert server.runs[id].summary[key]["_type"] == "table-file"
    (artifact,) = (one for one in server.artifacts.values() if one.name == f"run-{id}-{key}")
    assert artifact.state == "COMMITTED"
    found: dict[str, Any] = json.loads(
        server.runs["artifacts"].files[f"{artifact.id}/{key}.table.json"]
    )
    return found


def test_offline_runs_arrive_whole_by_wandbs_own_sync(
    home: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    some = [run for run in local_runs(Store()) if run.start["config"]["seed"] == 0]
    for run in some:
        sent = upload_run(run.folder, Destination(read_settings(), None), lambda: True)
        assert sent
        assert (sent.rows, sent.arrived, sent.complete) == (6, None, True)
    upload_run(
        some[0].folder, Destination(read_settings(), None), lambda: True
    )  # a run that went on: its record tells all again
    assert not server.asked
    folders = sorted(map(str, (home / "wandb" / "wandb").glob("offline-run-*")))
    assert len(folders) == len(some) == status().offline
    assert status().offline_folder == home / "wandb" / "wandb"
    subprocess.run(
        [sys.executable, "-c", "from wandb.cli.cli import cli; cli()", "sync", *folders],
        cwd=tmp_path,
        env={**os.environ, "WANDB_MODE": "online"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    wandb_runs.check_whole(server, Store(), [run.id for run in some])
    assert not [artifact for artifact in server.artifacts.values() if artifact.state != "COMMITTED"]


# ---------------------------------------------------------------- bad input


NASTY = {
    "markup": "<script>alert('x')</script> [red]\"quoted\" & more",
    "emoji": "cat 🐈‍⬛ naïve",
    "right to left": "قطة \u202eevil",
    "long": "x" * 300,
}


def test_names_arrive_as_they_are_or_shortened_where_wandb_has_limits(server: Server) -> None:
    ids = {f"{number:016x}": name for number, name in enumerate(NASTY.values())}
    for id, name in ids.items():
        _record_called(name, id)
    _sync()
    assert server.runs.keys() >= ids.keys()
    for id, name in ids.items():
        run = server.runs[id]
        assert len(run.rows) == 1
        assert np.isnan(run.rows[0]["val/acc"])
        assert run.exit_code == 1  # its record says that it did not complete
        assert run.config["strategy"]["value"] == name
        for key, most in (("displayName", 128), ("groupName", 128)):
            assert run.labels[key] == printable(name, most)  # no control characters
        assert all(1 <= len(tag) <= 64 for tag in run.labels["tags"])
        assert len(run.project) <= 128
        assert not set(run.project) & set("/\\#?%: ")


def _record_called(name: str, id: str) -> None:
    """The record of a run of one epoch in which all is called so."""
    folder = Store().root / id / "000"
    folder.mkdir(parents=True)
    config = {
        "name": name,
        "dataset": {"name": name},
        "backbone": {"name": "b"},
        "strategy": name,
        "classes": [name],
    }
    record = JsonLines()
    start = {
        "id": id,
        "name": name,
        "group": name,
        "project": f"discl-{name}",
        "tags": [name, ""],
        "config": config,
        "epochs": 1,
    }
    record.start({**start, "folder": folder, "position": (1, 1)})
    record.report(
        EpochReport(0, {100: 1.0}, {100: 4}, 1, 0.1, 0.5, {"val/acc": float("nan")}, loss=1.0)
    )
    record.finish(None)


def test_no_key_a_wrong_key_and_nobody_there_are_sentences(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    assert (
        "refuses the key from WANDB_API_KEY (401); `wandb login` takes a new one"
        in _sync(code=2).stderr
    )
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert "W&B at http://127.0.0.1:9 cannot be reached" in _sync(code=2).stderr
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(home / "none"))
    assert (
        "there is no key for W&B at http://127.0.0.1:9; set WANDB_API_KEY or run `wandb login`"
        in _sync(code=2).stderr
    )
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    assert (
        "WANDB_MODE = 'sometimes' is no mode of W&B; there is run, shared, online"
        in _sync(code=2).stderr
    )


def test_rows_that_a_server_took_and_lost_are_noticed(home: Path, server: Server) -> None:
    server.forgets = 2
    assert "4 of 6 epochs arrived" in _sync("--run", _ids()[0], code=2).stderr
    assert len(status().waiting) == 3


def test_without_the_photos_all_but_the_pictures_arrives(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(run for run in local_runs(Store()) if run.start["config"]["strategy"] == "static")
    experiment = json.loads((run.folder / "experiment.json").read_text())
    experiment["config"]["dataset"]["root"] = str(home / "nowhere")
    (run.folder / "experiment.json").write_text(json.dumps(experiment))
    monkeypatch.setenv("DISCL_DATA", str(home / "nothing"))
    _sync("--run", run.id)
    wandb_runs.check_whole(server, Store(), [run.id])
    assert {"classes", "confusions"} <= server.runs[run.id].summary.keys()
    assert "mistakes" not in server.runs[run.id].summary
    assert not [
        uploaded for uploaded in server.runs.values() if uploaded.labels.get("jobType") == "bank"
    ]
    assert server.runs[run.id].used  # the bank's images are here all the same


def test_a_run_that_is_not_there_is_named(home: Path, server: Server) -> None:
    assert "no run 'nope'" in _sync("--run", "nope", code=2).stderr
    assert "no run to send" in _sync("iwildcam").stdout


def test_hundreds_of_runs_take_few_requests_and_little_time_when_all_is_there(
    home: Path, server: Server
) -> None:
    template = next(local_runs(Store()))
    for number in range(501):
        id = f"{number:016x}"
        shutil.copytree(template.folder, Store().root / id / "000", copy_function=os.link)
        run = server.run(id, "discl-cifar100_lt")
        run.lines, run.exit_code = {offset: {} for offset in range(template.rows)}, 0
        record = SentRecord("000", template.rows, True)
        with locked_log(Store().root / id) as log:
            log.write(f"{server.url}/us/discl-cifar100_lt", record)
    assert replace(template, id="") in [
        replace(run, id="") for run in local_runs(Store(), [template.id])
    ]
    ids = [f"{number:016x}" for number in range(501)]
    bank = Store().find(template.id)
    assert bank
    if bank.comparability["bank"]:
        shutil.rmtree(home / "banks")
    began = time.process_time()
    assert _sync(*(word for id in ids for word in ("--run", id))).stdout.startswith(
        "0 runs sent, 501 were there;"
    )
    assert time.process_time() - began < 3
    assert server.asked.count("SyncedRuns") == 2  # of at most 500 each


# ---------------------------------------------------------------- what stands beside the runs


def _invoke(*words: str, code: int = 0) -> Result:
    answer = CliRunner().invoke(main, ["wandb", *words])
    assert answer.exit_code == code, answer.output
    return answer


def _told(*words: str) -> list[str]:
    """The lines of an answer, with one blank between words."""
    return [" ".join(line.split()) for line in _invoke(*words).stdout.splitlines()]


def test_status_says_where_runs_go_and_which_wait(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _told("status", "--ask")
    assert f"server {server.url}" in lines
    assert "key from WANDB_API_KEY" in lines
    assert "runs 3, of which 0 were sent whole from here" in lines
    assert "known as us" in lines
    assert {run.title for run in local_runs(Store())} <= {*lines}
    _sync("--run", (id := _ids()[0]))
    assert "runs 3, of which 1 were sent whole from here" in _told("status")
    assert id not in _invoke("status").stdout
    told = json.loads(_invoke("status", "--format", "json").stdout)
    assert (told["sent"], told["waiting"], told["offline"]) == (1, _ids()[1:], 0)
    assert KEY not in json.dumps(told)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(home / "none"))
    lines = _told("status")
    assert "key none: set WANDB_API_KEY or run `wandb login`" in lines
    assert "mode offline (WANDB_MODE or a settings file says online)" in lines
    assert f"offline 0 in {home / 'wandb' / 'wandb'}; the records hold the same" in lines


def test_a_dashboard_compares_strategies_with_bands_over_seeds(
    home: Path, server: Server, cifar100_photos: Path, tmp_path: Path
) -> None:
    words = wandb_runs.words(cifar100_photos)
    output = _invoke("dashboard", *words, "-o", str(tmp_path / "spec.json")).stdout
    assert not server.asked  # building asks nobody
    assert "Tuning: 3 panels" in output
    spec = json.loads((tmp_path / "spec.json").read_text())
    sections = {
        one["name"]: one["panels"]
        for one in spec["workspace"]["section"]["panelBankConfig"]["sections"]
    }
    assert list(sections) == [
        "Headline",
        "Tail",
        "Out of distribution",
        "Curriculum",
        "Cost",
        "Learning",
        "Mistakes",
        "Tuning",
    ]
    curves = [
        panel["config"]
        for panels in sections.values()
        for panel in panels
        if panel["viewType"] == "Run History Line Plot"
    ]
    assert all(
        (curve["groupBy"], curve["groupArea"], curve["xAxis"])
        == ("strategy.value", "stddev", "epoch")
        for curve in curves
    )
    shown = {
        key
        for panels in sections.values()
        for panel in panels
        for key in panel["config"].get("metrics", [])
    }
    recorded = _recorded_keys()
    assert shown <= recorded  # every panel shows what runs tell
    assert {
        "test/macro_acc",
        "test/few_acc",
        "val/macro_acc",
        "mix/mean_level",
        "gain/level_050",
    } <= shown
    kinds = [panel["viewType"] for panel in sections["Tuning"]]
    assert kinds == ["Scatter Plot", "Parameter Importance", "Parallel Coordinates Plot"]
    assert sections["Cost"][0]["config"]["xAxis"] == "summary:cost/denoising_steps"
    assert '"config.strategy"' in json.dumps(spec["report"]) or "strategy.value" in json.dumps(
        spec["report"]["blocks"]
    )
    assert "nothing" not in _invoke("dashboard", *words, "--dry-run").stdout


def _recorded_keys() -> set[str]:
    """All that runs of the store tell W&B."""
    runs = list(local_runs(Store()))
    rows = {key for run in runs for row in wandb_runs.recorded_rows(run.folder) for key in row}
    return rows | {
        key for run in runs if (result := Store().find(run.id)) for key in result.metrics
    }


def test_a_dashboard_is_saved_as_a_view_and_a_report(
    home: Path, server: Server, cifar100_photos: Path
) -> None:
    words = wandb_runs.words(cifar100_photos, SEEDS)
    assert (
        "runs must be there first: discl wandb sync" in _invoke("dashboard", *words, code=2).stderr
    )
    server.views.clear()
    (adaptive,) = (run.id for run in local_runs(Store()) if "adaptive" in run.title)
    _sync("--run", adaptive)
    output = _invoke("dashboard", *words).stdout
    assert [view["type"] for view in server.views] == ["project-view", "runs"]
    assert all(
        view["entityName"] == "us" and view["projectName"] == "discl-cifar100_lt"
        for view in server.views
    )
    received = server.runs[adaptive]
    history, summary = {key for row in received.rows for key in row}, received.summary.keys()
    for view in server.views:  # nothing is drawn that this run did not send
        plotted = list(_plotted(json.loads(view["spec"])))
        assert len(plotted) > 15
        for where, key in plotted:
            if where == "history":
                assert key in history
            elif where == "summary":
                assert key in summary
            elif key != "trial.value":  # runs of tuning have one
                assert _at(received.config, key) is not None, key
    assert "workspace: " in output
    assert "report: " in output


def _plotted(spec: Any) -> Iterator[tuple[str, str]]:
    """(history, summary or config; key) of everything that the panels below a spec draw."""
    if isinstance(spec, list):
        for one in spec:
            yield from _plotted(one)
    elif isinstance(spec, dict):
        kind, panel = spec.get("viewType"), spec.get("config") or {}
        if kind in ("Run History Line Plot", "Bar Chart"):
            where = "summary" if kind == "Bar Chart" else "history"
            yield from ((where, key) for key in panel["metrics"])
            yield ("config", panel["groupBy"])
            yield from [("history", panel["xAxis"])] if where == "history" else []
        axes = [panel.get("xAxis"), panel.get("yAxis")] if kind == "Scatter Plot" else []
        axes += [column["accessor"] for column in panel.get("columns") or []]
        for where, _, key in (axis.partition(":") for axis in axes):
            yield where, key
        if kind == "Parameter Importance":
            yield "summary", panel["targetKey"]
        if kind == "Weave":
            yield from (
                ("summary", key) for key in re.findall(r'"val": "(\w+)"', json.dumps(panel))
            )
        for one in spec.values():
            yield from _plotted(one)


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def test_a_dashboard_needs_a_run_that_says_what_is_measured(server: Server) -> None:
    assert (
        "no complete run of cifar10_lt at scale smoke says what is measured"
        in _invoke("dashboard", "cifar10_lt", code=2).stderr
    )


def test_a_leaderboard_refers_to_published_results_and_the_runs_behind_them(
    home: Path, server: Server, cifar100_photos: Path, tmp_path: Path
) -> None:
    words, root = wandb_runs.words(cifar100_photos, SEEDS), tmp_path / "boards"
    published = CliRunner().invoke(main, ["leaderboard", "publish", *words, "--root", str(root)])
    assert published.exit_code == 0, published.output
    _invoke("leaderboard", *words, "--root", str(root))
    (run,) = (
        uploaded
        for uploaded in server.runs.values()
        if uploaded.labels.get("jobType") == "leaderboard"
    )
    (artifact,) = (one for one in server.artifacts.values() if one.type == "leaderboard")
    results = {one.id: one.name for one in server.artifacts.values() if one.type == "result"}
    assert sorted(results[id] for id in run.used) == [f"result-{id}" for id in sorted(_ids())]
    names = set(json.loads(artifact.manifest)["contents"])
    assert {path.name for path in (root / "results").rglob("*.json")} <= names
    assert len(_table(server, run.name, "board")["data"]) == len(wandb_runs.STRATEGIES)
    before = len(server.artifacts)
    _invoke("leaderboard", *words, "--root", str(root))
    assert len(server.artifacts) == before  # equal content, equal version
    assert (
        "holds no published result"
        in _invoke("leaderboard", *words, "--root", str(tmp_path / "none"), code=2).stderr
    )


def test_a_bank_that_is_built_is_uploaded_at_once(
    home: Path, server: Server, cifar100_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a child on a busy machine: the command waits until it is done, however long that takes
    monkeypatch.setattr(wandb_tracker, "CLOSE_TIMEOUT_S", 200.0)
    monkeypatch.setattr(wandb_tracker, "STALLED_S", 200.0)
    answer = CliRunner().invoke(main, ["bank", "build", *wandb_runs.words(cifar100_photos, SEEDS)])
    assert answer.exit_code == 0, answer.output
    (bank,) = (
        uploaded for uploaded in server.runs.values() if uploaded.labels.get("jobType") == "bank"
    )
    assert bank.exit_code == 0
    assert (home / "banks" / bank.name).is_dir()


def test_few_classes_are_shown_whole_and_a_class_without_test_photos_has_no_recall(
    server: Server,
) -> None:
    called = count("test", "", None, np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]))
    one = stores.result(
        classes=[stores.EVIL, "dog", "unicorn"], confusion_counts={"test": {"": pack(called)}}
    )
    folder = stores.begin(Store(), one)
    (folder / "result.json").write_text(one.to_json())
    _sync()
    classes = _table(server, one.id, "classes")["data"]
    assert classes == [
        [stores.EVIL, "many", 500, 3, 0.8],
        ["dog", "few", 5, 1, 0.0],
        ["unicorn", "few", 0, 0, None],
    ]
    confusions = _table(server, one.id, "confusions")["data"]
    assert confusions == [
        [stores.EVIL, stores.EVIL, 2, 2 / 3],
        [stores.EVIL, "dog", 1, 1 / 3],
        ["dog", stores.EVIL, 1, 1.0],
    ]
    uploaded = server.runs[one.id]
    assert "mistakes" not in uploaded.summary  # there are no predictions
    assert uploaded.exit_code == 0  # a kill fell between the result and the end of the record
    assert _sync().stdout.startswith("0 runs sent, 1 were there;")
    with Image.open(
        io.BytesIO(uploaded.files[uploaded.summary["confusion_matrix"]["path"]])
    ) as picture:
        side = picture.width // 3
        shades = [
            [picture.getpixel((side * guess, side * truth)) for guess in range(3)]
            for truth in range(3)
        ]
    dark, light = (8, 48, 107), (247, 251, 255)
    assert shades[1] == [dark, light, light]  # every dog is called something else
    assert shades[2] == [light, light, light]
    assert dark < shades[0][0] < shades[0][1] < light

"""`discl runs` on stores with runs in every state, and on runs that were really made."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from discl.cli import main
from discl.cli.render.text import spark
from discl.core.hashing import short
from discl.core.seals import read_sealed, sealed_text
from discl.core.text import printable
from discl.harness.run.store import Store
from tests import stores
from tests.make_mini import make
from tests.stores import EVIL, begin, complete, fail, result

EDITED = {
    "cut": (lambda text: text[:200], "is no JSON"),
    "not json": (lambda text: "\x00\xff", "is no JSON"),
    "a list": (lambda text: "[1, 2]", "is JSON of another kind"),
    "empty": (lambda text: "", "is empty"),
    "a number": (
        lambda text: text.replace('"test/macro_acc": 0.4', '"test/macro_acc": 0.5'),
        "its seal does not fit",
    ),
    "words for numbers": (
        lambda text: _unsealed(text).replace('"test/macro_acc": 0.4', '"test/macro_acc": "high"'),
        "something else than a number",
    ),
    "a list of metrics": (
        lambda text: _unsealed(text).replace('"metrics": {', '"metrics": [1], "was": {'),
        "is not a result of this version",
    ),
    "other settings": (
        lambda text: _unsealed(text).replace('"lr": 0.003', '"lr": 0.1'),
        "its settings are those of run",
    ),
    "a class less": (
        lambda text: _unsealed(text).replace('"unicorn"', '"unicorn", "yeti"'),
        "differ in length",
    ),
    "nested too deep": (lambda text: "[" * 100_000, ""),
}


def _discl(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), env={"COLUMNS": "200"})


def _listed(*words: str) -> dict[str, Any]:
    done = _discl("runs", "ls", *words, "--format", "json")
    assert done.exit_code == 0, done.output
    return {run["id"]: run for run in json.loads(done.stdout)}


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def _unsealed(text: str) -> str:
    """As results of earlier versions are."""
    return re.sub(r' "seal": "\w+",\n', "", text)


# ---------------------------------------------------------------- ls


def test_an_empty_store_says_how_to_fill_it() -> None:
    done = _discl("runs", "ls")
    assert done.exit_code == 0
    assert "no run yet" in done.output
    assert "discl bench" in done.output
    assert _listed() == {}
    assert _discl("runs", "ls", "--format", "csv").output.startswith("id,name,benchmark")


def test_runs_of_every_state_are_listed_newest_first() -> None:
    store = Store()
    complete(store, result(seed=1))
    complete(store, result(seed=2))
    begin(store, result(seed=3), epochs=2)
    fail(store, result(seed=4))
    fail(store, result(seed=5), "stopped", "given up after epoch 3")
    listed = {
        run["seed"] if run["seed"] is not None else run["id"]: run for run in _listed().values()
    }
    assert {key: run["state"] for key, run in listed.items()} == {
        1: "complete",
        2: "complete",
        3: "stopped",
        result(seed=4).id: "failed",
        result(seed=5).id: "given up",
    }
    assert listed[3]["why"] == "epoch 2 of 3"
    assert listed[result(seed=4).id]["why"] == "the photos are gone"
    order = [run["seed"] for run in _listed().values() if run["state"] == "complete"]
    assert order == [2, 1]
    assert listed[1]["main"] == {
        "all": {"metric": "test/macro_acc", "value": 0.4},
        "few": {"metric": "test/few_acc", "value": 0.2},
        "ood": {"metric": "ood/macro_acc", "value": 0.3},
    }
    assert (listed[1]["minutes"], listed[1]["commit"], listed[1]["when"]) == (
        1.5,
        "0123456789ab+",
        "2026-01-02T03:04:01Z",
    )


def test_the_table_says_how_many_of_what_and_why() -> None:
    store = Store()
    complete(store, result(seed=1))
    fail(store, result(seed=4))
    done = _discl("runs", "ls")
    assert "2 of 2 runs: 1 complete, 1 failed" in done.output
    assert f"{result(seed=4).id[:8]} failed: the photos are gone" in done.output
    assert "40.0" in done.output
    assert "01234567+" in done.output


def test_a_run_that_somebody_makes_now_is_running() -> None:
    store, first = Store(), result()
    begin(store, first, epochs=1)
    with store.claimed(first.id):
        assert _listed()[first.id]["state"] == "running"
    assert _listed()[first.id]["state"] == "stopped"


def test_filters_and_most_choose() -> None:
    store = Store()
    for seed in range(4):
        complete(store, result(seed=seed))
    complete(store, result("real_only", 9))
    fail(store, result(seed=5))
    assert len(_listed("toy", "--strategy", "static")) == 4
    assert len(_listed("toy", "--strategy", "static,real_only")) == 5
    assert len(_listed("cifar10_lt")) == 0
    assert len(_listed("--scale", "small")) == 0
    assert list(_listed("--failed")) == [result(seed=5).id]
    assert len(_listed("--most", "2")) == 2
    assert len(_listed("--most", "0")) == 6
    assert "the newest 2 of 6 runs" in _discl("runs", "ls", "--most", "2").output


@pytest.mark.parametrize("how", EDITED)
def test_a_damaged_or_edited_result_is_listed_with_the_reason_and_stops_nothing(how: str) -> None:
    change, reason = EDITED[how]
    store = Store()
    path = complete(store, result(seed=1)) / "result.json"
    complete(store, result(seed=2))
    _rewrite(path, change)
    listed = _listed()
    assert [run["state"] for run in listed.values()].count("complete") == 1
    bad = listed[result(seed=1).id]
    assert bad["state"] == "unreadable"
    assert reason in bad["why"]
    assert str(path) in bad["why"]
    assert bad["strategy"] == "static"
    assert list(_listed("--failed")) == [bad["id"]]
    for words in (
        ("runs", "ls"),
        ("runs", "show", bad["id"]),
        ("runs", "diff", bad["id"], result(seed=2).id),
    ):
        assert _discl(*words).exit_code == 0


def test_bytes_that_are_no_text_are_a_damaged_result() -> None:
    path = complete(Store(), result()) / "result.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert _listed()[result().id]["state"] == "unreadable"


def test_a_result_in_another_runs_folder_is_refused() -> None:
    store = Store()
    complete(store, result(seed=1))
    shutil.copytree(store.root / result(seed=1).id, store.root / ("0" * 16))
    assert "lies in the folder of" in _listed()["0" * 16]["why"]


def test_what_lies_around_in_the_store_is_passed_over() -> None:
    store = Store()
    complete(store, result())
    (store.root / "notes.txt").write_text("mine")
    (store.root / "empty").mkdir()
    (store.root / result().id / "stray").mkdir()
    assert list(_listed()) == [result().id]


def test_a_torn_record_says_how_far_it_is_whole() -> None:
    store = Store()
    path = begin(store, result(), epochs=3) / "events.jsonl"
    _rewrite(path, lambda text: text[: text.rindex('"steps"')])
    assert _listed()[result().id]["why"] == "epoch 2 of 3"
    assert _discl("runs", "show", result().id).exit_code == 0


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "epoch", "epoch": "one"}',
        '{"event": "epoch", "mix": {"x": 1}}',
        '{"event": "epoch", "strange": 1}',
        "[]",
        "null",
    ],
)
def test_an_edited_record_spoils_no_command(line: str) -> None:
    path = begin(Store(), result(), epochs=1) / "events.jsonl"
    _rewrite(path, lambda text: text + line + "\n")
    for words in (("runs", "ls"), ("runs", "show", result().id)):
        assert _discl(*words).exit_code == 0


@pytest.mark.parametrize(
    "content",
    [
        {"identity": {"images": 3, "strategy": "x", "select": 1}, "config": {"name": 1}},
        {"config": 7},
        [],
        {"identity": []},
    ],
)
def test_an_edited_description_spoils_no_command(content: Any) -> None:
    store = Store()
    complete(store, result(seed=1))
    path = begin(store, result(seed=2), epochs=1) / "experiment.json"
    path.write_text(json.dumps(content))
    for words in (
        ("ls",),
        ("show", result(seed=2).id),
        ("diff", result(seed=1).id, result(seed=2).id),
    ):
        done = _discl("runs", *words)
        assert done.exit_code == 0, done.output


def test_a_folder_that_cannot_be_read_is_listed_with_the_reason() -> None:
    store = Store()
    complete(store, result(seed=1))
    (begin(store, result(seed=2)) / "events.jsonl").unlink()
    (
        store.root / result(seed=2).id / "000" / "events.jsonl"
    ).mkdir()  # as bad as no permission, and root is stopped by it too
    listed = _listed()
    assert (listed[result(seed=2).id]["state"], listed[result(seed=1).id]["state"]) == (
        "unreadable",
        "complete",
    )
    assert "events.jsonl cannot be read" in listed[result(seed=2).id]["why"]
    assert _discl("runs", "show", result(seed=2).id).exit_code == 0


def test_csv_has_a_cell_for_whatever_a_name_holds() -> None:
    complete(Store(), result(name=EVIL, benchmark='a,"b"\n'))
    (row,) = csv.DictReader(io.StringIO(_discl("runs", "ls", "--format", "csv").output))
    shown = (printable(EVIL), printable('a,"b"\n'), "0.4")
    assert (row["name"], row["benchmark"], row["all"]) == shown


def test_metrics_that_are_no_numbers_are_shown_as_such_and_stay_json() -> None:
    store = Store()
    complete(
        store,
        result(
            metrics={
                "test/macro_acc": float("nan"),
                "test/few_acc": float("inf"),
                "val/macro_acc": 0.1,
            }
        ),
    )
    assert "nan" in _discl("runs", "ls").output
    assert _listed()[result().id]["main"]["all"]["value"] is None
    for words in (("show", result().id), ("diff", result().id, result().id)):
        plain, programs = _discl("runs", *words), _discl("runs", *words, "--format", "json")
        assert plain.exit_code == programs.exit_code == 0
        json.loads(programs.stdout, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_a_narrow_terminal_loses_columns_and_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    complete(Store(), result())
    monkeypatch.setattr("discl.cli.render.tables.terminal_width", lambda: 66)
    done = CliRunner().invoke(main, ["runs", "ls"])
    lines = done.output.splitlines()
    assert any("40.0" in line and result().id[:8] in line for line in lines)
    assert max(map(len, lines)) <= 66
    assert "not shown at this width: `scale`, " in done.output
    assert "`commit`; see --format csv" in done.output


# ---------------------------------------------------------------- which run is meant


def test_a_run_is_found_by_id_beginning_and_name() -> None:
    store = Store()
    first, second = result(seed=1), result(seed=2)
    complete(store, first)
    complete(store, second)
    for word in (first.id, first.id[:5], first.name):
        assert json.loads(_discl("runs", "show", word, "--format", "json").stdout)["id"] == first.id


def _message(word: str) -> str:
    done = _discl("runs", "show", word)
    assert done.exit_code == 2, done.output
    return done.stderr


def test_a_run_that_is_not_there_names_the_nearest() -> None:
    store = Store()
    assert "there is none yet" in _message("0123")
    complete(store, result(seed=1))
    assert f"did you mean {result(seed=1).name} ({result(seed=1).id})" in _message(
        "toy-smoke-timm-statik-s1"
    )
    assert "`discl runs ls` lists them" in _message("zzzzzz")
    assert "`discl runs ls` lists them" in _message("../../etc")
    assert _message("")


def test_a_word_that_means_several_runs_or_is_too_short_is_refused() -> None:
    store = Store()
    first, second = result(seed=1), result(seed=1, settings={"train": {"lr": 0.1, "epochs": 3}})
    complete(store, first)
    complete(store, second)
    for output in (_message(first.name),):
        assert "means 2 runs" in output
        assert first.id in output
        assert second.id in output
    assert "too short" in _message(first.id[:2])
    twin = store.root / (first.id[:8] + "0" * 8)
    shutil.copytree(store.root / first.id, twin)
    assert "means 2 runs" in _message(first.id[:8])


def test_a_name_cannot_write_on_the_terminal_or_as_markup() -> None:
    store = Store()
    first, failed = result(EVIL, name=EVIL, classes=[EVIL, "dog", "[/]"]), result(seed=7)
    complete(store, first)
    fail(store, failed, why=f"because {EVIL}")
    for words in (
        ("ls",),
        ("show", first.id),
        ("show", failed.id),
        ("diff", first.id, failed.id),
        ("show", EVIL[:-9]),
    ):
        done = _discl("runs", *words)
        assert done.exit_code in (0, 2), done.output
        assert "\x1b[31m" not in done.output
        assert "\u202e" not in done.output
    shown = _discl("runs", "show", first.id).output
    assert "<script>alert('x')</script> [bold red]\"quoted\"[/] 🦊👩‍🔬 مرحبا" in shown


# ---------------------------------------------------------------- show


def test_a_run_is_shown_in_full() -> None:
    folder = complete(
        Store(), result(provenance={**result().provenance, "command": "discl bench toy --seeds 0"})
    )
    shown = _discl("runs", "show", result().id).output
    for part in (
        "discl bench toy --seeds 0",
        "lr 0.003",
        "definitions",
        "packages.torch",
        "40.0 ± 3.0",
        "ood/fog-1",
        str(folder.parent),
    ):
        assert part in shown, part
    lines = [line.split() for line in shown.splitlines()]
    assert ["cat", "many", "500", "80.0"] in lines
    assert ["dog", "few", "5", "0.0"] in lines
    assert ["unicorn", "few", "0", "-"] in lines
    assert ["1", "0", "+1.0", "-2.0"] in lines
    assert ["2", "50:", "25%,", "100:", "75%", "+1.0", "-2.0"] in lines
    assert ["3", "photos", "only"] in lines
    assert ["levels", "▁█"] in lines
    assert "▁▅█ 20.0% to 40.0%, chosen at epoch 3" in shown


def test_a_shown_run_is_whole_as_json() -> None:
    complete(Store(), result())
    output = json.loads(_discl("runs", "show", result().id, "--format", "json").stdout)
    assert output["settings"] == json.loads(json.dumps(result().identity))
    assert output["metrics"] == result().metrics
    assert output["errors"] == result().errors
    assert output["val"] == {
        "metric": "val/macro_acc",
        "epochs": pytest.approx({"0": 0.2, "1": 0.3, "2": 0.4}),
    }
    assert output["loss"] == {"0": 2.0, "1": 1.5, "2": 1.0}
    assert [stretch["mix"] for stretch in output["levels"]] == [
        {"0": 1.0},
        {"50": 0.25, "100": 0.75},
        {"100": 1.0},
    ]
    assert output["classes"][0] == {
        "label": 0,
        "name": "cat",
        "photos": 500,
        "group": "many",
        "recall": 0.8,
    }
    assert [attempt["complete"] for attempt in output["attempts"]] == [True]


def test_attempts_and_failures_are_told() -> None:
    store = Store()
    begin(store, result(), epochs=1)
    fail(store, result(), "lost", "3 workers died")
    complete(store, result())
    output = json.loads(_discl("runs", "show", result().id, "--format", "json").stdout)
    assert output["state"] == "complete"
    assert [(attempt["progress"], attempt["complete"]) for attempt in output["attempts"]] == [
        ("epoch 1 of 3", False),
        ("epoch 3 of 3", True),
    ]
    assert [failure["why"] for failure in output["failures"]] == ["3 workers died"]
    assert "lost at 20" in _discl("runs", "show", result().id).output


def test_the_mean_level_and_long_curves_fit_a_line() -> None:
    assert spark([0, 50, 100], 0, 100) == "▁▅█"
    assert spark([1.0, float("nan"), 2.0]) == "▁ █"
    assert spark([3.0, 3.0]) == "▁▁"
    assert spark([-1e308, 1e308]) == "▁█"
    assert spark([]) == ""
    assert len(spark(list(range(1000)))) == 60


# ---------------------------------------------------------------- diff


def _difference(a: str, b: str) -> dict[str, Any]:
    done = _discl("runs", "diff", a, b, "--format", "json")
    assert done.exit_code == 0, done.output
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def test_the_same_run_and_another_seed_are_said_plainly() -> None:
    store = Store()
    first, second = result(seed=1), result(seed=2)
    complete(store, first)
    complete(store, second)
    assert _difference(first.id, first.name)["headline"] == "both are the same run"
    diff = _difference(first.id, second.id)
    assert diff["headline"].startswith("they differ only in the seed")
    assert diff["settings"] == [{"path": "seed", "a": 1, "b": 2}]
    assert "only in the seed" in _discl("runs", "diff", first.id, second.id).output


def test_settings_are_told_by_the_paths_that_set_takes_and_only_those_that_differ() -> None:
    store = Store()
    first = result(
        settings={"strategy": {"name": "static", "parameters": {"start": 30}, "version": 1}}
    )
    second = result(
        settings={
            "train": {"lr": 0.01, "epochs": 3},
            "backbone": {"name": "timm", "parameters": {"model": "resnet34"}, "version": 2},
        }
    )
    complete(store, first)
    complete(store, second)
    listed = {
        each["path"]: (each["a"], each["b"])
        for each in _difference(first.id, second.id)["settings"]
    }
    assert listed == {
        "strategy.static.start": (30, None),
        "backbone.model": ("resnet18", "resnet34"),
        "backbone.version": (1, 2),
        "train.lr": (0.003, 0.01),
    }


def test_runs_with_and_without_images_differ_in_one_line_of_them() -> None:
    store = Store()
    first, second = result("static"), result("real_only")
    complete(store, first)
    complete(store, second)
    listed = {
        each["path"]: (each["a"], each["b"])
        for each in _difference(first.id, second.id)["settings"]
    }
    assert listed == {
        "strategy": ("static", "real_only"),
        "levels of generated images": ("0 50 100", "none"),
    }


def test_facts_beside_the_settings_and_comparability_keys_stand_apart() -> None:
    store = Store()
    first = result()
    second = result(
        seed=1,
        provenance={**first.provenance, "packages": {"torch": "2.14.0"}, "date": "2027"},
        comparability={**first.comparability, "counts": "n2", "bank": None},
    )
    complete(store, first)
    folder = complete(store, second)
    _rewrite(folder / "experiment.json", lambda text: text.replace('"workers": 0', '"workers": 4'))
    diff = _difference(first.id, second.id)
    assert diff["recorded"] == [
        {"path": "train.workers", "a": 0, "b": 4},
        {"path": "packages.torch", "a": "2.13.0", "b": "2.14.0"},
    ]
    assert diff["comparability"] == [{"path": "counts", "a": "n1", "b": "n2"}]
    assert "may not be in one table" in _discl("runs", "diff", first.id, second.id).output


def test_metrics_differ_by_points_with_the_error_where_it_is_known() -> None:
    store = Store()
    first, second = (
        result(seed=1),
        result(
            seed=2,
            class_recalls=[0.7, 0.4, None],
            metrics={**result().metrics, "test/macro_acc": 0.45, "val/macro_acc": 0.2},
        ),
    )
    complete(store, first)
    complete(store, second)
    metrics = {each["metric"]: each for each in _difference(first.id, second.id)["metrics"]}
    assert metrics["test/macro_acc"]["difference"] == pytest.approx(0.05)
    assert metrics["test/macro_acc"]["error"] == pytest.approx((0.03**2 + 0.03**2) ** 0.5)
    assert metrics["val/macro_acc"]["error"] is None
    assert [each["name"] for each in _difference(first.id, second.id)["classes"]] == ["dog", "cat"]
    shown = [
        line.split() for line in _discl("runs", "diff", first.id, second.id).output.splitlines()
    ]
    assert ["all", "40.0", "45.0", "+5.0", "±", "4.2"] in shown
    assert ["val/macro_acc", "41.0", "20.0", "-21.0"] in shown
    assert ["dog", "few", "5", "0.0", "40.0", "+40.0"] in shown


def test_metrics_are_sorted_by_size_or_by_split() -> None:
    store = Store()
    metrics = {
        "test/acc": 0.1,
        "val/acc": 0.1,
        "ood/fog-1/acc": 0.1,
        "test/macro_acc": 0.1,
        "test/few_acc": 0.1,
    }
    first, second = (
        result(seed=1, metrics=metrics),
        result(seed=2, metrics=metrics | {"test/acc": 0.2, "val/acc": 0.4, "ood/fog-1/acc": 0.3}),
    )
    complete(store, first)
    complete(store, second)

    def order(*words: str) -> list[str]:
        lines = _discl("runs", "diff", first.id, second.id, *words).output.splitlines()
        return [line.split()[0] for line in lines if "/acc" in line]

    assert order() == ["val/acc", "ood/fog-1/acc", "test/acc"]
    assert order("--sort", "split") == ["test/acc", "val/acc", "ood/fog-1/acc"]
    assert order("--most", "1") == ["val/acc"]


def test_a_run_that_is_not_complete_is_compared_by_its_settings() -> None:
    store = Store()
    complete(store, result(seed=1))
    begin(store, result("reverse", 1))
    done = _discl("runs", "diff", result(seed=1).id, result("reverse", 1).id)
    assert done.exit_code == 0
    assert f"no metric to compare: {result('reverse', 1).id} is stopped" in done.output
    fail(store, result(seed=3))
    assert "are not known" in _difference(result(seed=1).id, result(seed=3).id)["headline"]


def test_other_classes_are_not_compared() -> None:
    store = Store()
    complete(store, result(seed=1))
    complete(store, result(seed=2, classes=["cat", "dog", "yeti"]))
    assert (
        _difference(result(seed=1).id, result(seed=2).id)["classes_note"]
        == "their classes are not the same"
    )


# ---------------------------------------------------------------- real runs

SETTINGS = (
    *(
        "dataset.root=photos",
        "backbone.frozen=true",
        "backbone.model=test_resnet",
        "backbone.arguments={}",
        "backbone.stem_stride=4",
    ),
    *(
        "generator.name=blend",
        "bank.variants=1",
        "levels=[0,50,100]",
        "train.epochs=4",
        "train.curriculum_epochs=3",
    ),
    *("train.evaluate_every=1", "train.batch=32"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `home` holds a run of adaptive and one of real_only."""
    folder = tmp_path_factory.mktemp("made")
    make("cifar100_lt", folder / "photos", images=600)
    words = [
        "bench",
        "cifar100_lt",
        "--strategies",
        "adaptive,real_only",
        "--seeds",
        "3",
        "--trackers",
        "",
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DISCL_HOME", str(folder / "home"))
        patched.chdir(folder)
        done = CliRunner().invoke(
            main, [*words, *(word for setting in SETTINGS for word in ("--set", setting))]
        )
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def ready(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISCL_HOME", str(made / "home"))
    monkeypatch.chdir(made)
    return made


@pytest.mark.usefixtures("ready")
def test_real_runs_are_listed_shown_and_told_apart() -> None:
    listed = {run["strategy"]: run for run in _listed().values()}
    assert {name: run["state"] for name, run in listed.items()} == {
        "adaptive": "complete",
        "real_only": "complete",
    }
    assert {"all", "few"} <= set(listed["adaptive"]["main"])
    output = json.loads(
        _discl("runs", "show", listed["adaptive"]["name"], "--format", "json").stdout
    )
    assert len(output["classes"]) == 100
    assert any(stretch["gains"] for stretch in output["levels"])
    assert len(output["val"]["epochs"]) == 4
    shown = _discl("runs", "show", listed["adaptive"]["id"]).output
    assert "photos only" in shown
    assert "of 100; --format json has them all" in shown
    difference = _difference(listed["adaptive"]["id"], listed["real_only"]["id"])
    assert [each["path"] for each in difference["settings"]] == [
        "strategy",
        "levels of generated images",
    ]
    assert difference["recorded"] == []
    assert any(each["error"] for each in difference["metrics"])


@pytest.mark.usefixtures("ready")
def test_the_command_shown_of_a_run_makes_it_again_from_the_store() -> None:
    import shlex

    (id,) = _listed("--strategy", "adaptive")
    command = json.loads(_discl("runs", "show", id, "--format", "json").stdout)["command"]
    done = _discl(*shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert "0 steps trained, 0 runs; stored before: 1" in done.output


def test_what_a_stopped_run_goes_on_with_is_told_from_what_it_began_with(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (id, whole), *_ = [(id, run) for id, run in _listed().items() if run["strategy"] == "adaptive"]
    shutil.copytree(ready / "home" / "runs" / id, tmp_path / "home" / "runs" / id)
    (tmp_path / "home" / "runs" / id / "000" / "result.json").unlink()
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    output = json.loads(_discl("runs", "show", id, "--format", "json").stdout)
    assert (output["state"], output["why"], output["name"]) == (
        "stopped",
        "epoch 4 of 4",
        whole["name"],
    )
    assert "--strategies adaptive --seeds 3" in output["command"]
    assert "dataset.root=" in output["command"]
    # written down when that was the name of the default, so that the id does not have it
    written = tmp_path / "home" / "runs" / id / "000" / "experiment.json"
    description = read_sealed(written, "")
    description["config"]["train"]["eval_precision"] = "float32"
    written.write_text(sealed_text(description))
    earlier = json.loads(_discl("runs", "show", id, "--format", "json").stdout)
    assert earlier["command"] == output["command"]


def test_the_stores_own_ids_are_those_of_the_settings() -> None:
    assert result().id == short(result().identity)
    assert stores.result(seed=1).id != result().id

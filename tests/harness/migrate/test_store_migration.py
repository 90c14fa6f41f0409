import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from discl.cli import main
from discl.config.experiment import Experiment
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.renamed_splits import renamed
from discl.harness.migrate import store as migration
from discl.harness.migrate.store import COPIES, migrate, migrate_results
from discl.harness.run.store import Store
from discl.harness.run.validation import validated
from discl.harness.wandb.sync import local_runs
from tests.version_0_1 import RECORDS as OLD
from tests.version_0_1 import old_benchmark

NAMES = ("cifar10_lt", "cifar10_cams")


def _old_id(name: str) -> str:
    return str(json.loads((OLD / name / "result.json").read_text("utf-8"))["id"])


def _new_id(name: str) -> str:
    return Experiment(old_benchmark(name), "static", 0).id()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home as 0.1 left it: two runs, one with a stopped attempt, and out-of-fold models."""
    root = tmp_path / "home"
    for name in NAMES:
        shutil.copytree(OLD / name, root / "runs" / _old_id(name) / "000")
    stopped = root / "runs" / _old_id("cifar10_cams") / "001"
    shutil.copytree(OLD / "cifar10_cams", stopped)
    (stopped / "result.json").unlink()
    torn = (stopped / "events.jsonl").read_text().splitlines()[0] + '\n{"event": "epo'
    (stopped / "events.jsonl").write_text(torn)
    models = json.loads((OLD / "hard" / "judges.json").read_text("utf-8"))
    shutil.copytree(OLD / "hard", root / "hard" / short(models))
    (root / "hard" / short(models) / "photos.parquet").write_bytes(b"predictions")
    monkeypatch.setenv("DISCL_HOME", str(root))
    return root


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".claim"
    }


def test_a_migrated_run_is_found_under_the_id_of_this_version(home: Path) -> None:
    done = migrate(home)
    assert done.runs == {_old_id(name): _new_id(name) for name in NAMES}
    assert done.left == {}
    store = Store()
    for name in NAMES:
        result = store.find(_new_id(name))
        assert result is not None
        old = json.loads((OLD / name / "result.json").read_text("utf-8"))
        assert result.metrics == renamed(old["metrics"])
        attempt = store.folder(result)
        readable = validated(attempt / "result.json", result.id)
        assert not isinstance(readable, str), readable
        start = json.loads((attempt / "events.jsonl").read_text().splitlines()[0])
        assert start["id"] == result.id
        assert "hard" not in start["config"]
        described = json.loads((attempt / "experiment.json").read_text("utf-8"))
        assert short(described["identity"]) == result.id
        for copy in ("result.json", "experiment.json", "events.jsonl"):
            assert (attempt / COPIES / copy).read_bytes() == (OLD / name / copy).read_bytes()


def test_out_of_fold_models_go_on_without_training(home: Path) -> None:
    (new_id,) = migrate(home).fold_models.values()
    folder = home / "hard" / new_id
    assert (folder / "photos.parquet").read_bytes() == b"predictions"
    assert short(json.loads((folder / "models.json").read_text("utf-8"))) == new_id
    assert [path.name for path in (home / "hard").iterdir()] == [new_id]


def test_a_second_migration_has_nothing_to_do(home: Path) -> None:
    migrate(home)
    files = _files(home)
    again = migrate(home)
    assert (again.runs, again.fold_models, again.left) == ({}, {}, {})
    assert _files(home) == files


class _Killed(BaseException):
    pass


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies at this one of its changes to the disk."""
    changes = 0

    def counted(change: Any) -> Any:
        def changed(*args: Any) -> None:
            nonlocal changes
            changes += 1
            if changes == step:
                raise _Killed
            change(*args)

        return changed

    monkeypatch.setattr(migration, "write_text", counted(migration.write_text))
    monkeypatch.setattr(migration.os, "rename", counted(migration.os.rename))


def test_a_migration_that_was_killed_is_finished_by_the_next(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(home, whole)
    migrate(whole)
    step, killed = 0, True
    while killed:
        step += 1
        begun = tmp_path / f"killed-{step}"
        shutil.copytree(home, begun)
        with monkeypatch.context() as patch:
            _killed_at(step, patch)
            try:
                migrate(begun)
                killed = False
            except _Killed:
                pass
        assert migrate(begun).left == {}
        assert _files(begun) == _files(whole), f"killed at change {step}"
    assert step > 15


def test_a_store_of_0_1_is_refused_until_it_is_migrated(home: Path) -> None:
    with pytest.raises(UserError, match="holds runs of discl 0.1; `discl migrate`"):
        Store().find(_new_id("cifar10_lt"))
    with pytest.raises(UserError, match="holds runs of discl 0.1; `discl migrate`"):
        list(local_runs(Store()))  # nothing of 0.1 is sent to W&B under its old id
    migrate(home)
    assert Store().find(_new_id("cifar10_lt"))


def test_what_cannot_be_migrated_is_left_with_the_reason(home: Path) -> None:
    (home / "runs" / _new_id("cifar10_lt")).mkdir()
    damaged = home / "runs" / _old_id("cifar10_cams")
    (damaged / "001" / "experiment.json").write_text("{")
    before = _files(home)
    done = migrate(home)
    assert done.runs == {}
    assert "exists already" in done.left[home / "runs" / _old_id("cifar10_lt")]
    assert "is damaged" in done.left[damaged]
    unchanged = {name: data for name, data in _files(home).items() if name.startswith("runs/")}
    assert unchanged == {name: data for name, data in before.items() if name.startswith("runs/")}


def test_a_run_that_is_being_made_is_left(home: Path) -> None:
    with Store().claimed(_old_id("cifar10_lt")):
        done = migrate(home)
    assert done.left == {home / "runs" / _old_id("cifar10_lt"): "another process makes this run"}
    assert list(done.runs) == [_old_id("cifar10_cams")]


def test_published_results_get_their_new_names(tmp_path: Path) -> None:
    for name in NAMES:
        folder = tmp_path / name / "smoke"
        folder.mkdir(parents=True)
        shutil.copy(OLD / name / "result.json", folder / f"{_old_id(name)}.json")
    done = migrate_results(tmp_path)
    assert done.results == {_old_id(name): _new_id(name) for name in NAMES}
    assert [path.stem for path in sorted(tmp_path.glob("*/*/*.json"))] == [
        _new_id("cifar10_cams"),
        _new_id("cifar10_lt"),
    ]
    assert migrate_results(tmp_path).results == {}


def test_the_command_says_what_it_did(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for expected in ("2 runs migrated", "nothing of discl 0.1 to migrate"):
        with pytest.raises(SystemExit) as ended:
            main(["migrate"])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_result_of_0_1_names_the_command(tmp_path: Path) -> None:
    old = validated(OLD / "cifar10_lt" / "result.json", _old_id("cifar10_lt"))
    assert isinstance(old, str)
    assert "written by discl 0.1; `discl migrate`" in old

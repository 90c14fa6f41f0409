"""Whatever call a command is killed at, or the disk is full at: the old is there, or the new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from discl.config.experiment import experiments
from discl.core.errors import UserError
from discl.engine.bank.bank import Bank
from discl.engine.bank.catalogue import Cell
from discl.engine.bank.exchange import export_bank, import_bank
from discl.files import checkpoints
from discl.files.disk import atomic_output, data_home, home, recovered, replaced_folder
from discl.harness.bank.gc import plan_removals, remove, trash_folder
from discl.harness.bank.references import References
from discl.harness.leaderboard.publish import committed, publish, stale, submit, verify_published
from discl.harness.run.store import Store
from discl.parts.datasets.manifest.store import Manifest, stored
from tests import results
from tests.banks import CELLS, put, referred, toy_bank
from tests.faults.file_calls import FileCalls, KilledError, watched

SPEC = results.spec('strategies=["real_only", "real_rebalanced"]', "seeds=[0]")
MORE = results.spec('strategies=["real_rebalanced"]', "seeds=[0]")


def _quiet(*_: Any) -> None:
    return None


@dataclass(frozen=True)
class Attack:
    """A command, what is there before it, and what a reader finds."""

    prepare: Callable[[Path], None]
    command: Callable[[Path], object]
    found: Callable[[Path], object]  # by a reader in another process
    repeatable: bool = True  # it can be given again where it was done


# -- what is attacked


def _publish_old(folder: Path) -> None:
    for each in experiments(SPEC):
        results.store(each, skill=1.0)
    publish(SPEC, Store(), folder / "leaderboards")
    for each in experiments(SPEC):
        results.store(each, skill=3.0)


def _publish_one(folder: Path) -> None:
    old = SPEC.model_copy(update={"strategies": ["real_only"]})
    for each in experiments(SPEC):
        results.store(each)
    publish(old, Store(), folder / "leaderboards")


def _published(folder: Path) -> object:
    root = folder / "leaderboards"
    found = [result.to_json() for result in committed(root, SPEC.name, SPEC.scale)]
    assert verify_published(root, Store(folder / "none")).faults == []
    return found


def _publish(folder: Path) -> None:
    publish(SPEC, Store(), folder / "leaderboards")
    assert stale(folder / "leaderboards") == []


def _submit(folder: Path) -> None:
    submit(MORE, Store(), folder / "leaderboards")
    assert stale(folder / "leaderboards") == []


def _filled(folder: Path) -> None:
    with closing(toy_bank()) as bank:
        put(bank, CELLS)


def _exported(folder: Path) -> None:
    with closing(toy_bank()) as bank:
        export_bank(bank, ["cat", "dog"], folder / "export", "parquet", _quiet)


def _export_found(folder: Path) -> object:
    export = folder / "export"
    return sorted(path.name for path in export.rglob("*")) if export.exists() else []


def _import_from(folder: Path) -> None:
    _filled(folder)
    _exported(folder)
    shutil.rmtree(home())
    with closing(toy_bank()) as bank:
        put(bank, [Cell("z", 0, 0)])


def _imported(folder: Path) -> None:
    with closing(toy_bank()) as bank:
        assert import_bank(bank, folder / "export", _quiet).rejected == []


def _bank_found(folder: Path) -> object:
    with closing(toy_bank()) as bank:
        assert [damage for damage in bank.verify() if damage.cell] == []
        return bank.digest()


def _collected(folder: Path) -> None:
    done = remove(plan_removals(References(), _quiet, recent=True))
    if done.failures:
        raise UserError(done.failures[0])


def _whole_banks(folder: Path) -> object:
    """The bank where it was, or in the trash; its digest says that it is whole."""
    names = [path.name for path in (home() / "banks").glob("????????????????")]
    places = [*(home() / "banks").glob("????????????????"), *trash_folder().glob("*/*")]
    digests = []
    for place in places:
        with closing(Bank.at(place)) as bank:
            digests.append((bank.digest(), list(bank.verify())))
    assert len(digests) == 1
    return names, digests


def _manifest(split: str) -> Manifest:
    import pyarrow as pa

    return Manifest(pa.table({"split": [split], "label": ["cat"]}), "a layout", ("cat",))


def _photos(folder: Path) -> None:
    (folder / "photos").mkdir()
    os.utime(folder / "photos", (1, 1))


def _store_manifest(folder: Path) -> object:
    made = stored(folder / "photos", {}, [], lambda _: _manifest("val"), lambda _: "")
    return made.rows.to_pylist()


def _manifest_found(folder: Path) -> object:
    files = sorted((data_home()).rglob("*.parquet"))
    return [path.name for path in files], _store_manifest(folder) if files else None


def _checkpoint(number: int) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        checkpoints.save(
            folder / "run" / "checkpoints", number, {"weights": torch.full((3,), number)}, number
        )

    return save


def _checkpoints_before(folder: Path) -> None:
    for number in (1, 2):
        _checkpoint(number)(folder)


def _newest(folder: Path) -> object:
    found = checkpoints.newest(folder / "run" / "checkpoints")
    assert found is not None
    assert found[0]["weights"].tolist() == [found[1]] * 3
    return found[1]


def _finished(skill: float) -> Callable[[Path], None]:
    (experiment,) = experiments(MORE)
    return lambda folder: Store().finish(folder, results.result(experiment, skill))


def _report(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with atomic_output(folder / "report.html") as tmp:
            tmp.write_text(text, "utf-8")

    return write


def _generator(text: str) -> Callable[[Path], None]:
    def ship(folder: Path) -> None:
        with replaced_folder(folder / "generator") as new:
            for part in ("unet", "vae"):
                (new / part).mkdir()
                (new / part / "weights").write_text(text)

    return ship


def _generator_found(folder: Path) -> object:
    parts = sorted(recovered(folder / "generator").rglob("weights"))
    return [path.read_text() for path in parts]


ATTACKS = {
    "publish": Attack(_publish_old, _publish, _published),
    "submit": Attack(_publish_one, _submit, _published),
    "export": Attack(_filled, _exported, _export_found, repeatable=False),
    "import": Attack(_import_from, _imported, _bank_found),
    "gc": Attack(_filled, _collected, _whole_banks, repeatable=False),
    "manifest": Attack(_photos, _store_manifest, _manifest_found),
    "checkpoint": Attack(_checkpoints_before, _checkpoint(3), _newest),
    "report": Attack(_report("old"), _report("new"), lambda f: (f / "report.html").read_text()),
    "result": Attack(_finished(1.0), _finished(2.0), lambda f: (f / "result.json").read_text()),
    "generator": Attack(_generator("old"), _generator("new"), _generator_found),
}


# -- the attack


@pytest.fixture
def before(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the attack `name` as it is before the command; each is made once."""
    name = request.getfixturevalue("name")
    if name not in _BEFORE:
        folder = tmp_path_factory.mktemp(name)
        with _at_home(folder):
            ATTACKS[name].prepare(folder)
        _BEFORE[name] = folder
    return _BEFORE[name]


_BEFORE: dict[str, Path] = {}


@contextmanager
def _at_home(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DISCL_HOME", str(folder / "home"))
        patched.setenv("DISCL_DATA", str(folder / "data"))
        yield


def _struck(
    attack: Attack, before: Path, folder: Path, calls: FileCalls, one_step: bool, new: object = None
) -> tuple[object, object]:
    """What a reader finds after the command was struck, and after it was given again."""
    shutil.copytree(before, folder)
    with _at_home(folder):
        with watched(calls, one_step), suppress(KilledError, UserError, OSError):
            attack.command(folder)
        found = attack.found(folder)
        if calls.struck and (attack.repeatable or found != new):
            attack.command(folder)
        again = attack.found(folder)
    left = [
        path for path in folder.rglob(".*") if path.is_dir() and path.suffix in (".tmp", ".old")
    ]
    assert not any(any(path.iterdir()) for path in left)  # empty ones may be another process's
    shutil.rmtree(folder)
    return found, again


def _points(names: list[str]) -> list[int]:
    """Numbers of the calls to strike at: those that may let the new one show, and the last."""
    shows = [i for i, name in enumerate(names) if name in ("rename", "replace", "exchange")]
    return sorted({*(shows or [len(names) // 2]), len(names) - 1})


def _attack(
    name: str, before: Path, tmp_path: Path, full: bool, one_step: bool, every: bool
) -> None:
    attack = ATTACKS[name]
    with _at_home(before):
        old = attack.found(before)
    counted = FileCalls(full=full)
    _, new = _struck(attack, before, tmp_path / "whole", counted, one_step)
    assert old != new
    assert counted.names
    for at in range(len(counted.names)) if every else _points(counted.names):
        calls = FileCalls(at, full)
        found, again = _struck(attack, before, tmp_path / str(at), calls, one_step, new)
        assert calls.struck
        assert found in (old, new), (at, counted.names)
        assert again == new, (at, counted.names)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_kill_leaves_the_old_or_the_new(name: str, before: Path, tmp_path: Path) -> None:
    _attack(name, before, tmp_path, full=False, one_step=True, every=False)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_full_disk_leaves_the_old_or_the_new(name: str, before: Path, tmp_path: Path) -> None:
    _attack(name, before, tmp_path, full=True, one_step=True, every=False)


@pytest.mark.parametrize("name", ["generator"])
def test_where_folders_cannot_be_exchanged_the_next_look_puts_right_what_a_kill_left(
    name: str, before: Path, tmp_path: Path
) -> None:
    _attack(name, before, tmp_path, full=False, one_step=False, every=False)


@pytest.mark.parametrize("full", [False, True])
def test_leftovers_that_go_in_part_cost_no_image(full: bool, tmp_path: Path) -> None:
    with _at_home(tmp_path / "before"), closing(toy_bank()) as bank:
        put(bank, CELLS)
        bank.pixels(50)  # a map of images of which one goes
        put(bank, [Cell("c", 50, 0)], shade=9)  # a shard whose image goes
        bank.drop([Cell("c", 50, 0), CELLS[1]])
        put(bank, [CELLS[1]], shade=30)
        digest = bank.digest()

    def collect() -> None:
        with closing(toy_bank()) as bank:
            remove(plan_removals(referred(bank), _quiet))

    def struck(calls: FileCalls, folder: Path) -> list[str]:
        shutil.copytree(tmp_path / "before", folder)
        with _at_home(folder):
            with watched(calls), suppress(KilledError):
                collect()
            collect()
            collect()  # empties the trash
            with closing(toy_bank()) as bank:
                assert bank.digest() == digest
                assert list(bank.verify()) == []
                assert plan_removals(referred(bank), _quiet).removals == []
        return calls.names

    names = struck(FileCalls(full=full), tmp_path / "whole")
    assert len(names) > 3
    for at in range(0, len(names), max(1, len(names) // 4)):
        struck(FileCalls(at, full), tmp_path / str(at))


@pytest.mark.slow(reason="strikes at every call of every command")
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("one_step", [False, True])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_call(name: str, full: bool, one_step: bool, before: Path, tmp_path: Path) -> None:
    _attack(name, before, tmp_path, full=full, one_step=one_step, every=True)

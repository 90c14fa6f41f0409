"""Migrates runs, out-of-fold models and published results of version 0.1 to new keys and ids.

Records are converted in place, each after a copy of it was put beside it, and the folder is renamed
last. A migration that was killed is finished by the next one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from discl.core.errors import DiskError, UserError
from discl.core.hashing import short
from discl.core.plain_files import parsed_json, plain_text
from discl.core.seals import KEY, sealed_line, sealed_text
from discl.files.disk import clear_disk_errors, write_text
from discl.harness.migrate.records import (
    Record,
    convert_config,
    convert_fold_models,
    convert_identity,
    convert_result,
)
from discl.harness.run.store import BusyError, Store

COPIES = "records-0.1"  # folder beside converted records, with what they were
OLD_MODELS = "judges.json"
MODELS = "models.json"


@dataclass
class Migration:
    """Old id -> new id of what was migrated, and paths left as they are, with the reason."""

    runs: dict[str, str] = field(default_factory=dict)
    fold_models: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    left: dict[Path, str] = field(default_factory=dict)


def migrate(home: Path) -> Migration:
    """Migrate the runs and the out-of-fold models under `home`.

    Banks keep their ids, so nothing is to be done for them.
    """
    done = Migration()
    store = Store(home / "runs")
    for folder in _folders(store.root):
        with _told_of(folder, done):
            _migrate_run(store, folder, done)
    store.mark_migrated()
    for folder in _folders(home / "hard"):
        with _told_of(folder, done):
            _migrate_fold_models(folder, done)
    return done


def migrate_results(root: Path) -> Migration:
    """Migrate published results: the files `<benchmark>/<scale>/<id>.json` under `root`."""
    done = Migration()
    for path in sorted(root.glob("*/*/*.json")):
        with _told_of(path, done):
            stored = _read(path)
            result = convert_result(stored)
            if result == stored:
                continue
            write_text(path.with_name(f"{result['id']}.json"), _result_text(result))
            if path.stem != result["id"]:
                path.unlink()
            done.results[stored["id"]] = result["id"]
    return done


@contextmanager
def _told_of(path: Path, done: Migration) -> Iterator[None]:
    """Leaves what is at `path` as it is where a record is wrong, and lists it with the reason."""
    try:
        with clear_disk_errors("migrating records of 0.1", path):
            yield
    except BusyError:
        done.left[path] = "another process makes this run"
    except DiskError:
        raise
    except UserError as error:
        done.left[path] = str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        done.left[path] = f"a record is damaged ({type(error).__name__}: {error})"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.is_dir())


# ---------------------------------------------------------------- runs


def _migrate_run(store: Store, folder: Path, done: Migration) -> None:
    attempts = sorted(path for path in folder.glob("[0-9]*") if path.is_dir())
    ids = {attempt: _new_id(attempt) for attempt in attempts}
    new_ids = {id for id in ids.values() if id is not None and id != folder.name}
    if not new_ids:
        _rename_splits(store, folder, attempts, done)
        return
    if len(new_ids) > 1:
        raise UserError(f"its attempts are of several runs: {', '.join(sorted(new_ids))}")
    (new_id,) = new_ids
    target = store.root / new_id
    if target.exists():
        raise UserError(f"run {new_id} of this version exists already; delete one of the two")
    with store.claimed(folder.name, wait=False):
        for attempt in attempts:
            _convert_attempt(attempt, new_id)
        os.rename(folder, target)
    done.runs[folder.name] = new_id


def _rename_splits(store: Store, folder: Path, attempts: list[Path], done: Migration) -> None:
    """A run whose id stays, and whose corrupted photos have names of before."""
    results = [attempt / "result.json" for attempt in attempts]
    old = [path for path in results if path.exists() and convert_result(_read(path)) != _read(path)]
    if old:
        with store.claimed(folder.name, wait=False):
            for path in old:
                _convert_file(path, lambda text: _result_text(convert_result(parsed_json(text))))
        done.runs[folder.name] = folder.name


def _new_id(attempt: Path) -> str | None:
    """The id of this version for an attempt's run; None where it has no record."""
    record = attempt / "experiment.json"
    if record.exists():
        described = _read(record)
        return short(convert_identity(described["identity"], described["config"]))
    result = attempt / "result.json"
    return str(convert_result(_read(result))["id"]) if result.exists() else None


def _convert_attempt(attempt: Path, new_id: str) -> None:
    """The result first: it still needs the configuration of 0.1."""
    described = _read(attempt / "experiment.json") if (attempt / "experiment.json").exists() else {}
    config = described.get("config")
    old_config = config if isinstance(config, Mapping) and "hard" in config else None
    _convert_file(
        attempt / "result.json",
        lambda text: _result_text(convert_result(parsed_json(text), old_config)),
    )
    _convert_file(attempt / "events.jsonl", lambda text: _converted_events(text, new_id))
    _convert_file(attempt / "experiment.json", _converted_description)


def _converted_description(text: str) -> str:
    described = parsed_json(text)
    identity = convert_identity(described["identity"], described["config"])
    converted = {**described, "identity": identity, "config": convert_config(described["config"])}
    return json.dumps(converted, indent=1) + "\n"


def _converted_events(text: str, new_id: str) -> str:
    """The record of a run, of which only the `start` has keys and an id."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        try:
            event = parsed_json(line)
        except json.JSONDecodeError:  # torn by a kill: nothing that counts comes after it
            break
        if isinstance(event, dict) and event.get("event") == "start":
            converted = {**event, "id": new_id, "config": convert_config(event["config"])}
            is_sealed = converted.pop(KEY, None) is not None
            lines[number] = sealed_line(converted) if is_sealed else json.dumps(converted)
    return "".join(f"{line}\n" for line in lines)


def _convert_file(path: Path, convert: Callable[[str], str]) -> None:
    """Convert a record, if it is there and not converted yet; a copy is put beside it first."""
    if not path.exists():
        return
    text = plain_text(path)
    converted = convert(text)
    if converted == text:
        return
    copy = path.parent / COPIES / path.name
    if not copy.exists():
        write_text(copy, text)
    write_text(path, converted)


def _result_text(result: Record) -> str:
    if KEY in result:
        return sealed_text({key: value for key, value in result.items() if key != KEY})
    return json.dumps(result, indent=1, sort_keys=True) + "\n"


def _read(path: Path) -> Record:
    record: Record = parsed_json(plain_text(path))
    return record


# ---------------------------------------------------------------- out-of-fold models


def _migrate_fold_models(folder: Path, done: Migration) -> None:
    old = folder / OLD_MODELS
    if not old.exists():
        return
    description = convert_fold_models(_read(old))
    new_id = short(description)
    if folder.name == new_id:  # a migration was killed between its last two steps
        old.unlink()
        return
    target = folder.parent / new_id
    if target.exists():
        raise UserError(f"models {new_id} of this version exist already; delete this folder")
    write_text(folder / MODELS, json.dumps(description, indent=1, sort_keys=True) + "\n")
    if not (folder / COPIES / OLD_MODELS).exists():
        write_text(folder / COPIES / OLD_MODELS, plain_text(old))
    os.rename(folder, target)
    (target / OLD_MODELS).unlink()
    done.fold_models[folder.name] = new_id

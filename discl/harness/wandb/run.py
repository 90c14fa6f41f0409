"""Uploads one run: follows its record, logs the epochs that W&B lacks, checks that they arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discl.core.dashboard_rows import DashboardRows, best_and_last
from discl.core.errors import UserError
from discl.core.seals import read_sealed
from discl.harness.run import events
from discl.harness.run.events_follow import EventFollower
from discl.harness.run.validation import read_result
from discl.harness.wandb import artifacts, client, final_summary
from discl.harness.wandb.bank import upload_bank
from discl.harness.wandb.sent_log import AlreadySyncingError, SentRecord, locked_log
from discl.harness.wandb.session import Destination, RunInit, open_run, remove_local_files

OnStep = Callable[[str], None]  # called after each step with what was done


@dataclass(frozen=True)
class Upload:
    """The outcome of uploading a run."""

    rows: int  # epochs in the record
    arrived: int | None  # epochs W&B holds; None = offline, so unknown
    complete: bool  # whether the record says that the run is complete

    @property
    def all_arrived(self) -> bool:
        return self.arrived is None or self.arrived >= self.rows


def upload_run(
    folder: Path,
    destination: Destination,
    is_finished: Callable[[], bool],
    on_step: OnStep = lambda _: None,
) -> Upload | None:
    """Follow the record in `folder` until it ends, or until `is_finished` returns true.

    Returns None where the record holds no start, or where another process uploads the run. Only
    epochs that W&B lacks are logged: W&B says how many it has. The record of an attempt repeats the
    epochs of earlier attempts, so one attempt is enough.
    """
    try:
        with locked_log(folder.parent, is_finished) as log:
            record = EventFollower(folder).follow(is_finished)
            start = next((event for event in record if event.get("event") == "start"), None)
            if start is None:
                return None
            init = init_arguments(start, folder, destination)
            upload, run = _upload(init, destination, record, folder, on_step)
            if upload.all_arrived:
                sent = SentRecord(folder.name, upload.rows, upload.complete)
                log.write(destination.key(init.project), sent)
                if destination.online:
                    remove_local_files(run)
        bank = used_bank(folder)
        if bank and destination.online:  # the bank's pictures are only sent online
            upload_bank_of(folder, bank, destination, on_step)
        return upload
    except AlreadySyncingError:
        return None


def _upload(
    init: RunInit,
    destination: Destination,
    record: Iterator[dict[str, Any]],
    folder: Path,
    on_step: OnStep,
) -> tuple[Upload, Any]:
    """Open the W&B run, log the record, finish the run, and ask what arrived."""
    run = open_run(init, destination)
    on_step(f"opened {init.name}")
    try:
        upload = _log_record(run, record, folder, on_step)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish(exit_code=0 if upload.complete else 1)
    if destination.online:
        held = client.server_runs(
            destination.settings, init.project, destination.entity, init.id
        ).get(init.id)
        upload = replace(upload, arrived=held.rows if held else 0)
    on_step(f"closed {init.name}")
    return upload, run


def _log_record(
    run: Any, record: Iterator[dict[str, Any]], folder: Path, on_step: OnStep
) -> Upload:
    rows = DashboardRows()
    logged = list[dict[str, float]]()
    complete = False
    for event in record:
        if event.get("event") == "epoch":
            report = events.epoch(event)
            logged.append(rows.of(report))
            if report.epoch >= run.starting_step:
                # without commit the row would wait for the next epoch
                run.log(logged[-1], step=report.epoch, commit=True)
            on_step(f"epoch {report.epoch}")
        elif event.get("event") == "finish":
            complete = bool(event.get("complete"))
    result = read_result(folder / "result.json") if (folder / "result.json").exists() else None
    # a kill can fall between the result and the end of the record
    complete = complete or result is not None
    run.summary.update(best_and_last(logged) | {"complete": complete})
    if result:
        final_summary.write(run, result, folder, on_step)
    return Upload(len(logged), None, complete)


def used_bank(folder: Path) -> str | None:
    """The id of the bank that a complete run used; None where it used none or is not complete."""
    try:
        bank = read_sealed(folder / "result.json", "")["comparability"]["bank"]
    except (UserError, KeyError, TypeError):
        return None
    return str(bank) if bank else None


def upload_bank_of(
    folder: Path, bank: str, destination: Destination, on_step: OnStep = lambda _: None
) -> None:
    """Upload the bank that a run used, where it is on this machine and was not sent yet."""
    if (artifacts.bank_folder(bank) / "bank.json").exists():
        way_out = "`discl wandb sync` needs it; run the experiment again"
        config = read_sealed(folder / "experiment.json", way_out)["config"]
        spec = final_summary.spec_of(config)
        upload_bank(artifacts.bank_folder(bank), spec, destination, on_step)


def init_arguments(start: dict[str, Any], folder: Path, destination: Destination) -> RunInit:
    """The arguments of `wandb.init` for the run of a `start` event."""
    config = dict(start.get("config") or {})
    dataset = str((config.get("dataset") or {}).get("name", ""))
    backbone = str((config.get("backbone") or {}).get("name", ""))
    config |= {
        "run": start["id"],
        "dataset_name": dataset,
        "backbone_name": backbone,
        "strategy_settings": _identity(folder).get("strategy"),
    }
    if start.get("trial") is not None:
        config["trial"] = start["trial"]
    return RunInit(
        id=str(start["id"]),
        name=str(start.get("name") or start["id"]),
        project=destination.project(str(start.get("project") or "discl")),
        group=str(start.get("group") or ""),
        job_type=str(start.get("job_type") or "train"),
        tags=tuple(dict.fromkeys([*map(str, start.get("tags") or []), dataset])),
        config=config,
    )


def _identity(folder: Path) -> dict[str, Any]:
    """The identity in experiment.json; empty where the file is missing or damaged."""
    try:
        identity = read_sealed(folder / "experiment.json", "")["identity"]
    except (UserError, KeyError):
        return {}
    return identity if isinstance(identity, dict) else {}

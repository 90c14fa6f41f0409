"""Mirrors one run: reads its record as far as it got, tells W&B what W&B lacks, and makes sure that
it arrived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.core.dashboard_rows import Rows, best_and_last
from discl.core.result import Result
from discl.harness.run import events as record
from discl.harness.run.events_follow import Tail
from discl.harness.wandb import artifacts, client, final_summary
from discl.harness.wandb.bank import mirror_bank
from discl.harness.wandb.sent_log import GivenUpError, Note, claimed
from discl.harness.wandb.session import Label, Place, forget, opened

Tell = Callable[[str], None]  # what was just done; a sign of life


@dataclass(frozen=True)
class Sent:
    """What became of a run's mirror."""

    rows: int  # of the record
    arrived: int | None  # rows W&B holds; None = nobody could be asked
    complete: bool  # the run, by its record

    @property
    def whole(self) -> bool:
        return self.arrived is None or self.arrived >= self.rows


def mirror(
    folder: Path, place: Place, over: Callable[[], bool], tell: Tell = lambda _: None
) -> Sent | None:
    """Follow the record in `folder` until it ends, or `over` says that no more will be written;
    None = there was nothing to tell.

    W&B is told only the epochs it lacks: it says itself how far it is. An attempt's record tells
    earlier epochs again, so the record of one attempt is enough.
    """
    try:
        with claimed(folder.parent, over) as notes:
            events = Tail(folder).follow(over)
            start = next((event for event in events if event.get("event") == "start"), None)
            if start is None:
                return None
            label = labelled(start, folder, place)
            sent, run = _told(label, place, events, folder, tell)
            if sent.whole:  # by what W&B says
                notes.write(place.named(label.project), Note(folder.name, sent.rows, sent.complete))
                if place.online:
                    forget(run)
        if place.online and (bank := used_bank(folder)):  # offline nobody looks at its pictures
            tell_bank(folder, bank, place, tell)
        return sent
    except GivenUpError:
        return None


def _told(
    label: Label, place: Place, events: Iterator[dict[str, Any]], folder: Path, tell: Tell
) -> tuple[Sent, Any]:
    """Open the W&B run, tell it the events, close it, and ask what arrived."""
    run = opened(label, place)
    tell(f"opened {label.name}")
    try:
        sent = _send(run, events, folder, tell)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish(exit_code=0 if sent.complete else 1)
    if place.online:
        there = client.held(place.access, label.project, place.entity, label.id).get(label.id)
        sent = Sent(sent.rows, there.rows if there else 0, sent.complete)
    tell(f"closed {label.name}")
    return sent, run


def _send(run: Any, events: Iterator[dict[str, Any]], folder: Path, tell: Tell) -> Sent:
    rows = Rows()
    told = list[dict[str, float]]()
    complete = False
    for event in events:
        if event.get("event") == "epoch":
            report = record.epoch(event)
            told.append(rows.of(report))
            if report.epoch >= run.starting_step:
                run.log(
                    told[-1], step=report.epoch, commit=True
                )  # otherwise the row waits for the next epoch
            tell(f"epoch {report.epoch}")
        elif event.get("event") == "finish":
            complete = bool(event.get("complete"))
    result = Result.read(folder / "result.json") if (folder / "result.json").exists() else None
    complete = (
        complete or result is not None
    )  # a kill may have fallen between the result and the end of the record
    run.summary.update(best_and_last(told) | {"complete": complete})
    if result:
        final_summary.tell(run, result, folder, tell)
    return Sent(len(told), None, complete)


def used_bank(folder: Path) -> str | None:
    """The bank of a complete run; None where it used none, or is not complete."""
    try:
        bank = json.loads((folder / "result.json").read_text("utf-8"))["comparability"]["bank"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(bank) if bank else None


def tell_bank(folder: Path, bank: str, place: Place, tell: Tell = lambda _: None) -> None:
    """The bank a run used is told of once; one that is not on this machine, never."""
    if (artifacts.bank_folder(bank) / "bank.json").exists():
        config = json.loads((folder / "experiment.json").read_text("utf-8"))["config"]
        mirror_bank(artifacts.bank_folder(bank), final_summary.spec_of(config), place, tell)


def labelled(start: dict[str, Any], folder: Path, place: Place) -> Label:
    """How the run of a `start` event is called at W&B."""
    config = dict(start.get("config") or {})
    dataset = str((config.get("dataset") or {}).get("name", ""))
    backbone = str((config.get("backbone") or {}).get("name", ""))
    said = {
        "run": start["id"],
        "dataset_name": dataset,
        "backbone_name": backbone,
        "strategy_settings": _identity(folder).get("strategy"),
    }
    return Label(
        id=str(start["id"]),
        name=str(start.get("name") or start["id"]),
        project=place.project(str(start.get("project") or "discl")),
        group=str(start.get("group") or ""),
        job_type=str(start.get("job_type") or "train"),
        tags=tuple(dict.fromkeys([*map(str, start.get("tags") or []), dataset])),
        config={
            **config,
            **said,
            **({"trial": start["trial"]} if start.get("trial") is not None else {}),
        },
    )


def _identity(folder: Path) -> dict[str, Any]:
    """What experiment.json says changes the answer; a record without one is told without it."""
    try:
        found = json.loads((folder / "experiment.json").read_text("utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}

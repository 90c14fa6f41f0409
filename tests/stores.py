"""Stores with runs in every state, written as the harness writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from discl.core.hashing import short
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.run.store import Failure, Store
from discl.parts.trackers.jsonl import JsonLines

EVIL = (
    "<script>alert('x')</script> [bold red]\"quoted\"[/] 🦊👩‍🔬 مرحبا \x1b[31m\u202e" + "long" * 75
)


def result(strategy: str = "static", seed: int = 0, **changes: Any) -> Result:
    """A result whose id is that of its settings; `settings` change those."""
    settings = changes.pop("settings", {})
    identity: dict[str, Any] = {
        "backbone": {"name": "timm", "parameters": {"model": "resnet18"}, "version": 1},
        "select": {"metric": "val/macro_acc"},
        "strategy": {"name": strategy, "parameters": {}, "version": 1},
        "train": {"lr": 0.003, "epochs": 3},
        "seed": seed,
        **settings,
    }
    if not strategy.startswith("real"):
        identity["images"] = {
            "levels": [0, 50, 100],
            "variants": 4,
            "threshold": -1,
            "generator": {"name": "blend", "version": 1},
        }
    made = Result(
        id=short(identity),
        attempt=0,
        name=f"toy-smoke-timm-{strategy}-s{seed}",
        benchmark="toy",
        scale="smoke",
        strategy=strategy,
        seed=seed,
        identity=identity,
        comparability={"definitions": "d1", "comparison": "c1", "bank": "b1", "counts": "n1"},
        metrics={
            "test/macro_acc": 0.40,
            "test/few_acc": 0.2,
            "val/macro_acc": 0.41,
            "ood/macro_acc": 0.3,
            "ood/fog-1/macro_acc": 0.3,
        },
        class_recalls=[0.8, 0.0, None],
        classes=["cat", "dog", "unicorn"],
        counts=[500, 5, 0],
        chosen_epoch=2,
        seen={100: 90, 50: 30},
        cost={"steps": 30, "seconds": 90.0, "images_generated": 0},
        provenance={
            "commit": "0123456789ab+",
            "date": f"2026-01-02T03:04:{seed:02d}Z",
            "packages": {"torch": "2.13.0"},
            "device": "cpu",
        },
        errors={"test/macro_acc": 0.03, "test/few_acc": 0.04},
    )
    return replace(made, **changes)


def report(epoch: int) -> EpochReport:
    """An epoch at its level, measured, with a probe that gained."""
    mix = ({0: 1.0}, {50: 0.25, 100: 0.75}, {100: 1.0})[epoch]
    gains = {0: 0.01, 50: -0.02} if epoch < 2 else {}
    values = {"val/macro_acc": 0.2 + epoch / 10}
    return EpochReport(
        epoch,
        mix,
        {100: 30},
        10,
        0.1,
        1.0,
        values,
        gains,
        real_phase=epoch == 2,
        loss=2.0 - epoch / 2,
    )


def begin(store: Store, one: Result, epochs: int = 3) -> Path:
    """An attempt with its record, `epochs` of three told."""
    _, folder = store.new_attempt(one.id)
    config = {
        "name": one.benchmark,
        "scale": one.scale,
        "strategy": one.strategy,
        "seed": one.seed,
        "train": {**one.identity["train"], "workers": 0},
    }
    (folder / "experiment.json").write_text(
        json.dumps({"identity": one.identity, "config": config})
    )
    tracker = JsonLines()
    tracker.start(
        {
            "id": one.id,
            "name": one.name,
            "folder": folder,
            "group": "g",
            "config": config,
            "epochs": 3,
        }
    )
    for epoch in range(epochs):
        tracker.report(report(epoch))
    return folder


def complete(store: Store, one: Result) -> Path:
    """A finished run."""
    folder = begin(store, one)
    store.finish(folder, replace(one, attempt=int(folder.name)))
    return folder


def fail(store: Store, one: Result, kind: str = "error", why: str = "the photos are gone") -> None:
    store.note(one.id, Failure(kind, why))

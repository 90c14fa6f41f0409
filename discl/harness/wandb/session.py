"""Opens W&B runs under ids of our own, and says how they are named; the only module that starts
W&B's client.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import Any

from discl.core.dashboard_rows import AXIS, MEASURED, shortened
from discl.files.disk import home
from discl.harness.wandb.client import ONLINE, Access

NAME_MOST, TAG_MOST, PROJECT_MOST = 128, 64, 128  # characters W&B takes
INIT_S = 60.0  # by then a server that answered the probe has opened a run, or something is wrong
# of a run somebody began around us; ours have ids and names of their own
OTHERS = (
    "WANDB_RUN_ID",
    "WANDB_RESUME",
    "WANDB_NAME",
    "WANDB_SWEEP_ID",
    "WANDB_RUN_GROUP",
    "WANDB_JOB_TYPE",
    "WANDB_TAGS",
    "WANDB_NOTES",
)


@dataclass(frozen=True)
class Label:
    """How a W&B run is found again."""

    id: str
    name: str
    project: str
    group: str
    job_type: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    notes: str = ""


@dataclass(frozen=True)
class Place:
    """Where runs go."""

    access: Access
    entity: str | None  # None = offline

    @property
    def online(self) -> bool:
        return self.access.mode == ONLINE

    def project(self, usual: str) -> str:
        """WANDB_PROJECT, else one project a benchmark; without the characters W&B refuses."""
        wanted = self.access.project or usual
        return (
            shortened(re.sub(r"[/\\#?%:\s]+", "-", wanted), PROJECT_MOST).replace("…", "")
            or "discl"
        )

    def named(self, project: str) -> str:
        """For notes of what was sent."""
        return f"{self.access.url}/{self.entity}/{project}" if self.online else "offline"


def opened(label: Label, place: Place) -> Any:
    """A W&B run, online resumed where it is there already, so that `starting_step` says what W&B
    holds. Offline nothing can be asked.

    An earlier offline folder of the run goes: the record tells all of it again, and W&B's own
    `wandb sync` would append the one to the other.
    """
    for name in OTHERS:
        os.environ.pop(name, None)
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    folder = home().absolute() / "wandb"
    for name in (
        "DATA",
        "CACHE",
        "ARTIFACT",
    ):  # what the client keeps lies with ours, not in the user's home
        os.environ.setdefault(f"WANDB_{name}_DIR", str(folder / name.lower()))
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / "wandb").glob(f"offline-run-*-{label.id}") if not place.online else ():
        shutil.rmtree(old, ignore_errors=True)
    import wandb

    run = wandb.init(
        id=label.id,
        entity=place.entity,
        project=label.project,
        group=shortened(label.group, NAME_MOST),
        job_type=shortened(label.job_type, TAG_MOST),
        name=shortened(label.name, NAME_MOST),
        notes=label.notes or None,
        tags=sorted({shortened(tag, TAG_MOST) for tag in label.tags if tag}),
        config=label.config,
        dir=str(folder),
        mode="online" if place.online else "offline",
        resume="allow" if place.online else None,
        reinit="create_new",
        settings=wandb.Settings(
            init_timeout=INIT_S,
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_save_requirements=False,
        ),
    )
    run.define_metric(AXIS, hidden=True)
    for pattern in ("train/*", "mix/*", "seen/*", "seen_so_far/*", "gain/*", "cost/*", MEASURED):
        run.define_metric(
            pattern, step_metric=AXIS, **({"summary": "max,last"} if pattern == MEASURED else {})
        )
    return run


def forget(run: Any) -> None:
    """Remove what the client wrote of a finished run that W&B holds whole; the record can tell it
    again.
    """
    shutil.rmtree(run.settings.sync_dir, ignore_errors=True)

"""Opens W&B runs under our own ids; the only module that starts W&B's client."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.core.dashboard_rows import AXIS, MEASURED, truncated
from discl.core.text import Markdown, printable
from discl.files.disk import home
from discl.harness.wandb.client import ONLINE, WandbSettings

# characters that W&B takes
MAX_NAME = 128
MAX_TAG = 64
MAX_PROJECT = 128
INIT_TIMEOUT_S = 60.0  # a server that answered `whoami` opens a run sooner than that
# variables of a W&B run that may be open around this process; our runs have their own ids and names
FOREIGN_VARIABLES = (
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
class RunInit:
    """Arguments of `wandb.init` that say which run it is."""

    id: str
    name: str
    project: str
    group: str
    job_type: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    notes: str = ""


@dataclass(frozen=True)
class Destination:
    """The server and entity that runs are sent to, or offline files."""

    settings: WandbSettings
    entity: str | None  # None = offline

    @property
    def online(self) -> bool:
        return self.settings.mode == ONLINE

    def project(self, default: str) -> str:
        """WANDB_PROJECT, else `default`; without the characters that W&B refuses."""
        wanted = self.settings.project or default
        name = truncated(re.sub(r"[/\\#?%:\s]+", "-", wanted), MAX_PROJECT)
        return name.replace("…", "") or "discl"

    def key(self, project: str) -> str:
        """The key of a project in the log of what was sent: `url/entity/project`, or `offline`."""
        return f"{self.settings.url}/{self.entity}/{project}" if self.online else "offline"


def offline_folder() -> Path:
    """Where W&B's client keeps the runs that it writes without a server, a folder each."""
    return home().absolute() / "wandb" / "wandb"


def open_run(init: RunInit, destination: Destination) -> Any:
    """Open a W&B run; online it is resumed, so that `starting_step` says what W&B holds.

    Offline, an earlier folder of the run is removed first: the record is logged again from its
    start, and W&B's own `wandb sync` would append one folder to the other.
    """
    for name in FOREIGN_VARIABLES:
        os.environ.pop(name, None)
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    folder = home().absolute() / "wandb"
    for name in ("DATA", "CACHE", "ARTIFACT"):  # the client's files lie in DISCL_HOME
        os.environ.setdefault(f"WANDB_{name}_DIR", str(folder / name.lower()))
    folder.mkdir(parents=True, exist_ok=True)
    if not destination.online:
        for earlier in offline_folder().glob(f"offline-run-*-{init.id}"):
            shutil.rmtree(earlier, ignore_errors=True)
    import wandb

    run = wandb.init(
        id=init.id,
        entity=destination.entity,
        project=init.project,
        group=printable(init.group, MAX_NAME),
        job_type=printable(init.job_type, MAX_TAG),
        name=printable(init.name, MAX_NAME),
        notes=Markdown.escape(init.notes) or None,  # W&B shows them as Markdown
        tags=sorted({printable(tag, MAX_TAG) for tag in init.tags if tag}),
        config=init.config,
        dir=str(folder),
        mode="online" if destination.online else "offline",
        resume="allow" if destination.online else None,
        reinit="create_new",
        settings=wandb.Settings(
            base_url=destination.settings.url,
            init_timeout=INIT_TIMEOUT_S,
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
    for pattern in ("train/*", "mix/*", "seen/*", "seen_so_far/*", "gain/*", "cost/*"):
        run.define_metric(pattern, step_metric=AXIS)
    run.define_metric(MEASURED, step_metric=AXIS, summary="max,last")
    return run


def remove_local_files(run: Any) -> None:
    """Remove the client's files of a finished run; the record alone can be uploaded again."""
    shutil.rmtree(run.settings.sync_dir, ignore_errors=True)

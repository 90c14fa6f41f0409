"""Banks, results and boards as W&B artifacts: references to files of this machine with their
digests; no image is uploaded.
"""

from __future__ import annotations

from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.result import Result
from discl.engine.bank.bank import Bank
from discl.files import shards
from discl.files.disk import home
from discl.harness.bank.inventory import opened, said_of


def bank_folder(id: str) -> Path:
    """Where a bank lies, or would."""
    return home() / "banks" / id


def of_bank(id: str) -> Any:
    """The artifact of a bank; None where it is not on this machine.

    New shards make a new version, equal ones the same.
    """
    import wandb

    folder = bank_folder(id).absolute()
    if not (folder / "bank.json").exists():
        return None
    try:
        facts = bank_facts(id)
    except UserError:
        return None
    artifact = wandb.Artifact(
        f"bank-{id}",
        type="bank",
        description="images between text and photo, by reference",
        metadata=facts,
    )
    for name in ("bank.json", *(f"shards/{name}" for name in shards.names(folder / "shards"))):
        artifact.add_reference(
            (folder / name).as_uri(), name=name, checksum=False
        )  # the digest is in the metadata, over all bytes
    return artifact


def bank_facts(id: str) -> dict[str, Any]:
    """Digest, images by level and how they were made."""
    folder = bank_folder(id)
    with closing(opened(folder)) as bank:
        return _facts(folder, bank.catalogue.stamp())


@lru_cache(maxsize=8)
def _facts(folder: Path, stamp: tuple[int, int]) -> dict[str, Any]:
    with closing(Bank.at(folder)) as bank:
        levels = {f"level_{level:03d}": count for level, count in sorted(bank.count().items())}
        return {
            "bank": bank.id,
            "digest": bank.digest(),
            "images": levels,
            "process": said_of(folder),
        }


def of_result(result: Result, folder: Path) -> Any:
    """The artifact of a complete run: its result and predictions, where they lie."""
    import wandb

    facts = {"id": result.id, "predictions_sha256": result.predictions, "comparability": result.comparability}
    artifact = wandb.Artifact(
        f"result-{result.id}", type="result", description=result.name[:250], metadata=facts
    )
    for name in ("result.json", "predictions.npz"):
        if (folder / name).exists():
            artifact.add_reference((folder.absolute() / name).as_uri(), name=name, checksum=False)
    return artifact


def use(run: Any, artifact: Any) -> None:
    """Say what a run was made from. Offline the client refuses; `discl wandb sync` says it then."""
    if not run.offline:
        run.use_artifact(artifact)

"""W&B artifacts that refer to banks and results on this machine; no image is uploaded."""

from __future__ import annotations

from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from discl.core.conventions import EPOCH_RULES, VAL
from discl.core.errors import UserError
from discl.core.result import Result
from discl.engine.bank.bank import Bank
from discl.files import shards
from discl.files.disk import home
from discl.harness.bank.inventory import bank_record, open_bank


def bank_folder(id: str) -> Path:
    """The folder of a bank, whether it exists or not."""
    return home() / "banks" / id


def bank_artifact(id: str) -> Any:
    """The artifact of a bank; None where the bank is not on this machine.

    New shards make a new version of the artifact, equal shards do not.
    """
    import wandb

    folder = bank_folder(id).absolute()
    if not (folder / "bank.json").exists():
        return None
    try:
        metadata = bank_metadata(id)
    except UserError:
        return None
    artifact = wandb.Artifact(
        f"bank-{id}",
        type="bank",
        description="images between text and photo, by reference",
        metadata=metadata,
    )
    for name in ("bank.json", *(f"shards/{name}" for name in shards.names(folder / "shards"))):
        # no checksum: the metadata holds a digest over all bytes
        artifact.add_reference((folder / name).as_uri(), name=name, checksum=False)
    return artifact


def bank_metadata(id: str) -> dict[str, Any]:
    """The digest of a bank, its images by level, and how they were made."""
    folder = bank_folder(id)
    with closing(open_bank(folder)) as bank:
        return _metadata(folder, bank.catalogue.stamp())


@lru_cache(maxsize=8)
def _metadata(folder: Path, stamp: tuple[int, int]) -> dict[str, Any]:
    with closing(Bank.at(folder)) as bank:
        levels = {f"level_{level:03d}": count for level, count in sorted(bank.count().items())}
        return {
            "bank": bank.id,
            "digest": bank.digest(),
            "images": levels,
            "process": bank_record(folder),
        }


def result_artifact(result: Result, folder: Path) -> Any:
    """The artifact of a complete run, which refers to its result and predictions."""
    import wandb

    metadata = {
        "id": result.id,
        "predictions_sha256": result.under(VAL.name).predictions,
        **_last(result),
        "comparability": result.comparability,
    }
    artifact = wandb.Artifact(
        f"result-{result.id}", type="result", description=result.name[:250], metadata=metadata
    )
    for name in ("result.json", *(rule.predictions for rule in EPOCH_RULES.values())):
        if (folder / name).exists():
            artifact.add_reference((folder.absolute() / name).as_uri(), name=name, checksum=False)
    return artifact


def _last(result: Result) -> dict[str, str]:
    """The digest of the predictions of the last epoch, where they are others."""
    last = result.last.get("predictions")
    return {"last_predictions_sha256": str(last)} if last else {}


def use_artifact(run: Any, artifact: Any) -> None:
    """Declare an input of a run. Offline the client refuses; `discl wandb sync` does it later."""
    if not run.offline:
        run.use_artifact(artifact)

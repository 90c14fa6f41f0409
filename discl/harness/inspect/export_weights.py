"""Writes the weights that a run kept as a folder that timm and the Hub read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.files.disk import atomic_folder
from discl.files.networks import state_file
from discl.harness.inspect.index import StoredRun
from discl.harness.run.start.kept import kept_weights


class ExportedWeights(NamedTuple):
    """What was written."""

    folder: Path
    parameters: int  # numbers in the weights


def export_weights(run: StoredRun, folder: Path) -> ExportedWeights:
    """Write config.json and model.safetensors of a complete run's last epoch into a new folder.

    `timm.create_model("local-dir:FOLDER", pretrained=True)` loads it, and `train.start.weights`
    begins from it. Raises UserError where the run kept no weights, they are damaged, or timm does
    not build the network.
    """
    if run.result is None:
        raise UserError(f"run {run.id} is {run.state}, and keeps its weights when it is complete")
    weights, about = kept_weights(run.folder / f"{run.result.attempt:03d}")
    if "timm" not in about:
        raise UserError(
            f"run {run.id} cannot be written for timm: {about['not_timm']}; its weights are in"
            f" {run.folder / f'{run.result.attempt:03d}'}"
        )
    config = {**about["timm"], "label_names": about["classes"]}
    with atomic_folder(folder) as tmp:
        state_file.save(tmp / "model.safetensors", weights, about, f"{run.id} weights")
        (tmp / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return ExportedWeights(folder, sum(tensor.numel() for tensor in weights.values()))

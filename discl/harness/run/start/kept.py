"""Weights that a finished run keeps: those of its last epoch, in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.config.experiment import Experiment
from discl.core.errors import UserError
from discl.files.networks import state_file
from discl.harness.run.assembly import Bench

if TYPE_CHECKING:
    from torch import Tensor, nn

KEPT = "weights.safetensors"
_WAY_OUT = (
    "`discl verify` sets it aside; the run's result does not need it, and making the run again in"
    " another $DISCL_HOME keeps them once more"
)


def keep_weights(folder: Path, experiment: Experiment, bench: Bench, network: nn.Module) -> None:
    """Write the weights of `network` into the folder of an attempt, with what an export needs."""
    classes = list(bench.dataset.classes)
    about = {
        "run": experiment.id(),
        "name": experiment.name,
        "epoch": experiment.benchmark.train.epochs - 1,
        "classes": classes,
        "backbone": bench.spec.part("backbones").identity(),
        **_for_timm(bench),
    }
    state_file.save(folder / KEPT, network.state_dict(), about, _what(folder))


def kept_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors [...] by name, what is known of them) of the attempt in a folder.

    Raises UserError where it kept none, or they are damaged.
    """
    if not (folder / KEPT).exists():
        raise UserError(
            f"the run in {folder} kept no weights; make it again in another $DISCL_HOME with --set"
            " store.weights=last"
        )
    weights, about, _ = state_file.read(folder / KEPT, _what(folder), _WAY_OUT)
    return weights, about


def _what(folder: Path) -> str:
    return f"{folder.parent.name} weights"


def _for_timm(bench: Bench) -> dict[str, Any]:
    """How timm builds the network: `timm`, or `not_timm` with the reason why it cannot."""
    described = getattr(bench.backbone, "timm_config", None)
    if described is None:
        name = bench.spec.backbone["name"]
        return {"not_timm": f"backbone {name!r} is no model of timm's"}
    try:
        photo = [int(each) for each in bench.train.pixels.shape[1:3]]
        train = bench.spec.train
        return {"timm": described(len(bench.dataset.classes), photo, train.crop, train.side)}
    except UserError as error:
        return {"not_timm": str(error)}

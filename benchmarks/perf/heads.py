"""Heads for long tails on the shipped CLIP's features of cifar10_lt, and LDAM-DRW's definition.

    python benchmarks/perf/heads.py                # three seeds, some minutes
    python benchmarks/perf/heads.py --home DIR     # with features that exist already

Photos alone (real_only), frozen features. The last rows are trained here, by the definitions of
cross-entropy and LDAM-DRW (Cao et al. 2019) written out on the same features, batches drawn by
torch: they share no code with the losses, heads, loop and optimiser of the others. Class weights of
LDAM begin with length 1, as published; how far AdamW turns them in so short a run depends on that
length, so a row shows a shorter one too.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from discl.config.load import load
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep

COSINE = "backbone.head=cosine"
HEADS: dict[str, list[str]] = {
    "ce": [],
    "ce, cosine": [COSINE],
    "balanced_softmax": ["loss.name=balanced_softmax"],
    "logit_adjusted": ["loss.name=logit_adjusted"],
    "LDAM": [COSINE, "loss.name=ldam_drw", "loss.defer=1.0"],
    "LDAM-DRW": [COSINE, "loss.name=ldam_drw"],
    "cb_focal": ["loss.name=cb_focal"],
    "seesaw": ["loss.name=seesaw"],
    "cRT": ["second_stage.name=crt"],
    "LWS": ["second_stage.name=lws"],
    "tau-norm": ["second_stage.name=tau_norm"],
    "NCM": ["second_stage.name=ncm"],
}
SHOTS = {"many": (101, math.inf), "medium": (20, 100), "few": (0, 19)}
COLUMNS = {
    "all": "test/macro_acc",
    "many": "test/many_acc",
    "medium": "test/medium_acc",
    "few": "test/few_acc",
    "all, adjusted": "test/adjusted_macro_acc",
}


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.option("--seeds", default=3, show_default=True)
def main(home: Path | None, output: Path, seeds: int) -> None:
    """Percent on test, mean over seeds; printed and written to --output."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = str(home or folder)
        torch.set_num_threads(1)
        table = {name: _ours(settings, seeds) for name, settings in HEADS.items()}
        table["ce, by definition"] = _by_definition(seeds, ldam=False)
        table["LDAM-DRW, by definition"] = _by_definition(seeds, ldam=True)
        table["LDAM-DRW, by definition, first weights of length 0.58"] = _by_definition(
            seeds, ldam=True, length=0.58
        )
    output.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(table, indent=1))


def _spec(settings: list[str], seeds: int) -> Any:
    frozen = ["backbone.name=open_clip", "backbone.frozen=true", "trackers=[]"]
    chosen = [f"seeds={list(range(seeds))}", "strategies=['real_only']"]
    return load("cifar10_lt", settings=[*frozen, *chosen, *settings])


def _ours(settings: list[str], seeds: int) -> dict[str, float]:
    results = list(sweep(_spec(settings, seeds), Store(), CompositeTracker.of([])))
    return {
        title: round(100 * float(np.mean([result.metrics[metric] for result in results])), 1)
        for title, metric in COLUMNS.items()
        if metric in results[0].metrics
    }


def _by_definition(seeds: int, ldam: bool, length: float = 1.0) -> dict[str, float]:
    """The last epoch's network; the recipe is that of the benchmark."""
    spec = _spec([], 1)
    inputs = Bench(spec).inputs
    splits = {name: inputs.split(name) for name in ("train", "test")}
    features = {name: torch.tensor(np.array(split.pixels)) for name, split in splits.items()}
    labels = {name: torch.tensor(split.labels) for name, split in splits.items()}
    counts = labels["train"].bincount()
    recalls = [
        _recalls(features, labels, counts, spec.train, length if ldam else None, seed)
        for seed in range(seeds)
    ]
    by_class = torch.stack(recalls).mean(0)
    groups = {
        name: by_class[(counts >= low) & (counts <= high)].mean()
        for name, (low, high) in SHOTS.items()
    }
    return {
        name: round(100 * float(value), 1)
        for name, value in {"all": by_class.mean(), **groups}.items()
    }


def _recalls(
    features: dict[str, Tensor],
    labels: dict[str, Tensor],
    counts: Tensor,
    train: Any,
    length: float | None,
    seed: int,
) -> Tensor:
    """Recall [c] on test of a head trained on the train features, which are standardised.

    `length`: of LDAM's first class weights; None = cross-entropy.
    """
    ldam = length is not None
    mean, std = features["train"].mean(0), features["train"].std(0)
    chance = torch.Generator().manual_seed(seed)
    photos, width = features["train"].shape
    weight = (torch.rand(len(counts), width, generator=chance) * 2 - 1) / math.sqrt(width)
    if length is not None:
        weight = length * F.normalize(weight)
    weight.requires_grad_()
    bias = torch.zeros(len(counts), requires_grad=not ldam)
    margins = 0.5 * (counts / counts.min()) ** -0.25
    rare = (1 - 0.9999) / (1 - 0.9999 ** counts.double())
    groups: list[dict[str, Any]] = [
        {"params": [weight], "weight_decay": train.weight_decay},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=train.lr)
    steps = photos // train.batch
    run = train.epochs * steps
    warmup = train.warmup_epochs * steps
    for epoch in range(train.epochs):
        order = torch.randperm(photos, generator=chance)
        for step in range(steps):
            done = epoch * steps + step
            rate = 0.5 * train.lr * (1 + math.cos(math.pi * done / run))
            for group in optimiser.param_groups:
                group["lr"] = train.lr * (done + 1) / warmup if done < warmup else rate
            rows = order[step * train.batch : (step + 1) * train.batch]
            x, y = features["train"][rows], labels["train"][rows]
            x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()  # as BatchNorm
            if ldam:
                cosines = F.normalize(x) @ F.normalize(weight).T
                lowered = 30 * (cosines - margins[y][:, None] * F.one_hot(y, len(counts)))
                late = done / run >= 0.8
                weights = rare.float()[y] if late else torch.ones(len(y))
                each = lowered.logsumexp(1) - lowered[torch.arange(len(y)), y]
                loss = (weights * each).sum() / weights.sum()
            else:
                logits = x @ weight.T + bias
                loss = (logits.logsumexp(1) - logits[torch.arange(len(y)), y]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        x = (features["test"] - mean) / std
        found = F.normalize(x) @ F.normalize(weight).T if ldam else x @ weight.T + bias
        right = found.argmax(1) == labels["test"]
        truth = labels["test"].bincount(minlength=len(counts))
        return labels["test"].bincount(weights=right.double(), minlength=len(counts)) / truth


if __name__ == "__main__":
    main()
